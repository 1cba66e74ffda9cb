//! What is asked about logs, and what is answered.

use alloy_primitives::{Address, B256};
use neura_types::{Height, Log, block::BlockId};

/// Which logs are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// First height.
    pub from: Height,
    /// Last height, not below the first, executed.
    pub to: Height,
    /// Emitters; empty for any.
    pub addresses: Vec<Address>,
    /// For each position the topics that may stand there; empty for any. Not more than four positions.
    pub topics: Vec<Vec<B256>>,
}

impl LogQuery {
    /// Whether a log is asked for, apart from its height.
    pub fn matches(&self, log: &Log) -> bool {
        Self::fits(&self.addresses, &self.topics, log.address, &log.topics)
    }

    /// Whether a log of `address` with `topics` is among `addresses` and has `wanted` topics.
    pub(crate) fn fits(
        addresses: &[Address],
        wanted: &[Vec<B256>],
        address: Address,
        topics: &[B256],
    ) -> bool {
        let right_address = addresses.is_empty() || addresses.contains(&address);
        let mut positions = wanted.iter().zip(topics);
        right_address
            && wanted.len() <= topics.len()
            && positions.all(|(wanted, topic)| wanted.is_empty() || wanted.contains(topic))
    }
}

/// A log with its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// The log.
    pub log: Log,
    /// Its block.
    pub block: BlockId,
    /// The block's height.
    pub height: Height,
    /// The block's time.
    pub timestamp_ms: u64,
    /// Its transaction.
    pub tx_hash: B256,
    /// The transaction's position among the executed ones of the block.
    pub tx_index: u64,
    /// Position among all logs of the block.
    pub log_index: u64,
}
