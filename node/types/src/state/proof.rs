//! Prove what a state root says about one key, and check such proofs without a store.
//!
//! The state tree is a Jellyfish Merkle tree: a sparse binary tree over 256-bit paths in which a subtree with one leaf
//! is that leaf. The path of a key is BLAKE3 of its flat bytes in key derivation mode; values and nodes are hashed with
//! keyed BLAKE3 ([`TreeHasher`]), nodes with a prefix of their kind. A proof is the canonical encoding of the leaf that
//! ends the key's path, if there is one, and of the siblings from there to the root.

#[cfg(test)]
mod tests;

use alloy_primitives::{B256, U256};
use jmt::{KeyHash, RootHash, SimpleHasher, proof::SparseMerkleProof};

use super::{Account, StateKey};
use crate::codec::{self, CodecError};

/// Longest proof that is decoded, in bytes: 256 siblings of two hashes with their tags, and a leaf, fit in it.
pub const MAX_PROOF_BYTES: usize = 20 << 10;

/// Context of BLAKE3's key derivation for the path of a state key.
const KEY_CONTEXT: &str = "neura v1 state key";
/// Key of the keyed BLAKE3 over values and nodes: a public constant that separates them from every other hash.
const NODE_KEY: &[u8; 32] = b"neura v1 state tree value & node";
/// Bytes hashed without an incremental hasher: nodes take 80, accounts fewer than 100.
const INLINE_BYTES: usize = 128;

/// Why a proof shows nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The bytes are no proof.
    #[error("the state proof cannot be read: {0}")]
    Malformed(#[from] CodecError),
    /// The proof does not lead from this key and value to this root.
    #[error("the state proof does not show this value under root {root}: {reason}")]
    Mismatch {
        /// The root it was checked against.
        root: B256,
        /// Which step failed.
        reason: String,
    },
}

/// Hash function of the state tree: keyed BLAKE3, without allocation for the short inputs that make up nearly all.
#[derive(Debug, Clone)]
pub struct TreeHasher {
    inline: [u8; INLINE_BYTES],
    used: usize,
    long: Option<Box<blake3::Hasher>>,
}

impl SimpleHasher for TreeHasher {
    fn new() -> Self {
        Self { inline: [0; INLINE_BYTES], used: 0, long: None }
    }

    fn update(&mut self, data: &[u8]) {
        if let Some(long) = &mut self.long {
            long.update(data);
            return;
        }
        let end = self.used.saturating_add(data.len());
        if let Some(free) = self.inline.get_mut(self.used..end) {
            free.copy_from_slice(data);
            self.used = end;
            return;
        }
        let mut long = Box::new(blake3::Hasher::new_keyed(NODE_KEY));
        long.update(self.inline.get(..self.used).unwrap_or_default());
        long.update(data);
        self.long = Some(long);
    }

    fn finalize(self) -> [u8; 32] {
        match self.long {
            Some(long) => *long.finalize().as_bytes(),
            None => {
                let input = self.inline.get(..self.used).unwrap_or_default();
                *blake3::keyed_hash(NODE_KEY, input).as_bytes()
            }
        }
    }
}

impl StateKey {
    /// Path of this key in the tree.
    pub fn path(&self) -> KeyHash {
        path_of(&self.to_bytes())
    }
}

/// Path of a key in the tree, from its flat bytes ([`StateKey::to_bytes`]).
pub fn path_of(flat_key: &[u8]) -> KeyHash {
    KeyHash(blake3::derive_key(KEY_CONTEXT, flat_key))
}

/// Bytes that the tree holds for an account.
pub fn account_value(account: &Account) -> Vec<u8> {
    codec::encode(account)
}

/// Bytes that the tree holds for a storage word, or none for zero, which the tree does not hold.
pub fn word_value(word: U256) -> Option<[u8; 32]> {
    (!word.is_zero()).then(|| word.to_be_bytes::<32>())
}

/// Encodes a proof of the tree.
pub fn encode_proof(proof: &SparseMerkleProof<TreeHasher>) -> Vec<u8> {
    codec::encode(proof)
}

/// Checks that the state under `root` holds `value` at `key`, or nothing where `value` is none.
///
/// # Errors
/// If the proof is malformed, too long, or proves something else.
pub fn verify_proof(
    root: B256,
    key: &StateKey,
    value: Option<&[u8]>,
    proof: &[u8],
) -> Result<(), ProofError> {
    let proof: SparseMerkleProof<TreeHasher> = codec::decode_limited(proof, MAX_PROOF_BYTES)?;
    proof
        .verify(RootHash(root.0), key.path(), value)
        .map_err(|e| ProofError::Mismatch { root, reason: format!("{e:#}") })
}
