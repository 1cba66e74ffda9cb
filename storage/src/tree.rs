//! The authenticated tree: read its nodes, compute its next version, prove its leaves.
//!
//! It is the Jellyfish Merkle tree whose hashes `neura_types::state::proof` defines, stored by four levels of the binary
//! tree to a node. Leaves stand inside the node above them, so that a changed key costs no row of its own. A node is
//! stored under the version that made it and is never changed; the version counts changes of the state, not blocks: a
//! block that changes nothing keeps it.

mod cache;
mod grow;
mod join;
mod node;
mod prove;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(crate) use cache::NodeCache;
pub(crate) use grow::{NodeRow, PathChange, TreeUpdate, next_tree, subtree};
pub(crate) use join::{Part, join};
pub(crate) use node::{Child, Node, leaves_hash};
pub(crate) use prove::{prove, siblings};

use crate::{
    columns::Column,
    error::StorageError,
    store::{Inner, missing},
};

/// Counts the changes of the state; genesis has 0.
pub(crate) type Version = u64;
/// Where a leaf is, from the most significant bit on.
pub(crate) type Path = [u8; 32];

/// Nodes by their row.
pub(crate) trait Nodes {
    fn node(&self, row: &[u8]) -> Result<Arc<Node>, StorageError>;

    /// A node that the next version replaces.
    fn take(&self, row: &[u8]) -> Result<Node, StorageError> {
        self.node(row).map(Arc::unwrap_or_clone)
    }
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

/// Nodes of the stored tree, through the cache.
pub(crate) struct StoredNodes<'a> {
    inner: &'a Inner,
    cache: &'a NodeCache,
}

impl<'a> StoredNodes<'a> {
    pub(crate) const fn new(inner: &'a Inner, cache: &'a NodeCache) -> Self {
        Self { inner, cache }
    }

    fn read(&self, row: &[u8]) -> Result<Node, StorageError> {
        let bytes = self.inner.db().get_pinned_cf(self.inner.cf(Column::TreeNodes)?, row);
        read_node(row, bytes.map_err(|e| self.inner.read_failed(Column::TreeNodes, e))?.as_deref())
    }
}

impl Nodes for StoredNodes<'_> {
    fn node(&self, row: &[u8]) -> Result<Arc<Node>, StorageError> {
        if let Some(node) = self.cache.get(row) {
            return Ok(node);
        }
        let node = Arc::new(self.read(row)?);
        self.cache.insert(row.to_vec(), Arc::clone(&node));
        Ok(node)
    }

    fn take(&self, row: &[u8]) -> Result<Node, StorageError> {
        let cached = self.cache.remove(row);
        cached.map_or_else(|| self.read(row), |node| Ok(Arc::unwrap_or_clone(node)))
    }
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
    fn node(&self, row: &[u8]) -> Result<Arc<Node>, StorageError> {
        Err(missing(format!("tree node {row:02x?}")))
    }
}
