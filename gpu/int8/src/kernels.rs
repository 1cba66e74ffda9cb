//! Let faster ways to compute the same plug into the interpreter.

use crate::{Call, Data, ModelError};
use std::fmt::Debug;

/// `C = A · Bᵀ` of int8 matrices, both with rows of `depth` values.
#[derive(Debug, Clone, Copy)]
pub struct Product<'a> {
    /// M × depth.
    pub a: &'a [i8],
    /// N × depth.
    pub b: &'a [i8],
    /// Values of a row, at least 1.
    pub depth: usize,
}

/// How the interpreter computes. Every implementation gives the same bits; [`Reference`] defines
/// them.
pub trait Kernels: Debug {
    /// The product, M × N. Whatever the order of the sums: no partial sum overflows 32 bits.
    ///
    /// # Errors
    /// [`ModelError::Kernel`] if the device fails.
    fn product(&self, product: Product<'_>) -> Result<Vec<i32>, ModelError> {
        Ok(crate::gemm::product(product))
    }

    /// Computes a whole node, or leaves it to the interpreter.
    ///
    /// # Errors
    /// [`ModelError::Kernel`] if the device fails.
    fn node(&self, call: &Call<'_>) -> Result<Option<Data>, ModelError> {
        let _ = call;
        Ok(None)
    }
}

/// The plain implementation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reference;

impl Kernels for Reference {}
