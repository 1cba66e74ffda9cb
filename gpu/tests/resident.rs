//! Whole models that stay on the device, cell by cell the same as by their definition.

#[path = "../int8/tests/random/mod.rs"]
mod random;

use neura_gpu::{GemmKernel, LoadedModel, Options, Selector, WgpuBackend};
use neura_int8::{Model, Reference, Sampling, ValueId};
use random::{MAX_ROWS, Noise, inputs, model};
use std::{collections::BTreeSet, sync::LazyLock};

static WHOLE: LazyLock<WgpuBackend> = LazyLock::new(|| open(Options::default()));
/// Another variant of the product, and dispatches so small that most are split.
static SPLIT: LazyLock<WgpuBackend> = LazyLock::new(|| {
    let kernel = Some(GemmKernel::Tiled);
    open(Options {
        binding_bytes: 1 << 18,
        macs_per_dispatch: 1 << 8,
        kernel,
        ..Options::default()
    })
});

fn open(options: Options) -> WgpuBackend {
    WgpuBackend::with_options(&Selector::Best, options).unwrap_or_else(|error| {
        panic!(
            "these tests need a GPU or Mesa's software Vulkan driver: \
             apt install libvulkan1 mesa-vulkan-drivers ({error})"
        )
    })
}

fn sampling(noise: &mut Noise) -> Sampling {
    let temperature = [0, 1 << 15, 1 << 16, 16 << 16][noise.below(4)];
    Sampling { seed: [noise.next() as u8; 32], temperature }
}

/// Compares every cell with the reference's, so that what is wrong is named.
fn check_trace(loaded: &LoadedModel<'_>, model: &Model, rows: usize, noise: &mut Noise) {
    let (inputs, sampling) = (inputs(model, rows, noise), sampling(noise));
    let expected = model.trace(&Reference, &inputs, sampling).unwrap();
    let found = loaded.trace(&inputs, sampling).unwrap();
    for (index, node) in model.manifest().nodes().iter().enumerate() {
        let value = model.manifest().made_by(index);
        assert_eq!(found.value(value), expected.value(value), "node {index}, {node:?}");
    }
    assert_eq!(found.root(), expected.root());
    let outputs = loaded.run(&inputs, sampling).unwrap();
    assert_eq!(outputs, expected.outputs(model).unwrap());
    assert!(found.value(ValueId(0)).is_some());
}

fn random_models(backend: &WgpuBackend, seeds: std::ops::Range<u64>) {
    let mut ops = BTreeSet::new();
    for seed in seeds {
        let (Some(model), found) = model(seed, 14) else { continue };
        ops.extend(found);
        let loaded = backend.load_model(&model).unwrap();
        let noise = &mut Noise(seed ^ 5);
        for _ in 0..2 {
            let rows = 1 + noise.below(MAX_ROWS);
            check_trace(&loaded, &model, rows, noise);
        }
    }
    assert_eq!(ops.len(), 26, "{ops:?}");
}

#[test]
fn every_cell_of_random_models_is_its_definition() {
    random_models(&WHOLE, 0..120);
}

#[test]
fn every_cell_of_random_models_is_its_definition_in_small_dispatches() {
    random_models(&SPLIT, 1_000..1_080);
}
