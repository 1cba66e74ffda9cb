use super::*;
use crate::{JobRunner, Options, Selector};
use neura_int8::{
    Builder, DType, Int8Job, OpenJob, Reference, encode_requests, ops::linear::Linear,
};
use std::time::Duration;

/// A device that has passed the test of models.
fn open() -> WgpuBackend {
    let backend =
        WgpuBackend::with_options(&Selector::Best, Options::default()).unwrap_or_else(|error| {
            panic!(
                "these tests need a GPU or Mesa's software Vulkan driver: \
             apt install libvulkan1 mesa-vulkan-drivers ({error})"
            )
        });
    assert!(backend.load_model(&job(1).model).is_ok());
    backend
}

/// A linear layer of 64 inputs and outputs, and two requests of so many rows.
fn job(rows: usize) -> OpenJob {
    let mut builder = Builder::new(rows);
    let x = builder.input("x", DType::I8, &[64], (-127, 127));
    let weights = Tensor::new(vec![64, 64], Data::I8((0..4_096).map(|at| at as i8).collect()));
    let weights = builder.param("weights", weights.unwrap());
    let y = builder.node(Linear { weights, bias: None, finish: None }, &[x]).unwrap();
    builder.output("y", y);
    let input = Data::I8((0..rows * 64).map(|at| (at % 251) as u8 as i8 / 2).collect());
    let input = Tensor::new(vec![rows, 64], input).unwrap();
    let requests = vec![Request::run(vec![input]); 2];
    let requests = encode_requests(&requests).unwrap();
    Int8Job { model: builder.build().unwrap().encode(), requests }.open().unwrap()
}

/// Runs a job on a device that fails: the result is right, and the reason is told.
fn falls_back(backend: &WgpuBackend, rows: usize) -> GpuError {
    let job = job(rows);
    let ran = JobRunner::everything(backend).run(&job).unwrap();
    assert_eq!(ran.result, job.run(&Reference).unwrap());
    ran.fell_back.unwrap()
}

#[test]
fn a_model_larger_than_the_memory_is_refused_with_the_numbers_before_anything_runs() {
    let mut backend = open();
    backend.budget.max_bytes = 4_095;
    let job = job(3);
    let refused = backend.load_model(&job.model).unwrap_err();
    assert_eq!(refused, GpuError::OverBudget { needed: 4_096, budget: 4_095 });
    assert_eq!(JobRunner::everything(&backend).run(&job), Err(refused));
}

#[test]
fn a_run_whose_values_do_not_fit_the_memory_is_computed_in_pieces() {
    let mut backend = open();
    (backend.budget.max_bytes, backend.bounds.max_bytes) = (16_384, 16_384);
    let reason = falls_back(&backend, 50);
    assert!(matches!(reason, GpuError::OverBudget { budget: 16_384, .. }), "{reason}");
}

#[test]
fn a_value_that_cannot_be_bound_is_computed_in_pieces() {
    let mut backend = open();
    backend.bounds.binding_bytes = 8_192;
    let reason = falls_back(&backend, 33);
    assert!(matches!(reason, GpuError::TooLarge { value: 8_448, max: 8_192, .. }), "{reason}");
}

#[test]
fn a_device_lost_between_two_requests_is_told_and_the_processor_goes_on() {
    let backend = open();
    let job = job(5);
    let loaded = backend.load_model(&job.model).unwrap();
    let expected = job.run(&Reference).unwrap();
    assert_eq!(loaded.answer(&job.requests[0]).as_ref(), Ok(&expected.answers()[0]));
    backend.context.start(backend.budget.timeout).unwrap().device().destroy();
    let lost = loaded.answer(&job.requests[1]);
    assert!(matches!(lost, Err(GpuError::Lost { .. })), "{lost:?}");
    let reason = falls_back(&backend, 5);
    assert!(matches!(reason, GpuError::Lost { .. }), "{reason}");
}

#[test]
fn a_device_that_does_not_finish_in_time_is_told_and_the_processor_goes_on() {
    let mut backend = open();
    backend.budget.timeout = Duration::ZERO;
    let reason = falls_back(&backend, 5);
    assert_eq!(reason, GpuError::Timeout { limit: Duration::ZERO });
    // It is not used again.
    backend.budget.timeout = Duration::from_secs(60);
    let reason = falls_back(&backend, 5);
    assert!(matches!(reason, GpuError::Lost { .. }), "{reason}");
}
