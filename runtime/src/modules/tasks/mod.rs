//! Hire a provider for a job and hold the pay until it is done.
//!
//! ```text
//!           create            accept            submit             approve, or deadline
//! (owner) ─────────▶ Assigned ───────▶ Running ───────▶ Submitted ─────────────────────▶ Settled
//!                     │  │                │               │   ▲
//!     cancel ◀────────┘  │ decline,       │ deadline      │   │ submit
//!   (Cancelled)          │ deadline       │      challenge▼   │
//!                        ▼                ▼             Verifying ──deadline──▶ Refunded
//!                     Refunded         Refunded
//!
//!                     Assigned ◀── reassign, from Assigned, or from Running when the provider is silent
//! ```
//!
//! A deadline of height d is kept by calls in blocks up to d; the end of block d moves the task on. Due tasks are
//! found by height, so that a block's work is proportional to what is due, and bounded: what is over
//! `max_settlements_per_block` is carried to the next blocks.
//!
//! # Pay
//! The fee is the price per block, as it was at creation, times the blocks from acceptance to the first submission, at
//! least one, at most the escrow. It is split by the chain's parameters between the model's owners (none is named yet),
//! the validators and the treasury; the provider has the rest, with the rounding remainder. What the fee leaves of the
//! escrow returns to the owner.
//!
//! # A provider that vanishes
//! While it works a provider notes checkpoints or sends heartbeats. One that was silent for more than `silence_blocks`
//! can be replaced by the owner: the task stands as after creation, offered to another provider on the same escrow and
//! terms, with the last checkpoint sealed anew. The former provider is at fault and paid nothing, because a checkpoint
//! proves no work; its late result is refused. Before acceptance the owner may replace it at any time, as it may cancel,
//! and nobody is at fault.
//!
//! # A contested result
//! Contesting costs the owner a bond of a part of the escrow. The provider may replace the result; if it does not, the
//! task is refunded by its fault and the bond returns. The owner who contests the replacement too ends the task: the
//! escrow returns, and both bonds are paid to the provider. A veto is therefore possible without proof, but not free,
//! and never leaves coins locked.
//!
//! # Invariants
//! - Every state that is not terminal has a deadline, at which the chain itself moves the task on.
//! - The module holds at least the escrows and bonds of the tasks that have not ended; each escrow leaves once.
//! - A terminal task never changes; its settlement sums up to its escrow.
//! - The escrow of a task covers the price of its provider for the whole duration, whoever it is.
//! - The steps of the checkpoints of one provider rise.

mod calls;
mod checks;
mod deadlines;
mod events;
mod index;
pub(crate) mod invariants;
mod progress;
mod settlement;
mod state;

use alloy_primitives::{Address, Bytes};
use neura_types::{
    Amount,
    abi::ITasks::{self, ITasksCalls as F},
    task::{Task, TaskId, TaskState},
};

use super::{
    code, entry,
    host::{Call, Fault, Host},
    providers,
};

use index::TaskSet;

pub use checks::{MAX_BLOB_BYTES, MAX_REASON};
pub(crate) use deadlines::end_block;

pub(crate) fn dispatch(host: &mut dyn Host, call: &Call) -> Result<Bytes, Fault> {
    let function: F = entry::decode(call)?;
    match &function {
        F::create(_) | F::challenge(_) => entry::payable(call)?,
        F::accept(_)
        | F::decline(_)
        | F::heartbeat(_)
        | F::checkpoint(_)
        | F::reassign(_)
        | F::submit(_)
        | F::approve(_)
        | F::cancel(_) => entry::write(call)?,
        F::challengeBond(_)
        | F::quote(_)
        | F::task(_)
        | F::checkpointOf(_)
        | F::count(_)
        | F::list(_)
        | F::tasksOfOwner(_)
        | F::tasksOfProvider(_) => entry::view(call)?,
    }
    let nothing = |()| Bytes::new();
    match function {
        F::create(f) => {
            calls::create(host, call, f.terms).map(|id| entry::answer::<ITasks::createCall>(&id))
        }
        F::accept(f) => calls::accept(host, call, f.taskId).map(nothing),
        F::decline(f) => calls::decline(host, call, f.taskId, f.reason).map(nothing),
        F::heartbeat(f) => progress::heartbeat(host, call, f.taskId).map(nothing),
        F::checkpoint(f) => progress::checkpoint(host, call, f).map(nothing),
        F::reassign(f) => progress::reassign(host, call, f).map(nothing),
        F::submit(f) => calls::submit(host, call, f).map(nothing),
        F::approve(f) => calls::approve(host, call, f.taskId).map(nothing),
        F::challenge(f) => calls::challenge(host, call, f.taskId, f.reason).map(nothing),
        F::cancel(f) => calls::cancel(host, call, f.taskId).map(nothing),
        F::challengeBond(f) => {
            let task = known(host, f.taskId)?;
            let bond = challenge_bond(host, &task)?;
            Ok(entry::answer::<ITasks::challengeBondCall>(&bond.0))
        }
        F::quote(f) => {
            let provider = providers::known(host, f.provider)?;
            let price = checks::price(&provider, f.durationBlocks)?;
            Ok(entry::answer::<ITasks::quoteCall>(&price.0))
        }
        F::task(f) => {
            known(host, f.taskId).map(|task| entry::answer::<ITasks::taskCall>(&(&task).into()))
        }
        F::checkpointOf(f) => known(host, f.taskId).map(|task| {
            entry::answer::<ITasks::checkpointOfCall>(&task.checkpoint.as_ref().into())
        }),
        F::count(_) => count(host).map(|n| entry::answer::<ITasks::countCall>(&n)),
        F::list(f) => list(host, cursor(f.before), f.limit)
            .map(|tasks| entry::answer::<ITasks::listCall>(&encode(&tasks))),
        F::tasksOfOwner(f) => of_owner(host, f.owner, cursor(f.before), f.limit)
            .map(|tasks| entry::answer::<ITasks::tasksOfOwnerCall>(&encode(&tasks))),
        F::tasksOfProvider(f) => of_provider(host, f.provider, cursor(f.before), f.limit)
            .map(|tasks| entry::answer::<ITasks::tasksOfProviderCall>(&encode(&tasks))),
    }
}

/// A task by its number.
///
/// # Errors
/// What the host reports.
pub fn get(host: &mut dyn Host, id: TaskId) -> Result<Option<Task>, Fault> {
    state::TASKS.get(host, &id)
}

/// How many tasks were created; they are numbered from 1.
///
/// # Errors
/// What the host reports.
pub fn count(host: &mut dyn Host) -> Result<u64, Fault> {
    state::COUNT.get(host, &())
}

/// What the module holds for tasks that have not ended: escrows and challenge bonds, in wei.
///
/// # Errors
/// What the host reports.
pub fn held(host: &mut dyn Host) -> Result<Amount, Fault> {
    state::HELD.get(host, &())
}

/// Up to `limit` tasks, newest first, with numbers below `before` if given.
///
/// # Errors
/// [`code::LIMIT_OUT_OF_BOUNDS`] past [`entry::MAX_PAGE`]; what the host reports.
pub fn list(host: &mut dyn Host, before: Option<TaskId>, limit: u64) -> Result<Vec<Task>, Fault> {
    entry::page(limit)?;
    let end = before.unwrap_or(u64::MAX).min(count(host)?.saturating_add(1));
    let start = end.saturating_sub(limit).max(1);
    (start..end).rev().map(|id| recorded(host, id)).collect()
}

/// Up to `limit` tasks of an owner, newest first, with numbers below `before` if given.
///
/// # Errors
/// As [`list`].
pub fn of_owner(
    host: &mut dyn Host,
    owner: Address,
    before: Option<TaskId>,
    limit: u64,
) -> Result<Vec<Task>, Fault> {
    of_party(host, &state::BY_OWNER, owner, (before, limit))
}

/// Up to `limit` tasks that a provider has or had to the end, newest first, with numbers below `before` if given.
///
/// # Errors
/// As [`list`].
pub fn of_provider(
    host: &mut dyn Host,
    provider: Address,
    before: Option<TaskId>,
    limit: u64,
) -> Result<Vec<Task>, Fault> {
    of_party(host, &state::BY_PROVIDER, provider, (before, limit))
}

/// How many of a provider's tasks have not ended, and how many of those are submitted: walks all of them.
pub(crate) fn active_of(host: &mut dyn Host, provider: Address) -> Result<(u32, u32), Fault> {
    let (mut active, mut submitted, mut before) = (0u32, 0u32, u64::MAX);
    while let Some(id) = state::BY_PROVIDER.below(host, provider, before)? {
        let state = recorded(host, id)?.state;
        active = active.saturating_add(u32::from(!state.is_terminal()));
        submitted = submitted.saturating_add(u32::from(state == TaskState::Submitted));
        before = id;
    }
    Ok((active, submitted))
}

fn of_party(
    host: &mut dyn Host,
    index: &TaskSet,
    party: Address,
    (before, limit): (Option<TaskId>, u64),
) -> Result<Vec<Task>, Fault> {
    entry::page(limit)?;
    let (mut tasks, mut before) = (Vec::new(), before.unwrap_or(u64::MAX));
    for _ in 0..limit {
        let Some(id) = index.below(host, party, before)? else { break };
        tasks.push(recorded(host, id)?);
        before = id;
    }
    Ok(tasks)
}

/// What contesting the result of a task costs: a part of its escrow.
fn challenge_bond(host: &mut dyn Host, task: &Task) -> Result<Amount, Fault> {
    Ok(task.escrow.share(host.block().params().challenge_bond_bps)?)
}

/// A task by the number that a caller gave.
fn known(host: &mut dyn Host, id: TaskId) -> Result<Task, Fault> {
    match get(host, id)? {
        Some(task) => Ok(task),
        None => {
            let message = format!("there is no task {id}: {} were created", count(host)?);
            Err(Fault::refused(code::UNKNOWN_TASK, message))
        }
    }
}

/// A task by a number that the module recorded.
fn recorded(host: &mut dyn Host, id: TaskId) -> Result<Task, Fault> {
    get(host, id)?.ok_or_else(|| entry::broken(&format!("task {id} has no record")))
}

fn cursor(before: u64) -> Option<TaskId> {
    (before > 0).then_some(before)
}

fn encode(tasks: &[Task]) -> Vec<ITasks::Task> {
    tasks.iter().map(ITasks::Task::from).collect()
}

#[cfg(test)]
mod tests;
