//! Whole models that stay on the device, cell by cell the same as by their definition.

mod nets;
#[path = "../int8/tests/random/mod.rs"]
mod random;

use nets::{Size, convolutional, decoder, encoder};
use neura_gpu::{
    CpuBackend, GemmKernel, GpuError, JobRunner, LoadedModel, Options, Selector, WgpuBackend,
};
use neura_int8::{
    Course, Int8Job, Model, Prompt, Reference, Request, Sampling, Tensor, ValueId, encode_requests,
};
use random::{MAX_ROWS, Noise, inputs, model};
use std::{collections::BTreeSet, sync::LazyLock};

static WHOLE: LazyLock<WgpuBackend> = LazyLock::new(|| open(Options::default()));
/// Bindings and dispatches so small that most work is split.
static SPLIT: LazyLock<WgpuBackend> = LazyLock::new(|| {
    open(Options { binding_bytes: 1 << 18, macs_per_dispatch: 1 << 12, ..Options::default() })
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
    random_models(&SPLIT, 1_000..1_050);
}

#[test]
fn every_cell_of_random_models_on_matrix_units_is_its_definition_where_the_adapter_has_them() {
    let options = Options { kernel: Some(GemmKernel::Matrix), ..Options::default() };
    match WgpuBackend::with_options(&Selector::Best, options) {
        Ok(backend) => random_models(&backend, 2_000..2_060),
        Err(error) => assert!(matches!(error, GpuError::NotOffered { .. }), "{error}"),
    }
}

/// Rows, widths and vocabularies that are multiples of nothing.
const ODD: Size = Size { vocabulary: 131, width: 66, hidden: 105, heads: 6, layers: 2, rows: 40 };

fn tokens(count: usize, vocabulary: usize) -> Vec<i32> {
    (0..count).map(|at| (at * 37 % vocabulary) as i32).collect()
}

#[test]
fn an_encoder_on_the_device_is_its_definition() {
    let model = encoder(ODD);
    let loaded = WHOLE.load_model(&model).unwrap();
    for rows in [1, 3, 17, 40] {
        let inputs = [Tensor::list(tokens(rows, ODD.vocabulary)).unwrap()];
        let found = loaded.run(&inputs, Sampling::default()).unwrap();
        assert_eq!(found, model.run(&inputs).unwrap(), "{rows} rows");
    }
}

#[test]
fn a_convolutional_network_on_the_device_is_its_definition() {
    for (backend, side, channels) in [(&WHOLE, 13, 10), (&SPLIT, 8, 6)] {
        let model = convolutional(side, channels);
        let loaded = backend.load_model(&model).unwrap();
        for rows in [1, 4] {
            check_trace(&loaded, &model, rows, &mut Noise(rows as u64));
        }
    }
}

#[test]
fn a_decoder_generates_the_same_tokens_on_the_device_with_and_without_noise() {
    let model = decoder(ODD);
    let loaded = WHOLE.load_model(&model).unwrap();
    for (temperature, prompted) in [(0, 1), (1 << 16, 5), (3 << 16, 39)] {
        let sampling = Sampling { seed: [7; 32], temperature };
        let tokens = tokens(prompted, ODD.vocabulary);
        let prompt = Prompt { tokens, max_tokens: 12, stop: vec![], sampling };
        let expected = model.generate(&Reference, prompt.clone()).unwrap();
        assert_eq!(loaded.generate(&prompt).unwrap(), expected);
        // A stop token ends it as it does there.
        let prompt = Prompt { stop: expected[expected.len() / 2..].to_vec(), ..prompt };
        let expected = model.generate(&Reference, prompt.clone()).unwrap();
        assert_eq!(loaded.generate(&prompt).unwrap(), expected);
    }
}

#[test]
fn a_long_context_is_attended_to_exactly() {
    let size = Size { vocabulary: 40, width: 8, hidden: 12, heads: 2, layers: 1, rows: 700 };
    for model in [encoder(size), decoder(size)] {
        let inputs = [Tensor::list(tokens(700, 40)).unwrap()];
        let loaded = WHOLE.load_model(&model).unwrap();
        let found = loaded.run(&inputs, Sampling::default()).unwrap();
        assert_eq!(found, model.run(&inputs).unwrap());
    }
}

#[test]
fn a_generation_on_the_device_is_taken_up_after_any_token() {
    let model = decoder(ODD);
    let sampling = Sampling { seed: [3; 32], temperature: 1 << 16 };
    let prompt = |first| {
        let tokens = vec![first, 2, 3];
        Request::Generate(Prompt { tokens, max_tokens: 6, stop: vec![], sampling })
    };
    let run = Request::Run { inputs: vec![Tensor::list(tokens(9, 131)).unwrap()], sampling };
    let requests = encode_requests(&[prompt(1), run, prompt(1), prompt(7)]).unwrap();
    let job = Int8Job { model: model.encode(), requests }.open().unwrap();
    let expected = job.run(&Reference).unwrap();
    let runner = JobRunner::everything(&*WHOLE);
    // From the beginning, and then from what there was after each step.
    let mut begun: Vec<Option<Vec<u8>>> = vec![None];
    while let Some(start) = begun.pop() {
        let is_first = start.is_none();
        let mut course = match &start {
            None => Course::new(&job),
            Some(checkpoint) => Course::resume(&job, checkpoint).unwrap(),
        };
        let mut running = runner.start(&job).unwrap();
        while running.step(&mut course, u64::MAX).unwrap() {
            if is_first && course.done() < course.total() {
                begun.push(Some(course.checkpoint()));
            }
        }
        assert_eq!(running.fell_back(), None);
        assert_eq!(course.finish().unwrap(), expected);
        assert!(!is_first || begun.len() == 3 * 6, "a step for each token, and one for the run");
    }
}

#[test]
fn a_job_gives_the_same_bytes_through_the_device_and_the_processor() {
    let model = decoder(ODD);
    let sampling = Sampling { seed: [9; 32], temperature: 1 << 15 };
    let prompt = Prompt { tokens: tokens(6, 131), max_tokens: 5, stop: vec![], sampling };
    let run = Request::Run { inputs: vec![Tensor::list(tokens(9, 131)).unwrap()], sampling };
    let requests = encode_requests(&[Request::Generate(prompt), run]).unwrap();
    let job = Int8Job { model: model.encode(), requests }.open().unwrap();
    let expected = job.run(&Reference).unwrap();
    let cpu = CpuBackend::new();
    let wgpu: &WgpuBackend = &WHOLE;
    for runner in [JobRunner::everything(wgpu), JobRunner::new(wgpu), JobRunner::new(&cpu)] {
        let ran = runner.run(&job).unwrap();
        assert_eq!((ran.result, ran.fell_back), (expected.clone(), None));
    }
}
