//! Why the node refused or failed, with one stable code each, the same in REST and JSON-RPC.

use alloy_primitives::{Address, Bytes, U256};
use neura_types::{Amount, Height, TransactionError};

use crate::revert;

/// What kind of failure it is: decides the HTTP status and the JSON-RPC code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The request makes no sense, whatever the state.
    Invalid,
    /// What was asked for does not exist.
    NotFound,
    /// The transaction is not taken, or what it asks would fail.
    Refused,
    /// The call was reverted.
    Reverted,
    /// The caller may not.
    Forbidden,
    /// Bigger than the node takes.
    TooLarge,
    /// More results than one answer holds.
    TooMany,
    /// The caller asks too often.
    RateLimited,
    /// The store is full.
    Full,
    /// The node cannot now; later it may.
    Unavailable,
    /// The node failed.
    Internal,
}

/// An error of the node. `code()` is stable; the texts for transactions are geth's, as wallets match them.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum BackendError {
    /// A request that no state could make valid.
    #[error("{0}")]
    InvalidInput(String),
    /// Bytes that are no transaction of this chain.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// The sender has used this nonce.
    #[error("nonce too low: next nonce {expected}, tx nonce {got}")]
    NonceTooLow {
        /// The sender's next nonce.
        expected: u64,
        /// The transaction's.
        got: u64,
    },
    /// Too far above the sender's next nonce to wait in the pool.
    #[error("nonce too high: next nonce {expected}, tx nonce {got}")]
    NonceTooHigh {
        /// The sender's next nonce.
        expected: u64,
        /// The transaction's.
        got: u64,
    },
    /// The pool or the chain has this transaction.
    #[error("already known")]
    AlreadyKnown,
    /// Another transaction of this nonce waits, and this one does not pay 10 % more.
    #[error(
        "replacement transaction underpriced: pay at least 10 % more per gas than the waiting one"
    )]
    ReplacementUnderpriced,
    /// Pays less than the pool takes.
    #[error(
        "transaction underpriced: the fee cap of {got} wei per gas is below the pool's minimum of {minimum}"
    )]
    Underpriced {
        /// What it pays per gas, in wei.
        got: u128,
        /// What it must pay.
        minimum: u128,
    },
    /// Its fee cap does not reach the base fee.
    #[error("max fee per gas less than block base fee: maxFeePerGas: {got}, baseFee: {base_fee}")]
    FeeCapTooLow {
        /// Its fee cap, in wei.
        got: u128,
        /// The base fee, in wei.
        base_fee: u64,
    },
    /// Its tip is above its fee cap.
    #[error(
        "max priority fee per gas higher than max fee per gas: maxPriorityFeePerGas: {tip}, maxFeePerGas: {cap}"
    )]
    TipAboveFeeCap {
        /// Its tip, in wei.
        tip: u128,
        /// Its fee cap, in wei.
        cap: u128,
    },
    /// The sender cannot pay for it.
    #[error(
        "insufficient funds for gas * price + value: address {address} have {have} want {want}"
    )]
    InsufficientFunds {
        /// The sender.
        address: Address,
        /// Its balance, in wei, less what its waiting transactions may cost.
        have: U256,
        /// What it needs, in wei.
        want: U256,
    },
    /// Its gas limit does not pay for its bytes.
    #[error("intrinsic gas too low: have {have}, want {want}")]
    IntrinsicGas {
        /// Its gas limit.
        have: u64,
        /// The least.
        want: u64,
    },
    /// Its gas limit is above a block's.
    #[error("exceeds block gas limit: the gas limit of {got} is above {limit}")]
    GasLimitTooHigh {
        /// Its gas limit.
        got: u64,
        /// A block's.
        limit: u64,
    },
    /// The pool holds as many transactions as it can, each paying more.
    #[error("txpool is full: try again with a higher fee, or later")]
    PoolFull,
    /// A module would refuse the transaction: its code and sentence, as a client of the module sees them.
    #[error("{detail}")]
    Module {
        /// Stable snake_case code.
        code: String,
        /// What is wrong and what to do.
        detail: String,
    },
    /// The call was reverted, with this return data.
    #[error("{}", revert::message(.data))]
    Reverted {
        /// Return data.
        data: Bytes,
    },
    /// The call ended otherwise than by return or revert.
    #[error("{0}")]
    Halted(String),
    /// No gas limit that is allowed suffices.
    #[error("gas required exceeds allowance ({0})")]
    GasExceedsAllowance(u64),
    /// No such block here (yet).
    #[error("header not found: this node has no such block, or has not executed it yet")]
    UnknownBlock,
    /// The state of that height is not kept.
    #[error(
        "missing trie node: the state of height {height} is not kept here; the oldest kept is {oldest}"
    )]
    StateUnavailable {
        /// The height asked for.
        height: Height,
        /// The oldest height kept.
        oldest: Height,
    },
    /// More logs than one answer holds.
    #[error(
        "query returned more than {limit} results: heights {from} to {suggested_to} fit, ask for those"
    )]
    TooManyLogs {
        /// Most logs of one answer.
        limit: usize,
        /// First height asked for.
        from: Height,
        /// Last height of a range that fits; strictly below the one asked for, except where one block alone exceeds
        /// the limit.
        suggested_to: Height,
    },
    /// A log query for which too many blocks must be read in full.
    #[error(
        "query would read more than {limit} blocks in full: heights {from} to {suggested_to} fit, ask for those"
    )]
    LogsTooDense {
        /// Most blocks that one query reads.
        limit: u64,
        /// First height asked for.
        from: Height,
        /// Last height of a range that fits.
        suggested_to: Height,
    },
    /// This chain has no faucet, or this node not its key.
    #[error("this node has no faucet: only a devnet gives coins away")]
    NoFaucet,
    /// More than the faucet gives at once.
    #[error("the faucet gives at most {max} at once, not {asked}")]
    FaucetAmount {
        /// Most at once.
        max: Amount,
        /// Asked for.
        asked: Amount,
    },
    /// The caller asks too often.
    #[error("too many requests: try again in {seconds} s")]
    RateLimited {
        /// When to try again.
        seconds: u64,
    },
    /// This node has no off-chain store.
    #[error("this node has no off-chain store: use another node's, or another store")]
    NoBlobStore,
    /// The blob is too large for the store.
    #[error("a blob of {size} bytes is too large: this store takes at most {max}")]
    BlobTooLarge {
        /// Its size in bytes; at least this, where reading stopped.
        size: u64,
        /// The store's limit.
        max: u64,
    },
    /// The store's quota is used up.
    #[error("the off-chain store is full: {needed} bytes are needed, {free} are free")]
    BlobQuota {
        /// Bytes of the blob.
        needed: u64,
        /// Bytes left.
        free: u64,
    },
    /// A note that does not come from the provider of a running task, or is no newer than the last.
    #[error("the note is not taken: {0}")]
    NoteRefused(String),
    /// A simulation that cannot be run, with the code that JSON-RPC has for it.
    #[error("{message}")]
    Simulation {
        /// Code of JSON-RPC.
        code: i32,
        /// What is wrong.
        message: String,
    },
    /// A trace that cannot be made.
    #[error("{0}")]
    Trace(String),
    /// Something that this node does not do.
    #[error("{0}")]
    Unsupported(String),
    /// The node is busy, syncing or stopping.
    #[error("{0}")]
    Unavailable(String),
    /// The node failed; the sentence is for its operator.
    #[error("the node failed: {0}")]
    Internal(String),
}

impl BackendError {
    /// Stable snake_case code.
    pub fn code(&self) -> &str {
        match self {
            Self::InvalidInput(_) => "invalid_input",
            Self::Transaction(error) => transaction_code(error),
            Self::NonceTooLow { .. } => "nonce_too_low",
            Self::NonceTooHigh { .. } => "nonce_too_high",
            Self::AlreadyKnown => "already_known",
            Self::ReplacementUnderpriced => "replacement_underpriced",
            Self::Underpriced { .. } => "underpriced",
            Self::FeeCapTooLow { .. } => "fee_cap_too_low",
            Self::TipAboveFeeCap { .. } => "tip_above_fee_cap",
            Self::InsufficientFunds { .. } => "insufficient_funds",
            Self::IntrinsicGas { .. } => "intrinsic_gas_too_low",
            Self::GasLimitTooHigh { .. } => "gas_limit_too_high",
            Self::PoolFull => "pool_full",
            Self::Module { code, .. } => code,
            Self::Reverted { .. } => "execution_reverted",
            Self::Halted(_) => "execution_halted",
            Self::GasExceedsAllowance(_) => "gas_exceeds_allowance",
            Self::UnknownBlock => "unknown_block",
            Self::StateUnavailable { .. } => "state_unavailable",
            Self::TooManyLogs { .. } => "too_many_logs",
            Self::LogsTooDense { .. } => "logs_too_dense",
            Self::NoFaucet => "no_faucet",
            Self::FaucetAmount { .. } => "faucet_amount",
            Self::RateLimited { .. } => "rate_limited",
            Self::NoBlobStore => "no_blob_store",
            Self::BlobTooLarge { .. } => "blob_too_large",
            Self::BlobQuota { .. } => "blob_quota",
            Self::NoteRefused(_) => "note_refused",
            Self::Simulation { .. } => "simulation_refused",
            Self::Trace(_) => "trace_refused",
            Self::Unsupported(_) => "unsupported",
            Self::Unavailable(_) => "unavailable",
            Self::Internal(_) => "internal",
        }
    }

    /// What kind of failure it is.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::InvalidInput(_) | Self::FaucetAmount { .. } => ErrorClass::Invalid,
            Self::Transaction(_) => ErrorClass::Invalid,
            Self::NonceTooLow { .. }
            | Self::NonceTooHigh { .. }
            | Self::AlreadyKnown
            | Self::ReplacementUnderpriced
            | Self::Underpriced { .. }
            | Self::FeeCapTooLow { .. }
            | Self::TipAboveFeeCap { .. }
            | Self::InsufficientFunds { .. }
            | Self::IntrinsicGas { .. }
            | Self::GasLimitTooHigh { .. }
            | Self::PoolFull
            | Self::Module { .. }
            | Self::Halted(_)
            | Self::NoteRefused(_)
            | Self::Simulation { .. }
            | Self::Trace(_)
            | Self::Unsupported(_)
            | Self::GasExceedsAllowance(_) => ErrorClass::Refused,
            Self::Reverted { .. } => ErrorClass::Reverted,
            Self::UnknownBlock | Self::StateUnavailable { .. } | Self::NoBlobStore => {
                ErrorClass::NotFound
            }
            Self::TooManyLogs { .. } | Self::LogsTooDense { .. } => ErrorClass::TooMany,
            Self::NoFaucet => ErrorClass::Forbidden,
            Self::RateLimited { .. } => ErrorClass::RateLimited,
            Self::BlobTooLarge { .. } => ErrorClass::TooLarge,
            Self::BlobQuota { .. } => ErrorClass::Full,
            Self::Unavailable(_) => ErrorClass::Unavailable,
            Self::Internal(_) => ErrorClass::Internal,
        }
    }
}

fn transaction_code(error: &TransactionError) -> &'static str {
    match error {
        TransactionError::TooLarge(_) => "transaction_too_large",
        TransactionError::Malformed(_) => "transaction_malformed",
        TransactionError::UnsupportedType(_) => "transaction_type_unsupported",
        TransactionError::WrongChain { .. } => "wrong_chain_id",
        TransactionError::Unprotected => "transaction_unprotected",
        TransactionError::Signature(_) => "invalid_signature",
    }
}
