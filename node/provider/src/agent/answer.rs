//! Look at an offered task, and accept or decline it.

use std::time::Duration;

use neura_client::{ClientError, Outgoing};
use neura_gpu::Launches;
use neura_types::{
    U256,
    abi::{ITasks, SolCall},
    hash::content_hash,
    system,
    task::Task,
};

use super::{
    core::{Core, TaskError, blocking},
    drive::{Drive, Next},
};
use crate::{
    Progress,
    executor::Executor,
    job::{Means, Refusal, check_int8, check_launches, check_terms, open_payload},
    journal::{Entry, Part, SignedTx, Stage},
    worker::{Limits, WorkerError},
};

/// Blocks before the end of an offer at which a task that still waits for its place is declined.
const BUSY_MARGIN: u64 = 20;

/// Time to read a job without running it.
const CHECK_TIME: Duration = Duration::from_secs(30);

/// A task is not taken, or it cannot be told yet.
pub(super) enum Doubt {
    No(Refusal),
    Failed(TaskError),
}

impl<E: Into<TaskError>> From<E> for Doubt {
    fn from(error: E) -> Self {
        match error.into() {
            TaskError::Refusal(refusal) => Self::No(refusal),
            error => Self::Failed(error),
        }
    }
}

impl Core {
    /// Checks everything that can be checked, waits for a place, and answers.
    pub(super) async fn vet(
        &self,
        task: &Task,
        entry: Entry,
        drive: &mut Drive,
    ) -> Result<Next, TaskError> {
        self.save(&entry).await?;
        match self.judge(task, drive).await {
            Ok(()) => self.answer(entry, None).await,
            // A refusal would come too late as well; the chain returns the escrow.
            Err(Doubt::No(refusal)) if refusal.code == "deadline_passed" => {
                Err(TaskError::Deadline(task.deadline))
            }
            Err(Doubt::No(refusal)) => self.answer(entry, Some(refusal)).await,
            Err(Doubt::Failed(error)) => Err(error),
        }
    }

    async fn judge(&self, task: &Task, drive: &mut Drive) -> Result<(), Doubt> {
        let registered = self.entry();
        let means = Means {
            entry: &registered,
            capability: &self.capability,
            max_payload: self.config.limits.max_payload_bytes,
            height: self.height(),
        };
        let executor = check_terms(task, &means)?;
        self.check_payload(task, executor, drive).await?;
        if drive.place.is_none() {
            let places = self.places.of(executor);
            let last = task.deadline.saturating_sub(BUSY_MARGIN);
            drive.place = tokio::select! {
                permit = places.clone().acquire_owned() => permit.ok(),
                () = self.reached(last), if places.available_permits() == 0 => {
                    let what = if executor.needs_device() { "the device" } else { "the processor" };
                    let detail = format!("{what} is at work on other tasks until the offer ends");
                    return Err(Doubt::No(Refusal::new("busy", detail)));
                }
            };
        }
        Ok(())
    }

    /// Fetches the payload, opens it and decodes the job in it.
    async fn check_payload(
        &self,
        task: &Task,
        executor: Executor,
        drive: &mut Drive,
    ) -> Result<(), Doubt> {
        let sealed = match self.payload(task).await {
            Err(TaskError::Payload(error)) => {
                drive.fetches += 1;
                if drive.fetches < self.config.timing.fetch_attempts {
                    return Err(Doubt::Failed(TaskError::Payload(error)));
                }
                let code = match error {
                    ClientError::NotProven(_) => "payload_mismatch",
                    _ => "payload_unavailable",
                };
                return Err(Doubt::No(Refusal::new(code, error)));
            }
            fetched => fetched?,
        };
        // Closed only with the agent.
        let _turn = self.vetting.acquire().await;
        let power = self.power.for_task(task.terms.duration_blocks);
        let (chain_id, keys) = (self.chain_id, self.operator.keys.clone());
        let of = task.clone();
        let plain = blocking(move || {
            let plain = open_payload(chain_id, &of, &keys, &sealed, executor.max_payload())?;
            if executor == Executor::Int8 {
                check_int8(&plain, power)?;
            }
            Ok::<_, Refusal>(plain)
        });
        let plain = plain.await??;
        let bytes = plain.len() as u64;
        self.say(Progress::PayloadOpened { task: task.id, bytes });
        if executor.runs_foreign_code() {
            let launches = self.check_foreign(executor, &plain).await?;
            launches.map_or(Ok(()), |launches| check_launches(launches, power))?;
        }
        Ok(())
    }

    /// Has a worker read a job: its parsers are not of ours, and what breaks them is the job's fault.
    async fn check_foreign(
        &self,
        executor: Executor,
        plain: &[u8],
    ) -> Result<Option<Launches>, Doubt> {
        let timeout = CHECK_TIME.min(self.config.limits.job_timeout);
        let limits = Limits { timeout, max_result: self.power.max_stored };
        match self.worker.check(executor, plain, limits).await {
            Ok(launches) => Ok(launches),
            // The job cannot help it.
            Err(error @ (WorkerError::Start { .. } | WorkerError::Killed { .. })) => {
                Err(Doubt::Failed(error.into()))
            }
            Err(error) => Err(Doubt::No(Refusal::new("invalid_job", error))),
        }
    }

    /// The sealed payload: from the journal's folder, or from the store, and then kept there.
    pub(super) async fn payload(&self, task: &Task) -> Result<Vec<u8>, TaskError> {
        let (id, wanted) = (task.id, task.terms.payload.clone());
        let (hash, size) = (wanted.hash, wanted.size);
        let kept = self.with_journal(move |journal| journal.read(id, Part::Payload, size)).await?;
        if let Some(kept) = kept.filter(|kept| content_hash(kept) == hash) {
            return Ok(kept);
        }
        let fetched = self.fetch(task).await?;
        let copy = fetched.clone();
        self.with_journal(move |journal| journal.write(id, Part::Payload, &copy)).await?;
        self.say(Progress::PayloadFetched { task: id, bytes: size });
        Ok(fetched)
    }

    /// Fetches the payload from the node, which has it or gets it from its peers. The node's address is the
    /// operator's choice: nothing that a stranger names is ever called.
    async fn fetch(&self, task: &Task) -> Result<Vec<u8>, TaskError> {
        let (hash, size) = (task.terms.payload.hash, task.terms.payload.size);
        let limit = usize::try_from(size).unwrap_or(usize::MAX);
        match self.operator.client.blob(hash, limit).await {
            Ok(bytes) if bytes.len() as u64 == size => Ok(bytes),
            Ok(_) | Err(ClientError::TooLarge { .. }) => {
                Err(Refusal::new("payload_size", format!("the payload has not {size} bytes"))
                    .into())
            }
            Err(error) if error.is_transient() => Err(error.into()),
            Err(error) => Err(TaskError::Payload(error)),
        }
    }

    /// Signs the answer, writes it down, sends it.
    async fn answer(&self, entry: Entry, refusal: Option<Refusal>) -> Result<Next, TaskError> {
        let id = entry.task;
        let reason = refusal.map(|refusal| refusal.reason());
        let input = match &reason {
            None => ITasks::acceptCall { taskId: id }.abi_encode(),
            Some(reason) => ITasks::declineCall { taskId: id, reason: reason.clone() }.abi_encode(),
        };
        let call = Outgoing::call(system::TASKS, U256::ZERO, input);
        let prepared = self.operator.sender.prepare(call).await?;
        let (tx, transaction) = (SignedTx { raw: prepared.raw().clone() }, prepared.hash());
        let stage = Stage::Answering { tx: tx.clone(), refusal: reason.clone() };
        let entry = Entry { stage, ..entry };
        self.save(&entry).await?;
        self.say(match reason {
            None => Progress::Accepting { task: id, transaction },
            Some(reason) => Progress::Declining { task: id, reason, transaction },
        });
        // What the node says now, it says again when the transaction is followed.
        let _ = prepared.send().await;
        self.send(entry, tx).await
    }
}
