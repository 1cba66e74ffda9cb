//! Say what a device achieves, in units, and beside what its arithmetic units could do.

mod chain;
mod rows;

pub use chain::{
    Chain, ChainError, ChainProof, ChainSpec, MAX_CHAIN_BYTES, MAX_CHAIN_CELLS, MAX_CHAIN_SIDE,
    MAX_CHAIN_STAGES, ProvenCell,
};
pub use rows::ProvenRow;

use crate::{Backend, CpuBackend, DeviceInfo, GemmKernel, GemmShape, GpuError, WgpuBackend};
use neura_native::Native;
use serde::{Deserialize, Serialize};
use std::{fmt, hint::black_box, thread, time::Instant};

/// Bytes that the hash is measured with.
const HASHED: usize = 64 << 20;
/// Bytes that the processor's copy is measured with: more than its caches hold.
const COPIED: usize = 128 << 20;
/// Rounds of a measurement on the processor; the best counts.
const ROUNDS: usize = 3;
/// Side of the products that are measured on the processor.
const SIDE: usize = 1_024;
/// Rounds of the processor's products on registers alone: some hundredths of a second.
const PEAK_ROUNDS: u32 = 4_000_000;
/// Bytes of the processor's memory that are filled at a time.
const FILLED_AT_ONCE: u64 = 64 << 20;

/// What a device achieved. A figure is none where there is no kernel for it.
///
/// A peak is measured too: the same operations on registers alone. What a product reaches of it is its share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Benchmark {
    /// The device.
    pub device: DeviceInfo,
    /// The variant of the int8 product in use, on an adapter.
    pub kernel: Option<GemmKernel>,
    /// Int8 products: billions of operations per second, a multiply-accumulate being two.
    pub int8_gops: f64,
    /// The same on registers alone; none for a product on matrix units, which are not measured so.
    pub int8_peak_gops: Option<f64>,
    /// Products of 32-bit floats, on values of which every sum is exact.
    pub f32_gflops: Option<f64>,
    /// The same on registers alone.
    pub f32_peak_gflops: Option<f64>,
    /// Products of 16-bit floats summed in 32 bits, likewise; none where the device has no such floats.
    #[serde(default)]
    pub f16_gflops: Option<f64>,
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
        // It is the peak of other units than a product on matrix units uses.
        let on_registers = backend.kernel() != GemmKernel::Matrix;
        Ok(Benchmark {
            device: backend.info().clone(),
            kernel: Some(backend.kernel()),
            int8_gops: measured.int8_gops,
            int8_peak_gops: on_registers.then_some(measured.int8_peak_gops),
            f32_gflops: Some(measured.f32_gflops),
            f32_peak_gflops: Some(measured.f32_peak_gflops),
            f16_gflops: measured.f16_gflops,
            copy_gb_per_second: measured.copy_gb_per_second,
            blake3_gb_per_second: hash_rate(),
            filled_bytes: Some(measured.filled_bytes),
        })
    }

    /// Measures the processor for some seconds; fills at most `fill_bytes` of its memory.
    ///
    /// # Errors
    /// [`GpuError::Refused`] if the memory loses what it was filled with.
    pub fn of_cpu(backend: &CpuBackend, fill_bytes: u64) -> Result<Self, GpuError> {
        let shape = GemmShape { m: SIDE, n: SIDE, k: SIDE };
        let matrix = vec![-77; SIDE * SIDE];
        let (mut best, mut peak) = (0.0_f64, None);
        for _ in 0..ROUNDS {
            let started = Instant::now();
            black_box(backend.gemm_i8(&matrix, &matrix, shape)?);
            best = best.max(gops(shape.macs(), started));
            let started = Instant::now();
            let macs = Native::best().multiply_registers(PEAK_ROUNDS);
            peak = macs.map(|macs| gops(macs, started).max(peak.unwrap_or(0.0)));
        }
        Ok(Benchmark {
            device: backend.info().clone(),
            kernel: None,
            int8_gops: best,
            int8_peak_gops: peak,
            f32_gflops: None,
            f32_peak_gflops: None,
            f16_gflops: None,
            copy_gb_per_second: copy_rate(),
            blake3_gb_per_second: hash_rate(),
            filled_bytes: Some(fill(backend, fill_bytes)?),
        })
    }
}

/// Billions of operations per second since then.
fn gops(macs: u64, started: Instant) -> f64 {
    2.0 * macs as f64 / started.elapsed().as_secs_f64() / 1e9
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
                scope.spawn(|| black_box(blake3::hash(part)));
            }
        });
    })
}

fn copy_rate() -> f64 {
    let (source, mut target) = (vec![1_u8; COPIED], vec![0_u8; COPIED]);
    best_rate(2 * COPIED, || {
        target.copy_from_slice(&source);
        black_box(&mut target);
    })
}

/// Fills memory, as much as is asked for and can be had, and reads all of it again.
fn fill(backend: &CpuBackend, most: u64) -> Result<u64, GpuError> {
    let words = FILLED_AT_ONCE / 8;
    let mut parts: Vec<Vec<u64>> = Vec::new();
    for part in 0..most / FILLED_AT_ONCE {
        let mut filled = Vec::new();
        if filled.try_reserve_exact(words as usize).is_err() {
            break;
        }
        filled.extend(part * words..(part + 1) * words);
        parts.push(filled);
    }
    let parts = black_box(parts);
    if parts.iter().flatten().copied().ne(0..parts.len() as u64 * words) {
        return Err(GpuError::Refused {
            adapter: backend.info().name.clone(),
            check: "the filled memory",
            reason: "words were lost".to_owned(),
        });
    }
    Ok(parts.len() as u64 * FILLED_AT_ONCE)
}

impl fmt::Display for Benchmark {
    /// A table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let device = &self.device;
        writeln!(f, "device    {} ({})", device.name, device.driver)?;
        let share = |rate: f64, peak: Option<f64>| match peak {
            Some(peak) => format!("{:>4.0} % of {peak:.1} on registers alone", 100.0 * rate / peak),
            None => String::new(),
        };
        let kernel = self.kernel.map(|kernel| format!(", kernel {}", kernel.name()));
        let kernel = kernel.unwrap_or_default();
        let beside = share(self.int8_gops, self.int8_peak_gops);
        writeln!(f, "int8      {:>8.1} Gop/s   {beside}{kernel}", self.int8_gops)?;
        if let Some(rate) = self.f32_gflops {
            writeln!(f, "f32       {rate:>8.1} Gflop/s {}", share(rate, self.f32_peak_gflops))?;
        }
        match (self.f16_gflops, self.kernel) {
            (Some(rate), _) => writeln!(f, "f16       {rate:>8.1} Gflop/s summed in 32 bits")?,
            (None, Some(_)) => writeln!(f, "f16       not offered by the adapter")?,
            (None, None) => {}
        }
        writeln!(f, "copy      {:>8.1} GB/s", self.copy_gb_per_second)?;
        write!(f, "BLAKE3    {:>8.1} GB/s    on the processor", self.blake3_gb_per_second)?;
        if let Some(bytes) = self.filled_bytes {
            let gib = bytes as f64 / (1_u64 << 30) as f64;
            write!(f, "\nmemory    {gib:>8.2} GiB     filled and read again")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_measured_beside_its_peak() {
        let measured = Benchmark::of_cpu(&CpuBackend::new(), 130 << 20).unwrap();
        assert_eq!(measured.filled_bytes, Some(128 << 20));
        assert!(measured.int8_gops > 0.0 && measured.copy_gb_per_second > 0.0);
        let text = measured.to_string();
        let peak = measured.int8_peak_gops;
        assert_eq!(text.contains("on registers alone"), peak.is_some(), "{text}");
        assert!(text.contains("0.12 GiB"), "{text}");
    }
}
