//! Check a backend against the CPU before anything is trusted to it.

mod models;

pub(crate) use models::test_models;

use crate::{Backend, GemmShape, GpuError, MAX_GEMM_K, OnDevice, kernels::gemm_i8};
use neura_int8::{
    Builder, DType, Data, Model, ModelError, Requant, Sampling, Scales, Tensor, ops::linear::Linear,
};

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
    // Sums above 2^24, odd as often as not: units that keep too few bits of them lose the lowest.
    let great = GemmShape { m: 2, n: 3, k: 5_000 };
    check_gemm(backend, "matrices of 126 and 127", great, |noise| 126 | (noise.i8() & 1))?;
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
    let (model, input) = network()?;
    let inputs = [input];
    let kernels = OnDevice::everything(backend);
    let found = model.run_with(&kernels, &inputs, Sampling::default());
    let (found, expected) = (kernels.outcome(found)?, model.run(&inputs)?);
    let values = |outputs: &[Tensor]| outputs.iter().flat_map(values).collect::<Vec<_>>();
    compare(backend, "a small network", &values(&found), &values(&expected))
}

fn values(tensor: &Tensor) -> Vec<i32> {
    tensor.data().widened().into_owned()
}

/// A network whose requantisations use small, middle and large shifts, with and without relu.
fn network() -> Result<(Model, Tensor), ModelError> {
    let mut noise = Noise(2);
    let mut builder = Builder::new(35);
    let mut x = builder.input("x", DType::I8, &[70], (-127, 127));
    let mut values = Vec::new();
    for (layer, (inputs, outputs, low)) in [(70, 37, 0), (37, 66, -127)].into_iter().enumerate() {
        let weights = (0..inputs * outputs).map(|_| noise.i8()).collect();
        let bias = (0..outputs).map(|_| i32::from(noise.i8()) * 512).collect();
        let factors = (0..outputs).map(|_| ((1 << 30) | (noise.next() >> 2)).cast_signed());
        let factors = factors.collect();
        let shifts = (0..outputs).map(|output| [31, 32, 33, 40, 62][output % 5]).collect();
        let mut param = |name: &str, dims: Vec<usize>, data| {
            Ok::<_, ModelError>(builder.param(&format!("{layer}.{name}"), Tensor::new(dims, data)?))
        };
        let weights = param("weights", vec![outputs, inputs], Data::I8(weights))?;
        let bias = Some(param("bias", vec![outputs], Data::I32(bias))?);
        let multipliers = param("multipliers", vec![outputs], Data::I32(factors))?;
        let shifts = param("shifts", vec![outputs], Data::I8(shifts))?;
        let scales = Scales::Channels { multipliers, shifts };
        let finish = Some(Requant { scales, dtype: DType::I8, low, high: 127 });
        x = builder.node(Linear { weights, bias, finish }, &[x])?;
        values.push(x);
    }
    let weights = Data::I8((0..66 * 11).map(|_| noise.i8()).collect());
    let weights = builder.param("weights", Tensor::new(vec![11, 66], weights)?);
    values.push(builder.node(Linear { weights, bias: None, finish: None }, &[x])?);
    for (index, value) in values.into_iter().enumerate() {
        builder.output(&format!("layer{index}"), value);
    }
    let input = (0..35 * 70).map(|_| noise.i8().max(-127)).collect();
    Ok((builder.build()?, Tensor::new(vec![35, 70], Data::I8(input))?))
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
