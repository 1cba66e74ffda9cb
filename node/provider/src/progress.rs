//! Tell whoever watches what the agent does.

use std::{fmt, sync::Arc};

use neura_types::{
    Address, Amount, B256, ChainId, Height, U256,
    task::{EndReason, TaskId, TaskState},
};
use serde::Serialize;

use crate::{MachineReport, Means};

/// Is told everything that happens, in order. Called while the agent works: it must not block.
pub type Observer = Arc<dyn Fn(&Progress) + Send + Sync>;

/// An observer that ignores everything.
pub fn quiet() -> Observer {
    Arc::new(|_| {})
}

/// Something that happened. What is about to be sent is told after it was written down and before it is sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
#[allow(
    missing_docs,
    reason = "the fields are named for what they are; heights and ids are the chain's"
)]
pub enum Progress {
    /// Keys were made, because there were none.
    KeysMade { address: Address, folder: String },
    /// The test of the device was cut off, and is made again.
    TestingAgain { attempt: u32, cause: String },
    /// The device passed its test.
    Machine(Box<MachineReport>),
    /// How jobs are confined, and what is offered.
    Means(Box<Means>),
    /// A node answers.
    Connected { node: String, chain_id: ChainId, height: Height },
    /// The node does not answer any more; the agent keeps trying.
    Disconnected { cause: String },
    /// The faucet was asked for coins.
    FaucetAsked { address: Address, need: U256 },
    /// The faucet's coins are there.
    FaucetPaid { amount: Amount },
    /// The provider is being registered.
    Registering { bond: Amount, price_per_block: Amount },
    /// The registry has the provider.
    Registered { address: Address, height: Height },
    /// The registry's entry was changed in this respect.
    Updated { what: &'static str, height: Height },
    /// The former bond is back.
    BondReturned { amount: Amount },
    /// The provider waits for tasks.
    Serving { address: Address, capacity: u32 },
    /// The registry was told that the provider is alive.
    Heartbeat { height: Height },
    /// A task is offered.
    TaskOffered { task: TaskId, owner: Address, escrow: Amount, deadline: Height },
    /// A task that an earlier run began goes on.
    TaskResumed { task: TaskId, state: TaskState },
    /// The sealed payload is here, with the right digest.
    PayloadFetched { task: TaskId, bytes: u64 },
    /// The payload was opened and holds a job that this machine can do.
    PayloadOpened { task: TaskId, bytes: u64 },
    /// The acceptance is written down and will be sent.
    Accepting { task: TaskId, transaction: B256 },
    /// The chain has the acceptance.
    Accepted { task: TaskId, height: Height },
    /// The refusal is written down and will be sent.
    Declining { task: TaskId, reason: String, transaction: B256 },
    /// The chain has the refusal.
    Declined { task: TaskId, height: Height },
    /// A worker begins.
    Executing { task: TaskId, attempt: u32 },
    /// The worker has opened its device.
    DeviceOpened { task: TaskId, device: String, backend: String },
    /// A job begins from a checkpoint.
    GoingOn { task: TaskId, step: u64 },
    /// A checkpoint is of another job, or damaged, and is not used.
    CheckpointSetAside { task: TaskId, cause: String },
    /// So much of a job is done.
    Advanced { task: TaskId, done: u64, total: u64, note: String },
    /// What a job says to its owner.
    Logged { task: TaskId, text: String },
    /// The state of a job is written down.
    CheckpointKept { task: TaskId, step: u64, bytes: u64 },
    /// The chain has the reference of a checkpoint, the store its bytes.
    CheckpointNoted { task: TaskId, step: u64, height: Height },
    /// The chain was told that a task is being worked on.
    SignOfLife { task: TaskId, height: Height },
    /// The result is computed and written down.
    Executed { task: TaskId, milliseconds: u64, result_bytes: u64, commitment: B256 },
    /// The store has the result.
    ResultStored { task: TaskId, locator: String, bytes: u64 },
    /// The submission is written down and will be sent.
    Submitting { task: TaskId, transaction: B256 },
    /// The chain has the submission.
    Submitted { task: TaskId, height: Height },
    /// The owner contests the result; it is computed again.
    Contested { task: TaskId, round: u8 },
    /// A step failed and is tried again.
    Retrying { task: TaskId, code: String, cause: String },
    /// The task is given up; the chain refunds its owner at the deadline.
    GivenUp { task: TaskId, code: String, cause: String },
    /// The task is over.
    Ended { task: TaskId, state: TaskState, reason: Option<EndReason>, earned: Amount },
}

impl Progress {
    /// The task that it is about.
    pub fn task(&self) -> Option<TaskId> {
        match self {
            Self::TaskOffered { task, .. }
            | Self::TaskResumed { task, .. }
            | Self::PayloadFetched { task, .. }
            | Self::PayloadOpened { task, .. }
            | Self::Accepting { task, .. }
            | Self::Accepted { task, .. }
            | Self::Declining { task, .. }
            | Self::Declined { task, .. }
            | Self::Executing { task, .. }
            | Self::DeviceOpened { task, .. }
            | Self::GoingOn { task, .. }
            | Self::CheckpointSetAside { task, .. }
            | Self::Advanced { task, .. }
            | Self::Logged { task, .. }
            | Self::CheckpointKept { task, .. }
            | Self::CheckpointNoted { task, .. }
            | Self::SignOfLife { task, .. }
            | Self::Executed { task, .. }
            | Self::ResultStored { task, .. }
            | Self::Submitting { task, .. }
            | Self::Submitted { task, .. }
            | Self::Contested { task, .. }
            | Self::Retrying { task, .. }
            | Self::GivenUp { task, .. }
            | Self::Ended { task, .. } => Some(*task),
            _ => None,
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(task) = self.task() {
            write!(f, "task {task}: ")?;
            return self.of_task(f);
        }
        match self {
            Self::KeysMade { address, folder } => {
                write!(f, "made keys for account {address} in {folder}: keep a copy of them")
            }
            Self::TestingAgain { attempt, cause } => {
                write!(f, "testing the device again, attempt {attempt}: {cause}")
            }
            Self::Machine(report) => report.fmt(f),
            Self::Means(means) => means.fmt(f),
            Self::Connected { node, chain_id, height } => {
                write!(f, "connected to {node}, chain {chain_id}, block {height}")
            }
            Self::Disconnected { cause } => write!(f, "connection lost, trying again: {cause}"),
            Self::FaucetAsked { address, .. } => {
                write!(f, "asking the faucet for coins for {address}")
            }
            Self::FaucetPaid { amount } => write!(f, "the faucet gave {amount}"),
            Self::Registering { bond, price_per_block } => {
                write!(f, "registering with a bond of {bond} at {price_per_block} per block")
            }
            Self::Registered { address, height } => {
                write!(f, "registered as provider {address} in block {height}")
            }
            Self::Updated { what, height } => write!(f, "registry: {what} in block {height}"),
            Self::BondReturned { amount } => write!(f, "the former bond of {amount} is back"),
            Self::Serving { address, capacity } => {
                write!(f, "serving as {address}, up to {capacity} tasks at a time")
            }
            Self::Heartbeat { height } => write!(f, "heartbeat in block {height}"),
            _ => Ok(()),
        }
    }
}

impl Progress {
    fn of_task(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TaskOffered { owner, escrow, deadline, .. } => {
                write!(
                    f,
                    "offered by {owner} with {escrow} in escrow, to be answered by block {deadline}"
                )
            }
            Self::TaskResumed { state, .. } => {
                write!(f, "going on where it was ({})", state.name())
            }
            Self::PayloadFetched { bytes, .. } => {
                write!(f, "payload fetched, {bytes} bytes, digest as the chain says")
            }
            Self::PayloadOpened { bytes, .. } => {
                write!(f, "payload opened, {bytes} bytes, a job for this machine")
            }
            Self::Accepting { transaction, .. } => write!(f, "accepting ({transaction})"),
            Self::Accepted { height, .. } => write!(f, "accepted in block {height}"),
            Self::Declining { reason, transaction, .. } => {
                write!(f, "declining ({transaction}): {reason}")
            }
            Self::Declined { height, .. } => write!(f, "declined in block {height}"),
            Self::Submitting { transaction, .. } => write!(f, "submitting ({transaction})"),
            Self::Submitted { height, .. } => write!(f, "submitted in block {height}"),
            Self::Contested { .. } => {
                write!(f, "the owner contests the result; computing it again")
            }
            Self::Retrying { cause, .. } => write!(f, "trying again: {cause}"),
            Self::GivenUp { cause, .. } => write!(f, "given up: {cause}"),
            Self::Ended { state, reason, earned, .. } => {
                let reason =
                    reason.map(|reason| format!(" ({})", reason.name())).unwrap_or_default();
                write!(f, "{}{reason}, earned {earned}", state.name())
            }
            _ => self.of_work(f),
        }
    }

    fn of_work(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Executing { attempt: 1, .. } => write!(f, "executing"),
            Self::Executing { attempt, .. } => write!(f, "executing, attempt {attempt}"),
            Self::DeviceOpened { device, backend, .. } => write!(f, "on {device} ({backend})"),
            Self::Executed { milliseconds, result_bytes, .. } => {
                write!(f, "executed in {milliseconds} ms, {result_bytes} bytes of result")
            }
            Self::ResultStored { locator, bytes, .. } => {
                write!(f, "result stored as {locator}, {bytes} bytes")
            }
            Self::GoingOn { step, .. } => write!(f, "going on from the checkpoint at step {step}"),
            Self::CheckpointSetAside { cause, .. } => {
                write!(f, "the checkpoint is not used, beginning anew: {cause}")
            }
            Self::Advanced { done, total, note, .. } => write!(f, "{done} of {total} done, {note}"),
            Self::Logged { text, .. } => write!(f, "{text}"),
            Self::CheckpointKept { step, bytes, .. } => {
                write!(f, "checkpoint at step {step} written, {bytes} bytes")
            }
            Self::CheckpointNoted { step, height, .. } => {
                write!(f, "checkpoint at step {step} noted in block {height}")
            }
            Self::SignOfLife { height, .. } => write!(f, "sign of life in block {height}"),
            _ => Ok(()),
        }
    }
}
