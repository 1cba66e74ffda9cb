//! Hash with BLAKE3 under a domain tag, and with keccak256 where Ethereum requires it.

use alloy_primitives::B256;
use serde::Serialize;

/// What is hashed. Tags are unique, so bytes of one kind never stand for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// Header of a block.
    Block,
    /// Body of a block.
    Payload,
    /// A certificate, as the block id covers it.
    Certificate,
    /// A signed consensus message.
    Message,
    /// A proposal's signature.
    Proposal,
    /// Genesis file.
    Genesis,
    /// Address of an ed25519 account.
    Address,
    /// Receipts of a block.
    Receipts,
    /// Slots of the native modules' state.
    ModuleState,
    /// A validator set.
    ValidatorSet,
    /// Configuration of an epoch.
    Epoch,
    /// A batch of transactions.
    Batch,
    /// Ciphertext or other content that lies off chain.
    Blob,
    /// Commitment to a task's result.
    Result,
    /// Value of the beacon in a block.
    Beacon,
    /// What a proposer's random function is applied to.
    BeaconInput,
    /// Secret that nonces of proofs come from.
    ProofNonce,
    /// Proof that a validator's key is held by who registers it.
    Possession,
    /// A provider's note to a task's owner.
    Note,
}

impl Domain {
    /// The context string of BLAKE3's key derivation mode.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Block => "neura v1 block",
            Self::Payload => "neura v1 payload",
            Self::Certificate => "neura v1 certificate",
            Self::Message => "neura v1 consensus message",
            Self::Proposal => "neura v1 proposal",
            Self::Genesis => "neura v1 genesis",
            Self::Address => "neura v1 ed25519 address",
            Self::Receipts => "neura v1 receipts",
            Self::ModuleState => "neura v1 module state",
            Self::ValidatorSet => "neura v1 validator set",
            Self::Epoch => "neura v1 epoch",
            Self::Batch => "neura v1 batch",
            Self::Blob => "neura v1 blob",
            Self::Result => "neura v1 result",
            Self::Beacon => "neura v1 beacon",
            Self::BeaconInput => "neura v1 beacon input",
            Self::ProofNonce => "neura v1 proof nonce",
            Self::Possession => "neura v1 proof of possession",
            Self::Note => "neura v1 task note",
        }
    }
}

/// BLAKE3 of `bytes` under a domain.
pub fn hash(domain: Domain, bytes: &[u8]) -> B256 {
    let mut hasher = blake3::Hasher::new_derive_key(domain.tag());
    hasher.update(bytes);
    B256::new(*hasher.finalize().as_bytes())
}

/// BLAKE3 of a value's canonical encoding under a domain.
pub fn hash_value<T: Serialize>(domain: Domain, value: &T) -> B256 {
    hash(domain, &crate::codec::encode(value))
}

/// Keccak-256, as Ethereum uses it.
pub fn keccak(bytes: &[u8]) -> B256 {
    alloy_primitives::keccak256(bytes)
}

/// Plain BLAKE3 of off-chain content, as it stands in a `neura:` locator.
pub fn content_hash(bytes: &[u8]) -> B256 {
    B256::new(*blake3::hash(bytes).as_bytes())
}
