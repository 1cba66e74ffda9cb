//! Why a call of a node did not succeed.

use neura_types::B256;

/// Failure of a call.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No node answered.
    #[error("no node answers at {urls}: {cause}. Is it running, and is the address right?")]
    Unreachable {
        /// The addresses tried.
        urls: String,
        /// What the last attempt met.
        cause: String,
    },
    /// The node refused; code and sentence are its own.
    #[error("{detail} [{code}]")]
    Refused {
        /// Stable snake_case code.
        code: String,
        /// What is wrong and what to do.
        detail: String,
        /// HTTP status.
        status: u16,
    },
    /// The answer is not what the interface promises.
    #[error("{url} answered something that is not a Neura node's answer: {cause}")]
    Malformed {
        /// The address.
        url: String,
        /// What was wrong.
        cause: String,
    },
    /// The answer is longer than its kind can be.
    #[error("the answer of {url} is larger than {limit} bytes")]
    TooLarge {
        /// The address.
        url: String,
        /// Bytes allowed.
        limit: usize,
    },
    /// A text that is no address of a node.
    #[error("'{0}' is not a node's address: write one such as http://127.0.0.1:8545")]
    Address(String),
    /// The transaction was executed and failed.
    #[error("{detail} [{code}] (transaction {hash})")]
    Reverted {
        /// The transaction.
        hash: B256,
        /// Stable code of the module that refused, or `execution_reverted`.
        code: String,
        /// The reason.
        detail: String,
    },
    /// Another transaction of the same account took its nonce: it will never be executed.
    #[error(
        "transaction {hash} cannot be executed any more: another one of the account took nonce {nonce}; sign it again"
    )]
    NonceTaken {
        /// The transaction.
        hash: B256,
        /// Its nonce.
        nonce: u64,
    },
    /// The network asks more per gas than the sender allows.
    #[error(
        "gas would cost {asked} wei, more than the limit of {limit}: wait for a quieter hour, or raise the limit"
    )]
    FeeTooHigh {
        /// What a transaction would have to offer per gas, in wei.
        asked: u128,
        /// What the sender allows per gas, in wei.
        limit: u128,
    },
    /// The transaction did not get into a block in time.
    #[error(
        "transaction {hash} is not executed after {seconds} s; it may still be: look again with its hash"
    )]
    NotConfirmed {
        /// The transaction.
        hash: B256,
        /// How long was waited.
        seconds: u64,
    },
    /// What the node says does not follow from what the validators signed.
    #[error("the node's answer is not proven: {0}")]
    NotProven(String),
}

impl ClientError {
    /// Stable code, for machines.
    pub fn code(&self) -> &str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Refused { code, .. } | Self::Reverted { code, .. } => code,
            Self::Malformed { .. } => "malformed_answer",
            Self::TooLarge { .. } => "answer_too_large",
            Self::Address(_) => "invalid_address",
            Self::NonceTaken { .. } => "nonce_taken",
            Self::FeeTooHigh { .. } => "fee_too_high",
            Self::NotConfirmed { .. } => "not_confirmed",
            Self::NotProven(_) => "not_proven",
        }
    }

    /// Whether the same request may succeed later or at another node.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NotConfirmed { .. } | Self::FeeTooHigh { .. } => true,
            Self::Refused { status, .. } => *status >= 500 || *status == 429,
            _ => false,
        }
    }
}
