//! Run integer networks, whose results are the same bits everywhere.

use std::time::{Duration, Instant};

use neura_gpu::{Backend, GpuError, JobRunner, RunningJob};
use neura_int8::{Course, Int8Job, Int8Result, OpenJob};

use super::{Relay, of_device, of_job};
use crate::worker::JobFailure;

/// Multiply-accumulates of the first step: a fraction of a second on a slow processor.
const FIRST_STEP_MACS: u64 = 1 << 30;
/// Time that a step is to take: long against what starting one costs a device, short against the time between two
/// checkpoints.
const STEP_TIME: Duration = Duration::from_millis(200);

pub(super) fn check(payload: &[u8]) -> Result<(), JobFailure> {
    Int8Job::decode(payload).and_then(|job| job.open()).map(|_| ()).map_err(of_job)
}

pub(super) fn run(
    backend: &dyn Backend,
    payload: &[u8],
    relay: &mut Relay<'_>,
) -> Result<Vec<u8>, JobFailure> {
    let job = Int8Job::decode(payload).and_then(|job| job.open()).map_err(of_job)?;
    let mut running = JobRunner::new(backend).start(&job).map_err(|error| of_device(&error))?;
    let result = answer(&job, &mut running, relay).map_err(|error| of_device(&error))?;
    Ok(result.encode())
}

fn answer<'a>(
    job: &'a OpenJob,
    running: &mut RunningJob<'a>,
    relay: &mut Relay<'_>,
) -> Result<Int8Result, GpuError> {
    let resumed = relay.resumed(|_, state| Course::resume(job, state));
    let requests = job.requests.len();
    let mut course = match resumed {
        Some(course) => {
            relay.log(format!(
                "going on after {} of {} rows or tokens",
                course.done(),
                course.total()
            ));
            course
        }
        None => {
            let course = Course::new(job);
            relay.log(format!("{requests} requests, {} rows or tokens", course.total()));
            course
        }
    };
    let note = |course: &Course<'_>| format!("{} of {requests} requests", course.answered());
    let (mut macs, mut started, mut told) = (FIRST_STEP_MACS, Instant::now(), false);
    while running.step(&mut course, macs)? {
        macs = next_step(macs, started.elapsed());
        if let Some(error) = running.fell_back().filter(|_| !std::mem::replace(&mut told, true)) {
            relay.log(format!("not all is computed on the device as planned: {error}"));
        }
        let (done, total) = (course.done(), course.total());
        relay.progress(done, total, || note(&course));
        if done < total && relay.wants_checkpoint() {
            relay.checkpoint(done, &course.checkpoint());
        }
        started = Instant::now();
    }
    Ok(course.finish()?)
}

/// The size of the next step. The result does not depend on it.
fn next_step(macs: u64, took: Duration) -> u64 {
    if took < STEP_TIME / 2 {
        macs.saturating_mul(2)
    } else if took > STEP_TIME * 2 {
        (macs / 2).max(1)
    } else {
        macs
    }
}
