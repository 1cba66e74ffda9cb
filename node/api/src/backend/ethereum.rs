//! What only a chain of Ethereum's own blocks can show.

use alloy_consensus::Header as EthereumHeader;
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B256, Bytes, U256};
use neura_types::Account;

/// What a block of Ethereum has beyond ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EthereumBlock {
    /// Its header.
    pub header: EthereumHeader,
    /// Headers of its uncles.
    pub uncles: Vec<EthereumHeader>,
    /// State root after each of its transactions, before Byzantium, when receipts stated it; empty since.
    pub roots: Vec<B256>,
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

/// A block to be put together on top of another, without being added (`testing_buildBlockV1`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildRequest {
    /// Hash of the block below it.
    pub parent: B256,
    /// Its time, in seconds.
    pub time: u64,
    /// Who receives its tips.
    pub fee_recipient: Address,
    /// Its PREVRANDAO.
    pub prev_randao: B256,
    /// Root of the beacon block before it.
    pub beacon_root: Option<B256>,
    /// Its withdrawals.
    pub withdrawals: Vec<Withdrawal>,
    /// Its transactions, encoded; those that wait, if none are named.
    pub transactions: Option<Vec<Bytes>>,
    /// What its header says beyond all else.
    pub extra_data: Bytes,
}

/// A block that was put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltBlock {
    /// Its header.
    pub header: EthereumHeader,
    /// Its hash.
    pub hash: B256,
    /// Its transactions, encoded.
    pub transactions: Vec<Bytes>,
    /// Its withdrawals.
    pub withdrawals: Vec<Withdrawal>,
    /// What its fee recipient earns with it, in wei.
    pub value: U256,
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
