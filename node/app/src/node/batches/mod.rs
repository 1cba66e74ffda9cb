//! Send transactions ahead of the blocks that order them, in batches that every voter holds.
//!
//! # Design
//! A validator seals the transactions that it took in into batches ([`sealer`]) and pushes each once to all others.
//! [`keeper`] takes batches in, its own and theirs: within each author's quota, verified, stored. A proposer names the
//! digests of batches that it holds; a validator votes only for a block whose batches it holds, so that a quorum
//! certificate proves them available, and [`fetcher`] asks for those that are missing, for a vote or for execution.
//! [`Index`] knows which wait; the store keeps the bytes, and those of final blocks as long as the blocks.
//!
//! # Invariants
//! - What is held is in the store's log before it counts as held, and so is durable before a vote that relies on it: the
//!   block's own synced write comes later in the same log.
//! - Memory and disk are bounded per author for what nobody asked for, by the blocks' sizes for the rest.
//! - A batch stands in one block of a chain.

pub mod fetcher;
mod frame;
mod index;
pub mod keeper;
mod lineage;
pub mod sealer;
mod wants;

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use neura_p2p::NetworkHandle;
use neura_storage::{StorageError, Store};
use neura_types::{B256, BatchRef, Block, BlockId, Bytes, Height, ValidatorIndex};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};

pub use frame::{Frame, FrameError, MAX_BATCH_BYTES, MAX_BATCH_ITEMS, MAX_FRAME_BYTES};
pub use index::{
    BlockLimits, EXPIRY, Held, Index, MAX_BLOCK_BATCHES, ORDERED_WINDOW, Quota, Unwanted,
};
use lineage::Lineage;
use wants::Wants;

use super::{chain::Chain, peers::Peers, workload::Workload};

/// What of all authors together may wait for blocks, in bytes: as much as the store takes unasked.
const MAX_WAITING_BYTES: usize = 128 << 20;
/// Most of it that one author may have, so that a small set does not need all of it.
const MAX_AUTHOR_BYTES: usize = 16 << 20;
/// Batches of one author that may wait: 8 KiB each if it uses all its bytes.
const MAX_AUTHOR_BATCHES: usize = 2_048;

/// The batches of a node, as its parts share them.
#[derive(Debug)]
pub struct Batches {
    store: Store,
    index: Mutex<Index>,
    lineage: Mutex<Lineage>,
    wants: Mutex<Wants>,
    /// Rings when something is wanted.
    wanted: Notify,
    /// Rings when there may be something to seal, and room for it.
    pub sealable: Notify,
    /// Own batches on their way into the index.
    sealing: AtomicUsize,
    /// Counts what was taken in.
    arrivals: watch::Sender<u64>,
}

impl Batches {
    /// Over the store that keeps them.
    ///
    /// # Errors
    /// If the store fails.
    pub fn new(store: Store) -> Result<Self, StorageError> {
        let mut index = Index::default();
        let (tip, _) = store.committed_tip()?;
        for height in tip.saturating_sub(ORDERED_WINDOW)..=tip {
            let Some(id) = store.block_id_at(height)? else { continue };
            if let Some(block) = store.block(id)? {
                index.ordered(height, digests_of(&block));
            }
        }
        Ok(Self {
            store,
            index: Mutex::new(index),
            lineage: Mutex::default(),
            wants: Mutex::default(),
            wanted: Notify::new(),
            sealable: Notify::new(),
            sealing: AtomicUsize::new(0),
            arrivals: watch::Sender::new(0),
        })
    }

    /// Notes a proposed block.
    pub fn proposed(&self, id: BlockId, block: &Block) {
        let height = block.header.height;
        self.lineage.lock().insert(id, height, digests_of(block));
    }

    /// Whether a block could name something that its ancestors do not.
    pub fn has_waiting(&self, taken: &HashSet<B256>) -> bool {
        self.index.lock().has_waiting(taken)
    }

    /// Batches for a block.
    pub fn select(&self, taken: &HashSet<B256>, limits: BlockLimits) -> Vec<BatchRef> {
        self.index.lock().select(taken, limits)
    }

    /// Whether a block may name its batches: few enough, each once, none that its ancestors name (`taken`, and the final
    /// ones).
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, block: &Block, mut taken: HashSet<B256>) -> Result<(), String> {
        let batches = &block.batches;
        if batches.len() > MAX_BLOCK_BATCHES {
            return Err(format!("it names {} batches, {MAX_BLOCK_BATCHES} may be", batches.len()));
        }
        let index = self.index.lock();
        match batches
            .iter()
            .find(|b| index.was_ordered(&b.digest, block.header.height) || !taken.insert(b.digest))
        {
            Some(again) => Err(format!("it names batch {} again", again.digest)),
            None => Ok(()),
        }
    }

    /// Which of a block's batches are not here.
    ///
    /// # Errors
    /// If one is here and is not what the block says of it.
    pub fn missing(&self, batches: &[BatchRef]) -> Result<Vec<BatchRef>, String> {
        let index = self.index.lock();
        let mut missing = Vec::new();
        for batch in batches {
            match index.get(&batch.digest) {
                None => missing.push(*batch),
                Some(held) if held.frame.reference == *batch => {}
                Some(held) => {
                    let own = held.frame.reference;
                    return Err(format!("it says {batch:?} of a batch that is {own:?}"));
                }
            }
        }
        Ok(missing)
    }

    /// Which of a final block's batches are neither in memory nor in the store.
    ///
    /// # Errors
    /// If the store fails.
    pub fn absent(&self, batches: &[BatchRef]) -> Result<Vec<BatchRef>, StorageError> {
        let unknown: Vec<BatchRef> = {
            let index = self.index.lock();
            batches.iter().filter(|batch| index.get(&batch.digest).is_none()).copied().collect()
        };
        let digests: Vec<B256> = unknown.iter().map(|batch| batch.digest).collect();
        let stored = self.store.has_batches(&digests)?;
        Ok(unknown.into_iter().zip(stored).filter(|(_, stored)| !stored).map(|(b, _)| b).collect())
    }

    /// Asks for batches: of those who should have them, and of others. Without `until`, as long as they are missing.
    pub fn want(&self, batches: &[BatchRef], proposer: ValidatorIndex, until: Option<Instant>) {
        if self.wants.lock().add(batches, proposer, until, Instant::now()) {
            self.wanted.notify_one();
        }
    }

    /// Notes a final block.
    pub fn ordered(&self, block: &Block) {
        let height = block.header.height;
        self.index.lock().ordered(height, digests_of(block));
        self.lineage.lock().prune(height);
        self.sealable.notify_one();
    }

    /// Notes that a height is executed.
    pub fn executed(&self, height: Height) {
        self.index.lock().executed(height);
    }

    /// A batch, from memory.
    pub fn get(&self, digest: &B256) -> Option<Held> {
        self.index.lock().get(digest).cloned()
    }

    /// An encoded batch.
    ///
    /// # Errors
    /// If the store fails.
    pub fn bytes(&self, digest: B256) -> Result<Option<Bytes>, StorageError> {
        if let Some(held) = self.index.lock().get(&digest) {
            return Ok(Some(held.frame.bytes.clone()));
        }
        Ok(self.store.batch_bytes(digest)?.map(Bytes::from))
    }

    /// The encoded transactions of a block in order of execution; none if a batch is not here.
    ///
    /// # Errors
    /// If the store fails.
    pub fn transactions(&self, block: &Block) -> Result<Option<Vec<Bytes>>, StorageError> {
        let mut items = Vec::new();
        for batch in &block.batches {
            if let Some(held) = self.get(&batch.digest) {
                items.extend(held.frame.items());
                continue;
            }
            let Some(bytes) = self.store.batch_bytes(batch.digest)? else { return Ok(None) };
            items.extend(Frame::parse(bytes.into()).map(|f| f.items()).unwrap_or_default());
        }
        items.extend(block.payload.iter().cloned());
        Ok(Some(items))
    }

    /// Waits for batches to come in. Changes that were seen before do not count.
    pub fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrivals.subscribe()
    }

    /// Number of batches in memory, and their bytes.
    pub fn size(&self) -> (usize, usize) {
        self.index.lock().size()
    }

    /// Whether an author may seal more: what it has waiting, and what it has under way, stays small, so that it waits
    /// where the client can be told.
    fn has_room(&self, author: ValidatorIndex) -> bool {
        self.sealing.load(Ordering::Acquire) < sealer::MAX_UNDER_WAY
            && self.index.lock().waiting_bytes(author) < sealer::MAX_OWN_BYTES
    }
}

/// The quota of each author in a set of so many.
pub fn quota(validators: usize) -> Quota {
    let share = MAX_WAITING_BYTES / validators.max(1);
    // Never below what an honest author has waiting.
    let bytes = share.clamp(2 * sealer::MAX_OWN_BYTES.min(MAX_AUTHOR_BYTES / 2), MAX_AUTHOR_BYTES);
    Quota { bytes, batches: MAX_AUTHOR_BATCHES }
}

fn digests_of(block: &Block) -> Vec<B256> {
    block.batches.iter().map(|batch| batch.digest).collect()
}

/// A block's size as its parameters limit it: its own transactions and those of its batches.
pub fn block_bytes(block: &Block) -> u64 {
    let inline: u64 = block.payload.iter().map(|item| item.len() as u64).sum();
    let batches: u64 = block.batches.iter().map(|batch| u64::from(batch.bytes)).sum();
    inline.saturating_add(batches)
}

/// Number of a block's transactions, duplicates counted.
pub fn block_items(block: &Block) -> u64 {
    let batches: u64 = block.batches.iter().map(|batch| u64::from(batch.items)).sum();
    batches.saturating_add(block.payload.len() as u64)
}

/// A batch that came, and why.
#[derive(Debug)]
pub enum Incoming {
    /// Made here.
    Own(Frame),
    /// Sent by its author.
    Pushed(Frame),
    /// A block names it.
    Needed(Frame),
    /// Time to drop what has waited too long.
    Sweep,
}

/// Where batches are handed in.
pub type Inlet = mpsc::Sender<Incoming>;

/// Batches that may wait to be taken in: beyond, the network is not read.
pub const INLET: usize = 64;

/// Starts sealing and fetching, until the node stops. Returns where batches are handed in, and what [`keeper::run`] takes
/// them from.
pub fn start(
    chain: &Arc<Chain>,
    network: &NetworkHandle,
    peers: &Arc<Peers>,
    workload: Arc<dyn Workload>,
) -> (Inlet, mpsc::Receiver<Incoming>) {
    let (inlet, outlet) = mpsc::channel(INLET);
    let sealing = sealer::run(Arc::clone(chain), network.clone(), workload, inlet.clone());
    chain.spawn(sealing);
    let fetcher = fetcher::Fetcher {
        chain: Arc::clone(chain),
        network: network.clone(),
        peers: Arc::clone(peers),
        inlet: inlet.clone(),
    };
    chain.spawn(fetcher.run());
    (inlet, outlet)
}
