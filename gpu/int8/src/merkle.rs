//! Commit to bytes by BLAKE3's own tree of 1 KiB leaves, and open single leaves.
//!
//! The root is BLAKE3 in key-derivation mode, so that any BLAKE3 implementation makes it at full
//! speed; the mode's context separates what is committed. BLAKE3 binds each leaf to its position
//! and the tree's shape to the length, which the verifier must know.

use crate::{ModelError, num};
use blake3::{
    Hasher,
    hazmat::{
        ChainingValue, ContextKey, HasherExt, Mode, hash_derive_key_context, left_subtree_len,
        merge_subtrees_non_root, merge_subtrees_root,
    },
};

/// Bytes of a leaf.
pub const LEAF_BYTES: usize = 1_024;

/// The same among positions.
const LEAF: u64 = 1_024;

/// Greatest number of hashes on a path: 2^54 leaves are all that BLAKE3 takes.
pub(crate) const MAX_PATH: usize = 54;

/// A leaf, and what leads from it to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The leaf's bytes: [`LEAF_BYTES`], fewer in the last leaf.
    pub bytes: Vec<u8>,
    /// The hashes beside the way to the root, the lowest first.
    pub path: Vec<[u8; 32]>,
}

/// The root over `bytes` in the domain `context`.
pub(crate) fn root(context: &str, bytes: &[u8]) -> [u8; 32] {
    blake3::derive_key(context, bytes)
}

/// The opening of the leaf that holds byte `at`; `None` past the end.
pub(crate) fn open(context: &str, bytes: &[u8], at: usize) -> Option<Leaf> {
    let key = hash_derive_key_context(context);
    let (index, _) = num::split(at, LEAF_BYTES);
    let leaf = bytes.chunks(LEAF_BYTES).nth(index)?;
    let mut path = Vec::new();
    let (mut rest, mut offset, mut at) = (bytes, 0_u64, num::wide(at));
    // Down from the root: each step halves what is left, as the tree does.
    while rest.len() > LEAF_BYTES {
        let left_bytes = left_subtree_len(num::wide(rest.len()));
        let (left, right) = rest.split_at_checked(usize::try_from(left_bytes).ok()?)?;
        let right_offset = offset.saturating_add(left_bytes);
        if at < left_bytes {
            path.push(subtree(&key, right, right_offset));
            rest = left;
        } else {
            path.push(subtree(&key, left, offset));
            (rest, offset, at) = (right, right_offset, at.saturating_sub(left_bytes));
        }
    }
    path.reverse();
    Some(Leaf { bytes: leaf.to_vec(), path })
}

/// The root that a leaf at byte `at` of `length` leads to.
pub(crate) fn root_of(
    context: &str,
    leaf: &Leaf,
    at: u64,
    length: u64,
) -> Result<[u8; 32], ModelError> {
    let turns = way(at, length)?;
    let offset = at.saturating_sub(at % LEAF);
    let expected = length.saturating_sub(offset).min(LEAF);
    if num::wide(leaf.bytes.len()) != expected || leaf.path.len() != turns.len() {
        return Err(ModelError::Opening);
    }
    if turns.is_empty() {
        return Ok(root(context, &leaf.bytes));
    }
    let key = hash_derive_key_context(context);
    let mode = Mode::DeriveKeyMaterial(&key);
    let mut hash = subtree(&key, &leaf.bytes, offset);
    let last = turns.len().saturating_sub(1);
    for (step, (beside, turned_left)) in leaf.path.iter().zip(turns.iter().rev()).enumerate() {
        let (left, right) = if *turned_left { (&hash, beside) } else { (beside, &hash) };
        if step == last {
            return Ok(*merge_subtrees_root(left, right, mode).as_bytes());
        }
        hash = merge_subtrees_non_root(left, right, mode);
    }
    Err(ModelError::Opening)
}

/// The turns from the root down to the leaf of byte `at`: true is left.
fn way(at: u64, length: u64) -> Result<Vec<bool>, ModelError> {
    if at >= length {
        return Err(ModelError::Opening);
    }
    let (mut rest, mut at, mut turns) = (length, at, Vec::new());
    while rest > LEAF {
        let left = left_subtree_len(rest);
        turns.push(at < left);
        if at < left {
            rest = left;
        } else {
            (rest, at) = (rest.saturating_sub(left), at.saturating_sub(left));
        }
    }
    Ok(turns)
}

/// The hash of a subtree that is not the root. `bytes` is not empty, begins at a leaf, and is as
/// long as the tree says: this is what BLAKE3 asserts.
fn subtree(key: &ContextKey, bytes: &[u8], offset: u64) -> ChainingValue {
    let mut hasher = Hasher::new_from_context_key(key);
    hasher.set_input_offset(offset);
    hasher.update(bytes).finalize_non_root()
}

#[cfg(test)]
mod tests;
