//! Hold a model's shapes against memory, and against what the engine can count.
//!
//! The engine keeps the lower 32 bits of a number that becomes a length: a tensor of 2^50 cells would be an empty one,
//! without an error. Such numbers are found where they are known: in the model, and while it runs.

use std::ops::Range;

use neura_types::job::{FaultCode, JobFault};
use tract_onnx::{
    prelude::{DatumType, InferenceModel, TValue, Tensor, TypedModel},
    tract_hir::infer::Factoid,
};

use super::TypedNode;

/// Operators, and which of their operands are lengths, counts or places.
const OF_LENGTHS: [(&str, Range<usize>); 10] = [
    ("ConstantOfShape", 0..1),
    ("MultiBroadcastTo", 1..2),
    ("OneHot", 1..2),
    ("Pad", 1..2),
    (RANGE, 0..3),
    ("Reshape", 1..2),
    ("Resize", 1..4),
    (CUT, 1..5),
    ("Tile", 1..2),
    ("Topk", 1..2),
];
/// The one of them whose length is a quotient.
const RANGE: &str = "Range";
/// The one of them that takes a place past every end.
const CUT: &str = "StridedSlice";
/// What exporters write there for "to the end", which the engine knows.
const TO_THE_END: [i64; 3] = [i64::MAX, i64::MIN, i64::MIN + 1];

/// Refuses a model in which a length is a number that the engine cannot count to.
pub(super) fn countable(model: &InferenceModel) -> Result<(), JobFault> {
    for node in model.nodes() {
        let name = node.op.name();
        let Some((_, lengths)) = OF_LENGTHS.iter().find(|(of, _)| *of == &*name) else { continue };
        let operands = node.inputs.iter().take(lengths.end).skip(lengths.start);
        let made = operands.map(|from| model.outlet_fact(*from));
        for operand in made.filter_map(|fact| fact.ok()?.value.concretize()) {
            counted(&node.name, &operand, &*name == CUT)?;
        }
    }
    Ok(())
}

/// Bytes of a tensor with cells of `size` bytes; none if they cannot be counted.
pub(super) fn bytes(shape: &[usize], size: usize) -> Option<usize> {
    match shape.contains(&0) {
        true => Some(0),
        false => shape.iter().try_fold(size, |bytes, side| bytes.checked_mul(*side)),
    }
}

/// The same as [`countable`] while a model runs, for numbers that follow from its inputs: those of which an operator
/// makes lengths.
pub(super) fn counted_here(node: &TypedNode, operands: &[TValue]) -> Result<(), JobFault> {
    if node.op.name() == RANGE {
        return counted_range(&node.name, operands);
    }
    match node.outputs.iter().any(|made| made.fact.datum_type == DatumType::TDim) {
        true => operands.iter().try_for_each(|operand| counted(&node.name, operand, true)),
        false => Ok(()),
    }
}

/// A range from the first number to the second in steps of the third: the engine makes of any quotient a length.
fn counted_range(node: &str, operands: &[TValue]) -> Result<(), JobFault> {
    let number = |operand: &TValue| operand.cast_to_scalar::<f64>().ok();
    let [Some(from), Some(to), Some(step)] = [0, 1, 2].map(|at| operands.get(at).and_then(number))
    else {
        return Ok(());
    };
    let length = (to - from) / step;
    if length <= f64::from(i32::MAX) {
        return Ok(());
    }
    let detail = format!("'{node}' is a range of {length} numbers: no tensor is that long");
    Err(JobFault { code: FaultCode::OutOfMemory, detail })
}

fn counted(node: &str, operand: &Tensor, may_be_past_the_end: bool) -> Result<(), JobFault> {
    if operand.datum_type() != DatumType::I64 {
        return Ok(());
    }
    let Some(view) = operand.as_plain_ram() else { return Ok(()) };
    let numbers = view.as_slice::<i64>().unwrap_or_default();
    let past = |number: &i64| may_be_past_the_end && TO_THE_END.contains(number);
    match numbers.iter().find(|number| i32::try_from(**number).is_err() && !past(number)) {
        None => Ok(()),
        Some(number) => {
            let detail = format!("'{node}' is given {number} for a length: no tensor is that long");
            Err(JobFault { code: FaultCode::OutOfMemory, detail })
        }
    }
}

/// Refuses a model with a tensor that memory cannot hold. Those whose shapes follow from the data are met when they are
/// made.
pub(super) fn fits(model: &TypedModel, memory_bytes: u64) -> Result<(), JobFault> {
    for node in model.nodes() {
        for made in &node.outputs {
            let Some(shape) = made.fact.shape.as_concrete() else { continue };
            let bytes = bytes(shape, made.fact.datum_type.size_of());
            if bytes.is_none_or(|bytes| bytes as u64 > memory_bytes) {
                let sides: Vec<String> = shape.iter().map(usize::to_string).collect();
                let detail = format!(
                    "'{}' makes a tensor of {} values, and a job has {memory_bytes} bytes of memory",
                    node.name,
                    sides.join(" x ")
                );
                return Err(JobFault { code: FaultCode::OutOfMemory, detail });
            }
        }
    }
    Ok(())
}
