//! What an agent is told, with defaults for all but where its node, data and worker are.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use neura_blobs::DEFAULT_MAX_BLOB_BYTES;
use neura_types::{Address, Amount, provider::MAX_TEXT};

use crate::{Device, Images, ProviderError};

/// Price per block unless told otherwise: half an hour of half-second blocks costs 3.6 ANKR.
pub const DEFAULT_PRICE_PER_BLOCK: Amount = Amount(1_000_000_000_000_000);
/// Tasks at a time unless told otherwise: one runs on the device, programs beside it, the others wait.
pub const DEFAULT_CAPACITY: u32 = 8;
/// How long one job may run unless told otherwise.
pub const DEFAULT_JOB_TIMEOUT: Duration = Duration::from_secs(600);
/// Memory of a worker unless told otherwise: holds the largest job several times, and a software driver.
pub const DEFAULT_WORKER_MEMORY: u64 = 8 << 30;
/// How often a failed execution is tried: a crash of a driver may pass, a job that breaks it will not.
pub const DEFAULT_ATTEMPTS: u32 = 2;

/// Time between two checkpoints of a job unless told otherwise: what a crash costs at most, against the fee of a call
/// and a copy of the state. Shorter jobs have none.
pub const DEFAULT_CHECKPOINT_EVERY: Duration = Duration::from_secs(60);

/// Everything that an agent is told.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// URLs of nodes of one chain; the first that answers is used.
    pub nodes: Vec<String>,
    /// Folder of keys and journal, for this agent alone.
    pub data: PathBuf,
    /// How to start a worker.
    pub worker: WorkerCommand,
    /// What jobs run on.
    pub device: Device,
    /// Whether jobs are confined by bubblewrap. Without it, executors of foreign code are not offered unless
    /// [`OfferConfig::executors`] names them.
    pub sandbox: bool,
    /// Images in which jobs may start programs; with none, no containers are offered.
    pub images: Images,
    /// What is offered.
    pub offer: OfferConfig,
    /// What a job may use.
    pub limits: JobLimits,
    /// How often things are done.
    pub timing: Timing,
}

/// The command that runs [`crate::worker::main`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

/// What the provider asks, and where it wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferConfig {
    /// Price per block of a task's duration.
    pub price_per_block: Amount,
    /// Bond put down at registration; none for the chain's least.
    pub bond: Option<Amount>,
    /// Who is paid; none for the provider's own account.
    pub payout: Option<Address>,
    /// Where the machine stands, free text.
    pub region: String,
    /// Public HTTP endpoint of an off-chain store, or empty.
    pub endpoint: String,
    /// Most tasks at a time, those that wait for their turn included; those that wait for approval take no place.
    pub capacity: u32,
    /// Names of the executors to offer; none for all that this machine can.
    pub executors: Option<Vec<String>>,
}

/// What one job may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobLimits {
    /// Largest sealed payload taken, in bytes.
    pub max_payload_bytes: u64,
    /// Wall-clock time of one execution.
    pub job_timeout: Duration,
    /// Memory that a worker may write to, in bytes; none for no limit.
    pub worker_memory_bytes: Option<u64>,
    /// How often a failed execution is tried in all.
    pub attempts: u32,
}

/// How often things are done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// Between two looks at all tasks on the chain, beside the events.
    pub reconcile_every: Duration,
    /// First pause after a failure that may pass.
    pub retry_first: Duration,
    /// Longest pause; pauses double up to it.
    pub retry_last: Duration,
    /// How often a payload that the store does not have, or has wrong, is asked for before the task is declined.
    pub fetch_attempts: u32,
    /// Between two checkpoints of a job; none for no checkpoints.
    pub checkpoint_every: Option<Duration>,
    /// Blocks without a transaction to the registry after which the provider shows that it is alive.
    pub heartbeat_every_blocks: u64,
}

impl AgentConfig {
    /// A configuration with defaults.
    pub fn new(nodes: Vec<String>, data: PathBuf, worker: WorkerCommand) -> Self {
        Self {
            nodes,
            data,
            worker,
            device: Device::default(),
            sandbox: true,
            images: Images::new(),
            offer: OfferConfig::default(),
            limits: JobLimits::default(),
            timing: Timing::default(),
        }
    }

    /// Checks what can be checked before a node is asked.
    pub(crate) fn validate(&self) -> Result<(), ProviderError> {
        let wrong = |setting, problem: String| Err(ProviderError::Config { setting, problem });
        let offer = &self.offer;
        if offer.capacity == 0 {
            return wrong("capacity", "it is 0; take 1 task at a time at least".into());
        }
        for (setting, text) in [("region", &offer.region), ("endpoint", &offer.endpoint)] {
            if text.len() > MAX_TEXT {
                return wrong(
                    setting,
                    format!("it has {} bytes, at most {MAX_TEXT} fit", text.len()),
                );
            }
        }
        let http = ["http://", "https://"].iter().any(|scheme| offer.endpoint.starts_with(scheme));
        if !offer.endpoint.is_empty() && !http {
            return wrong(
                "endpoint",
                format!("'{}' is no http:// or https:// URL", offer.endpoint),
            );
        }
        if self.limits.attempts == 0 || self.timing.fetch_attempts == 0 {
            return wrong("attempts", "it is 0; nothing would ever be tried".into());
        }
        if self.timing.reconcile_every.is_zero() || self.timing.retry_first.is_zero() {
            return wrong("timing", "pauses must be above 0".into());
        }
        Ok(())
    }
}

impl Default for OfferConfig {
    fn default() -> Self {
        Self {
            price_per_block: DEFAULT_PRICE_PER_BLOCK,
            bond: None,
            payout: None,
            region: String::new(),
            endpoint: String::new(),
            capacity: DEFAULT_CAPACITY,
            executors: None,
        }
    }
}

impl Default for JobLimits {
    fn default() -> Self {
        Self {
            max_payload_bytes: DEFAULT_MAX_BLOB_BYTES,
            job_timeout: DEFAULT_JOB_TIMEOUT,
            worker_memory_bytes: Some(DEFAULT_WORKER_MEMORY),
            attempts: DEFAULT_ATTEMPTS,
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            reconcile_every: Duration::from_secs(10),
            retry_first: Duration::from_millis(250),
            retry_last: Duration::from_secs(15),
            fetch_attempts: 6,
            checkpoint_every: Some(DEFAULT_CHECKPOINT_EVERY),
            heartbeat_every_blocks: 5_000,
        }
    }
}
