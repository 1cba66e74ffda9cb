//! Keep what there is of a task's unfinished work: on this disk, in the store, on the chain; and go on from it.
//!
//! A checkpoint is sealed, then written down here, then stored, then noted on the chain. While one is on its way, those
//! that come are replaced by newer ones. None is needed for the result: what cannot be kept is told and left.

use std::future::pending;

use neura_blobs::Locator;
use neura_types::{
    B256, Height,
    abi::ITasks,
    hash::content_hash,
    task::{BlobRef, Task, TaskState},
};
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::{
    core::{Core, TaskError, blocking},
    tell::Outbox,
};
use crate::{
    Progress,
    checkpoint::{Checkpoint, max_bytes, open_checkpoint, seal_checkpoint},
    executor::{Executor, Keeping, Said, clipped},
    journal::Part,
    worker::{Job, Limits, WorkerError},
};

/// Signs of life in the time after which the chain takes a provider for silent: some may be late, or fail.
const SIGNS_PER_SILENCE: u64 = 4;

/// What the chain says when somebody else has the task, or it is over.
const LOST: [&str; 2] = ["not_provider", "wrong_state"];

/// A checkpoint as a worker made it, plain.
#[derive(Debug, Clone, Default)]
struct Made {
    step: u64,
    bytes: Vec<u8>,
}

/// A checkpoint that is sealed and written down.
#[derive(Debug, Clone, Default)]
struct Kept {
    step: u64,
    sealed: Vec<u8>,
}

/// A job to run.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) task: &'a Task,
    /// How often the result was contested.
    pub(super) round: u8,
    pub(super) executor: Executor,
    pub(super) payload: &'a [u8],
    /// What it goes on from.
    pub(super) start: Option<Start>,
    /// Whether it was run before.
    pub(super) again: bool,
}

/// A checkpoint to go on from.
#[derive(Debug)]
pub(super) struct Start {
    plain: Zeroizing<Vec<u8>>,
    /// As it is stored: what was cut off may not have come to note it.
    kept: Kept,
}

/// What came of a run.
pub(super) struct Ran {
    pub(super) result: Result<Vec<u8>, WorkerError>,
    /// Whether it got further than the checkpoint that it began with.
    pub(super) advanced: bool,
}

impl Core {
    /// The checkpoint that a job goes on from: the one written down here, else the one that the chain notes. After a
    /// contest only what was made since is taken: what came before may be what is wrong.
    pub(super) async fn last_checkpoint(
        &self,
        task: &Task,
        round: u8,
        job: (Executor, B256),
    ) -> Result<Option<Start>, TaskError> {
        let (id, max) = (task.id, self.power.max_stored);
        let here =
            self.with_journal(move |journal| journal.read(id, Part::Checkpoint, max)).await?;
        if let Some(sealed) = here {
            match self.opened(task, job, sealed).await? {
                Ok(start) => return Ok(Some(self.going_on(task, start))),
                Err(cause) => {
                    self.say(Progress::CheckpointSetAside { task: id, cause });
                    self.forget_checkpoint(task).await?;
                }
            }
        }
        let noted = task.checkpoint.as_ref().filter(|noted| round == 0 && noted.blob.size <= max);
        let Some(noted) = noted else { return Ok(None) };
        let limit = usize::try_from(noted.blob.size).unwrap_or(usize::MAX);
        let opened = match self.operator.client.blob(noted.blob.hash, limit).await {
            Ok(sealed) => self.opened(task, job, sealed).await?.and_then(|start| {
                let (said, step) = (start.kept.step, noted.step);
                let other = format!("it is of step {said}, and noted as of step {step}");
                if said == step { Ok(start) } else { Err(other) }
            }),
            Err(error) if error.is_transient() => return Err(error.into()),
            Err(error) => Err(error.to_string()),
        };
        match opened {
            Ok(start) => Ok(Some(self.going_on(task, start))),
            Err(cause) => {
                self.say(Progress::CheckpointSetAside { task: id, cause });
                Ok(None)
            }
        }
    }

    fn going_on(&self, task: &Task, start: Start) -> Start {
        self.say(Progress::GoingOn { task: task.id, step: start.kept.step });
        start
    }

    /// Opens a checkpoint, and checks that it is of this job.
    async fn opened(
        &self,
        task: &Task,
        (executor, payload): (Executor, B256),
        sealed: Vec<u8>,
    ) -> Result<Result<Start, String>, TaskError> {
        let (chain_id, keys, of) = (self.chain_id, self.operator.keys.clone(), task.clone());
        let opened = blocking(move || {
            let plain =
                open_checkpoint(chain_id, &of, &keys, &sealed).map_err(|e| e.to_string())?;
            let read = Checkpoint::of(executor, payload, &plain).map_err(|e| e.to_string())?;
            let kept = Kept { step: read.step, sealed };
            Ok(Start { plain, kept })
        });
        opened.await
    }

    async fn forget_checkpoint(&self, task: &Task) -> Result<(), TaskError> {
        let id = task.id;
        self.with_journal(move |journal| journal.remove(id, Part::Checkpoint)).await
    }

    /// Runs a job in a worker, and keeps its checkpoints meanwhile.
    pub(super) async fn run(&self, run: Run<'_>) -> Result<Ran, TaskError> {
        let Run { task, round, executor, payload, start, again } = run;
        let (start, begun) = start.map(|start| (start.plain.to_vec(), start.kept)).unzip();
        let (limits, timing) = (&self.config.limits, &self.config.timing);
        let keeping = Keeping {
            start,
            every: timing.checkpoint_every,
            max_bytes: max_bytes(self.power.max_stored),
        };
        let limits = Limits { timeout: limits.job_timeout, max_result: self.power.max_stored };
        let (made, to_keep) = watch::channel(Made::default());
        let (kept, to_note) = watch::channel(Kept::default());
        let mut furthest = begun.as_ref().map_or(0, |begun| begun.step);
        let (mut advanced, mut refused, mut replaced) = (false, false, false);
        let outbox = Outbox::default();
        if again {
            outbox.log("started again");
        }
        let said = |said| match said {
            Said::Checkpoint { step, bytes } => {
                advanced |= step > furthest;
                furthest = furthest.max(step);
                replaced = true;
                made.send_replace(Made { step, bytes });
            }
            said => {
                refused |= matches!(said, Said::SetAside(_));
                self.tell(task, said, &outbox);
            }
        };
        if let Some(begun) = begun {
            kept.send_replace(begun);
        }
        let here = self.keep_here(task, to_keep, kept);
        let mut here = std::pin::pin!(here);
        let ran = tokio::select! {
            ran = self.worker.run(Job { executor, payload, keeping }, limits, said) => ran,
            ((), ()) = async { tokio::join!(&mut here, self.note(task, round, to_note)) } => {
                pending().await
            }
            never = self.send_notes(task, &outbox) => match never {},
        };
        drop(made);
        if ran.is_err() {
            // The worker is gone; what it told last is what the next one goes on from.
            here.await;
        }
        if let Err(error @ (WorkerError::Crashed { .. } | WorkerError::Killed { .. })) = &ran {
            outbox.log(&clipped(error.to_string()));
        }
        self.send_last_note(task, &outbox).await;
        if refused && !replaced {
            self.forget_checkpoint(task).await?;
        }
        Ok(Ran { result: ran, advanced })
    }

    /// Tells the operator what a worker says, and the owner what is for the owner.
    fn tell(&self, task: &Task, said: Said, outbox: &Outbox) {
        let task = task.id;
        self.say(match said {
            Said::Opened(device) => {
                outbox.log(&format!("on {} ({})", device.name, device.backend));
                let (device, backend) = (device.name, device.backend);
                Progress::DeviceOpened { task, device, backend }
            }
            Said::Progress { done, total, note } => {
                outbox.progress(done, total, &note);
                Progress::Advanced { task, done, total, note }
            }
            Said::Log(text) => {
                outbox.log(&text);
                Progress::Logged { task, text }
            }
            Said::SetAside(cause) => {
                outbox.log(&format!("the checkpoint is not used, beginning anew: {cause}"));
                Progress::CheckpointSetAside { task, cause }
            }
            Said::Checkpoint { .. } => return,
        });
    }

    /// Seals checkpoints and writes them down as they come.
    async fn keep_here(
        &self,
        task: &Task,
        mut made: watch::Receiver<Made>,
        kept: watch::Sender<Kept>,
    ) {
        while made.changed().await.is_ok() {
            let Made { step, bytes } = made.borrow_and_update().clone();
            let size = bytes.len() as u64;
            match self.write_checkpoint(task, bytes).await {
                Ok(sealed) => {
                    self.say(Progress::CheckpointKept { task: task.id, step, bytes: size });
                    kept.send_replace(Kept { step, sealed });
                }
                Err(error) => {
                    tracing::warn!(task = task.id, step, %error, "a checkpoint is not written");
                }
            }
        }
    }

    async fn write_checkpoint(&self, task: &Task, plain: Vec<u8>) -> Result<Vec<u8>, TaskError> {
        let (chain_id, keys, of) = (self.chain_id, self.operator.keys.clone(), task.clone());
        let journal = self.journal.clone();
        let written = blocking(move || {
            let sealed = seal_checkpoint(chain_id, &of, &keys, &plain)
                .map_err(|error| TaskError::Broken(error.to_string()))?;
            journal.write(of.id, Part::Checkpoint, &sealed)?;
            Ok(sealed)
        });
        written.await?
    }

    /// Stores checkpoints and notes them on the chain as they come. What is contested is only kept here.
    async fn note(&self, task: &Task, round: u8, mut kept: watch::Receiver<Kept>) {
        let mut noted = task.checkpoint.as_ref().map_or(0, |noted| noted.step);
        while kept.changed().await.is_ok() {
            let Kept { step, sealed } = kept.borrow_and_update().clone();
            if round > 0 || step <= noted {
                continue;
            }
            match self.note_one(task, step, sealed).await {
                Ok(height) => {
                    noted = step;
                    self.say(Progress::CheckpointNoted { task: task.id, step, height });
                }
                Err(error) => {
                    tracing::warn!(task = task.id, step, %error, "a checkpoint is not noted");
                }
            }
        }
    }

    async fn note_one(&self, task: &Task, step: u64, sealed: Vec<u8>) -> Result<Height, TaskError> {
        let (hash, size) = (content_hash(&sealed), sealed.len() as u64);
        let locator = Locator::from_hash(hash.0).to_string();
        self.operator.client.put_blob(sealed).await?;
        let blob = (&BlobRef { locator, hash, size }).into();
        let call = ITasks::checkpointCall { taskId: task.id, step, blob };
        Ok(self.operator.call_tasks(call).await?.height)
    }

    /// Shows the chain that the provider of a running task is alive, until the chain says that the task is not its any
    /// more.
    pub(super) async fn show_work(&self, task: &Task) -> TaskError {
        if task.state != TaskState::Running {
            return pending().await;
        }
        let every = (self.silence_blocks().await / SIGNS_PER_SILENCE).max(1);
        let mut seen = task.seen_at;
        loop {
            self.reached(seen.saturating_add(every)).await;
            let call = ITasks::heartbeatCall { taskId: task.id };
            match self.operator.call_tasks(call).await {
                Ok(confirmed) => {
                    seen = confirmed.height;
                    self.say(Progress::SignOfLife { task: task.id, height: seen });
                }
                Err(error) if LOST.contains(&error.code()) => return error.into(),
                Err(error) => {
                    tracing::warn!(task = task.id, %error, "a sign of life failed");
                    seen = self.height();
                }
            }
        }
    }

    /// How long the chain lets a provider be silent.
    async fn silence_blocks(&self) -> u64 {
        loop {
            match self.operator.client.params().await {
                Ok(params) => return params.silence_blocks,
                Err(error) => tracing::warn!(%error, "the chain's parameters cannot be read"),
            }
            self.reached(self.height().saturating_add(1)).await;
        }
    }
}
