//! Serve tasks until told to stop.
//!
//! ```text
//! watcher     reads the chain's events; says which task changed, and when everything has to be looked at again
//! reconciler  reads from the chain all tasks that have not ended; the events are hints, this is the truth
//! dispatcher  runs one driver per task, and again for one that changed meanwhile
//! driver      takes a task step by step: ask the chain, ask the journal, do one thing
//! ```

mod answer;
mod core;
mod drive;
mod keep;
mod serve;
mod tell;
mod work;

use std::{sync::Arc, time::Duration};

use neura_client::Client;
use neura_types::Address;
use tokio::task::JoinHandle;

use self::core::{Core, Parts};
use crate::{
    AgentConfig, Keys, MachineReport, Means, Observer, Operator, Progress, ProviderError, Timing,
    benchmark::KERNELS_FILE,
    job::Power,
    join::Joining,
    journal::Journal,
    keys::private_dir,
    lock::{DataLock, Release},
    worker::{FailureKind, JobFailure, Probed, Worker, WorkerError},
};

/// Folder of the workers, in the data folder.
const WORKER_PLACE: &str = "worker";

/// A provider that serves.
#[derive(Debug)]
pub struct Agent {
    address: Address,
    machine: MachineReport,
    serving: JoinHandle<()>,
    release: Release,
}

impl Agent {
    /// Tests the device, makes missing keys, asks the faucet if there is one and coins are missing, registers or
    /// brings the entry up to date, and serves in the background.
    ///
    /// # Errors
    /// Why it cannot: no device, unsafe keys, no node, no coins, a folder that another agent uses.
    pub async fn start(config: AgentConfig, observer: Observer) -> Result<Self, ProviderError> {
        config.validate()?;
        let data = config.data.clone();
        private_dir(&data).map_err(ProviderError::io("create", &data))?;
        let (lock, release) = DataLock::take(&data)?;
        let (keys, made) = Keys::load_or_create(&data)?;
        let address = keys.address();
        if made {
            observer(&Progress::KeysMade { address, folder: data.display().to_string() });
        }
        let client = Client::new(&config.nodes)?;
        let means = Means::find(&config)?;
        let worker = Worker::new(
            config.worker.clone(),
            config.device.clone(),
            config.limits.worker_memory_bytes,
            data.join(WORKER_PLACE),
            means.sandbox.clone(),
        )
        .with_containers(means.containers.clone())
        .tuned(data.join(KERNELS_FILE));
        let Probed { device, adapters, macs_per_second, launch_rate, .. } =
            probe(&worker, &config.timing, &observer).await?;
        let machine = MachineReport::new(device, adapters, &data);
        observer(&Progress::Machine(Box::new(machine.clone())));
        observer(&Progress::Means(Box::new(means.clone())));

        let operator = Operator::connect(client, keys).await?;
        let status = operator.client.status().await?;
        let (node, chain_id) = (operator.client.url().to_string(), status.chain_id);
        observer(&Progress::Connected { node, chain_id, height: status.executed });
        let capability = machine.capability();
        let joining = Joining {
            operator: &operator,
            offer: &config.offer,
            executors: means.offered(),
            capability: &capability,
            observer: &observer,
        };
        let entry = joining.run().await?;

        let journal = Journal::open(&data, status.genesis_hash)?.holding(lock);
        observer(&Progress::Serving { address, capacity: entry.capacity });
        let params = operator.client.params().await?;
        let power = Power {
            macs_per_second,
            launch_rate,
            block_time: Duration::from_millis(params.idle_block_interval_ms),
            timeout: config.limits.job_timeout,
            memory: config.limits.worker_memory_bytes,
            max_stored: status.max_blob_bytes,
        };
        let parts = Parts { operator, journal, worker, config, observer, capability };
        let core = Arc::new(Core::new(parts, entry, &status, power));
        let serving = tokio::spawn(serve::serve(core));
        Ok(Self { address, machine, serving, release })
    }

    /// The provider's account.
    pub fn address(&self) -> Address {
        self.address
    }

    /// What was found on this machine.
    pub fn machine(&self) -> &MachineReport {
        &self.machine
    }

    /// Waits until serving ends, which it does by itself only when something is broken.
    ///
    /// # Errors
    /// [`ProviderError::Stopped`].
    pub async fn stopped(&mut self) -> Result<(), ProviderError> {
        let cause = match (&mut self.serving).await {
            Ok(()) => "nothing is left to wait for".to_owned(),
            Err(error) => error.to_string(),
        };
        Err(ProviderError::Stopped { cause })
    }

    /// Stops serving, and waits until nothing uses the data folder any more. Running workers are killed; a later start
    /// goes on with their tasks.
    pub async fn shutdown(mut self) {
        self.serving.abort();
        // What it says is that it was stopped.
        let _ = (&mut self.serving).await;
        self.release.wait().await;
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// How often a start tests the device in all, while tests are cut off: a killed worker or a crashed driver may pass.
const PROBE_ATTEMPTS: u32 = 3;

/// Tests the device; once more where the test was cut off, and not where it says what is wrong.
async fn probe(
    worker: &Worker,
    timing: &Timing,
    observer: &Observer,
) -> Result<Probed, ProviderError> {
    let mut pause = timing.retry_first;
    for attempt in 2..=PROBE_ATTEMPTS {
        match worker.probe().await {
            Err(error @ (WorkerError::Crashed { .. } | WorkerError::Killed { .. })) => {
                let cause = error.to_string();
                tracing::warn!(attempt, cause, "the test of the device was cut off, trying again");
                observer(&Progress::TestingAgain { attempt, cause });
            }
            ended => return ended.map_err(of_probe),
        }
        tokio::time::sleep(pause).await;
        pause = Duration::min(pause * 2, timing.retry_last);
    }
    worker.probe().await.map_err(of_probe)
}

fn of_probe(error: WorkerError) -> ProviderError {
    match error {
        WorkerError::Failed(JobFailure { kind: FailureKind::Device, detail }) => {
            ProviderError::NoDevice { reason: detail }
        }
        error => error.into(),
    }
}
