//! What all parts of a serving agent share.

#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use neura_client::ClientError;
use neura_types::{
    ChainId, Height,
    provider::{Capability, Provider},
    rest::Status,
    task::{Task, TaskId},
};
use tokio::sync::{Semaphore, watch};

use crate::{
    AgentConfig, Observer, Operator, Progress, ProviderError,
    executor::Executor,
    job::{Power, Refusal},
    journal::{Entry, Journal, JournalError},
    worker::{Worker, WorkerError},
};

/// Payloads that are opened and checked at a time; each is in memory whole.
const VETTED_AT_ONCE: usize = 2;

/// What an agent is put together from.
pub(super) struct Parts {
    pub(super) operator: Operator,
    pub(super) journal: Journal,
    pub(super) worker: Worker,
    pub(super) config: AgentConfig,
    pub(super) observer: Observer,
    pub(super) capability: Capability,
}

/// Where jobs are computed.
#[derive(Debug)]
pub(super) struct Places {
    /// The device, for one job at a time.
    device: Arc<Semaphore>,
    /// Cores for programs and models beside it.
    processor: Arc<Semaphore>,
}

impl Places {
    /// As many jobs on the processor as it has cores and as get their memory beside the device's job; one at least.
    pub(super) fn new(capability: &Capability, memory: Option<u64>) -> Self {
        let ram = u64::from(capability.ram_mib) << 20;
        let fit = memory.map_or(u64::MAX, |memory| (ram / memory.max(1)).saturating_sub(1));
        let jobs = fit.clamp(1, u64::from(capability.cpu_cores).max(1));
        let jobs = usize::try_from(jobs).unwrap_or(1);
        Self { device: Arc::new(Semaphore::new(1)), processor: Arc::new(Semaphore::new(jobs)) }
    }

    /// Those for jobs of an executor.
    pub(super) fn of(&self, executor: Executor) -> &Arc<Semaphore> {
        if executor.needs_device() { &self.device } else { &self.processor }
    }
}

/// A serving agent.
pub(super) struct Core {
    pub(super) operator: Operator,
    pub(super) journal: Journal,
    pub(super) worker: Worker,
    pub(super) config: AgentConfig,
    pub(super) capability: Capability,
    pub(super) chain_id: ChainId,
    pub(super) power: Power,
    /// A task is accepted when there is a place for it: its owner pays from acceptance on.
    pub(super) places: Places,
    pub(super) vetting: Semaphore,
    observer: Observer,
    heights: watch::Sender<Height>,
    entry: Mutex<Provider>,
    /// Tasks, by number and round, that this run does not try again.
    given_up: Mutex<HashSet<(TaskId, u8)>>,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("address", &self.operator.address()).finish_non_exhaustive()
    }
}

impl Core {
    pub(super) fn new(parts: Parts, entry: Provider, status: &Status, power: Power) -> Self {
        let Parts { operator, journal, worker, config, observer, capability } = parts;
        let places = Places::new(&capability, power.memory);
        Self {
            operator,
            journal,
            worker,
            config,
            capability,
            chain_id: status.chain_id,
            power,
            places,
            vetting: Semaphore::new(VETTED_AT_ONCE),
            observer,
            heights: watch::Sender::new(status.executed),
            entry: Mutex::new(entry),
            given_up: Mutex::default(),
        }
    }

    pub(super) fn say(&self, progress: Progress) {
        (self.observer)(&progress);
    }

    /// Notes that a block was executed.
    pub(super) fn saw(&self, height: Height) {
        self.heights.send_if_modified(|known| {
            let newer = height > *known;
            *known = height.max(*known);
            newer
        });
    }

    pub(super) fn height(&self) -> Height {
        *self.heights.borrow()
    }

    /// Waits until a block of this height or above is executed.
    pub(super) async fn reached(&self, height: Height) {
        let mut heights = self.heights.subscribe();
        if heights.wait_for(|now| *now >= height).await.is_err() {
            // The sender lives as long as `self`.
            std::future::pending::<()>().await;
        }
    }

    pub(super) fn entry(&self) -> Provider {
        self.entry.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_entry(&self, entry: Provider) {
        *self.entry.lock().unwrap_or_else(PoisonError::into_inner) = entry;
    }

    pub(super) fn give_up(&self, task: &Task) {
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        given_up.insert((task.id, task.challenges));
    }

    pub(super) fn gave_up(&self, task: &Task) -> bool {
        let given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        given_up.contains(&(task.id, task.challenges))
    }

    /// Uses the journal without holding up the runtime.
    pub(super) async fn with_journal<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Journal) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, TaskError> {
        let journal = self.journal.clone();
        Ok(blocking(move || work(&journal)).await??)
    }

    pub(super) async fn save(&self, entry: &Entry) -> Result<(), TaskError> {
        let entry = entry.clone();
        self.with_journal(move |journal| journal.save(&entry)).await
    }
}

/// Runs what takes a processor or a disk for long on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, TaskError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| TaskError::Broken(error.to_string()))
}

/// Why a step of a task did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum TaskError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The store does not have the payload, or has other bytes under its name. Others may give it the right ones.
    #[error("the payload cannot be fetched: {0}")]
    Payload(#[source] ClientError),
    /// Found after acceptance, when the task can no longer be declined.
    #[error(transparent)]
    Refusal(#[from] Refusal),
    #[error("block {0} is reached, and nothing can be submitted after it")]
    Deadline(Height),
    #[error("a part of the agent broke: {0}")]
    Broken(String),
}

impl TaskError {
    pub(super) fn code(&self) -> &str {
        match self {
            Self::Client(error) | Self::Payload(error) => error.code(),
            Self::Provider(error) => error.code(),
            Self::Journal(_) => "journal",
            Self::Worker(error) => error.code(),
            Self::Refusal(refusal) => refusal.code,
            Self::Deadline(_) => "deadline_passed",
            Self::Broken(_) => "internal",
        }
    }

    /// How often a step that fails like this is tried in all; none for as long as the chain allows.
    pub(super) fn tries(&self, config: &AgentConfig) -> Option<u32> {
        match self {
            Self::Client(error) | Self::Provider(ProviderError::Client(error)) => {
                let passes = error.is_transient() || error.code() == "insufficient_funds";
                (!passes).then_some(MAX_REFUSED)
            }
            Self::Journal(_) | Self::Payload(_) => None,
            Self::Worker(error) if error.may_pass() => Some(config.limits.attempts),
            Self::Broken(_) => Some(MAX_REFUSED),
            Self::Worker(_) | Self::Provider(_) | Self::Refusal(_) | Self::Deadline(_) => Some(1),
        }
    }
}

/// How often a transaction that the chain refuses, or an answer that makes no sense, is tried again: each may cost
/// fees.
const MAX_REFUSED: u32 = 3;
