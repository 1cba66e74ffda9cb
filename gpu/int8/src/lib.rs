//! Define the exact meaning of int8 inference, in integers, for every device and for consensus.
//!
//! # Design
//! A [`Model`] is a [`Manifest`] (inputs, graph of [nodes](Node), table of parameters, their root)
//! with its [`Params`]. Its [id](Model::id) commits to all of it. Each [operator](ops) is defined
//! by what one cell of its output is, in terms of cells of its operands; [`Model::run`] computes
//! all of them, and is the normative implementation: whatever a GPU computes is right if it gives
//! the same bits, and wrong otherwise. [`Kernels`] let a device compute products or whole nodes.
//!
//! [`Model::trace`] commits to every cell of a run; an [`Opening`] leads from a cell to the root;
//! [`Manifest::dependencies`] says which cells another one is made of, and
//! [`Manifest::recompute_cell`] makes it of them, without the rest of the model.
//!
//! An [`Int8Job`] is what an owner sends, an [`Int8Result`] what a provider returns; a [`Course`]
//! leads from one to the other in steps, between which it can be put down. Every format
//! has one encoding, drawn to the byte in the crate's README.
//!
//! # Invariants
//! - No float, clock, thread or hash map; the same input gives the same output.
//! - A [`Model`] cannot overflow: interval analysis over its graph proves it when it is made, so
//!   sums may be taken in any order.
//! - Decoding never panics, checks sizes before it allocates, and accepts exactly one encoding of
//!   a value: `decode(bytes)` succeeding implies `encode()` gives `bytes` back.
//! - Rows computed one at a time by a [`Generation`] are those of a run over all, bit for bit.
//!
//! # Example
//! ```
//! use neura_int8::{Builder, DType, Data, Tensor, ops::{linear::Linear, reduce::Argmax}};
//!
//! let mut builder = Builder::new(100); // at most 100 rows
//! let x = builder.input("x", DType::I8, &[2], (-127, 127));
//! let weights = Tensor::new(vec![3, 2], Data::I8(vec![1, 2, -3, 4, 5, -6]))?;
//! let weights = builder.param("weights", weights);
//! let logits = builder.node(Linear { weights, bias: None, finish: None }, &[x])?;
//! let class = builder.node(Argmax, &[logits])?;
//! builder.output("class", class);
//! let model = builder.build()?;
//! let outputs = model.run(&[Tensor::new(vec![1, 2], Data::I8(vec![10, 20]))?])?;
//! assert_eq!(outputs[0].data(), &Data::I32(vec![0]));
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

mod builder;
mod cell;
mod codec;
mod course;
mod error;
mod gemm;
mod generate;
mod graph;
mod job;
mod kernels;
mod limits;
mod manifest;
mod merkle;
mod model;
mod num;
pub mod ops;
mod params;
mod range;
mod request;
mod result;
mod run;
mod sampling;
mod scale;
pub mod tables;
mod tensor;
mod trace;

pub use builder::Builder;
pub use cell::{CellRef, Recorder};
pub use course::Course;
pub use error::{ModelError, NodeProblem};
pub use generate::{Generation, MAX_STOPS, Prompt};
pub use graph::{Node, Rows, ValueId, ValueType};
pub use job::{Int8Job, OpenJob};
pub use kernels::{Kernels, Product, Reference};
pub use limits::{
    MAX_CELLS, MAX_CONTEXT, MAX_DIM, MAX_JOB_BYTES, MAX_MANIFEST_BYTES, MAX_MODEL_BYTES, MAX_NAME,
    MAX_NODES, MAX_OPERANDS, MAX_PARAMS, MAX_PORTS, MAX_RANK, MAX_REQUESTS, MAX_REQUESTS_BYTES,
    MAX_RESULT_BYTES, MAX_ROWS, MAX_WINDOW,
};
pub use manifest::{Input, MODEL_DOMAIN, Manifest, Output, Parts};
pub use merkle::{LEAF_BYTES, Leaf};
pub use model::{Cost, Model};
pub use ops::{Call, Cells, Op, Operand, Reach, Site};
pub use params::{
    PARAMS_DOMAIN, ParamId, ParamSpec, Params, blob_bytes, opened_param, param_offset,
};
pub use range::Interval;
pub use request::{Request, decode_requests, encode_requests};
pub use result::{Int8Result, RESULT_DOMAIN};
pub use run::{Cache, Frame};
pub use sampling::{MAX_TEMPERATURE, Sampling};
pub use scale::{MAX_SHIFT, Requant, Scale, Scales};
pub use tensor::{DType, Data, Tensor};
pub use trace::{
    CELLS_DOMAIN, Opened, Opening, Run, TRACE_DOMAIN, Trace, TraceCells, VALUES_DOMAIN,
};
