//! The transaction type signed by an identity key.

use alloy_eips::eip2930::AccessList;
use alloy_primitives::{B256, Bytes, TxKind, U256, keccak256};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};

use super::TransactionError;
use crate::{
    ChainId,
    keys::{PublicKey, Signature},
};

/// EIP-2718 type of a transaction signed with ed25519 (`N`).
pub const ED25519_TX_TYPE: u8 = 0x4e;

/// The signed fields: those of EIP-1559.
#[derive(Debug, Clone, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct TxEd25519 {
    /// Chain that it is for.
    pub chain_id: ChainId,
    /// Sender's nonce.
    pub nonce: u64,
    /// Most that it tips per gas, in wei.
    pub max_priority_fee_per_gas: u128,
    /// Most that it pays per gas, in wei.
    pub max_fee_per_gas: u128,
    /// Most gas that it may use.
    pub gas_limit: u64,
    /// Called account, or creation.
    pub to: TxKind,
    /// Value sent, in wei.
    pub value: U256,
    /// Call data or creation code.
    pub input: Bytes,
    /// EIP-2930 access list.
    pub access_list: AccessList,
}

#[derive(RlpEncodable, RlpDecodable)]
struct Envelope {
    chain_id: ChainId,
    nonce: u64,
    max_priority_fee_per_gas: u128,
    max_fee_per_gas: u128,
    gas_limit: u64,
    to: TxKind,
    value: U256,
    input: Bytes,
    access_list: AccessList,
    public_key: B256,
    signature: alloy_primitives::FixedBytes<64>,
}

impl TxEd25519 {
    /// What the key signs: keccak256 of the type byte and the RLP list of the fields.
    pub fn signing_digest(&self) -> B256 {
        let mut bytes = vec![ED25519_TX_TYPE];
        self.encode(&mut bytes);
        keccak256(bytes)
    }

    /// The envelope with key and signature.
    pub fn encode_signed(self, key: &PublicKey, signature: &Signature) -> Bytes {
        let mut bytes = vec![ED25519_TX_TYPE];
        Envelope {
            chain_id: self.chain_id,
            nonce: self.nonce,
            max_priority_fee_per_gas: self.max_priority_fee_per_gas,
            max_fee_per_gas: self.max_fee_per_gas,
            gas_limit: self.gas_limit,
            to: self.to,
            value: self.value,
            input: self.input,
            access_list: self.access_list,
            public_key: key.0,
            signature: signature.0.into(),
        }
        .encode(&mut bytes);
        bytes.into()
    }

    /// Reads an envelope; refuses trailing bytes and non-canonical RLP. The signature is not checked here.
    ///
    /// # Errors
    /// [`TransactionError::Malformed`] or [`TransactionError::UnsupportedType`].
    pub fn decode_signed(raw: &[u8]) -> Result<(Self, PublicKey, Signature), TransactionError> {
        let malformed = |e: alloy_rlp::Error| TransactionError::Malformed(e.to_string());
        let (kind, mut list) =
            raw.split_first().ok_or_else(|| TransactionError::Malformed("no bytes".into()))?;
        if *kind != ED25519_TX_TYPE {
            return Err(TransactionError::UnsupportedType(*kind));
        }
        let e = Envelope::decode(&mut list).map_err(malformed)?;
        if !list.is_empty() {
            return Err(TransactionError::Malformed(format!("{} trailing bytes", list.len())));
        }
        let tx = Self {
            chain_id: e.chain_id,
            nonce: e.nonce,
            max_priority_fee_per_gas: e.max_priority_fee_per_gas,
            max_fee_per_gas: e.max_fee_per_gas,
            gas_limit: e.gas_limit,
            to: e.to,
            value: e.value,
            input: e.input,
            access_list: e.access_list,
        };
        Ok((tx, PublicKey(e.public_key), Signature(e.signature.0)))
    }
}
