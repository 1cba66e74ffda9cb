//! Receipts and logs of executed transactions.

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};

/// An event emitted by a contract or a native module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// Emitter.
    pub address: Address,
    /// Up to four topics; the first is the event's signature hash.
    pub topics: Vec<B256>,
    /// ABI-encoded fields.
    pub data: Bytes,
}

/// What became of one transaction. A receipt exists if and only if the sender's nonce moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Hash of the transaction.
    pub tx_hash: B256,
    /// EIP-2718 type.
    pub tx_type: u8,
    /// Who paid.
    pub from: Address,
    /// Who was called; none for a creation.
    pub to: Option<Address>,
    /// Address of the contract created.
    pub contract: Option<Address>,
    /// Whether it took effect; a failed one has only paid its gas.
    pub success: bool,
    /// Gas used by this transaction.
    pub gas_used: u64,
    /// Gas used in the block up to and including this transaction.
    pub cumulative_gas_used: u64,
    /// Price paid per gas, in wei.
    pub effective_gas_price: U256,
    /// Events, in order.
    pub logs: Vec<Log>,
    /// Return data of a revert (at most 1,024 bytes), for a reader who asks why.
    pub revert_data: Bytes,
}
