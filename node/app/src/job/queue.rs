//! What a provider is at work on while others wait for it.

use neura_client::{Client, ClientError};
use neura_types::{
    Address, Height,
    task::{Task, TaskId, TaskState},
};
use serde::Serialize;

/// What comes before a task at its provider, as far as the chain knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Queue {
    /// The task that the provider is at work on.
    pub busy_with: TaskId,
    /// Height up to which it may take for that.
    pub until: Height,
    /// Tasks that were offered to the provider earlier and wait too.
    pub ahead: usize,
    /// Height up to which the task waits; after it the escrow returns.
    pub deadline: Height,
}

/// What comes before a task that waits for its provider; nothing if the provider is at work on no other.
///
/// # Errors
/// If no node answers.
pub(super) async fn before(client: &Client, task: &Task) -> Result<Option<Queue>, ClientError> {
    let page = client.tasks_of_provider(task.terms.provider, None).await?;
    Ok(queue(task, &page.items))
}

fn queue(task: &Task, all: &[Task]) -> Option<Queue> {
    let others = || all.iter().filter(|other| other.id != task.id);
    let busy = others()
        .filter(|other| matches!(other.state, TaskState::Running | TaskState::Verifying))
        .min_by_key(|other| other.deadline)?;
    let earlier =
        |other: &&Task| other.state == TaskState::Assigned && other.created_at < task.created_at;
    let ahead = others().filter(earlier).count();
    Some(Queue { busy_with: busy.id, until: busy.deadline, ahead, deadline: task.deadline })
}

/// How full a provider is, with what, and until when.
///
/// # Errors
/// If no node answers.
pub(super) async fn places(client: &Client, provider: Address) -> Result<String, ClientError> {
    let entry = client.existing_provider(provider).await?;
    let page = client.tasks_of_provider(provider, None).await?;
    let mut tasks: Vec<&Task> = page.items.iter().filter(|task| takes_a_place(task)).collect();
    tasks.sort_by_key(|task| task.deadline);
    let list: Vec<String> = tasks
        .iter()
        .take(MAX_LISTED)
        .map(|task| {
            format!(
                "task {} ({}, until block {} at most)",
                task.id,
                task.state.name(),
                task.deadline
            )
        })
        .collect();
    let height = client.height().await?;
    Ok(format!(
        "{provider} is at work on {} of at most {}: {}; now: block {height}",
        entry.working_tasks(),
        entry.capacity,
        list.join(", ")
    ))
}

/// Tasks of a full provider that are listed.
const MAX_LISTED: usize = 8;

fn takes_a_place(task: &Task) -> bool {
    matches!(task.state, TaskState::Assigned | TaskState::Running | TaskState::Verifying)
}

#[cfg(test)]
pub(super) mod tests {
    use neura_types::{
        Amount, B256,
        task::{BlobRef, Requirement, ResultPrivacy, Terms, VerificationPolicy},
    };

    use super::*;

    pub(in crate::job) fn task(id: TaskId, state: TaskState) -> Task {
        let terms = Terms {
            payload: BlobRef::NONE,
            envelope_nonce: B256::ZERO,
            provider: Address::ZERO,
            key_epoch: 1,
            result_key: B256::ZERO,
            requirement: Requirement::default(),
            executor: "int8".into(),
            duration_blocks: 9,
            verification: VerificationPolicy::None,
            privacy: ResultPrivacy::Sealed,
        };
        Task {
            id,
            owner: Address::ZERO,
            price_per_block: Amount::ZERO,
            escrow: Amount::ZERO,
            challenge_bond: Amount::ZERO,
            challenges: 0,
            state,
            created_at: id,
            accepted_at: 0,
            submitted_at: 0,
            deadline: 100 + id,
            result: None,
            outcome: None,
            seen_at: 0,
            checkpoint: None,
            terms,
        }
    }

    #[test]
    fn a_task_is_told_what_its_provider_does_before_it() {
        let own = task(5, TaskState::Assigned);
        let all = [
            task(7, TaskState::Assigned),
            own.clone(),
            task(4, TaskState::Assigned),
            task(3, TaskState::Running),
            task(2, TaskState::Submitted),
            task(1, TaskState::Settled),
        ];
        let found = queue(&own, &all).unwrap();
        assert_eq!(found, Queue { busy_with: 3, until: 103, ahead: 1, deadline: 105 });
        assert_eq!(queue(&own, &all[..3]), None, "a provider that is about to answer is not busy");
    }
}
