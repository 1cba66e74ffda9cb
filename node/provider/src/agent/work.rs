//! Compute an accepted task's result, store it, submit it.

use std::time::Instant;

use neura_blobs::Locator;
use neura_client::Outgoing;
use neura_int8::Int8Result;
use neura_types::{
    Height, U256,
    abi::{ITasks, SolCall},
    hash::content_hash,
    job::{FaultCode, JobFault, JobFormat, JobResult},
    system,
    task::{BlobRef, Task, result_commitment},
};

use super::{
    core::{Core, TaskError, blocking},
    drive::{Drive, Next},
    keep::Run,
};
use crate::{
    Progress,
    executor::{self, Executor},
    job::{Refusal, open_payload, seal_result},
    journal::{Entry, Part, ResultRecord, SignedTx, Stage},
    worker::WorkerError,
};

/// The result that tells the owner why a job failed by its own fault: it took too long, or, of foreign code, broke its
/// worker more than once, which a device's accident does not. Any other failure is the provider's, a worker that
/// somebody else killed as well.
fn own_fault(executor: Executor, error: WorkerError, last: bool) -> Result<Vec<u8>, WorkerError> {
    let foreign = executor.runs_foreign_code();
    let (code, detail) = match &error {
        WorkerError::TimedOut { .. } => (FaultCode::TimedOut, error.to_string()),
        WorkerError::Crashed { stderr, .. } if foreign && stderr.contains(NO_MEMORY) => {
            (FaultCode::OutOfMemory, "the job wanted more memory than it may have".to_owned())
        }
        WorkerError::Crashed { status, .. } if foreign && last => {
            (FaultCode::Trapped, format!("the job ended its worker: {status}"))
        }
        _ => return Err(error),
    };
    executor::failed(JobFault { code, detail })
        .map_err(|error| WorkerError::Protocol { problem: error.to_string() })
}

/// The result of a job that is still at work when it must be submitted: how long it may take is its owner's choice.
fn too_late(block: Height) -> Result<Vec<u8>, WorkerError> {
    let detail = format!("it was not done by block {block}, in time for the end of the task");
    executor::failed(JobFault { code: FaultCode::TimedOut, detail })
        .map_err(|error| WorkerError::Protocol { problem: error.to_string() })
}

/// Whether bytes are a result of an executor: of a network its answers, or why there are none.
fn check_result(executor: Executor, plain: &[u8]) -> Result<(), String> {
    match (executor, JobResult::decode(plain)) {
        (Executor::Int8, Ok(result)) if result.fault.is_some() => Ok(()),
        (Executor::Int8, _) => Int8Result::decode(plain).map(drop).map_err(|e| e.to_string()),
        (_, result) => result.map(drop).map_err(|error| error.to_string()),
    }
}

/// Blocks before the end of a task, at most half of its duration, in which what came of a job is sealed, stored and
/// submitted.
const SUBMIT_BLOCKS: u64 = 50;
/// What Rust says before it ends a process that gets no memory.
const NO_MEMORY: &str = "memory allocation of";

impl Core {
    /// Runs the job in a worker, seals the result and writes it down.
    pub(super) async fn execute(
        &self,
        task: &Task,
        entry: Entry,
        drive: &mut Drive,
    ) -> Result<Next, TaskError> {
        self.in_time(task)?;
        let executor = Executor::named(&task.terms.executor)
            .ok_or_else(|| Refusal::new("executor_not_offered", &task.terms.executor))?;
        let computed = async {
            if drive.place.is_none() {
                drive.place = self.places.of(executor).clone().acquire_owned().await.ok();
            }
            self.compute(task, executor, entry.round, drive).await
        };
        let plain = tokio::select! {
            // Of what comes at once with the deadline nothing can be submitted.
            biased;
            () = self.reached(task.deadline) => return Err(TaskError::Deadline(task.deadline)),
            result = computed => result?,
            error = self.show_work(task) => return Err(error),
        };
        let (id, of, chain_id) = (task.id, task.clone(), self.chain_id);
        let journal = self.journal.clone();
        let kept = blocking(move || {
            let commitment = result_commitment(chain_id, id, of.terms.provider, &plain);
            let stored = seal_result(chain_id, &of, plain)?;
            let hash = content_hash(&stored);
            let locator = Locator::from_hash(hash.0).to_string();
            journal.write(id, Part::Result, &stored)?;
            let blob = BlobRef { locator, hash, size: stored.len() as u64 };
            Ok::<_, TaskError>(ResultRecord { blob, commitment })
        });
        let result = kept.await??;
        self.save(&Entry { stage: Stage::Executed { result }, ..entry }).await?;
        drive.place = None;
        Ok(Next::Again)
    }

    /// The plain result, from a worker.
    async fn compute(
        &self,
        task: &Task,
        executor: Executor,
        round: u8,
        drive: &mut Drive,
    ) -> Result<Vec<u8>, TaskError> {
        let id = task.id;
        let sealed = self.payload(task).await?;
        let (chain_id, keys, of) = (self.chain_id, self.operator.keys.clone(), task.clone());
        let opened = blocking(move || {
            let plain = open_payload(chain_id, &of, &keys, &sealed, executor.max_payload())?;
            let hash = content_hash(&plain);
            Ok::<_, Refusal>((plain, hash))
        });
        let (payload, hash) = opened.await??;
        let start = self.last_checkpoint(task, round, (executor, hash)).await?;
        drive.attempts += 1;
        let again = std::mem::replace(&mut drive.begun, true);
        self.say(Progress::Executing { task: id, attempt: drive.attempts });
        let started = Instant::now();
        let spare = SUBMIT_BLOCKS.min(task.terms.duration_blocks / 2);
        let last_block = task.deadline.saturating_sub(spare);
        // Of a job that is begun later than that the lateness is the provider's own.
        let may_be_late = self.height() < last_block;
        let ran = tokio::select! {
            ran = self.run(Run { task, round, executor, payload: &payload, start, again }) => Some(ran?),
            () = self.reached(last_block), if may_be_late => None,
        };
        let plain = match ran {
            None => too_late(last_block)?,
            Some(ran) => {
                if ran.advanced {
                    // A run that got further is no failed try: the next one has less to do.
                    (drive.attempts, drive.advanced) = (0, true);
                }
                let last = !ran.advanced && drive.attempts >= self.config.limits.attempts;
                ran.result.or_else(|error| own_fault(executor, error, last))?
            }
        };
        // Nothing leaves that is not a result, whatever became of the worker.
        check_result(executor, &plain).map_err(|problem| WorkerError::Protocol { problem })?;
        self.say(Progress::Executed {
            task: id,
            milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            result_bytes: plain.len() as u64,
            commitment: result_commitment(chain_id, id, task.terms.provider, &plain),
        });
        Ok(plain)
    }

    /// Puts the result into the node's store.
    pub(super) async fn upload(
        &self,
        entry: Entry,
        result: ResultRecord,
    ) -> Result<Next, TaskError> {
        let (id, blob) = (entry.task, result.blob.clone());
        let kept =
            self.with_journal(move |journal| journal.read(id, Part::Result, blob.size)).await?;
        let Some(bytes) = kept.filter(|bytes| content_hash(bytes) == result.blob.hash) else {
            // The file is damaged or gone: the result is computed again.
            self.save(&Entry { stage: Stage::Seen, ..entry }).await?;
            return Ok(Next::Again);
        };
        self.operator.client.put_blob(bytes).await?;
        let BlobRef { locator, size, .. } = result.blob.clone();
        self.save(&Entry { stage: Stage::Uploaded { result }, ..entry }).await?;
        self.say(Progress::ResultStored { task: id, locator, bytes: size });
        Ok(Next::Again)
    }

    /// Signs the submission, writes it down, sends it.
    pub(super) async fn submit(
        &self,
        entry: Entry,
        result: ResultRecord,
    ) -> Result<Next, TaskError> {
        let id = entry.task;
        let call = ITasks::submitCall {
            taskId: id,
            blob: (&result.blob).into(),
            commitment: result.commitment,
        };
        let call = Outgoing::call(system::TASKS, U256::ZERO, call.abi_encode());
        let prepared = self.operator.sender.prepare(call).await?;
        let (tx, transaction) = (SignedTx { raw: prepared.raw().clone() }, prepared.hash());
        let entry = Entry { stage: Stage::Submitting { result, tx: tx.clone() }, ..entry };
        self.save(&entry).await?;
        self.say(Progress::Submitting { task: id, transaction });
        // What the node says now, it says again when the transaction is followed.
        let _ = prepared.send().await;
        self.send(entry, tx).await
    }

    fn in_time(&self, task: &Task) -> Result<(), TaskError> {
        if self.height() < task.deadline { Ok(()) } else { Err(TaskError::Deadline(task.deadline)) }
    }
}
