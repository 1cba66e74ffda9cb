//! Lay parameters out as kernels read them.

use super::program::Form;
use crate::kernels::{pack, padded};
use neura_int8::{Data, ParamSpec};

/// Cells that an invocation makes beside each other: channels of a convolution's output, whose
/// weights share a word, and rows and columns of a mix.
pub(super) const BLOCK: usize = 4;

/// Bytes that a parameter takes in a form.
pub(super) fn bytes(spec: &ParamSpec, form: Form) -> u64 {
    let cells = spec.cells() as u64;
    match form {
        Form::Plain => (spec.bytes() as u64).next_multiple_of(4),
        Form::Rows { depth, part, per_part } => {
            let rows = spec.cells() / depth - part * per_part;
            (rows.min(per_part) * padded(depth)) as u64
        }
        Form::Blocks { groups } => {
            let outputs = spec.dims[0] / groups;
            cells / outputs as u64 * (outputs.next_multiple_of(BLOCK)) as u64
        }
    }
}

/// A parameter in a form.
pub(super) fn contents(spec: &ParamSpec, data: &Data, form: Form) -> Vec<u8> {
    match form {
        Form::Plain => {
            let mut bytes = data.to_bytes();
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        }
        Form::Rows { depth, part, per_part } => {
            let rows = data.i8s().chunks(depth * per_part).nth(part);
            pack(rows.unwrap_or_default(), depth)
        }
        Form::Blocks { groups } => blocks(data.i8s(), spec.dims[0], groups),
    }
}

/// For each block of four outputs of a group, a word for each weight: a byte of each output's.
fn blocks(weights: &[i8], outputs: usize, groups: usize) -> Vec<u8> {
    let depth = weights.len() / outputs;
    let mut words = Vec::with_capacity(weights.len());
    for group in weights.chunks_exact(outputs / groups * depth) {
        for block in group.chunks(BLOCK * depth) {
            for at in 0..depth {
                let of = |lane| block.get(lane * depth + at).copied().unwrap_or(0);
                words.extend((0..BLOCK).map(|lane| of(lane).cast_unsigned()));
            }
        }
    }
    words
}
