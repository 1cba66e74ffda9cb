//! The digits example: every backend gives the reference's predictions.

use neura_gpu::{Backend, CpuBackend, OnDevice, Selector, WgpuBackend};
use neura_int8::{Int8Job, Int8Result};
use std::{fs, path::PathBuf};

const HELD_OUT: usize = 599;

fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/digits").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn classes(name: &str) -> Vec<i32> {
    let text = String::from_utf8(file(name)).unwrap();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

/// Runs the job as a provider does, from bytes to bytes.
fn run(backend: &dyn Backend) -> Vec<u8> {
    let job = Int8Job { model: file("model.nint8"), requests: file("images-heldout.bin") };
    let payload = job.encode().unwrap();
    let job = Int8Job::decode(&payload).unwrap().open().unwrap();
    let kernels = OnDevice::everything(backend);
    let result = job.run(&kernels);
    kernels.outcome(result).unwrap().encode()
}

fn check(backend: &dyn Backend) {
    let result = Int8Result::decode(&run(backend)).unwrap();
    let found = result.answers()[0][0].data().i32s();
    assert_eq!(found, classes("reference-predictions.txt"));
    let labels = classes("labels-heldout.txt");
    assert_eq!(labels.len(), HELD_OUT);
    let pairs = found.iter().zip(&labels);
    let right = pairs.filter(|(prediction, label)| prediction == label).count();
    assert!(right * 100 >= HELD_OUT * 95, "{right} of {HELD_OUT} are right");
}

fn wgpu() -> WgpuBackend {
    WgpuBackend::new(&Selector::Best).unwrap_or_else(|error| {
        panic!(
            "this test needs a GPU or Mesa's software Vulkan driver: \
             apt install libvulkan1 mesa-vulkan-drivers ({error})"
        )
    })
}

#[test]
fn the_cpu_gives_the_reference_predictions() {
    check(&CpuBackend::new());
}

#[test]
fn the_gpu_gives_the_reference_predictions_and_the_same_result_bytes() {
    let gpu = wgpu();
    check(&gpu);
    assert_eq!(run(&gpu), run(&CpuBackend::new()));
}
