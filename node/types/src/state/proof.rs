//! Prove what a state root says about one key, and check such proofs without a store.
//!
//! The state tree is a Jellyfish Merkle tree: a sparse binary tree over 256-bit paths, taken from the most significant bit,
//! in which a subtree without leaves is [`EMPTY_HASH`] and a subtree with one leaf is that leaf. Paths of keys, values,
//! leaves and inner nodes are hashed with keyed BLAKE3, each kind under a key of its own; leaves and inner nodes have 64
//! bytes, one block of that function.

#[cfg(test)]
mod tests;

use alloy_primitives::{B256, U256};
use blake3::{
    IncrementCounter,
    platform::{self, MAX_SIMD_DEGREE as LANES, Platform},
};

use super::{Account, StateKey};
use crate::codec;

/// Hash of a subtree without leaves; no node is known to have it.
pub const EMPTY_HASH: [u8; 32] = *b"SPARSE_MERKLE_PLACEHOLDER_HASH__";
/// Bits of a path, and so the most siblings of a proof.
pub const PATH_BITS: usize = 256;
/// Longest encoded proof, in bytes.
pub const MAX_PROOF_BYTES: usize = 1 + 64 + 32 * PATH_BITS;

/// Bytes of what is hashed for a leaf or an inner node: one block of BLAKE3.
pub const NODE_BYTES: usize = 64;

// Flags of BLAKE3's compression of an input that is one block, by the tables of its specification: keyed (16) and root
// (8), and the block is the start and the end of its chunk.
const KEYED_ROOT: u8 = 16 | 8;
const CHUNK_START: u8 = 1;
const CHUNK_END: u8 = 2;

// Keys of the keyed BLAKE3: public constants that separate each kind of hash from every other.
const PATH_KEY: &[u8; 32] = b"neura v2 state tree: path of key";
const VALUE_KEY: &[u8; 32] = b"neura v2 state tree: leaf value ";
const LEAF_KEY: &[u8; 32] = b"neura v2 state tree: a leaf node";
const INNER_KEY: &[u8; 32] = b"neura v2 state tree: inner node ";

/// Why a proof shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The bytes are no proof.
    #[error("{0} bytes are no state proof")]
    Malformed(usize),
    /// The proof ends at the leaf of another key or with another value.
    #[error("the state proof is about another value: {0}")]
    OtherValue(&'static str),
    /// The proof does not lead to this root.
    #[error("the state proof leads to root {got}, not to {expected}")]
    OtherRoot {
        /// The root it was checked against.
        expected: B256,
        /// The root that it leads to.
        got: B256,
    },
}

/// The leaf of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// Path of the key.
    pub path: [u8; 32],
    /// Hash of the value.
    pub value: [u8; 32],
}

impl Leaf {
    /// Hash of the leaf as a node.
    pub fn hash(&self) -> [u8; 32] {
        node_hash(LEAF_KEY, &self.path, &self.value)
    }

    /// Hashes of many leaves, several at once where the processor can.
    pub fn hashes(leaves: impl Iterator<Item = Self>) -> Vec<[u8; 32]> {
        let inputs: Vec<_> = leaves.map(|leaf| joined(&leaf.path, &leaf.value)).collect();
        node_hashes(LEAF_KEY, &inputs)
    }
}

/// The way from the root to where a key's leaf is, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proof {
    /// The leaf that ends the way, if one does: the key's own, or the only one in the subtree where it would be.
    pub leaf: Option<Leaf>,
    /// Hashes of the subtrees beside the way, from the root down.
    pub siblings: Vec<[u8; 32]>,
}

impl Proof {
    /// The encoding: 0, or 1 with path and value hash of the leaf; then the siblings.
    pub fn encode(&self) -> Vec<u8> {
        let leaf = self.leaf.map(|leaf| [&[1], &leaf.path[..], &leaf.value[..]].concat());
        [leaf.unwrap_or_else(|| vec![0]), self.siblings.concat()].concat()
    }

    /// Reads an encoded proof.
    ///
    /// # Errors
    /// [`ProofError::Malformed`], also for more than [`PATH_BITS`] siblings.
    pub fn decode(bytes: &[u8]) -> Result<Self, ProofError> {
        Self::parse(bytes)
            .filter(|_| bytes.len() <= MAX_PROOF_BYTES)
            .ok_or(ProofError::Malformed(bytes.len()))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        let (leaf, rest) = match tag {
            0 => (None, rest),
            1 => {
                let (path, rest) = rest.split_first_chunk::<32>()?;
                let (value, rest) = rest.split_first_chunk::<32>()?;
                (Some(Leaf { path: *path, value: *value }), rest)
            }
            _ => return None,
        };
        let (siblings, rest) = rest.as_chunks::<32>();
        (rest.is_empty() && siblings.len() <= PATH_BITS)
            .then(|| Self { leaf, siblings: siblings.to_vec() })
    }

    /// Checks that the tree under `root` holds `value` at `path`, or nothing where `value` is none.
    ///
    /// # Errors
    /// [`ProofError::OtherValue`] or [`ProofError::OtherRoot`].
    pub fn verify(
        &self,
        root: B256,
        path: &[u8; 32],
        value: Option<&[u8]>,
    ) -> Result<(), ProofError> {
        match (value, &self.leaf) {
            (Some(_), None) => return Err(ProofError::OtherValue("the key holds nothing")),
            (Some(value), Some(leaf)) => {
                if leaf.path != *path {
                    return Err(ProofError::OtherValue("the leaf is another key's"));
                }
                if leaf.value != value_hash(value) {
                    return Err(ProofError::OtherValue("the leaf holds another value"));
                }
            }
            (None, Some(leaf)) => {
                if leaf.path == *path {
                    return Err(ProofError::OtherValue("the key holds something"));
                }
                if common_bits(&leaf.path, path) < self.siblings.len() {
                    return Err(ProofError::OtherValue("the leaf is not in the key's subtree"));
                }
            }
            (None, None) => {}
        }
        let end = self.leaf.map_or(EMPTY_HASH, |leaf| leaf.hash());
        let got = self.siblings.iter().zip(bits(path)).rev().fold(end, |hash, (sibling, bit)| {
            if bit { inner_hash(sibling, &hash) } else { inner_hash(&hash, sibling) }
        });
        if got == root.0 {
            Ok(())
        } else {
            Err(ProofError::OtherRoot { expected: root, got: B256::new(got) })
        }
    }
}

/// The bits of a path, the most significant first.
fn bits(path: &[u8; 32]) -> impl DoubleEndedIterator<Item = bool> + ExactSizeIterator {
    let byte_of = |bit: usize| path.get(bit >> 3).copied().unwrap_or_default();
    (0..PATH_BITS).map(move |bit| byte_of(bit) & (0x80 >> (bit & 7)) != 0)
}

/// Number of bits that two paths share from the start.
fn common_bits(a: &[u8; 32], b: &[u8; 32]) -> usize {
    bits(a).zip(bits(b)).take_while(|(a, b)| a == b).count()
}

/// Path of a key in the tree, from its flat bytes ([`StateKey::to_bytes`]).
pub fn path_of(flat_key: &[u8]) -> [u8; 32] {
    *blake3::keyed_hash(PATH_KEY, flat_key).as_bytes()
}

/// Hash of a value, as its leaf holds it.
pub fn value_hash(value: &[u8]) -> [u8; 32] {
    *blake3::keyed_hash(VALUE_KEY, value).as_bytes()
}

/// Hash of an inner node of the binary tree.
pub fn inner_hash(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    node_hash(INNER_KEY, left, right)
}

/// Hashes of many inner nodes, several at once where the processor can; of each the left hash, then the right one.
pub fn inner_hashes(inputs: &[[u8; NODE_BYTES]]) -> Vec<[u8; 32]> {
    node_hashes(INNER_KEY, inputs)
}

/// Hash of two hashes, under the key of their kind.
fn node_hash(kind: &[u8; 32], a: &[u8; 32], b: &[u8; 32]) -> [u8; 32] {
    *blake3::keyed_hash(kind, &joined(a, b)).as_bytes()
}

/// Two hashes, one after the other.
pub fn joined(a: &[u8; 32], b: &[u8; 32]) -> [u8; NODE_BYTES] {
    let mut both = [0; NODE_BYTES];
    let (first, second) = both.split_at_mut(a.len());
    first.copy_from_slice(a);
    second.copy_from_slice(b);
    both
}

/// [`node_hash`] of many: each is one call of BLAKE3's compression function, and a processor makes up to [`LANES`] of them
/// in the time of one or two.
fn node_hashes(kind: &[u8; 32], inputs: &[[u8; NODE_BYTES]]) -> Vec<[u8; 32]> {
    /// Stands in the lanes that there is no input for.
    const UNUSED: [u8; NODE_BYTES] = [0; NODE_BYTES];
    let (platform, key) = (Platform::detect(), platform::words_from_le_bytes_32(kind));
    let mut hashes = vec![[0; 32]; inputs.len()];
    for (inputs, hashes) in inputs.chunks(LANES).zip(hashes.chunks_mut(LANES)) {
        let each: [_; LANES] = std::array::from_fn(|lane| inputs.get(lane).unwrap_or(&UNUSED));
        let (each, _) = each.split_at(inputs.len());
        platform.hash_many(
            each,
            &key,
            0,
            IncrementCounter::No,
            KEYED_ROOT,
            CHUNK_START,
            CHUNK_END,
            hashes.as_flattened_mut(),
        );
    }
    hashes
}

/// Bytes that the tree holds for an account at most.
pub const MAX_ACCOUNT_BYTES: usize = 75;

/// Bytes that the tree holds for an account.
pub fn account_value(account: &Account) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MAX_ACCOUNT_BYTES);
    codec::append(&mut bytes, account);
    bytes
}

/// Bytes that the tree holds for a storage word, or none for zero, which the tree does not hold.
pub fn word_value(word: U256) -> Option<[u8; 32]> {
    (!word.is_zero()).then(|| word.to_be_bytes::<32>())
}

/// Checks that the state under `root` holds `value` at `key`, or nothing where `value` is none.
///
/// # Errors
/// If the proof is malformed or too long, or proves something else.
pub fn verify_proof(
    root: B256,
    key: &StateKey,
    value: Option<&[u8]>,
    proof: &[u8],
) -> Result<(), ProofError> {
    Proof::decode(proof)?.verify(root, &path_of(&key.to_bytes()), value)
}
