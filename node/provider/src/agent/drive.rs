//! Take one task as far as it goes now.

use std::time::Duration;

use neura_types::task::{Task, TaskId};
use tokio::sync::OwnedSemaphorePermit;

use super::core::{Core, TaskError};
use crate::{
    Progress,
    journal::{Entry, Part, SignedTx, Stage},
    plan::{Step, next_step},
};
use neura_client::ClientError;

/// Whether there is more to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Look again at once.
    Again,
    /// Nothing until the chain moves the task on.
    Idle,
}

/// What a driver remembers between steps.
#[derive(Debug, Default)]
pub(super) struct Drive {
    /// Where this task is computed, while it has that.
    pub(super) place: Option<OwnedSemaphorePermit>,
    /// Times that the store did not give the payload.
    pub(super) fetches: u32,
    /// Whether an execution was begun.
    pub(super) begun: bool,
    /// Executions begun since one got further.
    pub(super) attempts: u32,
    /// Whether the last execution got further before it failed.
    pub(super) advanced: bool,
    /// Whether the task was announced.
    announced: bool,
}

impl Core {
    /// Does whatever a task needs until it has to wait for others, or is given up.
    pub(super) async fn drive(&self, id: TaskId) {
        let mut drive = Drive::default();
        let (mut failures, mut last_code) = (0, String::new());
        let mut pause = self.config.timing.retry_first;
        loop {
            let (task, error) = match self.advance(id, &mut drive).await {
                Ok(Next::Again) => {
                    pause = self.config.timing.retry_first;
                    continue;
                }
                Ok(Next::Idle) => return,
                Err(failed) => failed,
            };
            let code = error.code().to_owned();
            let advanced = std::mem::take(&mut drive.advanced);
            let repeated = code == last_code && !advanced;
            failures = if repeated { failures + 1 } else { 1 };
            let cause = error.to_string();
            if let (Some(tries), Some(task)) = (error.tries(&self.config), &task)
                && failures >= tries
            {
                tracing::warn!(task = id, code, cause, "task given up");
                self.give_up(task);
                self.say(Progress::GivenUp { task: id, code, cause });
                return;
            }
            tracing::info!(task = id, code, cause, "step failed, trying again");
            self.say(Progress::Retrying { task: id, code: code.clone(), cause });
            last_code = code;
            tokio::time::sleep(pause).await;
            pause = Duration::min(pause * 2, self.config.timing.retry_last);
        }
    }

    /// Asks the chain, asks the journal, does one thing. An error comes with the task, if that is known.
    async fn advance(
        &self,
        id: TaskId,
        drive: &mut Drive,
    ) -> Result<Next, (Option<Task>, TaskError)> {
        let found = self.operator.client.task(id).await.map_err(|error| (None, error.into()))?;
        let Some(task) = found else { return Ok(Next::Idle) };
        match self.step(&task, drive).await {
            Ok(next) => Ok(next),
            Err(error) => Err((Some(task), error)),
        }
    }

    async fn step(&self, task: &Task, drive: &mut Drive) -> Result<Next, TaskError> {
        let id = task.id;
        let known = self.journal.has(id);
        let entry = self.with_journal(move |journal| journal.load(id)).await?;
        let step = next_step(self.operator.address(), task, &entry);
        match step {
            Step::Finish => return self.finish(task, known).await,
            Step::Wait => return Ok(Next::Idle),
            _ if self.gave_up(task) => return Ok(Next::Idle),
            _ => self.announce(task, known, drive),
        }
        match step {
            Step::Wait | Step::Finish => Ok(Next::Idle),
            Step::Vet => self.vet(task, entry, drive).await,
            Step::Send(tx) => self.send(entry, tx).await,
            Step::Redo(round) => {
                self.say(Progress::Contested { task: id, round });
                self.with_journal(move |journal| journal.remove(id, Part::Checkpoint)).await?;
                self.save(&Entry { round, ..Entry::new(id) }).await?;
                Ok(Next::Again)
            }
            Step::Execute => self.execute(task, entry, drive).await,
            Step::Upload(result) => {
                drive.place = None;
                self.upload(entry, result).await
            }
            Step::Submit(result) => self.submit(entry, result).await,
        }
    }

    /// Says once per driver what it begins with.
    fn announce(&self, task: &Task, known: bool, drive: &mut Drive) {
        if std::mem::replace(&mut drive.announced, true) {
            return;
        }
        let (id, state) = (task.id, task.state);
        self.say(match known {
            true => Progress::TaskResumed { task: id, state },
            false => Progress::TaskOffered {
                task: id,
                owner: task.owner,
                escrow: task.escrow,
                deadline: task.deadline,
            },
        });
    }

    async fn finish(&self, task: &Task, known: bool) -> Result<Next, TaskError> {
        if known {
            let id = task.id;
            self.with_journal(move |journal| journal.forget(id)).await?;
            let reason = task.outcome.map(|outcome| outcome.reason);
            let earned =
                task.outcome.map(|outcome| outcome.settlement.provider).unwrap_or_default();
            self.say(Progress::Ended { task: id, state: task.state, reason, earned });
        }
        Ok(Next::Idle)
    }

    /// Sends what the journal holds, until it is executed. Where it never can be, or was refused, the stage before it
    /// is restored, and the chain's state decides anew.
    pub(super) async fn send(&self, entry: Entry, tx: SignedTx) -> Result<Next, TaskError> {
        match self.operator.sender.send_and_wait(tx.raw).await {
            Ok(confirmed) => {
                let (task, height) = (entry.task, confirmed.height);
                self.saw(height);
                self.say(match &entry.stage {
                    Stage::Answering { refusal: None, .. } => Progress::Accepted { task, height },
                    Stage::Answering { refusal: Some(_), .. } => {
                        Progress::Declined { task, height }
                    }
                    _ => Progress::Submitted { task, height },
                });
                Ok(Next::Again)
            }
            Err(error) if error.is_transient() => Err(error.into()),
            Err(error) => {
                let stage = match entry.stage {
                    Stage::Submitting { result, .. } => Stage::Uploaded { result },
                    _ => Stage::Seen,
                };
                self.save(&Entry { stage, ..entry }).await?;
                match error {
                    ClientError::NonceTaken { .. } => Ok(Next::Again),
                    error => Err(error.into()),
                }
            }
        }
    }
}
