//! Check a backend against the CPU before anything is trusted to it.

use crate::{Backend, GemmShape, GpuError, MAX_GEMM_K, kernels::gemm_i8};
use neura_int8::{Activation, Batch, Layer, Model, ModelError, Requant};

/// Shapes that reach every edge of the kernels' tiles, and the greatest depth.
const SHAPES: [GemmShape; 5] = [
    GemmShape { m: 1, n: 1, k: 1 },
    GemmShape { m: 5, n: 3, k: 17 },
    GemmShape { m: 67, n: 70, k: 96 },
    GemmShape { m: 130, n: 33, k: 259 },
    GemmShape { m: 2, n: 5, k: MAX_GEMM_K },
];

/// Runs small products and a small network, and compares every bit with the CPU.
///
/// # Errors
/// [`GpuError::Refused`] with the first check that failed; the backend's own error if it could
/// not do one.
pub fn self_test(backend: &dyn Backend) -> Result<(), GpuError> {
    for shape in SHAPES {
        check_gemm(backend, "random matrices", shape, |noise| noise.i8())?;
    }
    let edges = GemmShape { m: 66, n: 65, k: 1_030 };
    check_gemm(backend, "matrices of -128", edges, |_| i8::MIN)?;
    let deepest = GemmShape { m: 1, n: 1, k: MAX_GEMM_K };
    check_gemm(backend, "the greatest sum", deepest, |_| i8::MIN)?;
    check_network(backend)
}

fn check_gemm(
    backend: &dyn Backend,
    check: &'static str,
    shape: GemmShape,
    value: impl Fn(&mut Noise) -> i8,
) -> Result<(), GpuError> {
    let mut noise = Noise(1);
    let a: Vec<i8> = (0..shape.m * shape.k).map(|_| value(&mut noise)).collect();
    let b: Vec<i8> = (0..shape.n * shape.k).map(|_| value(&mut noise)).collect();
    let mut expected = vec![0; shape.m * shape.n];
    gemm_i8::reference(&a, &b, shape.k, &mut expected);
    let found = backend.gemm_i8(&a, &b, shape)?;
    compare(backend, check, &found, &expected)
}

fn check_network(backend: &dyn Backend) -> Result<(), GpuError> {
    let (model, batch) = network()?;
    let found = backend.infer(&model, &batch)?;
    compare(backend, "a small network", &found, &model.infer(&batch)?)
}

/// A network whose requantisations use small, middle and large shifts, with and without relu.
fn network() -> Result<(Model, Batch), ModelError> {
    let mut noise = Noise(2);
    let mut layers = Vec::new();
    for (inputs, outputs, activation) in [(70, 37, Activation::Relu), (37, 66, Activation::Linear)]
    {
        let weights = (0..inputs * outputs).map(|_| noise.i8()).collect();
        let bias = (0..outputs).map(|_| i32::from(noise.i8()) * 512).collect();
        let factor =
            |output| Requant::new((1 << 30) | (noise.next() >> 2), [0, 1, 2, 9, 31][output % 5]);
        let requant = (0..outputs).map(factor).collect::<Result<_, _>>()?;
        layers.push(Layer::hidden(inputs, weights, bias, requant, activation)?);
    }
    let weights = (0..66 * 11).map(|_| noise.i8()).collect();
    layers.push(Layer::logits(66, weights, (0..11).collect())?);
    let values = (0..35 * 70).map(|_| noise.i8().max(-127)).collect();
    Ok((Model::new(layers)?, Batch::new(35, 70, values)?))
}

fn compare(
    backend: &dyn Backend,
    check: &'static str,
    found: &[i32],
    expected: &[i32],
) -> Result<(), GpuError> {
    let wrong = found.iter().zip(expected).position(|(found, expected)| found != expected);
    let reason = match wrong {
        _ if found.len() != expected.len() => {
            format!("{} values were returned, {} expected", found.len(), expected.len())
        }
        Some(at) => format!("value {at} is {}, not {}", found[at], expected[at]),
        None => return Ok(()),
    };
    Err(GpuError::Refused { adapter: backend.info().name.clone(), check, reason })
}

/// A fixed sequence of numbers without pattern.
pub(crate) struct Noise(pub(crate) u32);

impl Noise {
    pub(crate) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        let mixed = ((self.0 >> ((self.0 >> 28) + 4)) ^ self.0).wrapping_mul(277_803_737);
        (mixed >> 22) ^ mixed
    }

    pub(crate) fn i8(&mut self) -> i8 {
        self.next().to_le_bytes()[0].cast_signed()
    }
}

#[cfg(test)]
mod tests;
