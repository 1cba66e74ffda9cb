//! Compute int8 models on the processor, fast, with the same bits as the reference.
//!
//! # Design
//! [`Native`] is a [`Kernels`](neura_int8::Kernels): products and all operators of transformers but
//! a few are computed with the best instructions that the processor has (a [`Level`]), on all of
//! its cores; the interpreter does the rest. Products are of packed panels: one load feeds sixteen
//! sums, and three panels and eight rows of sums stay in registers. Where the compiler makes good
//! vectors of plain code, the same code is compiled once per level.
//!
//! # Invariants
//! - Every level gives the bits of `neura_int8::Reference`; sums wrap, so their order is free.
//! - `unsafe` is allowed here alone, for two things: vectors loaded from and stored to slices, and
//!   functions compiled for instructions that were found to be there. Nothing else is unsafe.
//!
//! # Example
//! ```
//! use neura_int8::{Kernels, Product};
//! use neura_native::Native;
//!
//! let product = Product { a: &[1, 2], b: &[3, 4, 5, 6], depth: 2 };
//! assert_eq!(Native::best().product(product)?, [11, 17]);
//! # Ok::<(), neura_int8::ModelError>(())
//! ```

mod attention;
mod cells;
mod finish;
mod gemm;
mod level;
mod native;
mod norm;
mod peak;
mod softmax;
mod values;
mod view;

pub use level::Level;
pub use native::Native;
