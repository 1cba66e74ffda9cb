//! What keeps a task alive while it is worked on, and what becomes of it when its provider is not.

use neura_types::{
    abi::ITasks::{checkpointCall, reassignCall},
    task::{BlobRef, Checkpoint, Party, Task, TaskId, TaskState, Terms},
};

use super::{calls, checks, events, known, state};
use crate::modules::{
    code,
    host::{Call, Fault, Host},
    providers,
    record::Ending,
};

pub(super) fn heartbeat(host: &mut dyn Host, call: &Call, id: TaskId) -> Result<(), Fault> {
    let mut task = working(host, call, id)?;
    task.seen_at = host.block().height;
    state::TASKS.put(host, &id, &task)
}

pub(super) fn checkpoint(host: &mut dyn Host, call: &Call, f: checkpointCall) -> Result<(), Fault> {
    let mut task = working(host, call, f.taskId)?;
    let blob: BlobRef = f.blob.into();
    checks::blob("checkpoint", &blob)?;
    let before = task.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.step);
    if f.step <= before {
        let message = format!(
            "the last checkpoint of task {} is of step {before}: {} is no later one",
            task.id, f.step
        );
        return Err(Fault::refused(code::STEP_NOT_RISING, message));
    }
    let noted = Checkpoint { step: f.step, at: host.block().height, blob };
    task.seen_at = noted.at;
    task.checkpoint = Some(noted.clone());
    state::TASKS.put(host, &task.id, &task)?;
    events::checkpoint_noted(host, &task, &noted)
}

pub(super) fn reassign(host: &mut dyn Host, call: &Call, f: reassignCall) -> Result<(), Fault> {
    let mut task = known(host, f.taskId)?;
    checks::owner(&task, call.caller)?;
    checks::stands(host, &task, &[TaskState::Assigned, TaskState::Running])?;
    let at_fault = replaceable(host, &task)?;
    let (from, was) = (task.terms.provider, task.state);
    if f.provider == from {
        let message = format!("task {} is with {from} already: name another provider", task.id);
        return Err(Fault::refused(code::SAME_PROVIDER, message));
    }
    let payload = f.payload.into();
    checks::blob("payload", &payload)?;
    let checkpoint = handed_on(&task, f.resumeFrom.into())?;
    task.terms = Terms { payload, provider: f.provider, key_epoch: f.keyEpoch, ..task.terms };
    let provider = checks::taker(host, &task.terms, task.escrow)?;

    let (height, window) = (host.block().height, host.block().params().accept_window_blocks);
    task.price_per_block = provider.price_per_block;
    task.state = TaskState::Assigned;
    task.accepted_at = 0;
    task.seen_at = height;
    task.deadline = height.saturating_add(window);
    task.checkpoint = checkpoint;
    let ending = match at_fault {
        Party::Provider => Ending::AtFault,
        Party::None | Party::Owner => Ending::Refunded,
    };
    state::BY_PROVIDER.remove(host, from, task.id)?;
    state::BY_PROVIDER.insert(host, f.provider, task.id)?;
    providers::task_ended(host, from, was, ending)?;
    providers::task_started(host, provider)?;
    calls::enter(host, &task)?;
    events::reassigned(host, &task, from, at_fault)
}

/// A running task, for its provider.
fn working(host: &mut dyn Host, call: &Call, id: TaskId) -> Result<Task, Fault> {
    let task = known(host, id)?;
    checks::provider(&task, call.caller)?;
    checks::stands(host, &task, &[TaskState::Running])?;
    Ok(task)
}

/// Admits a task whose provider may be replaced; returns whose fault that is.
fn replaceable(host: &mut dyn Host, task: &Task) -> Result<Party, Fault> {
    if task.state == TaskState::Assigned {
        return Ok(Party::None);
    }
    let (now, silence) = (host.block().height, host.block().params().silence_blocks);
    let last = task.seen_at.saturating_add(silence);
    if now > last {
        return Ok(Party::Provider);
    }
    let message = format!(
        "the provider of task {} was seen in block {}: it may be replaced from block {} on if it stays silent; now: {now}",
        task.id,
        task.seen_at,
        last.saturating_add(1)
    );
    Err(Fault::refused(code::PROVIDER_ALIVE, message))
}

/// The checkpoint that the next provider gets: that of the former one, sealed anew, or none.
fn handed_on(task: &Task, blob: BlobRef) -> Result<Option<Checkpoint>, Fault> {
    if blob == BlobRef::NONE {
        return Ok(None);
    }
    checks::blob("checkpoint", &blob)?;
    let Some(Checkpoint { step, at, .. }) = task.checkpoint else {
        let message = format!("task {} has no checkpoint: give an empty reference", task.id);
        return Err(Fault::refused(code::NO_CHECKPOINT, message));
    };
    Ok(Some(Checkpoint { step, at, blob }))
}
