//! Convert float models to integer ones: read, calibrate, quantise, compare.
//!
//! # Design
//! A [`Graph`] is a float model, whatever it was read from: safetensors with a `config.json`
//! ([`read_checkpoint`]) or ONNX ([`read_onnx`]). [`Graph::evaluate`] runs it in floats, which is
//! the original that everything is measured against. [`calibrate`] runs it over data of the
//! user's and keeps how great values get; [`quantise`] makes an integer [`Model`] with scales
//! chosen from that, and a [`Card`] that says what its integers mean. [`compare`] runs both over
//! data and reports what was lost.
//!
//! How values are held: weights i8 with a scale for each output channel; what enters a product
//! i8, one scale for each channel where it can be (large channels of activations are shifted into
//! the weights, as `SmoothQuant` does); what enters a table i16; sums and residual streams i32 in
//! fixed point, of 20 bits.
//!
//! # Invariants
//! - Floats stay here: what leaves is a [`Model`], whose ranges are proved.
//! - Files are never trusted: sizes are checked before they are used, and what is wrong is an
//!   error that names the file's own term for it (tensor, node, operator).

mod calibrate;
mod card;
mod checkpoint;
mod compare;
mod config;
mod curve;
mod data;
mod error;
mod evaluate;
mod function;
mod graph;
mod npy;
mod onnx;
mod quantise;
mod safetensors;
mod transformer;

pub use calibrate::{Calibration, calibrate};
pub use card::{Card, Port};
pub use checkpoint::{Checkpoint, read_checkpoint};
pub use compare::{OutputError, Report, compare};
pub use config::{Config, MAX_CONFIG_BYTES};
pub use curve::{Binary, Curve};
pub use data::{Sample, read_samples};
pub use error::ConvertError;
pub use function::Function;
pub use graph::{Graph, Matrix, Node, Op, Value};
pub use npy::{Array, Kind};
pub use onnx::{OnnxOptions, read_onnx};
pub use quantise::{Options, quantise};

use neura_int8::Model;

/// A converted model, and what its integers mean.
#[derive(Debug)]
pub struct Converted {
    /// The integer model.
    pub model: Model,
    /// The meaning of its inputs and outputs.
    pub card: Card,
}
