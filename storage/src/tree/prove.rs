//! Collect the way to a leaf.

use neura_types::state::proof::Proof;

use super::{
    Nodes, Path, Version, nibble,
    node::{Child, split, subtree_hash},
    node_row,
};
use crate::{error::StorageError, store::missing};

/// Nibbles of a path.
const MAX_DEPTH: u8 = 64;

/// Proof of what a version of the tree holds at a path, present or absent.
pub(crate) fn prove(
    nodes: &impl Nodes,
    version: Version,
    path: &Path,
) -> Result<Proof, StorageError> {
    let mut proof = Proof::default();
    let mut version = version;
    for depth in 0..MAX_DEPTH {
        let node = nodes.node(&node_row(version, depth, path))?;
        let slot = nibble(path, depth);
        let (mut children, mut start, mut width) = (node.children(), 0, 16);
        version = loop {
            match children {
                [] => return Ok(proof),
                [(_, Child::Leaf { leaf, .. })] => {
                    proof.leaf = Some(*leaf);
                    return Ok(proof);
                }
                [(_, Child::Inner { version, .. })] if width == 1 => break *version,
                _ => {}
            }
            width /= 2;
            let middle = start + width;
            let (left, right) = split(children, middle);
            if slot < middle {
                proof.siblings.push(subtree_hash(right, middle, width));
                children = left;
            } else {
                proof.siblings.push(subtree_hash(left, start, width));
                (children, start) = (right, middle);
            }
        };
    }
    Err(missing("the end of a path in the tree"))
}

/// Hashes of the subtrees beside the way to the subtree under the first `bits` bits of a path, from the root down. The
/// way has two leaves or more below each of its nodes.
pub(crate) fn siblings(
    nodes: &impl Nodes,
    version: Version,
    path: &Path,
    bits: u16,
) -> Result<Vec<[u8; 32]>, StorageError> {
    let bits = usize::from(bits);
    let mut siblings = prove(nodes, version, path)?.siblings;
    // Where the subtree is empty or a leaf, a proof ends at it; else it goes on inside.
    if siblings.len() < bits {
        return Err(missing("a node above a part of the tree"));
    }
    siblings.truncate(bits);
    Ok(siblings)
}
