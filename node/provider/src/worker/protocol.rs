//! What agent and worker say to each other.

use neura_gpu::{DeviceInfo, Tuning};
use serde::{Deserialize, Serialize};

use crate::{
    Device,
    containers::Containers,
    executor::{Bounds, Executor},
};

/// Longest line, in bytes: a report of a machine's adapters.
pub(super) const MAX_LINE: u64 = 64 << 10;
/// Most lines before an answer is complete.
pub(super) const MAX_LINES: usize = 64;

/// Variable by which a worker knows that it is to start a container, and is not to be confined itself.
pub(super) const ROLE: &str = "NEURA_WORKER_ROLE";
/// Its value then.
pub(super) const OF_CONTAINERS: &str = "containers";

/// What a worker is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Request {
    /// The device to open.
    pub(super) device: Device,
    /// Memory that the worker may write to, in bytes.
    pub(super) memory_bytes: Option<u64>,
    /// What a job may use.
    pub(super) bounds: Bounds,
    /// The containers that may be run.
    pub(super) containers: Option<Containers>,
    /// Which variants of kernels were found to be the fastest: a worker has no folder that outlives it.
    pub(super) tuning: Tuning,
    /// What to do with it.
    pub(super) work: Work,
}

/// What to do with a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Work {
    /// Test it, and say what it is.
    Probe,
    /// Read the payload that follows the line as a job, and run nothing.
    Check { executor: Executor, payload_bytes: u64 },
    /// Execute the payload that follows the line.
    Job { executor: Executor, payload_bytes: u64 },
}

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub(super) enum Report {
    /// The device is open and passed its test.
    Opened { device: Box<DeviceInfo> },
    /// What was found out about the machine.
    Probed(Box<Probed>),
    /// The payload is a job that can be run.
    Checked,
    /// The result follows.
    Done { bytes: u64 },
    /// The work was not done.
    Failed(JobFailure),
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Probed {
    /// The device that passed its test.
    pub(crate) device: DeviceInfo,
    /// All adapters of the machine.
    pub(crate) adapters: Vec<DeviceInfo>,
    /// Multiply-accumulates per second, measured with a small product.
    pub(crate) macs_per_second: u64,
    /// The fastest variants of kernels, the device's among them; none if nothing was measured.
    #[serde(default)]
    pub(crate) tuning: Tuning,
}

/// Why a worker did not do its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct JobFailure {
    /// Whose fault it is.
    pub kind: FailureKind,
    /// What is wrong.
    pub detail: String,
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The job is malformed or too large.
    Job,
    /// The device cannot be opened, failed, or ran out of memory or time.
    Device,
    /// The request cannot be understood: agent and worker are of different versions.
    Request,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_read_as_it_is_written() {
        let failure = JobFailure { kind: FailureKind::Device, detail: "lost".into() };
        let text = serde_json::to_string(&Report::Failed(failure.clone())).unwrap();
        assert_eq!(text, r#"{"report":"failed","kind":"device","detail":"lost"}"#);
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), Report::Failed(failure));
    }
}
