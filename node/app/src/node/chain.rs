//! What the parts of a node share: the chain's constants, its store, the pool, how far each stage has come.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use neura_api::Event;
use neura_consensus::Status;
use neura_runtime::Attendance;
use neura_storage::Store;
use neura_types::{
    Address, B256, Block, BlockId, ExecutedRoot, Genesis, Header, Height, Params, Transaction,
    ValidatorIndex, keys::PublicKey, vote::ChainContext,
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, broadcast, watch};

use super::{batches::Batches, epochs::Epochs};
use crate::mempool::{Limits, Mempool};

/// Roots kept in memory: far more than the lag between execution and certification can be.
const RECENT_ROOTS: usize = 4_096;
/// Recent blocks kept in memory for execution, sync and the API.
const RECENT_BLOCKS: usize = 128;
/// Events that a slow subscriber may be behind before it loses the oldest.
const EVENT_BUFFER: usize = 1_024;

/// The chain as one node holds it.
#[derive(Debug)]
pub struct Chain {
    /// The genesis file.
    pub genesis: Genesis,
    /// Hash of the genesis file.
    pub genesis_hash: B256,
    /// Id of the genesis block.
    pub genesis_id: BlockId,
    /// The key by which other nodes know this one.
    pub key: PublicKey,
    /// Validators and parameters.
    pub epochs: Epochs,
    /// Blocks, state, receipts.
    pub store: Store,
    /// Transactions that wait.
    pub mempool: Mutex<Mempool>,
    /// Batches that wait, or whose blocks are not executed yet.
    pub batches: Batches,
    /// Height of the newest final block.
    pub committed: watch::Sender<Height>,
    /// Height of the newest executed block.
    pub executed: watch::Sender<Height>,
    /// Highest height whose result a final header names.
    pub certified: AtomicU64,
    /// Rings when the pool or the executed height has something new for the consensus driver.
    pub wake: Notify,
    /// What happens, for subscribers.
    pub events: broadcast::Sender<Event>,
    /// Transactions as they come into the pool, for subscribers.
    pub arrivals: broadcast::Sender<Arc<Transaction>>,
    /// Consensus as the driver last saw it.
    consensus: watch::Sender<Option<Status>>,
    /// Validators found to contradict themselves since the node was started.
    pub evidence: AtomicU64,
    /// Transactions with a receipt since the node was started.
    pub receipts: AtomicU64,
    /// Base fee of the next block.
    pub next_base_fee: AtomicU64,
    /// The first failure that stops the node.
    pub failure: Failure,
    roots: RwLock<BTreeMap<Height, ExecutedRoot>>,
    recent: RwLock<BTreeMap<Height, (BlockId, Arc<Block>)>>,
}

/// Where a part of the node says that it cannot go on.
#[derive(Debug)]
pub struct Failure(watch::Sender<Option<String>>);

impl Failure {
    fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Stops the node; the first reason is kept.
    pub fn stop(&self, reason: impl Into<String>) {
        let reason = reason.into();
        self.0.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                tracing::info!(%reason, "stopping");
                *current = Some(reason);
            }
            first
        });
    }

    /// Whether the node is stopping.
    pub fn is_stopping(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits until something failed, and says what.
    pub async fn wait(&self) -> String {
        let mut receiver = self.0.subscribe();
        loop {
            if let Some(reason) = receiver.borrow_and_update().clone() {
                return reason;
            }
            if receiver.changed().await.is_err() {
                return "the node was dropped".into();
            }
        }
    }
}

impl Chain {
    /// Builds the shared part over an initialised store.
    pub fn new(
        genesis: Genesis,
        genesis_id: BlockId,
        (key, epochs): (PublicKey, Epochs),
        store: Store,
    ) -> Result<Self, neura_storage::StorageError> {
        let (committed, _) = store.committed_tip()?;
        let (executed, _) = store.executed_tip()?;
        let mut roots = BTreeMap::new();
        let first =
            executed.saturating_sub(epochs.current().params.execution_lag.saturating_mul(4));
        for height in first..=executed {
            if let Some(root) = store.executed_root(height)? {
                roots.insert(height, root);
            }
        }
        let next_base_fee = store.executed(executed)?.map_or(0, |record| record.root.next_base_fee);
        Ok(Self {
            genesis_hash: genesis.hash(),
            genesis_id,
            key,
            epochs,
            batches: Batches::new(store.clone())?,
            store,
            mempool: Mutex::new(Mempool::new(Limits::default())),
            committed: watch::Sender::new(committed),
            executed: watch::Sender::new(executed),
            certified: AtomicU64::new(0),
            wake: Notify::new(),
            events: broadcast::Sender::new(EVENT_BUFFER),
            arrivals: broadcast::Sender::new(EVENT_BUFFER),
            consensus: watch::Sender::new(None),
            evidence: AtomicU64::new(0),
            receipts: AtomicU64::new(0),
            next_base_fee: AtomicU64::new(next_base_fee),
            failure: Failure::new(),
            roots: RwLock::new(roots),
            recent: RwLock::new(BTreeMap::new()),
            genesis,
        })
    }

    /// Runs a task until it ends or the node stops.
    pub fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let chain = Arc::clone(self);
        tokio::spawn(async move {
            tokio::select! {
                _ = chain.failure.wait() => {}
                () = work => {}
            }
        });
    }

    /// What ties signatures to this chain.
    pub fn context(&self) -> ChainContext {
        ChainContext { chain_id: self.genesis.chain_id, genesis: self.genesis_hash }
    }

    /// Parameters of the epoch that consensus is in.
    pub fn params(&self) -> Params {
        self.epochs.current().params.clone()
    }

    /// This node's index in the set of the epoch that consensus is in; none for a full node.
    pub fn validator(&self) -> Option<ValidatorIndex> {
        self.epochs.current().set.index_of(&self.key)
    }

    /// Consensus as the driver last saw it.
    pub fn consensus(&self) -> Option<Status> {
        *self.consensus.borrow()
    }

    /// Publishes the position of consensus.
    pub fn show(&self, status: Status) {
        self.consensus.send_replace(Some(status));
    }

    /// Waits until the epoch is under way whose blocks come next.
    pub async fn in_epoch(&self) {
        let mut status = self.consensus.subscribe();
        let goes_on = |status: &Option<Status>| {
            status.is_some_and(|s| s.committed_height < self.epochs.current().last)
        };
        // The sender lives as long as this chain.
        let _ = status.wait_for(goes_on).await;
    }

    /// Waits until consensus signs nothing, and so hears little of the others.
    pub async fn observes(&self) {
        let mut status = self.consensus.subscribe();
        // The sender lives as long as this chain.
        let _ = status.wait_for(|status| status.is_some_and(|status| status.observing)).await;
    }

    /// Height of the newest final block.
    pub fn committed_height(&self) -> Height {
        *self.committed.borrow()
    }

    /// Height of the newest executed block.
    pub fn executed_height(&self) -> Height {
        *self.executed.borrow()
    }

    /// Highest height whose result is certified by a final header.
    pub fn certified_height(&self) -> Height {
        self.certified.load(Ordering::Relaxed)
    }

    /// Transactions executed since the node was started.
    pub fn transactions_executed(&self) -> u64 {
        self.receipts.load(Ordering::Relaxed)
    }

    /// This node's own result of executing a height.
    pub fn root(&self, height: Height) -> Option<ExecutedRoot> {
        let recent = self.roots.read().get(&height).copied();
        recent.or_else(|| self.store.executed_root(height).ok().flatten())
    }

    /// Publishes a result.
    pub fn set_root(&self, root: ExecutedRoot) {
        let mut roots = self.roots.write();
        roots.insert(root.height, root);
        while roots.len() > RECENT_ROOTS {
            roots.pop_first();
        }
    }

    /// Keeps a final block at hand.
    pub fn remember(&self, id: BlockId, block: Arc<Block>) {
        let mut recent = self.recent.write();
        recent.insert(block.header.height, (id, block));
        while recent.len() > RECENT_BLOCKS {
            recent.pop_first();
        }
    }

    /// A final block by height.
    ///
    /// # Errors
    /// If the store fails.
    pub fn block_at(
        &self,
        height: Height,
    ) -> Result<Option<(BlockId, Arc<Block>)>, neura_storage::StorageError> {
        if let Some((id, block)) = self.recent.read().get(&height) {
            return Ok(Some((*id, Arc::clone(block))));
        }
        let Some(id) = self.store.block_id_at(height)? else { return Ok(None) };
        Ok(self.store.block(id)?.map(|block| (id, Arc::new(block))))
    }

    /// Account of a block's proposer.
    pub fn proposer(&self, header: &Header) -> Address {
        let epoch = self.epochs.get(header.epoch);
        epoch.and_then(|e| e.set.get(header.proposer).map(|v| v.account)).unwrap_or_default()
    }

    /// The block as modules and the EVM see it, without its validators' attendance.
    pub fn block_context(&self, header: &Header, base_fee: u64) -> neura_runtime::BlockContext {
        neura_runtime::BlockContext {
            chain_id: self.genesis.chain_id,
            genesis: self.genesis_hash,
            height: header.height,
            timestamp_ms: header.timestamp_ms,
            proposer: self.proposer(header),
            randomness: header.beacon.value,
            base_fee,
            treasury: self.genesis.treasury,
            epoch: self.epochs.at(header.height).unwrap_or_else(|| self.epochs.current()),
            attendance: Attendance::default(),
        }
    }
}

/// Milliseconds since the Unix epoch.
pub fn unix_time_ms() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}
