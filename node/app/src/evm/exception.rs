//! Compare why a transaction was rejected with what a test expects.
//!
//! Tests name one rule, or several with `|` between them, and clients find different ones first where a transaction
//! breaks more than one. So reasons are compared by kind; a name that is not known here takes any rejection.

use neura_runtime::ethereum::EvmInvalid;

/// Kinds of reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The type is not of the fork.
    Type,
    /// Another chain's.
    ChainId,
    /// Nonce too low, too high, spent.
    Nonce,
    /// The sender cannot pay.
    Funds,
    /// The sender is a contract.
    Sender,
    /// The price is below the base fee, or the tip above the price.
    Fee,
    /// Less gas than every such transaction needs.
    IntrinsicGas,
    /// More gas than a block or a transaction may have.
    GasLimit,
    /// Creation code past the limit.
    InitCode,
    /// Blobs: how many, which version, what price.
    Blob,
    /// Creation by a type that creates nothing.
    Creation,
    /// Authorizations: none, or malformed.
    Authorization,
    /// The signature.
    Signature,
    /// A number past its type.
    Overflow,
    /// The bytes are no transaction.
    Encoding,
}

impl Kind {
    /// The kind of the machine's verdict.
    pub(super) fn of(error: &EvmInvalid) -> Self {
        use EvmInvalid as Evm;
        match error {
            Evm::InvalidChainId | Evm::MissingChainId => Self::ChainId,
            Evm::NonceTooHigh { .. }
            | Evm::NonceTooLow { .. }
            | Evm::NonceOverflowInTransaction => Self::Nonce,
            Evm::LackOfFundForMaxFee { .. } => Self::Funds,
            Evm::OverflowPaymentInTransaction => Self::Overflow,
            Evm::RejectCallerWithCode => Self::Sender,
            Evm::PriorityFeeGreaterThanMaxFee | Evm::GasPriceLessThanBasefee => Self::Fee,
            Evm::CallGasCostMoreThanGasLimit { .. } | Evm::GasFloorMoreThanGasLimit { .. } => {
                Self::IntrinsicGas
            }
            Evm::CallerGasLimitMoreThanBlock | Evm::TxGasLimitGreaterThanCap { .. } => {
                Self::GasLimit
            }
            Evm::CreateInitCodeSizeLimit => Self::InitCode,
            Evm::BlobGasPriceGreaterThanMax { .. }
            | Evm::EmptyBlobs
            | Evm::TooManyBlobs { .. }
            | Evm::BlobVersionNotSupported => Self::Blob,
            Evm::BlobCreateTransaction => Self::Creation,
            Evm::AuthorizationListInvalidFields | Evm::EmptyAuthorizationList => {
                Self::Authorization
            }
            _ => Self::Type,
        }
    }
}

/// Whether a rejection of `kind` is one of those that `expected` names.
pub(super) fn is_expected(kind: Kind, expected: &str) -> bool {
    expected.split('|').map(str::trim).any(|name| match kinds_of(name) {
        Some(kinds) => kinds.contains(&kind),
        None => true,
    })
}

/// Whether `expected` names a rule of `kind`, by a name that is known.
pub(super) fn is_named(kind: Kind, expected: &str) -> bool {
    let mut names = expected.split('|').map(str::trim);
    names.any(|name| kinds_of(name).is_some_and(|kinds| kinds.contains(&kind)))
}

/// The kinds that a name stands for; none if it is not known.
fn kinds_of(name: &str) -> Option<&'static [Kind]> {
    use Kind::*;
    let name = name.strip_prefix("TransactionException.").unwrap_or(name);
    Some(match name {
        "TYPE_NOT_SUPPORTED" | "TYPE_4_TX_PRE_FORK" | "TR_TypeNotSupported" => &[Type, Creation],
        "TYPE_3_TX_PRE_FORK" | "TYPE_3_TX_ZERO_BLOBS_PRE_FORK" | "TR_TypeNotSupportedBlob" => {
            &[Type, Blob, Creation]
        }
        "INVALID_CHAINID" => &[ChainId, Signature],
        "NONCE_MISMATCH_TOO_HIGH"
        | "NONCE_MISMATCH_TOO_LOW"
        | "NONCE_IS_MAX"
        | "NONCE_TOO_BIG"
        | "NONCE_OVERFLOW"
        | "TR_NonceHasMaxValue" => &[Nonce, Overflow, Encoding],
        "INSUFFICIENT_ACCOUNT_FUNDS"
        | "TR_NoFunds"
        | "TR_NoFundsX"
        | "TR_NoFundsOrGas"
        | "TR_NoFundsValue" => &[Funds, Overflow, GasLimit],
        "GASLIMIT_PRICE_PRODUCT_OVERFLOW"
        | "VALUE_OVERFLOW"
        | "GASPRICE_OVERFLOW"
        | "GASLIMIT_OVERFLOW"
        | "PRIORITY_OVERFLOW" => &[Overflow, Funds, GasLimit, Fee, Encoding],
        "SENDER_NOT_EOA" | "SenderNotEOA" => &[Sender],
        "INSUFFICIENT_MAX_FEE_PER_GAS"
        | "PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS"
        | "PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS_2"
        | "TR_FeeCapLessThanBlocks"
        | "TR_TipGtFeeCap" => &[Fee],
        "INTRINSIC_GAS_TOO_LOW" | "INTRINSIC_GAS_BELOW_FLOOR_GAS_COST" | "TR_IntrinsicGas" => {
            &[IntrinsicGas]
        }
        "GAS_ALLOWANCE_EXCEEDED" | "GAS_LIMIT_EXCEEDS_MAXIMUM" | "TR_GasLimitReached" => {
            &[GasLimit, IntrinsicGas, Funds]
        }
        "INITCODE_SIZE_EXCEEDED" | "TR_InitCodeLimitExceeded" => &[InitCode, IntrinsicGas],
        "TYPE_3_TX_CONTRACT_CREATION" | "TYPE_4_TX_CONTRACT_CREATION" | "TR_BLOBCREATE" => {
            &[Creation, Encoding]
        }
        "TYPE_3_TX_ZERO_BLOBS"
        | "TYPE_3_TX_BLOB_COUNT_EXCEEDED"
        | "TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED"
        | "TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH"
        | "INSUFFICIENT_MAX_FEE_PER_BLOB_GAS"
        | "TR_EMPTYBLOB"
        | "TR_BLOBLIST_OVERSIZE"
        | "TR_BLOBVERSION_INVALID" => &[Blob],
        "TYPE_4_EMPTY_AUTHORIZATION_LIST"
        | "TYPE_4_INVALID_AUTHORIZATION_FORMAT"
        | "TYPE_4_INVALID_AUTHORITY_SIGNATURE"
        | "TYPE_4_INVALID_AUTHORITY_SIGNATURE_S_TOO_HIGH" => &[Authorization, Encoding],
        "INVALID_SIGNATURE_VRS" | "EC_RECOVERY_FAIL" => &[Signature, Encoding],
        _ => return None,
    })
}
