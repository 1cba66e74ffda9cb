//! Measure what an adapter achieves, with results that are checked.

use super::{WgpuBackend, context::Run};
use crate::{
    DeviceKind, GpuError,
    kernels::measures::{
        COPY, FILL, GEMM_F16, GEMM_F32, GEMM_F32_TILE, GROUP, GROUPS, GemmF32, PEAK_F32, PEAK_I8,
        Peak, Walk, float_cell, half_bits, peak_f32, peak_i8,
    },
    selftest::Noise,
};
use std::time::{Duration, Instant};

/// A measurement is repeated until it has taken about this long.
const AIM: Duration = Duration::from_millis(400);
/// Greatest number of repeats.
const MOST_REPEATS: u32 = 200;
/// Sides of the products: on a GPU, and on a software adapter, which is for tests.
const SIDE: usize = 2_048;
const SOFTWARE_SIDE: usize = 512;
/// Rounds of the kernels that use no memory, likewise.
const PEAK_ROUNDS: u32 = 1_024;
const SOFTWARE_PEAK_ROUNDS: u32 = 16;
/// Bytes of the buffers that are copied and filled: half of what may be bound.
const BUFFER_BYTES: u64 = 64 << 20;
/// Outputs of the product of floats that are compared with the processor's.
const SAMPLES: usize = 64;

/// What was measured.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) int8_gops: f64,
    pub(crate) int8_peak_gops: f64,
    pub(crate) f32_gflops: f64,
    pub(crate) f32_peak_gflops: f64,
    /// None where the adapter has no such floats.
    pub(crate) f16_gflops: Option<f64>,
    pub(crate) copy_gb_per_second: f64,
    pub(crate) filled_bytes: u64,
}

impl WgpuBackend {
    /// Measures for some seconds; fills at most `fill_bytes` of memory.
    pub(crate) fn measure_all(&self, fill_bytes: u64) -> Result<Measured, GpuError> {
        let side = self.measured_side();
        let rounds = match self.info.kind {
            DeviceKind::Cpu => SOFTWARE_PEAK_ROUNDS,
            _ => PEAK_ROUNDS,
        };
        let once = self.measure_gemm(side, 1)?;
        let int8_gops = self.measure_gemm(side, repeats(once.elapsed))?.gops();
        let int8_peak_gops = self.request(|run| self.peak(run, PEAK_I8, rounds, peak_i8))? * 4.0;
        let f32_gflops = self.request(|run| self.floats(run, Floats::Whole, side))?;
        let half = |run: &Run<'_>| self.floats(run, Floats::Half, side);
        let f16_gflops = self.context.has_halves().then(|| self.request(half)).transpose()?;
        let f32_peak_gflops = self.request(|run| self.peak(run, PEAK_F32, rounds, peak_f32))?;
        let copy_gb_per_second = self.request(copies)?;
        let most = fill_bytes.min(self.budget.max_bytes);
        let filled_bytes = self.request(|run| self.fill(run, most))?;
        Ok(Measured {
            int8_gops,
            int8_peak_gops,
            f32_gflops,
            f32_peak_gflops,
            f16_gflops,
            copy_gb_per_second,
            filled_bytes,
        })
    }

    /// Side of the products that are measured: work for all of the device, soon done.
    pub(super) fn measured_side(&self) -> usize {
        if self.info.kind == DeviceKind::Cpu { SOFTWARE_SIDE } else { SIDE }
    }

    pub(super) fn request<T>(
        &self,
        work: impl FnOnce(&Run<'_>) -> Result<T, GpuError>,
    ) -> Result<T, GpuError> {
        self.context.start(self.budget.timeout)?.guarded(work)
    }

    fn wrong(&self, check: &'static str, reason: String) -> GpuError {
        GpuError::Refused { adapter: self.info.name.clone(), check, reason }
    }

    /// Billions of float operations per second.
    fn floats(&self, run: &Run<'_>, kind: Floats, side: usize) -> Result<f64, GpuError> {
        let (a, b) = small_matrices(side);
        let (c, seconds) = product(run, kind, (&a, &b), side)?;
        let mut noise = Noise(6);
        for _ in 0..SAMPLES {
            let (row, col) = (noise.next() as usize % side, noise.next() as usize % side);
            let expected = float_cell(&a[row * side..][..side], &b[col * side..][..side]);
            if c[row * side + col] != expected {
                let reason = format!("({row}, {col}) is {}, not {expected}", c[row * side + col]);
                return Err(self.wrong("the measured product of floats", reason));
            }
        }
        Ok(2.0 * (side as f64).powi(3) / seconds / 1e9)
    }

    /// Billions of operations per second of a kernel on registers alone, a multiply-add being two;
    /// `twin` says what an invocation's words are.
    fn peak(
        &self,
        run: &Run<'_>,
        source: &str,
        rounds: u32,
        twin: fn(u32, &Peak) -> [i32; 4],
    ) -> Result<f64, GpuError> {
        let pipeline = run.pipeline("peak", source);
        let params = Peak::of(rounds);
        let invocations = GROUP * GROUPS;
        let words = run.storage("peak", u64::from(invocations) * 16);
        let bytes = bytemuck::bytes_of(&params);
        let seconds = timed(run, || run.dispatch(&pipeline, bytes, &[&words], (GROUPS, 1)))?;
        let found = run.read(&words, words.size())?;
        let mut noise = Noise(11);
        for _ in 0..SAMPLES {
            let id = noise.next() % invocations;
            let expected = twin(id, &params);
            let found = &found[id as usize * 4..][..4];
            if found != expected {
                let reason = format!("invocation {id} has {found:?}, not {expected:?}");
                return Err(self.wrong("the measured peak", reason));
            }
        }
        let steps = f64::from(invocations) * f64::from(rounds) * f64::from(Peak::STEPS);
        Ok(2.0 * steps / seconds / 1e9)
    }

    /// Fills buffer after buffer until `most` bytes are filled or no more can be had, and reads
    /// all of them again.
    fn fill(&self, run: &Run<'_>, most: u64) -> Result<u64, GpuError> {
        let pipeline = run.pipeline("fill", FILL);
        let wrong = run.storage("wrong words", 4);
        let words = u32::try_from(BUFFER_BYTES / 4).unwrap_or(u32::MAX);
        let mut buffers = Vec::new();
        for seed in 0..u32::try_from(most / BUFFER_BYTES).unwrap_or(u32::MAX) {
            let Some(buffer) = run.storage_if_any("filled", BUFFER_BYTES) else { break };
            let params = Walk { seed, ..Walk::over(words) };
            let bindings = [&buffer, &wrong];
            run.dispatch(&pipeline, bytemuck::bytes_of(&params), &bindings, (GROUPS, 1));
            run.wait()?;
            buffers.push((seed, buffer));
        }
        for (seed, buffer) in &buffers {
            let params = Walk { seed: *seed, check: 1, ..Walk::over(words) };
            let bindings = [buffer, &wrong];
            run.dispatch(&pipeline, bytemuck::bytes_of(&params), &bindings, (GROUPS, 1));
        }
        match run.read(&wrong, 4)?.first() {
            Some(0) => Ok(buffers.len() as u64 * BUFFER_BYTES),
            count => {
                let reason = format!("{count:?} words were lost");
                Err(self.wrong("the filled memory", reason))
            }
        }
    }
}

/// Floats that products are measured of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Floats {
    Whole,
    Half,
}

impl Floats {
    fn encoded(self, values: &[i8]) -> Vec<u8> {
        match self {
            Floats::Whole => values.iter().flat_map(|x| f32::from(*x).to_le_bytes()).collect(),
            Floats::Half => values.iter().flat_map(|x| half_bits(*x).to_le_bytes()).collect(),
        }
    }
}

/// Two square matrices of numbers from -8 to 7: the greatest sum is 64 * 2048, far below 2^24.
pub(super) fn small_matrices(side: usize) -> (Vec<i8>, Vec<i8>) {
    let mut noise = Noise(5);
    let mut matrix = || (0..side * side).map(|_| noise.i8() >> 4).collect();
    (matrix(), matrix())
}

/// A product of square matrices of small whole numbers, and the seconds that one takes.
pub(super) fn product(
    run: &Run<'_>,
    kind: Floats,
    (a, b): (&[i8], &[i8]),
    side: usize,
) -> Result<(Vec<f32>, f64), GpuError> {
    let pipeline = match kind {
        Floats::Whole => run.pipeline("gemm_f32", GEMM_F32),
        Floats::Half => run.pipeline("gemm_f16", GEMM_F16),
    };
    let buffers = [
        &run.upload("a", &kind.encoded(a)),
        &run.upload("b", &kind.encoded(b)),
        &run.storage("c", (side * side * 4) as u64),
    ];
    let word = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let params = GemmF32 { depth: word(side / 4), stride: word(side), padding: [0; 2] };
    let groups = (word(side / GEMM_F32_TILE), word(side / GEMM_F32_TILE));
    let params = bytemuck::bytes_of(&params);
    let seconds = timed(run, || run.dispatch(&pipeline, params, &buffers, groups))?;
    let words = run.read(buffers[2], buffers[2].size())?.into_iter();
    Ok((words.map(|bits| f32::from_bits(bits.cast_unsigned())).collect(), seconds))
}

/// GB (10^9 bytes) per second, read and written.
fn copies(run: &Run<'_>) -> Result<f64, GpuError> {
    let pipeline = run.pipeline("copy", COPY);
    let contents: Vec<u8> = (0..BUFFER_BYTES).map(|at| (at % 253) as u8).collect();
    let source = run.upload("source", &contents);
    let target = run.storage("target", BUFFER_BYTES);
    let places = u32::try_from(BUFFER_BYTES / 16).unwrap_or(u32::MAX);
    let params = Walk::over(places);
    let params = bytemuck::bytes_of(&params);
    let bindings = [&source, &target];
    let seconds = timed(run, || run.dispatch(&pipeline, params, &bindings, (GROUPS, 1)))?;
    let found = run.read(&target, BUFFER_BYTES)?;
    if bytemuck::cast_slice::<i32, u8>(&found) != contents {
        return Err(GpuError::Driver { reason: "a copy differs from its source".to_owned() });
    }
    Ok(2.0 * BUFFER_BYTES as f64 / seconds / 1e9)
}

fn repeats(once: Duration) -> u32 {
    let many = AIM.as_nanos() / once.as_nanos().max(1);
    u32::try_from(many).unwrap_or(MOST_REPEATS).clamp(1, MOST_REPEATS)
}

/// Seconds that one round of work takes on the device, once it is warm.
fn timed(run: &Run<'_>, work: impl Fn()) -> Result<f64, GpuError> {
    let round = |times: u32| {
        let started = Instant::now();
        (0..times).for_each(|_| work());
        run.wait().map(|()| started.elapsed())
    };
    round(1)?;
    let times = repeats(round(1)?);
    Ok(round(times)?.as_secs_f64() / f64::from(times))
}
