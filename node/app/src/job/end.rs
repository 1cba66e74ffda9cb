//! Say how a task ended, or why it has no result.

use neura_types::task::{EndReason, Outcome, Party, Task, TaskState};

/// How a task ended, and by whose fault.
#[must_use]
pub fn describe_end(task: &Task) -> String {
    task.outcome.map_or_else(
        || task.state.name().to_owned(),
        |Outcome { reason, at_fault, .. }| {
            let why = match reason {
                EndReason::Approved => "approved by the owner",
                EndReason::AcceptedByTimeout => "accepted as the owner's window passed",
                EndReason::CancelledByOwner => "cancelled by the owner",
                EndReason::Declined => "declined by the provider",
                EndReason::NotAccepted => "not accepted in time",
                EndReason::NotSubmitted => "no result in time",
                EndReason::ResultWithdrawn => "contested result not replaced in time",
                EndReason::ResultContested => "result contested twice",
            };
            match at_fault {
                Party::None => why.to_owned(),
                Party::Owner => format!("{why} (the owner is at fault)"),
                Party::Provider => format!("{why} (the provider is at fault)"),
            }
        },
    )
}

/// Why a task has no result, and what its owner can do; `because` is what the provider said when it declined.
pub(super) fn no_result(task: &Task, because: Option<&str>) -> String {
    let Task { id, deadline, .. } = task;
    let because = because.map(|reason| format!(": {reason}")).unwrap_or_default();
    match task.state {
        TaskState::Open | TaskState::Assigned => format!(
            "task {id} has no result yet: its provider has not accepted it, and may do so up to block {deadline}. \
             `neura task watch {id}` follows it, `neura task cancel {id}` takes it back"
        ),
        TaskState::Running | TaskState::Submitted | TaskState::Verifying => format!(
            "task {id} has no result yet: its provider works on it, up to block {deadline} at most. \
             `neura task watch {id}` follows it"
        ),
        TaskState::Settled | TaskState::Refunded | TaskState::Cancelled | TaskState::Slashed => {
            format!(
                "task {id} has no result and will have none: {}{because}. What was not spent of its escrow is back with its \
             owner; `neura task submit` offers the job again, with --provider to another one",
                describe_end(task)
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use neura_types::{Amount, task::Settlement};

    use super::*;
    use crate::job::queue::tests::task;

    #[test]
    fn a_task_without_a_result_is_told_with_what_to_do() {
        let told = |state, because| no_result(&task(7, state), because);
        assert!(told(TaskState::Assigned, None).contains("has not accepted it"));
        assert!(told(TaskState::Assigned, None).contains("neura task cancel 7"));
        assert!(told(TaskState::Running, None).contains("works on it, up to block 107"));
        let settlement = Settlement { refund: Amount(5), ..Settlement::default() };
        let (reason, at_fault) = (EndReason::Declined, Party::None);
        let outcome = Some(Outcome { reason, at_fault, at: 9, settlement });
        let declined = Task { outcome, ..task(7, TaskState::Refunded) };
        let text = no_result(&declined, Some("busy: the device is at work"));
        assert!(text.contains("declined by the provider: busy: the device is at work."), "{text}");
        assert!(text.contains("--provider") && !text.contains("Refunded"), "{text}");
    }
}
