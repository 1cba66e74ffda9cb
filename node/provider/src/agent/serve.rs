//! Watch the chain, and run a driver for each task that has something to do.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use neura_client::EventStream;
use neura_types::{abi::IProviders, rest::ChainEvent, task::TaskId};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::core::{Core, TaskError};
use crate::Progress;

/// Changes that wait to be looked at; a watcher that is ahead waits.
const MAX_WAITING: usize = 1_024;

/// Serves until it is dropped.
pub(super) async fn serve(core: Arc<Core>) {
    let (changed, changes) = mpsc::channel(MAX_WAITING);
    let again = Arc::new(Notify::new());
    let mut parts = JoinSet::new();
    parts.spawn(watch(Arc::clone(&core), changed.clone(), Arc::clone(&again)));
    parts.spawn(reconcile(Arc::clone(&core), changed, again));
    parts.spawn(dispatch(core, changes));
    // Each runs for ever; that one ends means that it is broken, and the agent with it.
    if let Some(Err(error)) = parts.join_next().await
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// Follows the chain's events.
async fn watch(core: Arc<Core>, changed: mpsc::Sender<TaskId>, again: Arc<Notify>) {
    let me = core.operator.address();
    let mut stream = EventStream::new(core.operator.client.clone());
    let mut pause = core.config.timing.retry_first;
    loop {
        let broken = match stream.open().await {
            Err(error) => error,
            Ok(()) => {
                pause = core.config.timing.retry_first;
                // What happened before the stream began is found by looking.
                again.notify_one();
                loop {
                    match stream.next().await {
                        Ok(ChainEvent::Task(change)) if change.provider == me => {
                            core.saw(change.height);
                            if changed.send(change.task).await.is_err() {
                                return;
                            }
                        }
                        Ok(ChainEvent::BlockExecuted { height, .. }) => core.saw(height),
                        Ok(ChainEvent::Missed {}) => again.notify_one(),
                        Ok(_) => {}
                        Err(error) => break error,
                    }
                }
            }
        };
        tracing::warn!(%broken, "event stream lost");
        core.say(Progress::Disconnected { cause: broken.to_string() });
        tokio::time::sleep(pause).await;
        pause = core.config.timing.retry_last.min(pause * 2);
    }
}

/// Looks at everything, when asked and every so often.
async fn reconcile(core: Arc<Core>, changed: mpsc::Sender<TaskId>, again: Arc<Notify>) {
    let mut every = interval(core.config.timing.reconcile_every);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        match core.unfinished_tasks().await {
            Ok(tasks) => {
                for task in tasks {
                    if changed.send(task).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "looking at the tasks failed"),
        }
        if let Err(error) = core.show_life().await {
            tracing::warn!(%error, "heartbeat failed");
        }
        tokio::select! {
            () = again.notified() => {}
            _ = every.tick() => {}
        }
    }
}

/// Runs one driver per task; a task that changes while its driver runs gets another run after it.
async fn dispatch(core: Arc<Core>, mut changes: mpsc::Receiver<TaskId>) {
    let mut drivers = JoinSet::new();
    let mut running = HashMap::new();
    let mut changed_again = HashSet::new();
    loop {
        let task = tokio::select! {
            change = changes.recv() => {
                let Some(task) = change else { return };
                if running.values().any(|busy| *busy == task) {
                    changed_again.insert(task);
                    continue;
                }
                task
            }
            Some(ended) = drivers.join_next_with_id() => {
                let id = match ended {
                    Ok((id, ())) => id,
                    Err(error) => {
                        tracing::error!(%error, "a task's driver broke");
                        error.id()
                    }
                };
                match running.remove(&id) {
                    Some(task) if changed_again.remove(&task) => task,
                    _ => continue,
                }
            }
        };
        let core = Arc::clone(&core);
        let driver = drivers.spawn(async move { core.drive(task).await });
        running.insert(driver.id(), task);
    }
}

impl Core {
    /// The tasks that the chain or the journal says have not ended.
    async fn unfinished_tasks(&self) -> Result<HashSet<TaskId>, TaskError> {
        self.saw(self.operator.client.height().await?);
        let entry = self.operator.entry().await?;
        let active = entry.active_tasks;
        self.set_entry(entry);
        let of_chain = self.operator.unfinished(active).await?;
        let remembered = self.with_journal(|journal| journal.tasks()).await?;
        Ok(of_chain.into_iter().map(|task| task.id).chain(remembered).collect())
    }

    /// Tells the registry that the provider is alive, if nothing else has for long.
    async fn show_life(&self) -> Result<(), TaskError> {
        let entry = self.entry();
        let quiet = self.height().saturating_sub(entry.heartbeat_at);
        let left = entry.status == neura_types::provider::ProviderStatus::Left;
        if quiet < self.config.timing.heartbeat_every_blocks || left {
            return Ok(());
        }
        let height = self.operator.call(IProviders::heartbeatCall {}).await?.height;
        self.set_entry(self.operator.entry().await?);
        self.say(Progress::Heartbeat { height });
        Ok(())
    }
}
