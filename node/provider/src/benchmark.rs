//! Measure the device that jobs run on, and keep what was measured.

#[cfg(test)]
mod tests;

use std::{
    fmt, fs,
    path::Path,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use neura_gpu::{
    Backend, Benchmark, Budget, ChainError, ChainSpec, CpuBackend, DeviceKind, GpuError, Options,
    Tuning, WgpuBackend,
};
use serde::{Deserialize, Serialize};

use crate::{AgentConfig, ProviderError, keys::private_dir};

/// Which variants of kernels were found to be the fastest, in the provider's folder.
pub(crate) const KERNELS_FILE: &str = "kernels.json";
/// What was measured last, likewise.
const BENCHMARK_FILE: &str = "benchmark.json";
/// Memory that is filled where it is the machine's own, which others use.
const SHARED_FILL: u64 = 1 << 30;
/// Side of the chain's matrices and its stages, on the processor and software adapters: 34 billion operations.
const SHARED_CHAIN: (usize, usize) = (1_024, 16);
/// The same on a GPU: 550 billion operations, and half a GiB of sums.
const GPU_CHAIN: (usize, usize) = (2_048, 32);
/// Sums of the chain that are checked: of a hundredth that is wrong, none is found once in thirteen checks.
const CHECKED: usize = 256;

/// How the chain is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainPlan {
    /// What its matrices are made of.
    pub seed: [u8; 32],
    /// What chooses the sums that are checked, if any are: not known before the chain is committed to.
    pub challenge: Option<[u8; 32]>,
}

/// What `neura provider benchmark` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchmarkReport {
    /// Seconds since 1970 when it was done.
    pub measured_at: u64,
    /// The device's rates.
    #[serde(flatten)]
    pub rates: Benchmark,
    /// The chain of products.
    pub chain: ChainReport,
}

/// A chain of products, each of what the one before it made: a rate that a stranger can check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChainReport {
    /// What its matrices are made of, in hexadecimal.
    pub seed: String,
    /// Side of its square matrices.
    pub side: usize,
    /// Products.
    pub stages: usize,
    /// What commits to all sums, in hexadecimal.
    pub root: String,
    /// Billions of operations per second, transfers and hashes included.
    pub int8_gops: f64,
    /// The check on the processor, if it was asked for.
    pub checked: Option<ChainCheck>,
}

/// Sums of a chain that were checked on the processor, none of them wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChainCheck {
    /// Their number.
    pub sums: usize,
    /// Bytes of the proof.
    pub proof_bytes: usize,
    /// Time that the check took.
    pub milliseconds: f64,
}

/// Measures the device for up to a minute, blocking, and keeps the result for [`last_benchmark`].
///
/// # Errors
/// [`ProviderError::NoDevice`] if the device cannot be opened or gives wrong results, [`ProviderError::Io`].
pub fn benchmark(config: &AgentConfig, plan: ChainPlan) -> Result<BenchmarkReport, ProviderError> {
    let folder = &config.data;
    private_dir(folder).map_err(ProviderError::io("create", folder))?;
    let (rates, chain) = measure(config, plan)?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let report = BenchmarkReport { measured_at: since.as_secs(), rates, chain };
    let file = folder.join(BENCHMARK_FILE);
    let text = serde_json::to_vec_pretty(&report).map_err(std::io::Error::from);
    text.and_then(|text| fs::write(&file, text)).map_err(ProviderError::io("write", &file))?;
    Ok(report)
}

/// What [`benchmark`] measured last in this folder; none if it did not, or the file cannot be read.
pub fn last_benchmark(folder: &Path) -> Option<BenchmarkReport> {
    serde_json::from_slice(&fs::read(folder.join(BENCHMARK_FILE)).ok()?).ok()
}

fn measure(
    config: &AgentConfig,
    plan: ChainPlan,
) -> Result<(Benchmark, ChainReport), ProviderError> {
    let refused = |error: GpuError| ProviderError::NoDevice { reason: error.to_string() };
    let Some(selector) = config.device.selector() else {
        let backend = CpuBackend::new();
        let rates = Benchmark::of_cpu(&backend, SHARED_FILL).map_err(refused)?;
        return Ok((rates, chain(&backend, plan)?));
    };
    let file = config.data.join(KERNELS_FILE);
    let mut tuning = Tuning::read(&file);
    let budget = Budget { max_bytes: u64::MAX, ..Budget::default() };
    let options = Options { budget, ..Options::default() };
    let backend = WgpuBackend::tuned(&selector, options, &mut tuning).map_err(refused)?;
    tuning.write(&file).map_err(ProviderError::io("write", &file))?;
    let software = backend.info().kind == DeviceKind::Cpu;
    let fill = if software { SHARED_FILL } else { u64::MAX };
    let rates = Benchmark::of_adapter(&backend, fill).map_err(refused)?;
    Ok((rates, chain(&backend, plan)?))
}

fn chain(backend: &dyn Backend, plan: ChainPlan) -> Result<ChainReport, ProviderError> {
    let refused = |error: GpuError| ProviderError::NoDevice { reason: error.to_string() };
    let (side, stages) = match backend.info().kind {
        DeviceKind::Cpu => SHARED_CHAIN,
        _ => GPU_CHAIN,
    };
    let spec = ChainSpec::new(plan.seed, (side, side), stages).map_err(refused)?;
    let chain = spec.run(backend).map_err(refused)?;
    let check = |challenge: [u8; 32]| {
        let proof = chain.open(&challenge, CHECKED);
        let started = Instant::now();
        proof.check(&spec, &chain.root(), &challenge, CHECKED)?;
        let milliseconds = started.elapsed().as_secs_f64() * 1e3;
        Ok(ChainCheck { sums: CHECKED, proof_bytes: proof.size_bytes(), milliseconds })
    };
    let wrong = |error: ChainError| ProviderError::NoDevice { reason: error.to_string() };
    Ok(ChainReport {
        seed: hex::encode(plan.seed),
        side,
        stages,
        root: hex::encode(chain.root()),
        int8_gops: chain.throughput().gops(),
        checked: plan.challenge.map(check).transpose().map_err(wrong)?,
    })
}

impl fmt::Display for BenchmarkReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ChainReport { seed, side, stages, root, int8_gops, checked } = &self.chain;
        writeln!(f, "{}", self.rates)?;
        writeln!(f, "chain     {int8_gops:>8.1} Gop/s   {stages} products of side {side}")?;
        write!(f, "          seed {seed}\n          root {root}")?;
        if let Some(ChainCheck { sums, proof_bytes, milliseconds }) = checked {
            let mib = *proof_bytes as f64 / f64::from(1 << 20);
            write!(
                f,
                "\n          {sums} sums checked in {milliseconds:.1} ms, {mib:.1} MiB of proof"
            )?;
        }
        Ok(())
    }
}
