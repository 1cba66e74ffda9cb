//! What agent and worker say to each other.

use neura_gpu::{DeviceInfo, LaunchRate, Launches, Tuning};
use serde::{Deserialize, Serialize};

use crate::{
    Device,
    containers::Containers,
    executor::{Bounds, Executor},
};

/// Longest line, in bytes: a report of a machine's adapters.
pub(super) const MAX_LINE: u64 = 64 << 10;
/// Most lines before an answer is complete: with a few in a second, some days of work.
pub(super) const MAX_LINES: usize = 1 << 20;

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
    Job {
        executor: Executor,
        payload_bytes: u64,
        #[serde(default)]
        keeping: KeepingTerms,
    },
}

/// What is asked of a job beside its result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeepingTerms {
    /// Bytes of the checkpoint that follows the payload, from which the job goes on; 0 for none.
    pub(super) checkpoint_bytes: u64,
    /// Least time between two checkpoints, in milliseconds; none for no checkpoints.
    pub(super) every_ms: Option<u64>,
    /// Longest checkpoint, in bytes.
    pub(super) max_bytes: u64,
}

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub(super) enum Report {
    /// The device is open and passed its test.
    Opened { device: Box<DeviceInfo> },
    /// What was found out about the machine.
    Probed(Box<Probed>),
    /// The payload is a job that can be run, and starts so much on the device.
    Checked {
        #[serde(default)]
        launches: Option<Launches>,
    },
    /// So much of the whole is done.
    Progress { done: u64, total: u64, note: String },
    /// Something for the owner to read.
    Log { text: String },
    /// The checkpoint was not taken; the job begins at the beginning.
    SetAside { reason: String },
    /// The state of the work follows; then come more lines.
    Checkpoint { step: u64, bytes: u64 },
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
    /// How fast the device starts users' kernels, if it runs them.
    #[serde(default)]
    pub(crate) launch_rate: Option<LaunchRate>,
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
