//! Let a device compute what of a model is worth sending to it.

use crate::{Backend, DeviceKind, GemmShape, GpuError, Layer};
use neura_int8::{Call, Data, Kernels, ModelError, Op, Product, ops::linear::Linear};
use neura_native::Native;
use std::cell::RefCell;

/// Multiply-accumulates below which a product is not sent to a device: starting it takes longer.
const LEAST_MACS: u64 = 1 << 18;

/// The kernels of a device, as `neura-int8` takes them.
///
/// Products and layers of some size go to the device; the rest is done natively, or by the
/// interpreter. A software adapter is this machine's processor, which the native kernels use
/// better: nothing is sent to one. A failure of the device is kept here, and
/// [`OnDevice::outcome`] gives it back.
#[derive(Debug)]
pub struct OnDevice<'a> {
    backend: &'a dyn Backend,
    least_macs: u64,
    /// What computes that which is not sent; the interpreter if not given.
    native: Option<Native>,
    failed: RefCell<Option<GpuError>>,
}

impl<'a> OnDevice<'a> {
    /// Sends what is worth it.
    #[must_use]
    pub fn new(backend: &'a dyn Backend) -> Self {
        let least_macs = match backend.info().kind {
            DeviceKind::Cpu => u64::MAX,
            _ => LEAST_MACS,
        };
        let native = Some(Native::best());
        OnDevice { backend, least_macs, native, failed: RefCell::new(None) }
    }

    /// Sends everything that the device can compute and leaves the rest to the interpreter, as
    /// tests want it.
    #[must_use]
    pub fn everything(backend: &'a dyn Backend) -> Self {
        OnDevice { least_macs: 0, native: None, ..Self::new(backend) }
    }

    /// What came of a run with these kernels: the device's own error if it failed.
    ///
    /// # Errors
    /// The device's error, or [`GpuError::Model`].
    pub fn outcome<T>(self, outcome: Result<T, ModelError>) -> Result<T, GpuError> {
        outcome.map_err(|error| match (self.failed.into_inner(), error) {
            (Some(failed), ModelError::Kernel { .. }) => failed,
            (_, error) => GpuError::Model(error),
        })
    }

    fn keep<T>(&self, outcome: Result<T, GpuError>) -> Result<T, ModelError> {
        outcome.map_err(|error| {
            let reason = error.to_string();
            *self.failed.borrow_mut() = Some(error);
            ModelError::Kernel { reason }
        })
    }
}

impl OnDevice<'_> {
    /// Has the device compute a layer, if that is worth it and the device can.
    fn sent(&self, op: &Linear, call: &Call<'_>) -> Result<Option<Data>, ModelError> {
        let Linear { weights, bias, finish: Some(finish) } = op else { return Ok(None) };
        let (x, weights) = (call.data(0)?.i8s(), call.params.i8s(*weights));
        let depth = call.site.inputs[0].last(call.site.rows);
        let shape = GemmShape { m: x.len() / depth, n: weights.len() / depth, k: depth };
        if shape.macs() < self.least_macs {
            return Ok(None);
        }
        let scales = finish.factors(call.params)?;
        let bias = bias.map(|bias| call.params.i32s(bias));
        let layer = Layer { weights, depth, bias, finish, scales: &scales };
        if !layer.is_plain() {
            return Ok(None);
        }
        Ok(self.keep(self.backend.linear(&layer, x))?.map(Data::I8))
    }
}

impl Kernels for OnDevice<'_> {
    fn product(&self, product: Product<'_>) -> Result<Vec<i32>, ModelError> {
        let Product { a, b, depth } = product;
        let shape = GemmShape { m: a.len() / depth, n: b.len() / depth, k: depth };
        match self.native {
            Some(native) if shape.macs() < self.least_macs => Ok(native.multiply(product)),
            _ => self.keep(self.backend.gemm_i8(a, b, shape)),
        }
    }

    fn node(&self, call: &Call<'_>) -> Result<Option<Data>, ModelError> {
        let sent = match call.op {
            Op::Linear(op) => self.sent(op, call)?,
            _ => None,
        };
        match (sent, self.native) {
            (None, Some(native)) => native.node(call),
            (sent, _) => Ok(sent),
        }
    }
}
