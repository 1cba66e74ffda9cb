//! Where the bodies of blocks come from.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
};

use neura_types::{Block, Bytes, hash::keccak};
use parking_lot::Mutex;

use super::chain::Chain;

/// Fills blocks.
pub trait Workload: Send + Sync + std::fmt::Debug {
    /// Whether a block could be filled now.
    fn has_ready(&self) -> bool;
    /// The body of the next block.
    fn take(&self) -> Vec<Bytes>;
    /// Told of every block proposed, by whomever.
    fn proposed(&self, block: &Block);
}

/// The transactions of the pool.
#[derive(Debug)]
pub struct PoolWorkload {
    /// The chain whose pool it is.
    pub chain: Arc<Chain>,
}

impl Workload for PoolWorkload {
    fn has_ready(&self) -> bool {
        self.chain.mempool.lock().has_ready(self.chain.next_base_fee.load(Ordering::Relaxed))
    }

    fn take(&self) -> Vec<Bytes> {
        let params = &self.chain.params;
        self.chain.mempool.lock().select(
            usize::try_from(params.max_block_bytes).unwrap_or(usize::MAX),
            params.block_gas_limit,
            self.chain.next_base_fee.load(Ordering::Relaxed),
        )
    }

    fn proposed(&self, block: &Block) {
        let hashes = block.payload.iter().map(|raw| keccak(raw)).collect::<Vec<_>>();
        self.chain.mempool.lock().mark_proposed(block.header.height, hashes);
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
    fn has_ready(&self) -> bool {
        !self.queue.lock().is_empty()
    }

    fn take(&self) -> Vec<Bytes> {
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

    fn proposed(&self, _: &Block) {}
}
