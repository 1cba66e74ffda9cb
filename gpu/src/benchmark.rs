//! Say what a device achieves, in units.

use crate::{Backend, CpuBackend, DeviceInfo, GemmKernel, GemmShape, GpuError, WgpuBackend};
use serde::{Deserialize, Serialize};
use std::{fmt, thread, time::Instant};

/// Bytes that the hash is measured with.
const HASHED: usize = 64 << 20;
/// Bytes that the processor's copy is measured with: more than its caches hold.
const COPIED: usize = 128 << 20;
/// Rounds of a measurement on the processor; the best counts.
const ROUNDS: usize = 3;

/// What a device achieved. A figure is none where there is no kernel for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Benchmark {
    /// The device.
    pub device: DeviceInfo,
    /// The variant of the int8 product in use, on an adapter.
    pub kernel: Option<GemmKernel>,
    /// Int8 products: billions of operations per second, a multiply-accumulate being two.
    pub int8_gops: f64,
    /// Products of 32-bit floats, on values of which every sum is exact.
    pub f32_gflops: Option<f64>,
    /// Bytes copied within the device's memory, read and written, in GB (10^9) per second.
    pub copy_gb_per_second: f64,
    /// BLAKE3 on all cores of the machine's processor, in GB per second.
    pub blake3_gb_per_second: f64,
    /// Memory that was filled and read again, of what was asked for.
    pub filled_bytes: Option<u64>,
}

impl Benchmark {
    /// Measures an adapter for some seconds; fills at most `fill_bytes` of its memory.
    ///
    /// # Errors
    /// [`GpuError::Refused`] if a result is wrong; the device's own errors.
    pub fn of_adapter(backend: &WgpuBackend, fill_bytes: u64) -> Result<Self, GpuError> {
        let measured = backend.measure_all(fill_bytes)?;
        Ok(Benchmark {
            device: backend.info().clone(),
            kernel: Some(backend.kernel()),
            int8_gops: measured.int8_gops,
            f32_gflops: Some(measured.f32_gflops),
            copy_gb_per_second: measured.copy_gb_per_second,
            blake3_gb_per_second: hash_rate(),
            filled_bytes: Some(measured.filled_bytes),
        })
    }

    /// Measures the processor for some seconds.
    ///
    /// # Errors
    /// None in practice: the backend's own.
    pub fn of_cpu(backend: &CpuBackend) -> Result<Self, GpuError> {
        let side = 1_024;
        let shape = GemmShape { m: side, n: side, k: side };
        let matrix = vec![-77; side * side];
        let mut best = f64::MAX;
        for _ in 0..ROUNDS {
            let started = Instant::now();
            let c = backend.gemm_i8(&matrix, &matrix, shape)?;
            best = best.min(started.elapsed().as_secs_f64());
            std::hint::black_box(c);
        }
        Ok(Benchmark {
            device: backend.info().clone(),
            kernel: None,
            int8_gops: 2.0 * shape.macs() as f64 / best / 1e9,
            f32_gflops: None,
            copy_gb_per_second: copy_rate(),
            blake3_gb_per_second: hash_rate(),
            filled_bytes: None,
        })
    }
}

/// The best of some rounds, in GB per second.
fn best_rate(bytes: usize, mut work: impl FnMut()) -> f64 {
    let rates = (0..ROUNDS).map(|_| {
        let started = Instant::now();
        work();
        bytes as f64 / started.elapsed().as_secs_f64() / 1e9
    });
    rates.fold(0.0, f64::max)
}

/// Each core hashes a part of the bytes.
fn hash_rate() -> f64 {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let bytes = vec![0x5a; HASHED];
    best_rate(HASHED, || {
        thread::scope(|scope| {
            for part in bytes.chunks(HASHED.div_ceil(cores)) {
                scope.spawn(|| std::hint::black_box(blake3::hash(part)));
            }
        });
    })
}

fn copy_rate() -> f64 {
    let (source, mut target) = (vec![1_u8; COPIED], vec![0_u8; COPIED]);
    best_rate(2 * COPIED, || {
        target.copy_from_slice(&source);
        std::hint::black_box(&mut target);
    })
}

impl fmt::Display for Benchmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let device = &self.device;
        writeln!(f, "device    {} ({})", device.name, device.driver)?;
        write!(f, "int8      {:.1} Gop/s", self.int8_gops)?;
        match self.kernel {
            Some(kernel) => writeln!(f, ", kernel {}", kernel.name())?,
            None => writeln!(f)?,
        }
        if let Some(rate) = self.f32_gflops {
            writeln!(f, "f32       {rate:.1} Gflop/s")?;
        }
        writeln!(f, "copy      {:.1} GB/s", self.copy_gb_per_second)?;
        write!(f, "BLAKE3    {:.1} GB/s (processor)", self.blake3_gb_per_second)?;
        if let Some(bytes) = self.filled_bytes {
            let gib = bytes as f64 / (1_u64 << 30) as f64;
            write!(f, "\nmemory    {gib:.2} GiB filled and read again")?;
        }
        Ok(())
    }
}
