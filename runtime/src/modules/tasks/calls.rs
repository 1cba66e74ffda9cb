//! What owners and providers do to tasks.

use neura_types::{
    Amount,
    abi::ITasks::{self, submitCall},
    task::{EndReason, Party, Task, TaskId, TaskResult, TaskState, Terms},
};

use super::{challenge_bond, checks, deadlines, events, known, settlement, state};
use crate::modules::{
    code, entry,
    host::{Call, Fault, Host},
    providers, requesters,
};

pub(super) fn create(
    host: &mut dyn Host,
    call: &Call,
    terms: ITasks::Terms,
) -> Result<TaskId, Fault> {
    let terms = Terms::try_from(terms).map_err(|error| entry::malformed(&error.to_string()))?;
    let provider = checks::terms(host, call, &terms)?;
    let (height, window) = (host.block().height, host.block().params().accept_window_blocks);
    let id = state::COUNT.get(host, &())?.saturating_add(1);
    let task = Task {
        id,
        owner: call.caller,
        price_per_block: provider.price_per_block,
        escrow: call.value,
        challenge_bond: Amount::ZERO,
        challenges: 0,
        state: TaskState::Assigned,
        created_at: height,
        accepted_at: 0,
        submitted_at: 0,
        deadline: height.saturating_add(window),
        result: None,
        outcome: None,
        seen_at: height,
        checkpoint: None,
        terms,
    };
    state::COUNT.set(host, &(), id)?;
    state::BY_OWNER.insert(host, task.owner, id)?;
    state::BY_PROVIDER.insert(host, provider.address, id)?;
    settlement::hold(host, task.escrow)?;
    providers::task_started(host, provider)?;
    requesters::ensure(host, task.owner, task.terms.result_key)?;
    enter(host, &task)?;
    events::created(host, &task)?;
    Ok(id)
}

pub(super) fn accept(host: &mut dyn Host, call: &Call, id: TaskId) -> Result<(), Fault> {
    let mut task = known(host, id)?;
    checks::provider(&task, call.caller)?;
    checks::stands(host, &task, &[TaskState::Assigned])?;
    let height = host.block().height;
    task.state = TaskState::Running;
    task.accepted_at = height;
    task.seen_at = height;
    task.deadline = height.saturating_add(task.terms.duration_blocks);
    enter(host, &task)?;
    events::accepted(host, &task)
}

pub(super) fn decline(
    host: &mut dyn Host,
    call: &Call,
    id: TaskId,
    reason: String,
) -> Result<(), Fault> {
    let task = known(host, id)?;
    checks::provider(&task, call.caller)?;
    checks::stands(host, &task, &[TaskState::Assigned])?;
    entry::text("reason", &reason, checks::MAX_REASON)?;
    events::declined(host, &task, reason)?;
    settlement::refund(host, task, EndReason::Declined, Party::None)
}

pub(super) fn submit(host: &mut dyn Host, call: &Call, f: submitCall) -> Result<(), Fault> {
    let mut task = known(host, f.taskId)?;
    checks::provider(&task, call.caller)?;
    checks::stands(host, &task, &[TaskState::Running, TaskState::Verifying])?;
    let blob = f.blob.into();
    checks::blob("result", &blob)?;
    let (height, window) = (host.block().height, host.block().params().approve_window_blocks);
    let result = TaskResult { blob, commitment: f.commitment, at: height };
    if task.state == TaskState::Running {
        task.submitted_at = height;
    }
    task.state = TaskState::Submitted;
    task.deadline = height.saturating_add(window);
    task.result = Some(result.clone());
    providers::task_submitted(host, task.terms.provider)?;
    enter(host, &task)?;
    events::submitted(host, &task, &result)
}

pub(super) fn approve(host: &mut dyn Host, call: &Call, id: TaskId) -> Result<(), Fault> {
    let task = known(host, id)?;
    checks::owner(&task, call.caller)?;
    checks::stands(host, &task, &[TaskState::Submitted])?;
    settlement::settle(host, task, EndReason::Approved)
}

pub(super) fn challenge(
    host: &mut dyn Host,
    call: &Call,
    id: TaskId,
    reason: String,
) -> Result<(), Fault> {
    let mut task = known(host, id)?;
    checks::owner(&task, call.caller)?;
    checks::stands(host, &task, &[TaskState::Submitted])?;
    entry::text("reason", &reason, checks::MAX_REASON)?;
    let bond = challenge_bond(host, &task)?;
    if call.value != bond {
        let message = format!("contesting task {id} costs {bond}: {} were sent", call.value);
        return Err(Fault::refused(code::WRONG_CHALLENGE_BOND, message));
    }
    settlement::hold(host, bond)?;
    let replaced = task.challenges > 0;
    task.challenges = task.challenges.saturating_add(1);
    task.challenge_bond = task.challenge_bond.add(bond)?;
    if replaced {
        events::challenged(host, &task, bond, reason)?;
        return settlement::veto(host, task);
    }
    let (height, window) = (host.block().height, host.block().params().respond_window_blocks);
    task.state = TaskState::Verifying;
    task.deadline = height.saturating_add(window);
    providers::task_contested(host, task.terms.provider)?;
    enter(host, &task)?;
    events::challenged(host, &task, bond, reason)
}

pub(super) fn cancel(host: &mut dyn Host, call: &Call, id: TaskId) -> Result<(), Fault> {
    let task = known(host, id)?;
    checks::owner(&task, call.caller)?;
    checks::stands(host, &task, &[TaskState::Assigned])?;
    settlement::refund(host, task, EndReason::CancelledByOwner, Party::None)
}

/// Writes a task in a state that is not terminal, and queues it for its deadline.
pub(super) fn enter(host: &mut dyn Host, task: &Task) -> Result<(), Fault> {
    state::TASKS.put(host, &task.id, task)?;
    deadlines::schedule(host, task.deadline, task.id)
}
