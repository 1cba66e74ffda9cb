//! Keep what tasks refer to: the embedded off-chain store, filled from other nodes where it lacks something.

use std::sync::Arc;

use neura_api::{BackendError, Event};
use neura_blobs::{BlobError, BlobStore, EmbeddedStore, Locator};
use neura_p2p::NetworkHandle;
use neura_types::{
    B256, Bytes, Height,
    rest::TaskChange,
    task::{BlobRef, TaskId, TaskState},
};
use tokio::sync::broadcast::error::RecvError;

use super::{Answer, internal, registry};
use crate::node::{
    chain::Chain,
    wire::{self, BlobAnswer, BlobRequest, Request},
};

/// Blocks for which payload and result of a task are kept after its last change.
const KEEP_BLOCKS: Height = 100_000;
/// Peers asked for a blob that this node lacks.
const MAX_ASKED: usize = 8;

/// The node's off-chain store.
#[derive(Debug)]
pub struct BlobKeeper {
    store: EmbeddedStore,
    network: NetworkHandle,
    max_blob_bytes: u64,
}

impl BlobKeeper {
    /// Keeps blobs in `store`.
    pub fn new(store: EmbeddedStore, network: NetworkHandle) -> Self {
        let max_blob_bytes = store.terms().max_blob_bytes;
        Self { store, network, max_blob_bytes }
    }

    /// Largest blob, in bytes.
    pub fn max_blob_bytes(&self) -> u64 {
        self.max_blob_bytes
    }

    /// Stores bytes.
    pub(super) async fn put(&self, bytes: Bytes) -> Answer<BlobRef> {
        let size = bytes.len() as u64;
        let hash = neura_types::hash::content_hash(&bytes);
        let locator = self.store.put(bytes.0).await.map_err(refusal)?;
        Ok(BlobRef { locator: locator.to_string(), hash, size })
    }

    /// Bytes by hash, from this node or from another.
    pub(super) async fn get(&self, hash: B256) -> Answer<Option<Bytes>> {
        if let Some(own) = self.own(hash).await? {
            return Ok(Some(own));
        }
        self.fetch(hash).await
    }

    /// Bytes by hash, if this node has them.
    ///
    /// # Errors
    /// If the store fails or holds damaged bytes.
    pub async fn own(&self, hash: B256) -> Answer<Option<Bytes>> {
        match self.store.get(&Locator::from_hash(hash.0), self.max_blob_bytes).await {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(BlobError::NotFound { .. }) => Ok(None),
            Err(error) => Err(refusal(error)),
        }
    }

    /// Size by hash, if this node has it.
    pub(super) async fn size(&self, hash: B256) -> Answer<Option<u64>> {
        match self.store.stat(&Locator::from_hash(hash.0)).await {
            Ok(stat) => Ok(Some(stat.size)),
            Err(BlobError::NotFound { .. }) => {
                Ok(self.get(hash).await?.map(|bytes| bytes.len() as u64))
            }
            Err(error) => Err(refusal(error)),
        }
    }

    /// Asks connected peers; what comes is checked against the hash and kept.
    async fn fetch(&self, hash: B256) -> Answer<Option<Bytes>> {
        for peer in self.network.peers().into_iter().take(MAX_ASKED) {
            let mut bytes = Vec::new();
            loop {
                let offset = bytes.len() as u64;
                let question = wire::encode(&Request::Blob(BlobRequest { hash, offset }));
                let Ok(answer) = self.network.request(peer, question.into()).await else { break };
                let limit = self.network.limits().max_response_bytes;
                let Ok(Some(part)) = wire::decode::<Option<BlobAnswer>>(&answer, limit) else {
                    break;
                };
                let fits = part.size <= self.max_blob_bytes && !part.bytes.is_empty();
                bytes.extend_from_slice(&part.bytes);
                if !fits || bytes.len() as u64 > part.size {
                    break;
                }
                if bytes.len() as u64 == part.size {
                    if neura_types::hash::content_hash(&bytes) != hash {
                        tracing::warn!(%peer, %hash, "a peer sent other bytes than asked for");
                        break;
                    }
                    let bytes = Bytes::from(bytes);
                    self.put(bytes.clone()).await?;
                    return Ok(Some(bytes));
                }
            }
        }
        Ok(None)
    }

    /// Watches tasks: fetches and pins what they refer to, and collects garbage. Runs until the node stops.
    pub async fn keep(self: Arc<Self>, chain: Arc<Chain>) {
        let mut events = chain.events.subscribe();
        loop {
            match events.recv().await {
                Ok(Event::Executed { block, tasks }) => {
                    let height = block.head.header.height;
                    for change in &tasks {
                        self.keep_task(&chain, change, height).await;
                    }
                    self.collect(&tasks, height).await;
                }
                Ok(Event::Ordered(_)) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Keeps the payload of a task, its last checkpoint for as long as somebody may go on from it, and its result.
    async fn keep_task(&self, chain: &Arc<Chain>, change: &TaskChange, height: Height) {
        let refers = [TaskState::Assigned, TaskState::Running, TaskState::Submitted];
        if !refers.contains(&change.state) {
            return;
        }
        let (chain, id) = (Arc::clone(chain), change.task);
        let task = tokio::task::spawn_blocking(move || registry::task(&chain, id)).await;
        let Ok(Ok(Some(task))) = task else { return };
        let until = height.saturating_add(KEEP_BLOCKS);
        let payload = Some((task.terms.payload, until));
        let checkpoint = task.checkpoint.map(|checkpoint| (checkpoint.blob, task.deadline));
        let result = task.result.map(|result| (result.blob, until));
        for (blob, until) in [payload, checkpoint, result].into_iter().flatten() {
            self.keep_blob(id, &blob, until).await;
        }
    }

    /// Keeps a blob up to a height.
    async fn keep_blob(&self, task: TaskId, blob: &BlobRef, until: Height) {
        match self.size(blob.hash).await {
            Ok(Some(_)) => {
                let locator = Locator::from_hash(blob.hash.0);
                if let Err(error) = self.store.pin(&locator, &format!("task-{task}"), until).await {
                    tracing::warn!(%error, task, "not pinned");
                }
            }
            Ok(None) => tracing::info!(task, locator = blob.locator, "no peer has this blob"),
            Err(error) => tracing::warn!(%error, task, "the off-chain store failed"),
        }
    }

    async fn collect(&self, tasks: &[TaskChange], height: Height) {
        if tasks.is_empty() {
            return;
        }
        if let Err(error) = self.store.collect(height).await {
            tracing::warn!(%error, "collecting garbage failed");
        }
    }
}

fn refusal(error: BlobError) -> BackendError {
    match error {
        BlobError::TooLarge { size, max, .. } => BackendError::BlobTooLarge { size, max },
        BlobError::QuotaExceeded { needed, held_bytes, quota_bytes, .. } => {
            BackendError::BlobQuota { needed, free: quota_bytes.saturating_sub(held_bytes) }
        }
        other => internal(other),
    }
}
