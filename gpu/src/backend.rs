//! Define what a device must be able to do, and the bounds of it.

use crate::{DeviceInfo, GpuError, LoadedModel};
use neura_int8::{DType, Model, Requant, Scale};
use std::fmt::Debug;

/// Greatest depth of a product: with it no sum of products of two int8 reaches 2^31.
pub const MAX_GEMM_K: usize = 131_071;

/// Greatest number of outputs of a product: 1 GiB of them.
pub const MAX_GEMM_OUTPUTS: usize = 1 << 28;

/// A device that computes int8 inference, exactly.
///
/// Two backends give the same bits for the same input, whatever they are.
pub trait Backend: Debug + Send + Sync {
    /// What the device is.
    fn info(&self) -> &DeviceInfo;

    /// `C = A · Bᵀ`: `a` is m × k, `b` is n × k, the result m × n, all row after row.
    ///
    /// Exact for any int8 values, -128 included.
    ///
    /// # Errors
    /// [`GpuError::Shape`] or [`GpuError::TooLarge`] for a shape that is not as [`GemmShape`] says;
    /// the device's own errors otherwise.
    fn gemm_i8(&self, a: &[i8], b: &[i8], shape: GemmShape) -> Result<Vec<i32>, GpuError>;

    /// A whole layer over the rows of `x`, or `None` if the device only multiplies. Only
    /// [plain](Layer::is_plain) layers are asked for.
    ///
    /// # Errors
    /// The device's own errors.
    fn linear(&self, layer: &Layer<'_>, x: &[i8]) -> Result<Option<Vec<i8>>, GpuError> {
        let _ = (layer, x);
        Ok(None)
    }

    /// Uploads a whole model, or `None` if the device has no memory of its own.
    ///
    /// # Errors
    /// As [`WgpuBackend::load_model`](crate::WgpuBackend::load_model).
    fn load<'a>(&'a self, model: &'a Model) -> Result<Option<LoadedModel<'a>>, GpuError> {
        let _ = model;
        Ok(None)
    }
}

/// A linear layer: `y = finish(x · weightsᵀ + bias)`, as `neura_int8`'s `Linear` defines it.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// Rows of `depth` values, one per output.
    pub weights: &'a [i8],
    /// Values of a row.
    pub depth: usize,
    /// One per output; zeros if there is none.
    pub bias: Option<&'a [i32]>,
    /// How accumulators become values.
    pub finish: &'a Requant,
    /// Its factors: one, or one per output.
    pub scales: &'a [Scale],
}

impl Layer<'_> {
    /// Number of outputs.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.weights.len() / self.depth
    }

    /// The factor of an output.
    #[must_use]
    pub fn scale(&self, output: usize) -> Scale {
        self.scales[output % self.scales.len()]
    }

    /// Whether it makes int8 values up to 127, from -127 or 0 on, by factors below one.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let Requant { dtype, low, high, .. } = *self.finish;
        let below_one = self.scales.iter().all(|scale| scale.shift() >= 31);
        dtype == DType::I8 && matches!(low, -127 | 0) && high == 127 && below_one
    }
}

/// The shape of a product. Dimensions may be zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GemmShape {
    /// Rows of `A` and of the result.
    pub m: usize,
    /// Rows of `B`, columns of the result; `m * n` is at most [`MAX_GEMM_OUTPUTS`].
    pub n: usize,
    /// Columns of `A` and `B`, at most [`MAX_GEMM_K`].
    pub k: usize,
}

impl GemmShape {
    /// Checks the bounds, and that matrices of `a` and `b` values have this shape.
    ///
    /// # Errors
    /// [`GpuError::Shape`] or [`GpuError::TooLarge`].
    pub fn check(self, a: usize, b: usize) -> Result<(), GpuError> {
        at_most("the depth of the product", self.k, MAX_GEMM_K)?;
        let outputs = self.m.saturating_mul(self.n);
        at_most("the number of outputs of the product", outputs, MAX_GEMM_OUTPUTS)?;
        for (matrix, found, rows) in [("A", a, self.m), ("B", b, self.n)] {
            let expected = rows.saturating_mul(self.k);
            if found != expected {
                return Err(GpuError::Shape { matrix, found, expected });
            }
        }
        Ok(())
    }

    /// Multiply-accumulates of the product.
    #[must_use]
    pub fn macs(self) -> u64 {
        [self.m, self.n, self.k].iter().fold(1, |macs, side| macs * *side as u64)
    }
}

fn at_most(what: &'static str, value: usize, max: usize) -> Result<(), GpuError> {
    if value <= max {
        return Ok(());
    }
    Err(GpuError::TooLarge { what, value: value as u64, max: max as u64 })
}
