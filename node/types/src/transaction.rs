//! Transactions: the EIP-2718 family with types 0, 1, 2, 4 (secp256k1) and 0x4e (ed25519).
//!
//! Type `0x4e` has the fields of type 2 with an ed25519 key and signature in place of the secp256k1 signature:
//! `0x4e ‖ rlp([chain_id, nonce, max_priority_fee_per_gas, max_fee_per_gas, gas_limit, to, value, data,
//! access_list, public_key, signature])`; the signature covers `keccak256(0x4e ‖ rlp(the first nine fields))`.
//! The hash of every transaction is keccak256 of its envelope.

mod ed25519;
#[cfg(test)]
mod tests;

use alloy_consensus::{Transaction as _, Typed2718, transaction::SignerRecoverable};
use alloy_eips::{eip2718::Decodable2718, eip2930::AccessList, eip7702::SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};

pub use alloy_consensus::TxEnvelope;
pub use ed25519::{ED25519_TX_TYPE, TxEd25519};

/// EIP-2718 type of a transaction that sets the code of accounts (EIP-7702).
pub const SET_CODE_TX_TYPE: u8 = 4;

use crate::{
    ChainId,
    keys::{EthKey, PublicKey, SecretKey, Signature},
};

/// Most bytes of one encoded transaction: geth's limit.
pub const MAX_TRANSACTION_BYTES: usize = 128 << 10;

/// Why bytes are not a transaction of this chain.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum TransactionError {
    /// More than [`MAX_TRANSACTION_BYTES`].
    #[error("oversized data: a transaction has at most {MAX_TRANSACTION_BYTES} bytes, not {0}")]
    TooLarge(usize),
    /// Not a well-formed envelope.
    #[error("malformed transaction: {0}")]
    Malformed(String),
    /// A type that this chain does not take.
    #[error("transaction type not supported: 0x{0:02x} (types 0, 1, 2, 4 and 0x4e are)")]
    UnsupportedType(u8),
    /// Signed for another chain.
    #[error("invalid chain id: the transaction is for chain {got}, this is chain {expected}")]
    WrongChain {
        /// This chain.
        expected: ChainId,
        /// The transaction's chain.
        got: ChainId,
    },
    /// A legacy transaction without EIP-155 protection.
    #[error("only replay-protected (EIP-155) transactions allowed over RPC")]
    Unprotected,
    /// The signature does not verify or is not canonical.
    #[error("invalid sender: {0}")]
    Signature(String),
}

/// How a transaction is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TxSignature {
    /// Ethereum's: r, s, y parity.
    Secp256k1(alloy_primitives::Signature),
    /// An identity key's.
    Ed25519(PublicKey, Signature),
}

/// An account's leave to run another's code as its own (EIP-7702).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// As it was signed.
    pub signed: SignedAuthorization,
    /// Who signed it; none if the signature is no one's, and the delegation without effect.
    pub authority: Option<Address>,
}

/// A decoded transaction with its verified sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The envelope as received.
    pub raw: Bytes,
    /// keccak256 of the envelope.
    pub hash: B256,
    /// Who signed it.
    pub sender: Address,
    /// EIP-2718 type.
    pub tx_type: u8,
    /// Chain that it is for.
    pub chain_id: ChainId,
    /// Sender's nonce.
    pub nonce: u64,
    /// Most gas that it may use.
    pub gas_limit: u64,
    /// Most that it pays per gas, in wei; the gas price of types 0 and 1.
    pub max_fee_per_gas: u128,
    /// Most that it tips per gas, in wei; the gas price of types 0 and 1.
    pub max_priority_fee_per_gas: u128,
    /// Called account, or creation.
    pub to: TxKind,
    /// Value sent, in wei.
    pub value: U256,
    /// Call data or creation code.
    pub input: Bytes,
    /// EIP-2930 access list.
    pub access_list: AccessList,
    /// EIP-7702 delegations, with their authorities recovered; of type 4 only.
    pub delegations: Vec<Delegation>,
    /// Its signature.
    pub signature: TxSignature,
}

impl Transaction {
    /// Decodes an envelope, checks chain id and signature, and recovers the sender.
    ///
    /// # Errors
    /// See [`TransactionError`]; each is permanent for these bytes on this chain.
    pub fn decode(raw: impl Into<Bytes>, chain_id: ChainId) -> Result<Self, TransactionError> {
        let raw: Bytes = raw.into();
        if raw.len() > MAX_TRANSACTION_BYTES {
            return Err(TransactionError::TooLarge(raw.len()));
        }
        let transaction = match raw.first() {
            None => return Err(TransactionError::Malformed("no bytes".into())),
            Some(&ED25519_TX_TYPE) => Self::from_ed25519(raw)?,
            Some(_) => Self::from_ethereum(raw)?,
        };
        if transaction.chain_id == chain_id {
            Ok(transaction)
        } else {
            Err(TransactionError::WrongChain { expected: chain_id, got: transaction.chain_id })
        }
    }

    fn from_ethereum(raw: Bytes) -> Result<Self, TransactionError> {
        if let Some(kind @ (3 | 5..=0x7f)) = raw.first().copied() {
            return Err(TransactionError::UnsupportedType(kind));
        }
        let envelope = TxEnvelope::decode_2718_exact(&raw)
            .map_err(|e| TransactionError::Malformed(e.to_string()))?;
        let sender =
            envelope.recover_signer().map_err(|e| TransactionError::Signature(e.to_string()))?;
        Ok(Self {
            hash: *envelope.tx_hash(),
            sender,
            tx_type: envelope.ty(),
            chain_id: envelope.chain_id().ok_or(TransactionError::Unprotected)?,
            nonce: envelope.nonce(),
            gas_limit: envelope.gas_limit(),
            max_fee_per_gas: envelope.max_fee_per_gas(),
            max_priority_fee_per_gas: envelope
                .max_priority_fee_per_gas()
                .unwrap_or_else(|| envelope.max_fee_per_gas()),
            to: envelope.kind(),
            value: envelope.value(),
            input: envelope.input().clone(),
            access_list: envelope.access_list().cloned().unwrap_or_default(),
            delegations: envelope
                .authorization_list()
                .unwrap_or_default()
                .iter()
                .map(recovered)
                .collect(),
            signature: TxSignature::Secp256k1(*envelope.signature()),
            raw,
        })
    }

    fn from_ed25519(raw: Bytes) -> Result<Self, TransactionError> {
        let (tx, key, signature) = TxEd25519::decode_signed(&raw)?;
        key.verify(tx.signing_digest().as_slice(), &signature)
            .map_err(|e| TransactionError::Signature(e.to_string()))?;
        Ok(Self {
            hash: crate::hash::keccak(&raw),
            sender: key.address(),
            tx_type: ED25519_TX_TYPE,
            chain_id: tx.chain_id,
            nonce: tx.nonce,
            gas_limit: tx.gas_limit,
            max_fee_per_gas: tx.max_fee_per_gas,
            max_priority_fee_per_gas: tx.max_priority_fee_per_gas,
            to: tx.to,
            value: tx.value,
            input: tx.input,
            access_list: tx.access_list,
            delegations: Vec::new(),
            signature: TxSignature::Ed25519(key, signature),
            raw,
        })
    }

    /// What the sender must own for it to be included: value plus the whole gas limit at the highest price.
    pub fn max_cost(&self) -> U256 {
        U256::from(self.gas_limit)
            .saturating_mul(U256::from(self.max_fee_per_gas))
            .saturating_add(self.value)
    }

    /// What it pays per gas at a base fee, or none if it does not pay that much.
    pub fn effective_gas_price(&self, base_fee: u64) -> Option<u128> {
        let tip = self.max_fee_per_gas.checked_sub(u128::from(base_fee))?;
        Some(u128::from(base_fee).saturating_add(tip.min(self.max_priority_fee_per_gas)))
    }
}

/// Finds out who signed. It costs as much as checking a transaction of the same length: bytes bound both.
fn recovered(signed: &SignedAuthorization) -> Delegation {
    Delegation { authority: signed.recover_authority().ok(), signed: signed.clone() }
}

/// A transaction that is yet to be signed: the fields of EIP-1559.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsignedTransaction {
    /// Chain that it is for.
    pub chain_id: ChainId,
    /// Sender's nonce.
    pub nonce: u64,
    /// Most gas that it may use.
    pub gas_limit: u64,
    /// Most that it pays per gas, in wei.
    pub max_fee_per_gas: u128,
    /// Most that it tips per gas, in wei.
    pub max_priority_fee_per_gas: u128,
    /// Called account, or creation.
    pub to: TxKind,
    /// Value sent, in wei.
    pub value: U256,
    /// Call data or creation code.
    pub input: Bytes,
}

impl UnsignedTransaction {
    /// Signs as type 2 with an Ethereum key and returns the envelope.
    pub fn sign_eth(self, key: &EthKey) -> Bytes {
        use alloy_consensus::SignableTransaction;
        use alloy_eips::eip2718::Encodable2718;
        let tx = alloy_consensus::TxEip1559 {
            chain_id: self.chain_id,
            nonce: self.nonce,
            gas_limit: self.gas_limit,
            max_fee_per_gas: self.max_fee_per_gas,
            max_priority_fee_per_gas: self.max_priority_fee_per_gas,
            to: self.to,
            value: self.value,
            input: self.input,
            access_list: AccessList::default(),
        };
        let signature = key.sign_digest(tx.signature_hash());
        TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into()
    }

    /// Signs as type 0x4e with an identity key and returns the envelope.
    pub fn sign_ed25519(self, key: &SecretKey) -> Bytes {
        let tx = TxEd25519 {
            chain_id: self.chain_id,
            nonce: self.nonce,
            max_priority_fee_per_gas: self.max_priority_fee_per_gas,
            max_fee_per_gas: self.max_fee_per_gas,
            gas_limit: self.gas_limit,
            to: self.to,
            value: self.value,
            input: self.input,
            access_list: AccessList::default(),
        };
        let signature = key.sign(tx.signing_digest().as_slice());
        tx.encode_signed(&key.public_key(), &signature)
    }
}
