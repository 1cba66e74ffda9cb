//! Split the work into blocks that respect every bound, before anything is sent to the device.

use crate::{GpuError, kernels::padded};

/// Greatest number of rows in a block: one workgroup per row in one dimension of a dispatch.
const MAX_BLOCK_ROWS: u64 = 65_535;

/// Greatest number of columns in a dispatch, for the same reason at 8 or more per workgroup.
const MAX_DISPATCH_COLS: u64 = 1 << 18;

/// Columns below which a dispatch is not split for its work: fewer would leave a device idle.
const LEAST_DISPATCH_COLS: u64 = 64;

/// What a plan must respect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Greatest buffer bound to a kernel, in bytes.
    pub(super) binding_bytes: u64,
    /// Greatest work of one dispatch.
    pub(super) macs_per_dispatch: u64,
    /// All buffers together, in bytes.
    pub(super) max_bytes: u64,
}

/// The shape of one linear stage: `n` outputs of `k` inputs each, both at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StageShape {
    pub(super) k: usize,
    pub(super) n: usize,
}

impl StageShape {
    fn row_bytes(self) -> u64 {
        padded(self.k) as u64
    }

    /// Weights, and per output the bias, multiplier and shift.
    fn resident_bytes(self) -> u64 {
        (self.n as u64).saturating_mul(self.row_bytes() + 12)
    }
}

/// How to go through the rows and columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// Rows that go through all stages together.
    pub(super) rows: usize,
    /// For each stage, its columns.
    pub(super) columns: Vec<Columns>,
}

/// How to split the columns of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Columns {
    /// Columns whose weights share one buffer.
    pub(super) per_buffer: usize,
    /// Columns that one dispatch computes.
    pub(super) per_dispatch: usize,
}

impl Plan {
    /// Plans `rows` rows, at least 1, through `stages`, at least one.
    pub(super) fn new(
        rows: usize,
        stages: &[StageShape],
        bounds: Bounds,
    ) -> Result<Self, GpuError> {
        let widest = stages.iter().map(|stage| stage.row_bytes().max(4 * stage.n as u64)).max();
        let widest = widest.unwrap_or(1);
        if widest > bounds.binding_bytes {
            let (what, max) = ("a row of the product, in bytes,", bounds.binding_bytes);
            return Err(GpuError::TooLarge { what, value: widest, max });
        }
        let by_work = stages.iter().map(|stage| {
            let least = stage.row_bytes() * LEAST_DISPATCH_COLS.min(stage.n as u64);
            bounds.macs_per_dispatch / least
        });
        let block = (rows as u64)
            .min(MAX_BLOCK_ROWS)
            .min(bounds.binding_bytes / widest)
            .min(by_work.min().unwrap_or(1).max(1))
            .min(rows_in_memory(stages, bounds)?);
        let columns = stages.iter().map(|stage| split(*stage, block, bounds)).collect();
        Ok(Plan { rows: block as usize, columns })
    }
}

/// The rows for which memory is left beside the weights; at least 1.
fn rows_in_memory(stages: &[StageShape], bounds: Bounds) -> Result<u64, GpuError> {
    let resident =
        stages.iter().fold(0_u64, |sum, stage| sum.saturating_add(stage.resident_bytes()));
    let most = |bytes: fn(&StageShape) -> u64| stages.iter().map(bytes).max().unwrap_or(0);
    let activations = most(|stage| stage.row_bytes());
    let accumulators = most(|stage| 4 * stage.n as u64);
    // Two buffers of activations take turns; the accumulators are read back through a copy.
    let per_row = 2 * activations + 2 * accumulators;
    let needed = resident.saturating_add(per_row);
    if needed > bounds.max_bytes {
        return Err(GpuError::OverBudget { needed, budget: bounds.max_bytes });
    }
    Ok((bounds.max_bytes - resident) / per_row)
}

/// Splits the columns of a stage for blocks of so many rows.
pub(super) fn split(stage: StageShape, rows: u64, bounds: Bounds) -> Columns {
    let n = stage.n as u64;
    let per_buffer = n.min(bounds.binding_bytes / stage.row_bytes()).max(1);
    let by_work = (bounds.macs_per_dispatch / (stage.row_bytes() * rows)).max(1);
    let mut per_dispatch = per_buffer.min(by_work).min(MAX_DISPATCH_COLS);
    if per_dispatch > LEAST_DISPATCH_COLS {
        per_dispatch -= per_dispatch % LEAST_DISPATCH_COLS; // whole tiles
    }
    Columns { per_buffer: per_buffer as usize, per_dispatch: per_dispatch as usize }
}

#[cfg(test)]
mod tests;
