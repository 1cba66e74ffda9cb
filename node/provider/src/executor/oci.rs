//! Run programs in containers: what they may do is crun's and the kernel's to hold.

use std::path::Path;

use neura_types::job::{JobFormat, JobResult, OciJob};

use super::Bounds;
use crate::{
    containers::Containers,
    worker::{FailureKind, JobFailure},
};

/// Reads a job without running it.
pub(super) fn check(payload: &[u8], containers: Option<&Containers>) -> Result<(), JobFailure> {
    opened(payload, containers).map(drop)
}

/// Runs a job to its end, in the worker's folder.
pub(super) fn run(
    payload: &[u8],
    containers: Option<&Containers>,
    bounds: &Bounds,
) -> Result<JobResult, JobFailure> {
    let (containers, job) = opened(payload, containers)?;
    let place = std::env::current_dir().map_err(|error| JobFailure {
        kind: FailureKind::Device,
        detail: format!("the worker's folder is not there: {error}"),
    })?;
    containers.run(&job, bounds, Path::new(&place))
}

fn opened<'a>(
    payload: &[u8],
    containers: Option<&'a Containers>,
) -> Result<(&'a Containers, OciJob), JobFailure> {
    let wrong = |detail: String| JobFailure { kind: FailureKind::Job, detail };
    let containers =
        containers.ok_or_else(|| wrong("this provider offers no containers".into()))?;
    let job = OciJob::decode(payload).map_err(|error| wrong(error.to_string()))?;
    containers.check(&job)?;
    Ok((containers, job))
}
