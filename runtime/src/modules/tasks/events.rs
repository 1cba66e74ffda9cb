//! The module's events.

use alloy_primitives::Address;
use neura_types::{
    Amount,
    abi::ITasks,
    system,
    task::{Checkpoint, Outcome, Party, Task, TaskResult},
};

use crate::modules::{
    entry::emit,
    host::{Fault, Host},
};

pub(super) fn created(host: &mut dyn Host, task: &Task) -> Result<(), Fault> {
    let event = ITasks::TaskCreated {
        taskId: task.id,
        owner: task.owner,
        provider: task.terms.provider,
        escrow: task.escrow.0,
        deadline: task.deadline,
    };
    emit(host, system::TASKS, &event)
}

pub(super) fn accepted(host: &mut dyn Host, task: &Task) -> Result<(), Fault> {
    let event = ITasks::TaskAccepted {
        taskId: task.id,
        owner: task.owner,
        provider: task.terms.provider,
        deadline: task.deadline,
    };
    emit(host, system::TASKS, &event)
}

pub(super) fn declined(host: &mut dyn Host, task: &Task, reason: String) -> Result<(), Fault> {
    let event = ITasks::TaskDeclined {
        taskId: task.id,
        owner: task.owner,
        provider: task.terms.provider,
        reason,
    };
    emit(host, system::TASKS, &event)
}

pub(super) fn checkpoint_noted(
    host: &mut dyn Host,
    task: &Task,
    noted: &Checkpoint,
) -> Result<(), Fault> {
    let event = ITasks::CheckpointNoted {
        taskId: task.id,
        owner: task.owner,
        provider: task.terms.provider,
        step: noted.step,
        blob: (&noted.blob).into(),
    };
    emit(host, system::TASKS, &event)
}

pub(super) fn reassigned(
    host: &mut dyn Host,
    task: &Task,
    from: Address,
    at_fault: Party,
) -> Result<(), Fault> {
    let event = ITasks::Reassigned {
        taskId: task.id,
        from,
        to: task.terms.provider,
        owner: task.owner,
        atFault: at_fault.into(),
        step: task.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.step),
        deadline: task.deadline,
    };
    emit(host, system::TASKS, &event)
}

pub(super) fn submitted(
    host: &mut dyn Host,
    task: &Task,
    result: &TaskResult,
) -> Result<(), Fault> {
    let event = ITasks::ResultSubmitted {
        taskId: task.id,
        owner: task.owner,
        provider: task.terms.provider,
        blob: (&result.blob).into(),
        commitment: result.commitment,
        deadline: task.deadline,
    };
    emit(host, system::TASKS, &event)
}

pub(super) fn challenged(
    host: &mut dyn Host,
    task: &Task,
    bond: Amount,
    reason: String,
) -> Result<(), Fault> {
    let event = ITasks::ResultChallenged {
        taskId: task.id,
        owner: task.owner,
        provider: task.terms.provider,
        bond: bond.0,
        reason,
        deadline: task.deadline,
    };
    emit(host, system::TASKS, &event)
}

pub(super) fn ended(host: &mut dyn Host, task: &Task, outcome: &Outcome) -> Result<(), Fault> {
    let event = ITasks::TaskEnded {
        taskId: task.id,
        owner: task.owner,
        provider: task.terms.provider,
        state: task.state.into(),
        reason: outcome.reason.into(),
        atFault: outcome.at_fault.into(),
        settlement: (&outcome.settlement).into(),
    };
    emit(host, system::TASKS, &event)
}
