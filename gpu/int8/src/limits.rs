//! Hold every bound of the formats, each with its reason.

/// Greatest width of a layer or of a batch's rows, in values.
///
/// Class indices fit a `u16`, and a row of weights or activations stays below 64 KiB.
pub const MAX_WIDTH: usize = 65_536;

/// Greatest number of layers of a model: deeper plain chains are of no use without shortcuts.
pub const MAX_LAYERS: usize = 64;

/// Greatest encoded model, in bytes: what a validator may have to hold and check at once.
pub const MAX_MODEL_BYTES: usize = 64 << 20;

/// Greatest number of rows of a batch.
pub const MAX_ROWS: usize = 1 << 20;

/// Greatest encoded batch, in bytes, for the same reason as [`MAX_MODEL_BYTES`].
pub const MAX_BATCH_BYTES: usize = 64 << 20;

/// Greatest encoded job: a model and a batch of the greatest sizes, and the header.
pub const MAX_JOB_BYTES: usize = MAX_MODEL_BYTES + MAX_BATCH_BYTES + 64;

/// Greatest number of logits (rows × classes) of a result: 64 MiB of them.
pub const MAX_LOGITS: usize = 16 << 20;
