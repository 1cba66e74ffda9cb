//! Decide the next step of a task from what the chain says of it and what the journal remembers. Pure.

#[cfg(test)]
mod tests;

use neura_types::{
    Address,
    task::{Task, TaskState},
};

use crate::journal::{Entry, ResultRecord, SignedTx, Stage};

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing until the chain moves the task on.
    Wait,
    /// It is over, or was never ours: remove what is remembered.
    Finish,
    /// Look at terms and payload, then accept or decline.
    Vet,
    /// Send what was signed, again if need be.
    Send(SignedTx),
    /// The owner contested the result: do the work again in this round.
    Redo(u8),
    /// Compute the result.
    Execute,
    /// Put the result into the store.
    Upload(ResultRecord),
    /// Sign the submission and send it.
    Submit(ResultRecord),
}

/// The next step of `task` for the provider `me`.
///
/// The chain's state comes first: whatever the journal says, a task is answered only while it is offered, and
/// computed and submitted only while it is running or contested.
pub(crate) fn next_step(me: Address, task: &Task, entry: &Entry) -> Step {
    if task.terms.provider != me {
        return Step::Finish;
    }
    match task.state {
        TaskState::Settled | TaskState::Refunded | TaskState::Cancelled | TaskState::Slashed => {
            Step::Finish
        }
        TaskState::Open | TaskState::Submitted => Step::Wait,
        TaskState::Assigned => match &entry.stage {
            Stage::Answering { tx, .. } => Step::Send(tx.clone()),
            _ => Step::Vet,
        },
        TaskState::Running | TaskState::Verifying if entry.round < task.challenges => {
            Step::Redo(task.challenges)
        }
        TaskState::Running | TaskState::Verifying => match &entry.stage {
            Stage::Seen | Stage::Answering { .. } => Step::Execute,
            Stage::Executed { result } => Step::Upload(result.clone()),
            Stage::Uploaded { result } => Step::Submit(result.clone()),
            Stage::Submitting { tx, .. } => Step::Send(tx.clone()),
        },
    }
}
