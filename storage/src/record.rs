//! What is kept about an executed block.

use alloy_primitives::{Address, B256, Bloom};
use neura_types::{BlockId, ExecutedRoot, Height, Log};
use serde::{Deserialize, Serialize};

/// Result of an executed block, without its receipts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutedRecord {
    /// Its id.
    pub id: BlockId,
    /// Roots and gas, as a later header certifies them.
    pub root: ExecutedRoot,
    /// The last saved version of the state tree.
    pub tree_version: u64,
    /// Height that it was saved at, with the state of that height: this one's has the changes of the blocks since.
    pub tree_height: Height,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// Base fee of this block, in wei per gas.
    pub base_fee: u64,
    /// Account that received the tips.
    pub proposer: Address,
    /// Position in the payload of the transaction of each receipt.
    pub included: Vec<u32>,
    /// Logs of the block's end, which belong to no transaction.
    pub block_logs: Vec<Log>,
    /// Ethereum's 2048 bits over the addresses and topics of all logs.
    pub bloom: Bloom,
}

/// Where a transaction was executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxLocation {
    /// Height of its block.
    pub height: Height,
    /// Id of its block.
    pub block: BlockId,
    /// Position of its receipt among those of the block.
    pub index: u32,
    /// Position of its bytes in the block's payload.
    pub payload_index: u32,
    /// Number of logs before its own in the block.
    pub first_log_index: u32,
}

/// Height and id of a tip.
pub(crate) type Tip = (Height, BlockId);

/// Chain id and genesis hash, as `meta` holds them.
pub(crate) type ChainIdentity = (u64, B256);
