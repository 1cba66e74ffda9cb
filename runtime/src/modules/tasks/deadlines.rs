//! Move tasks on whose deadline has come: a queue for each height, worked off at the end of its block.
//!
//! Entries are only appended. A task that moved on by itself leaves a stale entry behind, which is told by the task's
//! deadline being another height. What a block's budget does not cover stays queued, and the next blocks continue from
//! the recorded backlog, oldest height first.

use neura_types::{
    Height,
    task::{EndReason, Party, TaskId, TaskState},
};

use super::{get, settlement, state};
use crate::modules::{
    entry,
    host::{Fault, Host},
};

/// Most heights that one block end looks at while it catches up; each block adds one, so that it always gains.
const MAX_HEIGHTS_PER_BLOCK: u64 = 256;

/// Queues a task for the end of the block at `deadline`, which lies ahead.
pub(super) fn schedule(host: &mut dyn Host, deadline: Height, id: TaskId) -> Result<(), Fault> {
    let position = state::DUE_COUNT.get(host, &deadline)?;
    state::DUE.set(host, &(deadline, position), id)?;
    state::DUE_COUNT.set(host, &deadline, position.saturating_add(1))
}

/// Works off what is due, oldest first, within the block's budget. Writes nothing if nothing is due.
pub(crate) fn end_block(host: &mut dyn Host) -> Result<(), Fault> {
    let now = host.block().height;
    let mut budget = u64::from(host.block().params().max_settlements_per_block);
    let backlog = state::BACKLOG_HEIGHT.get(host, &())?;
    let (mut height, mut position) = match backlog {
        0 => (now, 0),
        _ => (backlog, state::BACKLOG_POSITION.get(host, &())?),
    };
    let last = now.min(height.saturating_add(MAX_HEIGHTS_PER_BLOCK));
    while height <= last {
        let queued = state::DUE_COUNT.get(host, &height)?;
        while position < queued && budget > 0 {
            let id = state::DUE.get(host, &(height, position))?;
            state::DUE.set(host, &(height, position), 0)?;
            expire(host, height, id)?;
            position = position.saturating_add(1);
            budget = budget.saturating_sub(1);
        }
        if position < queued {
            break;
        }
        if queued > 0 {
            state::DUE_COUNT.set(host, &height, 0)?;
        }
        height = height.saturating_add(1);
        position = 0;
    }
    let (left, left_position) = if height > now { (0, 0) } else { (height, position) };
    if (left, left_position) != (0, 0) || backlog != 0 {
        state::BACKLOG_HEIGHT.set(host, &(), left)?;
        state::BACKLOG_POSITION.set(host, &(), left_position)?;
    }
    Ok(())
}

/// Ends a task, unless it has moved on since it was queued.
fn expire(host: &mut dyn Host, height: Height, id: TaskId) -> Result<(), Fault> {
    let Some(task) = get(host, id)?.filter(|task| task.deadline == height) else {
        return Ok(());
    };
    match task.state {
        TaskState::Assigned => {
            settlement::refund(host, task, EndReason::NotAccepted, Party::Provider)
        }
        TaskState::Running => {
            settlement::refund(host, task, EndReason::NotSubmitted, Party::Provider)
        }
        TaskState::Submitted => settlement::settle(host, task, EndReason::AcceptedByTimeout),
        TaskState::Verifying => {
            settlement::refund(host, task, EndReason::ResultWithdrawn, Party::Provider)
        }
        TaskState::Open
        | TaskState::Settled
        | TaskState::Refunded
        | TaskState::Cancelled
        | TaskState::Slashed => {
            Err(entry::broken(&format!("task {id} is {} with a deadline", task.state.name())))
        }
    }
}
