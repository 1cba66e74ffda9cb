//! Follow a task to its end.

use std::time::Duration;

use anyhow::Result;
use neura_client::Client;
use neura_types::{
    Address, Height,
    abi::{ITasks, SolCall},
    system,
    task::{EndReason, Task, TaskId, TaskState},
};

use super::{queue, submit::Step};
use crate::plain;

/// Pause between two looks at a task.
const LOOK: Duration = Duration::from_millis(150);
/// Looks at a task that is not accepted yet, between two at what its provider does meanwhile: some seconds.
const LOOKS_PER_QUEUE: u32 = 20;

/// Follows a task on from a state that the caller knows, until it is in one of `until` or has ended. States that it
/// passed through between two looks are told too.
///
/// # Errors
/// If no node answers, or there is no such task.
pub async fn watch(
    client: &Client,
    id: TaskId,
    known: TaskState,
    until: &[TaskState],
    mut on_step: impl FnMut(Step),
) -> Result<Task> {
    let mut last = (known, 0);
    let mut assigned: Option<(Address, Option<u64>)> = None;
    let (mut failures, mut looks, mut waiting) = (0u32, 0u32, None);
    loop {
        match client.existing_task(id).await {
            Ok(task) => {
                failures = 0;
                let step = task.checkpoint.as_ref().map(|noted| noted.step);
                let now = (task.terms.provider, step);
                if let Some(before) = assigned.replace(now).filter(|before| *before != now) {
                    on_step(progress(&task, before.0));
                }
                let seen = (task.state, task.challenges);
                if last != seen {
                    for (state, height) in passed(last.0, &task) {
                        let task = Box::new(Task { state, ..task.clone() });
                        on_step(Step::Changed { task, height });
                    }
                    last = seen;
                    let height = client.height().await.unwrap_or(task.created_at);
                    on_step(Step::Changed { task: Box::new(task.clone()), height });
                }
                if until.contains(&task.state) || task.state.is_terminal() {
                    return Ok(task);
                }
                looks = if task.state == TaskState::Assigned { looks + 1 } else { 0 };
                // Whom it waits for is told, and nothing depends on it.
                if looks % LOOKS_PER_QUEUE == LOOKS_PER_QUEUE / 2
                    && let Ok(Some(queue)) = queue::before(client, &task).await
                    && waiting.as_ref() != Some(&queue)
                {
                    waiting = Some(queue.clone());
                    on_step(Step::Waiting { queue });
                }
            }
            // Nodes restart; the task does not depend on the one that is asked.
            Err(error) if error.is_transient() && failures < 200 => failures += 1,
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What is new of a task whose provider or checkpoint is another than before.
fn progress(task: &Task, before: Address) -> Step {
    let to = task.terms.provider;
    match task.checkpoint.clone() {
        Some(checkpoint) if to == before => Step::Noted { checkpoint },
        noted => {
            Step::HandedOn { to, from_step: noted.map(|noted| noted.step), deadline: task.deadline }
        }
    }
}

/// What the provider said when it declined a task, if it did and the node still has the block.
pub async fn declined_because(client: &Client, task: &Task) -> Option<String> {
    let outcome = task.outcome.filter(|outcome| outcome.reason == EndReason::Declined)?;
    let block = client.block(&outcome.at.to_string()).await.ok()?;
    for hash in block.transaction_hashes {
        let sent = client.transaction(hash).await.ok()?;
        if sent.to == Some(system::TASKS)
            && let Ok(call) = ITasks::declineCall::abi_decode(&sent.input)
            && call.taskId == task.id
        {
            // A stranger's words: they must not steer a terminal.
            return Some(plain::line(&call.reason));
        }
    }
    None
}

/// States between the one that was seen last and the present one, with the heights at which they were entered.
fn passed(last: TaskState, task: &Task) -> Vec<(TaskState, Height)> {
    let mut states = Vec::new();
    if last < TaskState::Running && task.state > TaskState::Running && task.accepted_at > 0 {
        states.push((TaskState::Running, task.accepted_at));
    }
    if let Some(result) = &task.result
        && last < TaskState::Submitted
        && task.state > TaskState::Submitted
    {
        states.push((TaskState::Submitted, result.at));
    }
    states
}
