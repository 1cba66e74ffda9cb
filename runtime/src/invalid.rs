//! Say why a transaction cannot be included, in geth's words, which wallets and libraries match.

use alloy_primitives::{Address, U256};
use neura_types::{ChainId, TransactionError};
use revm::{
    context::TxEnv, context_interface::result::InvalidTransaction as EvmInvalid,
    primitives::eip3860,
};

/// Why a transaction cannot be included. It has no receipt, pays nothing, and its sender's nonce stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTransaction {
    /// The bytes are no transaction of this chain.
    #[error("{message}")]
    Undecodable {
        /// Stable code.
        code: &'static str,
        /// What is wrong with them.
        message: String,
    },
    /// Signed for another chain.
    #[error("invalid chain id: the transaction is for chain {got}, this is chain {expected}")]
    WrongChain {
        /// This chain.
        expected: ChainId,
        /// The transaction's.
        got: ChainId,
    },
    /// The nonce was used.
    #[error("nonce too low: next nonce {next}, tx nonce {got}")]
    NonceTooLow {
        /// The account's next nonce.
        next: u64,
        /// The transaction's.
        got: u64,
    },
    /// An earlier nonce is missing.
    #[error("nonce too high: next nonce {next}, tx nonce {got}")]
    NonceTooHigh {
        /// The account's next nonce.
        next: u64,
        /// The transaction's.
        got: u64,
    },
    /// The last nonce is never used.
    #[error("nonce has max value: {0}")]
    NonceMax(Address),
    /// The sender cannot pay the whole gas limit and the value.
    #[error("insufficient funds for gas * price + value: balance {balance}, tx cost {cost}, overshot {}", cost.saturating_sub(*balance))]
    InsufficientFunds {
        /// The sender's balance, in wei.
        balance: U256,
        /// What it must own, in wei.
        cost: U256,
    },
    /// The gas limit does not cover what every such transaction costs.
    #[error("intrinsic gas too low: gas {gas}, minimum needed {needed}")]
    IntrinsicGas {
        /// The transaction's gas limit.
        gas: u64,
        /// The least.
        needed: u64,
    },
    /// The gas limit does not cover the least price of the call data (EIP-7623).
    #[error("insufficient gas for floor data gas cost: gas {gas}, minimum needed {needed}")]
    FloorDataGas {
        /// The transaction's gas limit.
        gas: u64,
        /// The least.
        needed: u64,
    },
    /// The block has not that much gas left.
    #[error("gas limit reached: the block has {remaining} gas left, the transaction may use {gas}")]
    GasLimitReached {
        /// What the block has left.
        remaining: u64,
        /// The transaction's gas limit.
        gas: u64,
    },
    /// No block has that much gas.
    #[error("exceeds block gas limit: gas {gas}, a block has {limit}")]
    ExceedsBlockGasLimit {
        /// A block's gas.
        limit: u64,
        /// The transaction's gas limit.
        gas: u64,
    },
    /// More gas than one transaction may ask for (EIP-7825).
    #[error("transaction gas limit too high (cap: {cap}, tx: {gas})")]
    GasLimitTooHigh {
        /// The most.
        cap: u64,
        /// The transaction's gas limit.
        gas: u64,
    },
    /// It offers less than the base fee.
    #[error(
        "max fee per gas less than block base fee: maxFeePerGas: {max_fee}, baseFee: {base_fee}"
    )]
    FeeCapTooLow {
        /// What it offers, in wei per gas.
        max_fee: u128,
        /// The base fee, in wei per gas.
        base_fee: u64,
    },
    /// The tip is more than the whole price.
    #[error(
        "max priority fee per gas higher than max fee per gas: maxPriorityFeePerGas: {tip}, maxFeePerGas: {max_fee}"
    )]
    TipAboveFeeCap {
        /// The tip, in wei per gas.
        tip: u128,
        /// The whole price, in wei per gas.
        max_fee: u128,
    },
    /// Creation code past the limit (EIP-3860).
    #[error("max initcode size exceeded: code size {size}, limit {limit}")]
    InitCodeTooLarge {
        /// Its bytes.
        size: usize,
        /// The most.
        limit: usize,
    },
    /// The sender is a contract (EIP-3607).
    #[error("sender not an eoa: address {0}")]
    SenderNotEoa(Address),
    /// Type 4 without a delegation (EIP-7702).
    #[error("EIP-7702 transaction with empty auth list (sender {0})")]
    NoDelegations(Address),
    /// Another rule of the machine.
    #[error("invalid transaction: {0}")]
    Other(String),
}

impl InvalidTransaction {
    /// A stable code: the same in REST, JSON-RPC and the command line.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Undecodable { code, .. } => code,
            Self::WrongChain { .. } => "wrong_chain_id",
            Self::NonceTooLow { .. } => "nonce_too_low",
            Self::NonceTooHigh { .. } => "nonce_too_high",
            Self::NonceMax(_) => "nonce_max",
            Self::InsufficientFunds { .. } => "insufficient_funds",
            Self::IntrinsicGas { .. } => "intrinsic_gas_too_low",
            Self::FloorDataGas { .. } => "floor_data_gas_too_low",
            Self::GasLimitReached { .. } => "gas_limit_reached",
            Self::ExceedsBlockGasLimit { .. } => "exceeds_block_gas_limit",
            Self::GasLimitTooHigh { .. } => "gas_limit_too_high",
            Self::FeeCapTooLow { .. } => "fee_cap_too_low",
            Self::TipAboveFeeCap { .. } => "tip_above_fee_cap",
            Self::InitCodeTooLarge { .. } => "init_code_too_large",
            Self::SenderNotEoa(_) => "sender_not_eoa",
            Self::NoDelegations(_) => "no_delegations",
            Self::Other(_) => "invalid_transaction",
        }
    }

    /// Whether it may become includible later, as the state moves on.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::NonceTooHigh { .. }
                | Self::InsufficientFunds { .. }
                | Self::GasLimitReached { .. }
                | Self::FeeCapTooLow { .. }
        )
    }
}

impl From<&TransactionError> for InvalidTransaction {
    fn from(error: &TransactionError) -> Self {
        let code = match error {
            TransactionError::WrongChain { expected, got } => {
                return Self::WrongChain { expected: *expected, got: *got };
            }
            TransactionError::TooLarge(_) => "transaction_too_large",
            TransactionError::Malformed(_) => "malformed_transaction",
            TransactionError::UnsupportedType(_) => "transaction_type_not_supported",
            TransactionError::Unprotected => "unprotected_transaction",
            TransactionError::Signature(_) => "invalid_sender",
        };
        Self::Undecodable { code, message: error.to_string() }
    }
}

/// What a transaction was checked against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CheckedAgainst {
    pub(crate) chain_id: ChainId,
    pub(crate) base_fee: u64,
    pub(crate) block_gas_limit: u64,
}

/// Puts the machine's verdict on a transaction into our words.
pub(crate) fn from_evm(
    error: EvmInvalid,
    transaction: &TxEnv,
    block: CheckedAgainst,
) -> InvalidTransaction {
    use InvalidTransaction as Ours;
    let max_fee = transaction.gas_price;
    let tip = transaction.gas_priority_fee.unwrap_or(max_fee);
    let gas = transaction.gas_limit;
    let sender = transaction.caller;
    match error {
        EvmInvalid::PriorityFeeGreaterThanMaxFee => Ours::TipAboveFeeCap { tip, max_fee },
        EvmInvalid::GasPriceLessThanBasefee => {
            Ours::FeeCapTooLow { max_fee, base_fee: block.base_fee }
        }
        EvmInvalid::CallerGasLimitMoreThanBlock => {
            Ours::ExceedsBlockGasLimit { limit: block.block_gas_limit, gas }
        }
        EvmInvalid::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
            Ours::IntrinsicGas { gas: gas_limit, needed: initial_gas }
        }
        EvmInvalid::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
            Ours::FloorDataGas { gas: gas_limit, needed: gas_floor }
        }
        EvmInvalid::RejectCallerWithCode => Ours::SenderNotEoa(sender),
        EvmInvalid::EmptyAuthorizationList => Ours::NoDelegations(sender),
        EvmInvalid::LackOfFundForMaxFee { fee, balance } => {
            Ours::InsufficientFunds { balance: *balance, cost: *fee }
        }
        EvmInvalid::OverflowPaymentInTransaction => {
            Ours::InsufficientFunds { balance: U256::ZERO, cost: U256::MAX }
        }
        EvmInvalid::NonceOverflowInTransaction => Ours::NonceMax(sender),
        EvmInvalid::NonceTooHigh { tx, state } => Ours::NonceTooHigh { next: state, got: tx },
        EvmInvalid::NonceTooLow { tx, state } => Ours::NonceTooLow { next: state, got: tx },
        EvmInvalid::CreateInitCodeSizeLimit => Ours::InitCodeTooLarge {
            size: transaction.data.len(),
            limit: eip3860::MAX_INITCODE_SIZE,
        },
        EvmInvalid::InvalidChainId => Ours::WrongChain {
            expected: block.chain_id,
            got: transaction.chain_id.unwrap_or_default(),
        },
        EvmInvalid::TxGasLimitGreaterThanCap { gas_limit, cap } => {
            Ours::GasLimitTooHigh { cap, gas: gas_limit }
        }
        other => Ours::Other(other.to_string()),
    }
}
