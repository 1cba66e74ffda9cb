//! Measure the int8 product with matrices that stay in the device's memory.

use super::{
    WgpuBackend,
    network::{Resident, Stage},
    plan::{Plan, StageShape},
};
use crate::{GemmShape, GpuError, kernels::pack, selftest::Noise};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Outputs that are compared with the CPU after a measurement.
const SAMPLES: u32 = 64;

/// Work done, and the time that it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throughput {
    /// Multiply-accumulates.
    pub macs: u64,
    /// Wall-clock time from the first dispatch to the last one's end.
    pub elapsed: Duration,
}

impl Throughput {
    /// Billions of operations per second, a multiply-accumulate being two.
    #[must_use]
    pub fn gops(&self) -> f64 {
        2.0 * self.macs as f64 / self.elapsed.as_nanos().max(1) as f64
    }
}

impl WgpuBackend {
    /// Multiplies matrices of `side` × `side` random values, `side` at least 1, `repeats` times,
    /// and compares a sample of the outputs with the CPU.
    ///
    /// # Errors
    /// [`GpuError::Refused`] if an output is wrong; [`GpuError::TooLarge`] if the matrices do not
    /// fit one block of buffers; the device's own errors otherwise.
    pub fn measure_gemm(&self, side: usize, repeats: u32) -> Result<Throughput, GpuError> {
        let side = side.max(1);
        let shape = GemmShape { m: side, n: side, k: side };
        let values = side.saturating_mul(side);
        shape.check(values, values)?;
        let plan = Plan::new(side, &[StageShape { k: side, n: side }], self.bounds)?;
        if plan.rows < side {
            let (what, value) = ("the side of the matrices", side as u64);
            return Err(GpuError::TooLarge { what, value, max: plan.rows as u64 });
        }
        let mut noise = Noise(3);
        let mut matrix = || (0..values).map(|_| noise.i8()).collect::<Vec<_>>();
        let (a, b) = (matrix(), matrix());
        let stage = Stage::product(&b, side);
        let (c, elapsed) = self.context.start(self.budget.timeout)?.guarded(|run| {
            let weights = Resident::upload(run, &stage, plan.columns[0]);
            let activations = run.upload("activations", &pack(&a, side));
            let accumulators = run.storage("accumulators", side as u64 * side as u64 * 4);
            let buffers = (&activations, &accumulators);
            // One product outside the measurement, for what drivers do at first use.
            weights.multiply(run, &self.kernels, buffers, side);
            run.wait()?;
            let started = Instant::now();
            for _ in 0..repeats {
                weights.multiply(run, &self.kernels, buffers, side);
            }
            run.wait()?;
            let elapsed = started.elapsed();
            Ok((run.read(&accumulators, accumulators.size())?, elapsed))
        })?;
        self.check_sample((&a, &b, &c), side, &mut noise)?;
        Ok(Throughput { macs: shape.macs() * u64::from(repeats), elapsed })
    }

    fn check_sample(
        &self,
        (a, b, c): (&[i8], &[i8], &[i32]),
        side: usize,
        noise: &mut Noise,
    ) -> Result<(), GpuError> {
        for _ in 0..SAMPLES {
            let (row, col) = (noise.next() as usize % side, noise.next() as usize % side);
            let pairs = a[row * side..][..side].iter().zip(&b[col * side..][..side]);
            let expected: i32 = pairs.map(|(x, y)| i32::from(*x) * i32::from(*y)).sum();
            let found = c[row * side + col];
            if found != expected {
                let adapter = self.info.name.clone();
                let reason = format!("output ({row}, {col}) is {found}, not {expected}");
                return Err(GpuError::Refused { adapter, check: "the measured product", reason });
            }
        }
        Ok(())
    }
}
