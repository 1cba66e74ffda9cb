//! Node status, blocks, transactions, accounts.

use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use super::Wei;
use crate::{ChainId, Epoch, Height, View, block::ExecutedRoot, validator::ValidatorIndex};

/// `GET /v1/status`: where the node stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Status {
    /// Version of the node's software.
    pub version: String,
    /// EIP-155 chain id.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub chain_id: ChainId,
    /// Hash of the genesis file.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub genesis_hash: B256,
    /// Height up to which the order of blocks is final.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub ordered: Height,
    /// Height up to which blocks are executed here; what the chain's state is read at.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub executed: Height,
    /// Height up to which a quorum certified the result of execution.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub certified: Height,
    /// Current view of the consensus protocol.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub view: View,
    /// Current epoch.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub epoch: Epoch,
    /// Height of its last block.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub epoch_last: Height,
    /// Validators of the epoch that this node saw contradict themselves since it was started.
    pub evidence: u64,
    /// Connected peers.
    pub peers: u32,
    /// The node's index in the validator set, if it is in it and signs: a validator whose safety record is lost follows
    /// the chain like any other node.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u16>))]
    pub validator: Option<ValidatorIndex>,
    /// Whether it is catching up with the other nodes.
    pub syncing: bool,
    /// Whether `POST /v1/faucet` gives coins.
    pub faucet: bool,
    /// Largest blob that the node's off-chain store takes, in bytes; 0 if it has none.
    pub max_blob_bytes: u64,
}

/// How far a block or transaction has come. Ordered is final: what follows is deterministic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Finality {
    /// Waits for its block.
    Pending,
    /// Its place in the chain is final, its result is not known here yet.
    Ordered,
    /// Executed here.
    Executed,
    /// A quorum certified the result.
    Certified,
}

/// What executing a block gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BlockExecution {
    /// Root of the state after the block.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub state_root: B256,
    /// Digest of its receipts.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub receipts_root: B256,
    /// Gas used.
    pub gas_used: u64,
    /// Gas that it may use.
    pub gas_limit: u64,
    /// Base fee, in wei per gas.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub base_fee_per_gas: Wei,
}

/// A block without its transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BlockSummary {
    /// Its identity.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: B256,
    /// Height.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub height: Height,
    /// The parent's identity.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub parent: B256,
    /// View in which it was proposed.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub view: View,
    /// Epoch.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub epoch: Epoch,
    /// Index of the proposer.
    #[cfg_attr(feature = "openapi", schema(value_type = u16))]
    pub proposer: ValidatorIndex,
    /// Account of the proposer.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub proposer_account: Address,
    /// The proposer's time.
    pub timestamp_ms: u64,
    /// Value of the beacon: PREVRANDAO of the block.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub beacon: B256,
    /// Number of transactions.
    pub transactions: u64,
    /// Encoded size in bytes.
    pub size: u64,
    /// How far it has come.
    pub finality: Finality,
    /// Result, once executed.
    pub execution: Option<BlockExecution>,
}

/// `GET /v1/blocks/{height|id|latest}`: a block with the hashes of its transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BlockDetail {
    /// The block.
    #[serde(flatten)]
    pub block: BlockSummary,
    /// Result of an earlier block that this block's header certifies.
    #[cfg_attr(feature = "openapi", schema(value_type = super::schema::ExecutedRoot))]
    pub certifies: ExecutedRoot,
    /// Hashes of its transactions, in order.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub transaction_hashes: Vec<B256>,
}

/// Where a transaction stands in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Inclusion {
    /// The block's identity.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub block: B256,
    /// The block's height.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub height: Height,
    /// Position in the block.
    pub index: u64,
    /// The block's time.
    pub timestamp_ms: u64,
}

/// An event in a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogInfo {
    /// Emitter.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub address: Address,
    /// Topics; the first is the event's signature hash.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub topics: Vec<B256>,
    /// ABI-encoded fields.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub data: Bytes,
}

/// What became of an executed transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReceiptInfo {
    /// Whether it took effect.
    pub success: bool,
    /// Gas used.
    pub gas_used: u64,
    /// Price paid per gas.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub effective_gas_price: Wei,
    /// Contract created.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub contract: Option<Address>,
    /// Events.
    pub logs: Vec<LogInfo>,
    /// Return data of a revert.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub revert_data: Bytes,
    /// The reason in the return data, if it holds one (`Error(string)` or `Panic(uint256)`).
    pub revert_reason: Option<String>,
}

/// `GET /v1/transactions/{hash}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TransactionInfo {
    /// keccak256 of the envelope.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub hash: B256,
    /// EIP-2718 type as a number (78 is the ed25519 type).
    #[serde(rename = "type")]
    pub tx_type: u8,
    /// Sender.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub from: Address,
    /// Called account; null for a creation.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub to: Option<Address>,
    /// Sender's nonce.
    pub nonce: u64,
    /// Value sent.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub value: Wei,
    /// Most gas that it may use.
    pub gas_limit: u64,
    /// Most paid per gas.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub max_fee_per_gas: Wei,
    /// Most tipped per gas.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub max_priority_fee_per_gas: Wei,
    /// Call data or creation code.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub input: Bytes,
    /// How far it has come.
    pub finality: Finality,
    /// Where it stands, once ordered.
    pub inclusion: Option<Inclusion>,
    /// What became of it, once executed. An ordered transaction that could not pay has none.
    pub receipt: Option<ReceiptInfo>,
}

/// `GET /v1/accounts/{address}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountInfo {
    /// The account.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub address: Address,
    /// Balance.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub balance: Wei,
    /// Transactions sent, at `height`.
    pub nonce: u64,
    /// `nonce` plus the transactions that wait without a gap: the nonce to use next.
    pub pending_nonce: u64,
    /// Whether it has code.
    pub contract: bool,
    /// keccak256 of its code.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub code_hash: B256,
    /// Height that this was read at.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub height: Height,
    /// Proof of the account, if it was asked for; may be of an earlier height.
    pub proof: Option<AccountProof>,
}

/// Proof that an account is in, or absent from, the state tree whose root a header certifies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountProof {
    /// Height whose state is proven.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub height: Height,
    /// Root of that state, as in `executed.state_root` of the header of `certified_by`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub state_root: B256,
    /// The block whose header carries the root.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub certified_by: B256,
    /// Canonical encoding of the account; null if it is absent.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub account: Option<Bytes>,
    /// Canonical encoding of the tree's proof.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub proof: Bytes,
}
