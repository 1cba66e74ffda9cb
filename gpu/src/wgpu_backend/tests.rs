use super::{measures as measure, *};
use crate::kernels::measures::{self, Walk};
use neura_int8::{DType, Requant, Scale};
use std::{
    sync::{LazyLock, Mutex},
    time::Duration,
};

static BACKEND: LazyLock<WgpuBackend> = LazyLock::new(|| open(Options::default()));

fn open(options: Options) -> WgpuBackend {
    WgpuBackend::with_options(&Selector::Best, options).unwrap_or_else(|error| {
        panic!(
            "these tests need a GPU or Mesa's software Vulkan driver: \
             apt install libvulkan1 mesa-vulkan-drivers ({error})"
        )
    })
}

/// The requantise kernel's output, unpacked, for one row of accumulators.
fn requantise_on_device(z: &[i32], factors: &[Scale], low: i32) -> Vec<i8> {
    let words = z.len().div_ceil(4);
    let run = BACKEND.context.start(BACKEND.budget.timeout).unwrap();
    let packed = run.guarded(|run| {
        let multipliers: Vec<u32> = factors.iter().map(|factor| factor.multiplier()).collect();
        let shifts: Vec<u32> =
            factors.iter().map(|factor| u32::from(factor.shift()) - 31).collect();
        let buffers = [
            &run.upload("accumulators", bytemuck::cast_slice(z)),
            &run.upload("multipliers", bytemuck::cast_slice(&multipliers)),
            &run.upload("shifts", bytemuck::cast_slice(&shifts)),
            &run.storage("activations", words as u64 * 4),
        ];
        let params =
            requantise::Params { cols: z.len() as u32, words: words as u32, low, padding: 0 };
        let groups = (words.div_ceil(requantise::WORDS_PER_GROUP) as u32, 1);
        run.dispatch(&BACKEND.kernels.requantise, bytemuck::bytes_of(&params), &buffers, groups);
        run.read(buffers[3], words as u64 * 4)
    });
    let bytes = packed.unwrap().into_iter().flat_map(i32::to_le_bytes);
    bytes.map(u8::cast_signed).take(z.len()).collect()
}

#[test]
fn the_requantise_kernel_equals_its_twin_at_every_shift_and_corner() {
    let mut corners = vec![i32::MIN, i32::MIN + 1, i32::MAX, i32::MAX - 1, 0, 1, -1];
    for bit in 1..31 {
        corners.extend([1 << bit, (1 << bit) - 1, (1 << bit) + 1, -(1 << bit), 1 - (1 << bit)]);
    }
    let multipliers = [1 << 30, (1 << 30) + 1, 0x5555_5555, 0x7fff_0001, (1 << 31) - 1];
    let (mut z, mut factors) = (Vec::new(), Vec::new());
    for shift in 31..=62 {
        for multiplier in multipliers {
            z.extend_from_slice(&corners);
            factors.resize(z.len(), Scale::new(multiplier, shift).unwrap());
        }
    }
    for low in [0, -127] {
        let found = requantise_on_device(&z, &factors, low);
        for ((z, factor), found) in z.iter().zip(&factors).zip(found) {
            let finish = Requant::new(*factor, DType::I8).limits(low, 127);
            assert_eq!(i32::from(found), finish.apply(*factor, *z), "{z} {factor:?} {low}");
        }
    }
}

#[test]
fn a_long_loop_is_either_whole_or_its_limit_is_recorded() {
    if let Some(limit) = BACKEND.info().loop_limit {
        assert!((MAX_KERNEL_ITERATIONS..loop_probe::ITERATIONS).contains(&limit));
    }
}

#[test]
fn a_job_over_its_memory_is_refused_before_anything_runs() {
    let small = Budget { max_bytes: 1 << 20, ..Budget::default() };
    let bounds = Bounds { max_bytes: small.max_bytes, ..BACKEND.bounds };
    let weights = vec![1; 2 << 20];
    let stage = Stage::product(&weights, 1 << 10);
    let job = network::Job { stage, rows: 1, input: &[1; 1 << 10] };
    let run = BACKEND.context.start(small.timeout).unwrap();
    let refused = run.guarded(|run| network::run(run, &BACKEND.kernels, bounds, &job));
    assert!(matches!(refused, Err(GpuError::OverBudget { budget: 0x10_0000, .. })), "{refused:?}");
}

#[test]
fn a_request_out_of_time_is_a_timeout_and_the_device_is_not_used_again() {
    let backend = open(Options::default());
    let shape = GemmShape { m: 1, n: 1, k: 1 };
    assert_eq!(backend.gemm_i8(&[3], &[4], shape), Ok(vec![12]));
    let run = backend.context.start(Duration::ZERO).unwrap();
    let states = run.guarded(|run| {
        let states = run.storage("never read", 16);
        run.read(&states, 16)
    });
    assert_eq!(states, Err(GpuError::Timeout { limit: Duration::ZERO }));
    let refused = backend.gemm_i8(&[3], &[4], shape);
    assert!(matches!(refused, Err(GpuError::Lost { .. })), "{refused:?}");
}

#[test]
fn a_kernel_that_does_not_compile_is_an_error_and_the_device_goes_on() {
    let run = BACKEND.context.start(BACKEND.budget.timeout).unwrap();
    let broken = run.guarded(|run| {
        run.pipeline("broken", "@compute @workgroup_size(1) fn main() { nonsense }");
        Ok(())
    });
    assert!(matches!(broken, Err(GpuError::Driver { .. })), "{broken:?}");
    let shape = GemmShape { m: 1, n: 1, k: 1 };
    assert_eq!(BACKEND.gemm_i8(&[3], &[4], shape), Ok(vec![12]));
}

#[test]
fn a_buffer_larger_than_the_device_allows_is_an_error_and_the_device_goes_on() {
    let run = BACKEND.context.start(BACKEND.budget.timeout).unwrap();
    let refused = run.guarded(|run| {
        let huge = run.storage("huge", 1 << 60);
        run.write(&huge, &[0; 4]);
        run.read(&huge, 4)
    });
    assert!(refused.is_err());
    let shape = GemmShape { m: 1, n: 1, k: 1 };
    assert_eq!(BACKEND.gemm_i8(&[3], &[4], shape), Ok(vec![12]));
}

#[test]
fn an_unknown_device_is_refused_with_the_names_there_are() {
    let refused = WgpuBackend::new(&Selector::Name("no such device".to_owned())).unwrap_err();
    assert!(matches!(&refused, GpuError::NoMatch { .. }), "{refused}");
    assert!(refused.to_string().contains(&BACKEND.info().name), "{refused}");
}

#[test]
fn requests_from_several_threads_take_turns() {
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for value in 1..=4 {
            let results = &results;
            scope.spawn(move || {
                let shape = GemmShape { m: 1, n: 1, k: 3 };
                let c = BACKEND.gemm_i8(&[value; 3], &[2; 3], shape).unwrap();
                results.lock().unwrap().extend(c);
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort_unstable();
    assert_eq!(results, [6, 12, 18, 24]);
}

#[test]
fn filled_memory_holds_what_the_twin_says() {
    let run = BACKEND.context.start(BACKEND.budget.timeout).unwrap();
    let words = run.guarded(|run| {
        let pipeline = run.pipeline("fill", measures::FILL);
        let buffers = [&run.storage("filled", 4_000), &run.storage("wrong words", 4)];
        let params = Walk { seed: 9, ..Walk::over(1_000) };
        run.dispatch(&pipeline, bytemuck::bytes_of(&params), &buffers, (measures::GROUPS, 1));
        run.read(buffers[0], 4_000)
    });
    let twin = (0..1_000).map(|at| measures::filled(at, 9).cast_signed());
    assert!(twin.eq(words.unwrap()));
}

/// The suite's sizes of floats: 16-bit ones only where the adapter has them, which it must then compute with exactly.
#[test]
fn products_of_floats_are_exact_in_every_size_that_the_adapter_has() {
    const SIDE: usize = 96;
    let offered = BACKEND.info.features.iter().any(|feature| feature == "shader-f16");
    assert_eq!(BACKEND.context.has_halves(), offered);
    let (a, b) = measure::small_matrices(SIDE);
    let twin: Vec<f32> = (0..SIDE * SIDE)
        .map(|at| (at / SIDE * SIDE, at % SIDE * SIDE))
        .map(|(row, col)| measures::float_cell(&a[row..][..SIDE], &b[col..][..SIDE]))
        .collect();
    for (kind, has) in [(measure::Floats::Whole, true), (measure::Floats::Half, offered)] {
        if has {
            let made = BACKEND.request(|run| measure::product(run, kind, (&a, &b), SIDE));
            assert_eq!(made.unwrap().0, twin, "{kind:?}");
        }
    }
}

#[test]
fn every_measurement_gives_a_figure_and_fills_what_it_was_allowed() {
    let measured = BACKEND.measure_all(130 << 20).unwrap();
    assert_eq!(measured.filled_bytes, 128 << 20);
    let peaks = [measured.int8_peak_gops, measured.f32_peak_gflops];
    let rates = [measured.int8_gops, measured.f32_gflops, measured.copy_gb_per_second];
    let figures = [&peaks[..], &rates[..]].concat();
    assert!(figures.iter().all(|figure| *figure > 0.0), "{measured:?}");
}
