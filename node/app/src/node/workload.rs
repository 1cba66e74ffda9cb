//! Where the bodies of blocks come from.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::{Arc, atomic::Ordering},
};

use neura_types::{B256, Block, BlockId, Bytes, Height, hash::keccak};
use parking_lot::Mutex;

use super::chain::Chain;
use crate::mempool::BlockLimits;

/// Transactions that stand in the ancestors of a block to be filled and are not executed yet.
pub type InFlight = HashSet<B256>;

/// Fills blocks.
pub trait Workload: Send + Sync + std::fmt::Debug {
    /// What the next block must not repeat, given its parent.
    fn in_flight(&self, parent: BlockId) -> InFlight;
    /// Whether a block could be filled now.
    fn has_ready(&self, in_flight: &InFlight) -> bool;
    /// The body of the next block.
    fn take(&self, in_flight: &InFlight) -> Vec<Bytes>;
    /// Told of every block proposed, by whomever.
    fn proposed(&self, id: BlockId, block: &Block);
}

/// The transactions of the pool.
#[derive(Debug)]
pub struct PoolWorkload {
    chain: Arc<Chain>,
    /// Hashes of proposed blocks above the executed height.
    bodies: Mutex<BTreeMap<BlockId, Arc<Body>>>,
}

#[derive(Debug)]
struct Body {
    height: Height,
    parent: BlockId,
    hashes: Vec<B256>,
}

impl Body {
    fn of(block: &Block) -> Self {
        let hashes = block.payload.iter().map(|raw| keccak(raw)).collect();
        Self { height: block.header.height, parent: block.header.parent, hashes }
    }
}

impl PoolWorkload {
    /// Takes from the chain's pool.
    pub fn new(chain: Arc<Chain>) -> Self {
        Self { chain, bodies: Mutex::default() }
    }

    /// A proposed block's hashes; from the store if it was proposed before this node's last start.
    fn body(&self, id: BlockId) -> Option<Arc<Body>> {
        if let Some(body) = self.bodies.lock().get(&id) {
            return Some(Arc::clone(body));
        }
        let block = self.chain.store.block(id).ok().flatten()?;
        let body = Arc::new(Body::of(&block));
        self.bodies.lock().insert(id, Arc::clone(&body));
        Some(body)
    }

    fn base_fee(&self) -> u64 {
        self.chain.next_base_fee.load(Ordering::Relaxed)
    }
}

impl Workload for PoolWorkload {
    fn in_flight(&self, parent: BlockId) -> InFlight {
        let executed = self.chain.executed_height();
        let mut found = InFlight::new();
        let mut next = parent;
        while let Some(body) = self.body(next).filter(|body| body.height > executed) {
            found.extend(&body.hashes);
            next = body.parent;
        }
        found
    }

    fn has_ready(&self, in_flight: &InFlight) -> bool {
        self.chain.mempool.lock().has_ready(self.base_fee(), in_flight)
    }

    fn take(&self, in_flight: &InFlight) -> Vec<Bytes> {
        let params = &self.chain.params;
        let limits = BlockLimits {
            bytes: usize::try_from(params.max_block_bytes).unwrap_or(usize::MAX),
            gas: params.block_gas_limit,
            base_fee: self.base_fee(),
        };
        self.chain.mempool.lock().select(limits, in_flight)
    }

    fn proposed(&self, id: BlockId, block: &Block) {
        let executed = self.chain.executed_height();
        let mut bodies = self.bodies.lock();
        bodies.retain(|_, body| body.height > executed);
        bodies.entry(id).or_insert_with(|| Arc::new(Body::of(block)));
    }
}

/// Bytes that nobody executes: for measuring the ordering alone.
#[derive(Debug)]
pub struct OpaqueWorkload {
    /// Most bytes of a body.
    pub max_bytes: usize,
    /// What waits, oldest first.
    pub queue: Mutex<VecDeque<Bytes>>,
}

impl Workload for OpaqueWorkload {
    fn in_flight(&self, _: BlockId) -> InFlight {
        InFlight::new()
    }

    fn has_ready(&self, _: &InFlight) -> bool {
        !self.queue.lock().is_empty()
    }

    fn take(&self, _: &InFlight) -> Vec<Bytes> {
        let mut queue = self.queue.lock();
        let mut bytes = 0;
        let mut body = Vec::new();
        while let Some(item) = queue.pop_front() {
            if bytes + item.len() > self.max_bytes {
                queue.push_front(item);
                break;
            }
            bytes += item.len();
            body.push(item);
        }
        body
    }

    fn proposed(&self, _: BlockId, _: &Block) {}
}
