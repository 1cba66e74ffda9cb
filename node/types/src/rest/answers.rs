//! Requests and answers beside the chain's own records: submission, matching, faucet, blobs, events, problems.

use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use crate::{
    Amount, Height,
    block::BlockId,
    provider::ProviderStatus,
    task::{Requirement, TaskId, TaskState},
};

/// An error as RFC 9457 describes it (`application/problem+json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Names the kind of problem: `urn:neura:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// What kind of error it is, in a few words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// Stable snake_case code: what a program acts on.
    pub code: String,
    /// What is wrong with this request and what to do about it.
    pub detail: String,
    /// Return data of a revert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub data: Option<Bytes>,
}

/// `POST /v1/transactions`: a signed transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SubmitRequest {
    /// The EIP-2718 envelope in hexadecimal.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub raw: Bytes,
}

/// Answer to a submission: the transaction waits for its block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Submitted {
    /// Its hash.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub hash: B256,
}

/// Answer to a note: who reads the task's notes gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NoteTaken {
    /// Its number.
    pub number: u64,
}

/// `POST /v1/match`: which providers can serve a job?
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MatchRequest {
    /// What the job needs.
    #[cfg_attr(feature = "openapi", schema(value_type = super::schema::Requirement))]
    pub requirement: Requirement,
    /// Executor that it needs, such as `int8`.
    #[serde(default)]
    pub executor: Option<String>,
}

/// One provider's fit: it fits if nothing falls short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProviderMatch {
    /// The provider.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub provider: Address,
    /// Whether it can take the job now.
    pub fits: bool,
    /// What falls short.
    pub shortfalls: Vec<Shortfall>,
    /// Price per block, in wei.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub price_per_block: Amount,
    /// Whether it takes tasks.
    #[cfg_attr(feature = "openapi", schema(value_type = super::schema::ProviderStatus))]
    pub status: ProviderStatus,
    /// Tasks that it can take beside those it has.
    pub free_capacity: u32,
}

/// One dimension in which a provider does not meet the demand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Shortfall {
    /// Field of the requirement, or `executor`, `status`, `capacity`.
    pub dimension: String,
    /// What the job asks.
    pub wanted: String,
    /// What the provider has.
    pub offered: String,
}

/// `POST /v1/faucet`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FaucetRequest {
    /// Who receives the coins.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub address: Address,
    /// How many, in wei; the faucet's usual amount if left out.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub amount: Option<Amount>,
}

/// Coins are on their way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FaucetGrant {
    /// Hash of the transfer.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub hash: B256,
    /// Amount sent, in wei.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub amount: Amount,
}

/// `POST /v1/blobs`: where the bytes lie now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BlobStored {
    /// Canonical locator, such as `neura:<blake3>`.
    pub locator: String,
    /// BLAKE3 of the bytes.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub hash: B256,
    /// Number of bytes.
    pub size: u64,
}

/// What happened to a task in a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskChange {
    /// The task.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub task: TaskId,
    /// Where it stands after the block.
    #[cfg_attr(feature = "openapi", schema(value_type = super::schema::TaskState))]
    pub state: TaskState,
    /// Its owner.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub owner: Address,
    /// Its provider.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub provider: Address,
    /// The block's height.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub height: Height,
}

/// `data` of one server-sent event of `GET /v1/events`. The event's name is the value of `kind`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ChainEvent {
    /// A block's place in the chain is final.
    BlockOrdered {
        /// The block.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        id: BlockId,
        /// Its height.
        #[cfg_attr(feature = "openapi", schema(value_type = u64))]
        height: Height,
        /// Number of its transactions.
        transactions: u64,
        /// The proposer's time.
        timestamp_ms: u64,
    },
    /// A block is executed here; its receipts can be read.
    BlockExecuted {
        /// The block.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        id: BlockId,
        /// Its height.
        #[cfg_attr(feature = "openapi", schema(value_type = u64))]
        height: Height,
        /// Number of its transactions.
        transactions: u64,
        /// Gas used.
        gas_used: u64,
    },
    /// A task has a new state or a new deadline.
    Task(TaskChange),
    /// Events were lost between the one before and the one after this: read what you need again.
    Missed {},
}

impl ChainEvent {
    /// The event's name in the stream.
    pub fn name(&self) -> &'static str {
        match self {
            Self::BlockOrdered { .. } => "block_ordered",
            Self::BlockExecuted { .. } => "block_executed",
            Self::Task(_) => "task",
            Self::Missed {} => "missed",
        }
    }
}
