//! What a store is opened with.

use std::num::NonZeroU32;

use alloy_primitives::B256;
use neura_types::ChainId;

/// Fewest executed blocks that a pruning store keeps: the 256 of BLOCKHASH, the execution lag, and room for a peer that
/// fetches a range.
pub const MIN_RETAINED_BLOCKS: u64 = 300;

/// Cache of table blocks unless told otherwise, in MiB: holds a state of a million accounts, and the index and filters of
/// ten million.
pub const DEFAULT_CACHE_MIB: NonZeroU32 = NonZeroU32::new(256).unwrap();

/// Which old bodies, receipts and states are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// All.
    Archive,
    /// Those of this many blocks below the executed tip, at least [`MIN_RETAINED_BLOCKS`].
    Blocks(u64),
}

/// Settings of a store.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// EIP-155 id of the chain whose data it holds.
    pub chain_id: ChainId,
    /// Hash of the chain's genesis file.
    pub genesis_hash: B256,
    /// What is kept of the past.
    pub retention: Retention,
    /// Bytes of the cache of uncompressed table blocks, shared by all columns.
    pub cache_bytes: usize,
    /// Bytes of unflushed writes, all columns together, before they go to tables.
    pub write_buffer_bytes: usize,
    /// Bytes that batches may take which came unasked and which no final block names.
    pub unnamed_batch_bytes: u64,
    /// Accounts of the newest state kept decoded in memory, and as many words; each takes about 200 bytes.
    pub recent_values: usize,
    /// Nodes of the state tree kept decoded in memory, besides those changed since it was saved; an inner node takes about
    /// 1 KiB.
    pub tree_cache_nodes: usize,
    /// Blocks after which the state and its tree are saved at the latest: a restart repeats what these changed, a state
    /// between two saves costs the same when it is proved from. A busy chain saves them before.
    pub save_after_blocks: u64,
}

impl StoreConfig {
    /// An archive of one chain with the default memory: 64 MiB of write buffers, and caches as
    /// [`StoreConfig::with_caches`] shares out [`DEFAULT_CACHE_MIB`]; and 256 MiB of disk for batches that no block names:
    /// ten seconds of what the network orders at most.
    pub fn new(chain_id: ChainId, genesis_hash: B256) -> Self {
        Self {
            chain_id,
            genesis_hash,
            retention: Retention::Archive,
            cache_bytes: 0,
            write_buffer_bytes: 64 << 20,
            unnamed_batch_bytes: 256 << 20,
            recent_values: 0,
            tree_cache_nodes: 0,
            save_after_blocks: 64,
        }
        .with_caches(DEFAULT_CACHE_MIB)
    }

    /// The same with caches of another size: so many MiB of table blocks, and about as much again of decoded values and tree
    /// nodes. They grow to that only where the state is as large.
    #[must_use]
    pub fn with_caches(self, mib: NonZeroU32) -> Self {
        let mib = usize::try_from(mib.get()).unwrap_or(usize::MAX);
        Self {
            cache_bytes: mib.saturating_mul(1 << 20),
            recent_values: mib.saturating_mul(1 << 10),
            tree_cache_nodes: mib.saturating_mul(512),
            ..self
        }
    }
}
