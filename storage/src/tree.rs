//! The authenticated tree: grow it block by block, save it now and then, prove its leaves.
//!
//! It is the Jellyfish Merkle tree whose hashes `neura_types::state::proof` defines, stored by four levels of the binary
//! tree to a node. Leaves stand inside the node above them, so that a changed key costs no row of its own.
//!
//! The tree of the newest state is in memory as far as it was used ([`Tree`]). It is saved when enough has changed, not
//! with every block: most nodes of a busy tree change again before that. What is saved is a version; its nodes are stored
//! under it and never changed. The tree of a state between two versions is that of the version before it with the changes
//! since, which are known ([`Saving`]).

mod grow;
mod hash;
mod join;
mod live;
mod node;
mod prove;
#[cfg(test)]
mod tests;

pub(crate) use grow::{PathChange, subtree};
pub(crate) use join::{Part, join};
pub(crate) use live::{Saving, Tree};
pub(crate) use node::{Child, Node, leaves_hash};
pub(crate) use prove::{prove, siblings};

use crate::{columns::Column, error::StorageError, store::missing};

/// Counts the saved trees; genesis has 0.
pub(crate) type Version = u64;
/// Where a leaf is, from the most significant bit on.
pub(crate) type Path = [u8; 32];
/// A node's encoding with the row that it is stored under.
pub(crate) type NodeRow = (Vec<u8>, Vec<u8>);

/// Saved nodes by their row.
pub(crate) trait Nodes {
    fn node(&self, row: &[u8]) -> Result<Node, StorageError>;
}

/// Row of the node that the first `depth` nibbles of a path lead to: version, number of nibbles, nibbles two to a byte.
pub(crate) fn node_row(version: Version, depth: u8, path: &Path) -> Vec<u8> {
    let whole = usize::from(depth / 2);
    let mut row = Vec::with_capacity(10 + whole);
    row.extend_from_slice(&version.to_be_bytes());
    row.push(depth);
    row.extend_from_slice(&path[..whole]);
    if depth % 2 == 1 {
        row.push(path[whole] & 0xf0);
    }
    row
}

/// The nibble of a path that chooses among the children of a node at a depth.
pub(crate) fn nibble(path: &Path, depth: u8) -> u8 {
    let byte = path[usize::from(depth / 2)];
    if depth.is_multiple_of(2) { byte >> 4 } else { byte & 0x0f }
}

/// Whether two paths begin with the same nibbles, that many.
pub(crate) fn share(a: &Path, b: &Path, nibbles: u8) -> bool {
    (0..nibbles).all(|depth| nibble(a, depth) == nibble(b, depth))
}

/// Decodes what a row held.
pub(crate) fn read_node(row: &[u8], bytes: Option<&[u8]>) -> Result<Node, StorageError> {
    let bytes = bytes.ok_or_else(|| missing(format!("tree node {row:02x?}")))?;
    Node::decode(bytes).ok_or_else(|| StorageError::Corrupt {
        column: Column::TreeNodes.name(),
        reason: format!("{row:02x?} is no node"),
    })
}

/// No nodes: what the tree of genesis grows on.
pub(crate) struct NoNodes;

impl Nodes for NoNodes {
    fn node(&self, row: &[u8]) -> Result<Node, StorageError> {
        Err(missing(format!("tree node {row:02x?}")))
    }
}
