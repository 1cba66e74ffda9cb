//! Say why a worker gave no result.

use std::{
    io, os::unix::process::ExitStatusExt, path::PathBuf, process::ExitStatus, time::Duration,
};

use nix::sys::signal::Signal;

use super::protocol::{FailureKind, JobFailure};

/// Why a worker gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// It could not be started.
    #[error("the worker {program} cannot be started: {cause}", program = program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// It was not done in time, and was killed.
    #[error("the job was not done within {limit:?}, and its worker was killed")]
    TimedOut {
        /// The time that it had.
        limit: Duration,
    },
    /// It ended without an answer.
    #[error("the worker ended without an answer ({status}){}", told(.stderr))]
    Crashed {
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote to its standard error.
        stderr: String,
    },
    /// Somebody else ended it: no limit of a job ends a worker by such a signal.
    #[error(
        "the worker was ended from outside ({signal}), as a system does that runs out of memory"
    )]
    Killed {
        /// How.
        signal: Signal,
    },
    /// It says why it could not do the job.
    #[error(transparent)]
    Failed(#[from] JobFailure),
    /// It answered something that is no answer.
    #[error("the worker's answer is not understood: {problem}")]
    Protocol {
        /// What is wrong with it.
        problem: String,
    },
}

fn told(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!(": {stderr}") }
}

impl WorkerError {
    /// Of a worker that ended without an answer.
    pub(super) fn ended(status: ExitStatus, stderr: String) -> Self {
        match from_outside(status) {
            Some(signal) => Self::Killed { signal },
            None => Self::Crashed { status, stderr },
        }
    }

    /// Stable code, for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Start { .. } => "worker_not_started",
            Self::TimedOut { .. } => "worker_timed_out",
            Self::Crashed { .. } => "worker_crashed",
            Self::Killed { .. } => "worker_killed",
            Self::Failed(JobFailure { kind: FailureKind::Job, .. }) => "invalid_job",
            Self::Failed(JobFailure { kind: FailureKind::Device, .. }) => "device_failed",
            Self::Failed(_) | Self::Protocol { .. } => "worker_protocol",
        }
    }

    /// Whether another try may succeed.
    pub(crate) fn may_pass(&self) -> bool {
        !matches!(self, Self::Failed(JobFailure { kind: FailureKind::Job, .. }))
    }
}

/// What bubblewrap adds to the number of the signal that ended the worker inside of it.
const BY_SIGNAL: i32 = 128;

/// The signal that somebody else ended a worker with. A job that breaks its worker ends it otherwise: too much memory
/// and a panic abort it, what a job overwrites is a fault of memory, and its time is kept by the agent.
fn from_outside(status: ExitStatus) -> Option<Signal> {
    let number = status.signal().or_else(|| status.code()?.checked_sub(BY_SIGNAL))?;
    let signal = Signal::try_from(number).ok()?;
    let outside = matches!(
        signal,
        Signal::SIGKILL | Signal::SIGTERM | Signal::SIGINT | Signal::SIGHUP | Signal::SIGQUIT
    );
    outside.then_some(signal)
}
