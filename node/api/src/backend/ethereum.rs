//! What only a chain of Ethereum's own blocks can show.

use alloy_consensus::Header as EthereumHeader;
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{B256, Bytes, U256};
use neura_types::Account;

/// What a block of Ethereum has beyond ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EthereumBlock {
    /// Its header.
    pub header: EthereumHeader,
    /// Its withdrawals.
    pub withdrawals: Vec<Withdrawal>,
    /// The block in RLP.
    pub raw: Bytes,
    /// Fee per gas of blobs in it, in wei.
    pub blob_price: Option<u128>,
    /// Fee per gas of blobs in the block after it, in wei.
    pub next_blob_price: Option<u128>,
    /// Most gas of blobs in it.
    pub max_blob_gas: u64,
}

/// An account's proof against the root of an Ethereum state (`eth_getProof`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EthereumProof {
    /// The account.
    pub account: Account,
    /// Root of its storage.
    pub storage_root: B256,
    /// Nodes from the state's root to the account.
    pub account_proof: Vec<Bytes>,
    /// The words asked for: value, and nodes from the storage root.
    pub storage: Vec<(U256, Vec<Bytes>)>,
}
