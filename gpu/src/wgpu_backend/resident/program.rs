//! Hold what is to be done on a device, before any of it is: dispatches over slots of memory.

use crate::{GpuError, kernels::cells::Kernel};
use neura_int8::{ParamId, ops::sample::Sample};
use std::collections::BTreeSet;

/// Slots are whole `vec4`s.
const SLOT_BYTES: u64 = 16;

/// The code of a dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// The int8 product, in the backend's variant.
    Product,
    /// A kernel over cells.
    Cells(Kernel),
}

/// How a parameter lies in the device's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// As it is stored: little-endian, padded to whole words.
    Plain,
    /// Packed int8 rows of `depth` values, each padded to whole `vec4`s: those of one part, where
    /// parts are of `per_part` rows.
    Rows { depth: usize, part: usize, per_part: usize },
    /// Weights of a convolution of so many groups: four outputs to a word.
    Blocks { groups: usize },
}

/// What is bound to a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Memory of the run, by its index.
    Slot(usize),
    /// A parameter.
    Param(ParamId, Form),
    /// Zeros, for what is not given.
    Zeros,
    /// The table of powers of the softmax.
    Powers,
}

/// One kernel over some of its cells.
#[derive(Debug, Clone)]
pub(super) struct Dispatch {
    pub(super) code: Code,
    pub(super) params: Vec<u8>,
    pub(super) places: Vec<Place>,
    pub(super) groups: (u32, u32),
    /// Multiply-accumulates, or steps of like cost.
    pub(super) work: u64,
}

/// Tokens that are drawn with noise: on the processor, which has the noise.
#[derive(Debug, Clone)]
pub(super) struct Draw {
    pub(super) op: Sample,
    /// Where the logits lie, and where the tokens are to lie.
    pub(super) logits: usize,
    pub(super) tokens: usize,
    /// Lines of logits, and values of a line.
    pub(super) lines: usize,
    pub(super) length: usize,
    /// The index of the first line among those of the run.
    pub(super) first: usize,
}

/// One thing after the other.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Run(Dispatch),
    Draw(Draw),
}

/// A run of a model, as steps over slots.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) steps: Vec<Step>,
    /// Bytes of each slot.
    pub(super) slots: Vec<u64>,
    /// For each value, where it lies at the end, if it does.
    pub(super) values: Vec<usize>,
    /// Zeros that kernels read, in bytes.
    pub(super) zeros: u64,
}

impl Program {
    /// The parameters that are used, each form of each once.
    pub(super) fn params(&self) -> BTreeSet<(ParamId, Form)> {
        let dispatches = self.steps.iter().filter_map(|step| match step {
            Step::Run(dispatch) => Some(&dispatch.places),
            Step::Draw(_) => None,
        });
        let params = dispatches.flatten().filter_map(|place| match place {
            Place::Param(id, form) => Some((*id, *form)),
            _ => None,
        });
        params.collect()
    }
}

/// Memory that values take turns in.
#[derive(Debug, Default)]
pub(super) struct Slots {
    sizes: Vec<u64>,
    free: Vec<usize>,
}

impl Slots {
    /// The bytes of each slot.
    pub(super) fn into_sizes(self) -> Vec<u64> {
        self.sizes
    }

    /// A slot of so many bytes, of which at most `max` can be bound: the smallest free one that is
    /// large enough, else the largest, made larger, else a new one.
    pub(super) fn take(&mut self, bytes: u64, max: u64) -> Result<usize, GpuError> {
        let bytes = bytes.next_multiple_of(SLOT_BYTES).max(SLOT_BYTES);
        if bytes > max {
            return Err(GpuError::TooLarge { what: "a value, in bytes,", value: bytes, max });
        }
        let fitting = self.free.iter().copied().filter(|slot| self.sizes[*slot] >= bytes);
        let best = fitting.min_by_key(|slot| self.sizes[*slot]);
        let best = best.or_else(|| self.free.iter().copied().max_by_key(|slot| self.sizes[*slot]));
        let Some(slot) = best else {
            self.sizes.push(bytes);
            return Ok(self.sizes.len() - 1);
        };
        self.free.retain(|free| *free != slot);
        self.sizes[slot] = self.sizes[slot].max(bytes);
        Ok(slot)
    }

    /// Lets others have a slot.
    pub(super) fn give(&mut self, slot: usize) {
        self.free.push(slot);
    }
}
