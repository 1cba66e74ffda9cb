//! Run integer networks, whose results are the same bits everywhere.

use neura_gpu::{Backend, JobRunner};
use neura_int8::Int8Job;

use super::{of_device, of_job};
use crate::worker::JobFailure;

pub(super) fn check(payload: &[u8]) -> Result<(), JobFailure> {
    Int8Job::decode(payload).and_then(|job| job.open()).map(|_| ()).map_err(of_job)
}

pub(super) fn run(backend: &dyn Backend, payload: &[u8]) -> Result<Vec<u8>, JobFailure> {
    let job = Int8Job::decode(payload).and_then(|job| job.open()).map_err(of_job)?;
    let ran = JobRunner::new(backend).run(&job).map_err(|error| of_device(&error))?;
    Ok(ran.result.encode())
}
