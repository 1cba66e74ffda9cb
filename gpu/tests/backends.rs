//! One suite that every backend must pass, bit for bit; the CPU's is the reference.

use neura_gpu::{
    Backend, Budget, CpuBackend, DeviceInfo, GemmKernel, GemmShape, GpuError, MAX_GEMM_K, OnDevice,
    Options, Selector, WgpuBackend, discover, self_test,
};
use neura_int8::{
    Builder, DType, Data, Model, Requant, Sampling, Scales, Tensor, ops::linear::Linear,
};
use proptest::{prelude::*, test_runner::TestRunner};
use std::{sync::LazyLock, time::Duration};

static CPU: LazyLock<CpuBackend> = LazyLock::new(CpuBackend::new);
static REGISTERS: LazyLock<WgpuBackend> =
    LazyLock::new(|| open(Options { kernel: Some(GemmKernel::Registers), ..Options::default() }));
static TILED: LazyLock<WgpuBackend> =
    LazyLock::new(|| open(Options { kernel: Some(GemmKernel::Tiled), ..Options::default() }));
static WIDE: LazyLock<WgpuBackend> =
    LazyLock::new(|| open(Options { kernel: Some(GemmKernel::Wide), ..Options::default() }));
static PLAIN: LazyLock<WgpuBackend> =
    LazyLock::new(|| open(Options { kernel: Some(GemmKernel::Plain), ..Options::default() }));
/// Bindings and dispatches so small that nearly everything is split into blocks.
static SPLIT: LazyLock<WgpuBackend> = LazyLock::new(|| {
    open(Options { binding_bytes: 1 << 18, macs_per_dispatch: 1 << 18, ..Options::default() })
});

/// Longest request: a product of the greatest depth takes software drivers minutes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(3_600);

fn open(options: Options) -> WgpuBackend {
    let budget = Budget { timeout: PATIENCE, ..options.budget };
    WgpuBackend::with_options(&Selector::Best, Options { budget, ..options }).unwrap_or_else(
        |error| {
            panic!(
                "these tests need a GPU or Mesa's software Vulkan driver: \
             apt install libvulkan1 mesa-vulkan-drivers ({error})"
            )
        },
    )
}

/// Runs every check against each backend, as a test of its own.
macro_rules! suite {
    ($($backend:ident: $value:expr;)*) => {$(
        mod $backend {
            use super::*;

            #[test]
            fn products_of_every_edge_shape_are_exact() { every_edge_shape(&*$value); }
            #[test]
            fn products_of_extreme_values_are_exact() { extreme_values(&*$value); }
            #[test]
            fn products_of_the_greatest_depth_are_exact() { greatest_depth(&*$value); }
            #[test]
            fn random_products_are_exact() { random_products(&*$value); }
            #[test]
            fn random_networks_are_exact() { random_networks(&*$value); }
            #[test]
            fn empty_products_are_empty_or_zero() { empty_products(&*$value); }
            #[test]
            fn shapes_that_do_not_fit_are_refused() { misfits(&*$value); }
            #[test]
            fn the_self_test_passes() { assert_eq!(self_test(&*$value), Ok(())); }
        }
    )*};
}

suite! {
    cpu: CPU;
    wgpu_registers: REGISTERS;
    wgpu_tiled: TILED;
    wgpu_wide: WIDE;
    wgpu_plain: PLAIN;
    wgpu_split: SPLIT;
}

/// The product by its definition, in 64 bits.
fn product(a: &[i8], b: &[i8], GemmShape { m, n, k }: GemmShape) -> Vec<i32> {
    let entry = |row: usize, col: usize| -> i64 {
        (0..k).map(|i| i64::from(a[row * k + i]) * i64::from(b[col * k + i])).sum()
    };
    let entries = (0..m * n).map(|at| entry(at / n, at % n));
    entries.map(|entry| i32::try_from(entry).unwrap()).collect()
}

fn check(backend: &dyn Backend, a: &[i8], b: &[i8], shape: GemmShape) {
    let found = backend.gemm_i8(a, b, shape).unwrap();
    let expected = product(a, b, shape);
    if let Some(at) = (0..expected.len()).find(|at| found.get(*at) != expected.get(*at)) {
        panic!("{shape:?}: value {at} is {:?}, not {}", found.get(at), expected[at]);
    }
    assert_eq!(found.len(), expected.len());
}

fn ramp(length: usize, factor: usize) -> Vec<i8> {
    (0..length).map(|at| (at * factor % 256) as u8 as i8).collect()
}

fn every_edge_shape(backend: &dyn Backend) {
    let sides = [1, 2, 3, 4, 5, 31, 33, 63, 64, 65];
    for (index, m) in sides.into_iter().enumerate() {
        let (n, k) = (sides[(index * 3 + 1) % 10], sides[(index * 7 + 4) % 10]);
        let shape = GemmShape { m, n, k };
        check(backend, &ramp(m * k, 37), &ramp(n * k, 91), shape);
    }
    for k in 1..=34 {
        let shape = GemmShape { m: 3, n: 5, k };
        check(backend, &ramp(3 * k, 37), &ramp(5 * k, 91), shape);
    }
}

fn extreme_values(backend: &dyn Backend) {
    let shape = GemmShape { m: 33, n: 37, k: 1_041 };
    for (x, y) in [(-128, -128), (-128, 127), (127, 127), (0, -128)] {
        let (a, b) = (vec![x; shape.m * shape.k], vec![y; shape.n * shape.k]);
        check(backend, &a, &b, shape);
    }
    let signs: Vec<i8> =
        (0..shape.m * shape.k).map(|at| if at % 2 == 0 { -128 } else { 127 }).collect();
    check(backend, &signs, &vec![-128; shape.n * shape.k], shape);
}

fn greatest_depth(backend: &dyn Backend) {
    let shape = GemmShape { m: 3, n: 2, k: MAX_GEMM_K };
    check(backend, &vec![-128; 3 * shape.k], &vec![-128; 2 * shape.k], shape);
    check(backend, &ramp(3 * shape.k, 201), &ramp(2 * shape.k, 77), shape);
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    })
}

fn random_products(backend: &dyn Backend) {
    let cases = (1_usize..90, 1_usize..90, 1_usize..200).prop_flat_map(|(m, n, k)| {
        let matrix = |length| prop::collection::vec(any::<i8>(), length);
        (Just(GemmShape { m, n, k }), matrix(m * k), matrix(n * k))
    });
    let outcome = runner(24).run(&cases, |(shape, a, b)| {
        prop_assert_eq!(backend.gemm_i8(&a, &b, shape).unwrap(), product(&a, &b, shape));
        Ok(())
    });
    outcome.unwrap();
}

/// What a layer is drawn from: weights, bias, multipliers, shifts, least value.
type Drawn = (Vec<i8>, Vec<i32>, Vec<i32>, Vec<i8>, bool);

fn any_layer(inputs: usize, outputs: usize) -> impl Strategy<Value = Drawn> {
    let weights = prop::collection::vec(any::<i8>(), inputs * outputs);
    let bias = prop::collection::vec(-2_000_000_i32..2_000_000, outputs);
    let multipliers = prop::collection::vec(1_i32 << 30..=i32::MAX, outputs);
    // Mostly factors that leave values within range, some that saturate or vanish.
    let shift = prop_oneof![8 => 35_i8..43, 1 => 31_i8..=62];
    (weights, bias, multipliers, prop::collection::vec(shift, outputs), any::<bool>())
}

/// A network of layers, each one's values an output.
fn network(rows: usize, widths: &[usize], layers: Vec<Drawn>) -> Model {
    let mut builder = Builder::new(rows);
    let mut x = builder.input("x", DType::I8, &[widths[0]], (-127, 127));
    for (index, (weights, bias, multipliers, shifts, relu)) in layers.into_iter().enumerate() {
        let (inputs, outputs) = (widths[index], widths[index + 1]);
        let mut param = |name: &str, dims: &[usize], data| {
            builder.param(&format!("{name}{index}"), Tensor::new(dims.to_vec(), data).unwrap())
        };
        let weights = param("weights", &[outputs, inputs], Data::I8(weights));
        let bias = Some(param("bias", &[outputs], Data::I32(bias)));
        let multipliers = param("multipliers", &[outputs], Data::I32(multipliers));
        let shifts = param("shifts", &[outputs], Data::I8(shifts));
        let scales = Scales::Channels { multipliers, shifts };
        let low = if relu { 0 } else { -127 };
        let finish = Some(Requant { scales, dtype: DType::I8, low, high: 127 });
        x = builder.node(Linear { weights, bias, finish }, &[x]).unwrap();
        builder.output(&format!("y{index}"), x);
    }
    builder.build().unwrap()
}

fn any_network() -> impl Strategy<Value = (Model, Tensor)> {
    let widths = prop::collection::vec(1_usize..80, 2..6);
    (widths, 1_usize..70).prop_flat_map(|(widths, rows)| {
        let layers: Vec<_> =
            widths.windows(2).map(|pair| any_layer(pair[0], pair[1]).boxed()).collect();
        let values = prop::collection::vec(-127_i8..=127, rows * widths[0]);
        (layers, values).prop_map(move |(layers, values)| {
            let input = Tensor::new(vec![rows, widths[0]], Data::I8(values)).unwrap();
            (network(rows, &widths, layers), input)
        })
    })
}

fn random_networks(backend: &dyn Backend) {
    let outcome = runner(24).run(&any_network(), |(model, input)| {
        let kernels = OnDevice::everything(backend);
        let inputs = [input];
        let found = model.run_with(&kernels, &inputs, Sampling::default());
        prop_assert_eq!(kernels.outcome(found).unwrap(), model.run(&inputs).unwrap());
        Ok(())
    });
    outcome.unwrap();
}

fn empty_products(backend: &dyn Backend) {
    for (m, n, k) in [(0, 3, 2), (3, 0, 2), (0, 0, 0)] {
        let (a, b) = (vec![1; m * k], vec![1; n * k]);
        assert_eq!(backend.gemm_i8(&a, &b, GemmShape { m, n, k }), Ok(vec![]));
    }
    assert_eq!(backend.gemm_i8(&[], &[], GemmShape { m: 2, n: 2, k: 0 }), Ok(vec![0; 4]));
}

fn misfits(backend: &dyn Backend) {
    let short = backend.gemm_i8(&[1; 5], &[1; 6], GemmShape { m: 2, n: 2, k: 3 });
    assert_eq!(short, Err(GpuError::Shape { matrix: "A", found: 5, expected: 6 }));
    let deep = GemmShape { m: 1, n: 1, k: MAX_GEMM_K + 1 };
    let refused = backend.gemm_i8(&vec![0; deep.k], &vec![0; deep.k], deep);
    assert!(matches!(refused, Err(GpuError::TooLarge { .. })));
    let wide = GemmShape { m: usize::MAX, n: usize::MAX, k: 1 };
    assert!(matches!(backend.gemm_i8(&[], &[], wide), Err(GpuError::TooLarge { .. })));
}

/// A variant that some adapters only can run: exact, or refused.
fn exact_where_offered(kernel: GemmKernel, offered: impl Fn(&DeviceInfo) -> bool) {
    let budget = Budget { timeout: PATIENCE, ..Budget::default() };
    let options = Options { kernel: Some(kernel), budget, ..Options::default() };
    let opened = WgpuBackend::with_options(&Selector::Best, options);
    if !offered(&discover()[0]) {
        assert!(matches!(opened, Err(GpuError::NotOffered { .. })), "{opened:?}");
        return;
    }
    let backend = opened.unwrap();
    assert_eq!(self_test(&backend), Ok(()));
    every_edge_shape(&backend);
    extreme_values(&backend);
    greatest_depth(&backend);
    random_products(&backend);
    random_networks(&backend);
}

#[test]
fn products_in_subgroups_are_exact_where_the_adapter_has_them() {
    exact_where_offered(GemmKernel::Subgroup, DeviceInfo::has_subgroups);
}

#[test]
fn products_on_matrix_units_are_exact_where_the_adapter_has_them() {
    exact_where_offered(GemmKernel::Matrix, DeviceInfo::has_matrix_units);
}

#[test]
fn discovery_lists_the_device_that_is_opened_and_survives_json() {
    let mut opened = REGISTERS.info().clone();
    opened.loop_limit = None; // known only after the self-test
    let found = discover();
    assert!(found.contains(&opened), "{opened:?} is not among {found:?}");
    let json = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Vec<DeviceInfo>>(&json).unwrap(), found);
}

#[test]
fn a_budget_too_small_for_the_self_test_is_refused_at_the_door() {
    let budget = Budget { max_bytes: 1_000, ..Budget::default() };
    let refused =
        WgpuBackend::with_options(&Selector::Best, Options { budget, ..Options::default() });
    assert!(matches!(refused, Err(GpuError::OverBudget { budget: 1_000, .. })), "{refused:?}");
}

#[test]
fn a_measurement_is_checked_and_counts_its_work() {
    let measured = REGISTERS.measure_gemm(96, 2).unwrap();
    assert_eq!(measured.macs, 2 * 96 * 96 * 96);
    assert!(matches!(REGISTERS.measure_gemm(1 << 40, 1), Err(GpuError::TooLarge { .. })));
}
