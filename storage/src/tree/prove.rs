//! Collect the way to a leaf.

use neura_types::state::proof::Proof;

use super::{
    Node, Nodes, Path, Tree, nibble,
    node::{Child, split, subtree_hash},
    node_row,
};
use crate::{error::StorageError, store::missing};

/// Nibbles of a path.
const MAX_DEPTH: u8 = 64;

/// Proof of what a tree holds at a path, present or absent; what is not in memory is read from `nodes`.
pub(crate) fn prove(nodes: &impl Nodes, tree: &Tree, path: &Path) -> Result<Proof, StorageError> {
    let mut proof = Proof::default();
    let mut read: Box<Node>;
    let mut node = tree.root();
    for depth in 1..=MAX_DEPTH {
        let Some(Child::Inner { version, node: held, .. }) =
            step(node, nibble(path, depth - 1), &mut proof)
        else {
            return Ok(proof);
        };
        node = match held {
            Some(node) => node,
            None => {
                read = Box::new(nodes.node(&node_row(*version, depth, path))?);
                &read
            }
        };
    }
    Err(missing("the end of a path in the tree"))
}

/// Goes through a node to what stands under a nibble, or to the end of the way, which it notes.
fn step<'a>(node: &'a Node, slot: u8, proof: &mut Proof) -> Option<&'a Child> {
    let (mut children, mut start, mut width) = (node.children(), 0, 16);
    loop {
        match children {
            [] => return None,
            [(_, Child::Leaf { leaf, .. })] => {
                proof.leaf = Some(*leaf);
                return None;
            }
            [(_, only)] if width == 1 => return Some(only),
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
    }
}

/// Hashes of the subtrees beside the way to the subtree under the first `bits` bits of a path, from the root down. The
/// way has two leaves or more below each of its nodes.
pub(crate) fn siblings(
    nodes: &impl Nodes,
    tree: &Tree,
    path: &Path,
    bits: u16,
) -> Result<Vec<[u8; 32]>, StorageError> {
    let bits = usize::from(bits);
    let mut siblings = prove(nodes, tree, path)?.siblings;
    // Where the subtree is empty or a leaf, a proof ends at it; else it goes on inside.
    if siblings.len() < bits {
        return Err(missing("a node above a part of the tree"));
    }
    siblings.truncate(bits);
    Ok(siblings)
}
