//! Define the exact meaning of int8 inference, in integers, for every device and for consensus.
//!
//! # Design
//! A [`Model`] is a chain of linear layers with int8 weights; a [`Batch`] is rows of int8 values.
//! [`Model::infer`] is the normative implementation: whatever a GPU computes is right if it gives
//! the same `i32` logits, bit for bit, and wrong otherwise. An [`Int8Job`] is what an owner sends,
//! an [`Int8Result`] what a provider returns; its [`commitment`](Int8Result::commitment) is what
//! the chain keeps. Each of the four has one encoding, drawn to the byte in the crate's README.
//!
//! # Invariants
//! - No float, clock, randomness, thread or hash map; the same input gives the same output.
//! - A decoded [`Model`] cannot overflow: every accumulator's greatest magnitude is proved to fit
//!   an `i32` when the model is made, so sums may be taken in any order.
//! - Decoding never panics, checks sizes before it allocates, and accepts exactly one encoding of
//!   a value: `decode(bytes)` succeeding implies `encode()` gives `bytes` back.
//!
//! # Example
//! ```
//! use neura_int8::{Activation, Batch, Layer, Model, Requant, predictions};
//!
//! let half = Requant::new(1 << 30, 0)?; // multiplies by one half
//! let hidden = Layer::hidden(2, vec![1, 2, -3, 4], vec![0, 1], vec![half; 2], Activation::Relu)?;
//! let last = Layer::logits(2, vec![1, 0, 0, 1], vec![0, 0])?;
//! let model = Model::new(vec![hidden, last])?;
//! let logits = model.infer(&Batch::new(1, 2, vec![10, 20])?)?;
//! assert_eq!(logits, [25, 26]);
//! assert_eq!(predictions(&logits, 2), [1]);
//! # Ok::<(), neura_int8::ModelError>(())
//! ```

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::expect_used,
        clippy::float_arithmetic,
        clippy::indexing_slicing,
        clippy::let_underscore_must_use,
        clippy::panic,
        clippy::unwrap_used
    )
)]

mod batch;
mod codec;
mod error;
mod infer;
mod job;
mod layer;
mod limits;
mod model;
mod requant;
mod result;

pub use batch::Batch;
pub use error::ModelError;
pub use infer::predictions;
pub use job::Int8Job;
pub use layer::{Activation, Layer, LayerKind};
pub use limits::{
    MAX_BATCH_BYTES, MAX_JOB_BYTES, MAX_LAYERS, MAX_LOGITS, MAX_MODEL_BYTES, MAX_ROWS, MAX_WIDTH,
};
pub use model::Model;
pub use requant::Requant;
pub use result::{Int8Result, RESULT_DOMAIN};
