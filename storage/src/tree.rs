//! The authenticated tree: read its nodes, compute its next version.
//!
//! The tree's version counts changes of the state, not blocks: a block that changes nothing keeps the version, and a
//! block that both sets and deletes keys takes two, of which only the second is stored. Keys that are set go through the
//! batch insertion, which hashes each inner node once per block; deletions, which are few, one by one after it.

#[cfg(test)]
mod tests;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
};

use alloy_primitives::B256;
use jmt::{
    JellyfishMerkleTree, KeyHash, OwnedValue, ValueHash, Version,
    storage::{LeafNode, Node, NodeKey, TreeReader, TreeUpdateBatch},
};
use neura_types::state::proof::TreeHasher;

use crate::{
    columns::Column,
    error::StorageError,
    store::{Inner, decode},
};

/// Version below that of genesis: no node has it.
const PRE_GENESIS: Version = u64::MAX;

/// Key of a node in the database: version, number of nibbles, nibbles two to a byte.
pub(crate) fn node_row(key: &NodeKey) -> Vec<u8> {
    let path = key.nibble_path();
    let count = path.num_nibbles();
    let mut row = Vec::with_capacity(9 + count.div_ceil(2));
    row.extend_from_slice(&key.version().to_be_bytes());
    // At most 64 nibbles: a path has 256 bits.
    row.push(count as u8);
    for (position, nibble) in path.nibbles().enumerate() {
        let nibble = u8::from(nibble);
        if position % 2 == 0 {
            row.push(nibble << 4);
        } else if let Some(last) = row.last_mut() {
            *last |= nibble;
        }
    }
    row
}

/// Decoded nodes in memory, the least recently used half dropped when it is full.
pub(crate) struct NodeCache {
    young: HashMap<NodeKey, Node>,
    old: HashMap<NodeKey, Node>,
    half: usize,
}

impl NodeCache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: capacity / 2 }
    }

    fn get(&mut self, key: &NodeKey) -> Option<Node> {
        if let Some(node) = self.young.get(key) {
            return Some(node.clone());
        }
        let (key, node) = self.old.remove_entry(key)?;
        self.insert(key, node.clone());
        Some(node)
    }

    pub(crate) fn insert(&mut self, key: NodeKey, node: Node) {
        if self.half == 0 {
            return;
        }
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, node);
    }

    pub(crate) fn remove(&mut self, key: &NodeKey) {
        self.young.remove(key);
        self.old.remove(key);
    }

    /// Nodes held, at most the capacity.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

/// Nodes of the stored tree, through the cache.
pub(crate) struct StoredNodes<'a> {
    inner: &'a Inner,
    cache: RefCell<&'a mut NodeCache>,
}

impl<'a> StoredNodes<'a> {
    pub(crate) const fn new(inner: &'a Inner, cache: &'a mut NodeCache) -> Self {
        Self { inner, cache: RefCell::new(cache) }
    }
}

impl TreeReader for StoredNodes<'_> {
    fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<Node>> {
        if key.version() == PRE_GENESIS {
            return Ok(None);
        }
        if let Some(node) = self.cache.borrow_mut().get(key) {
            return Ok(Some(node));
        }
        let Some(node) = self.inner.read::<Node>(Column::TreeNodes, &node_row(key))? else {
            return Ok(None);
        };
        self.cache.borrow_mut().insert(key.clone(), node.clone());
        Ok(Some(node))
    }

    fn get_value_option(&self, _: Version, _: KeyHash) -> anyhow::Result<Option<OwnedValue>> {
        Ok(None)
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        Ok(None)
    }
}

/// No nodes: what the tree of genesis grows on.
pub(crate) struct NoNodes;

impl TreeReader for NoNodes {
    fn get_node_option(&self, _: &NodeKey) -> anyhow::Result<Option<Node>> {
        Ok(None)
    }

    fn get_value_option(&self, _: Version, _: KeyHash) -> anyhow::Result<Option<OwnedValue>> {
        Ok(None)
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        Ok(None)
    }
}

/// Nodes that are not written yet, over those that are.
struct Overlay<'a, R> {
    new: &'a BTreeMap<NodeKey, Node>,
    base: &'a R,
}

impl<R: TreeReader> TreeReader for Overlay<'_, R> {
    fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<Node>> {
        self.new.get(key).map_or_else(|| self.base.get_node_option(key), |node| Ok(Some(node.clone())))
    }

    fn get_value_option(&self, _: Version, _: KeyHash) -> anyhow::Result<Option<OwnedValue>> {
        Ok(None)
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        Ok(None)
    }
}

/// A next version of the tree, yet to be written.
pub(crate) struct TreeUpdate {
    pub(crate) root: B256,
    pub(crate) version: Version,
    /// Nodes that are new.
    pub(crate) nodes: BTreeMap<NodeKey, Node>,
    /// Stored nodes that no later version needs.
    pub(crate) stale: Vec<NodeKey>,
}

/// Computes the tree that follows `base` (none: the empty tree below genesis) with some keys set and some, all of them
/// present, deleted. At least one key changes, unless `base` is none.
pub(crate) fn next_tree<R: TreeReader>(
    reader: &R,
    base: Option<Version>,
    set: Vec<(KeyHash, OwnedValue)>,
    deleted: Vec<KeyHash>,
) -> anyhow::Result<TreeUpdate> {
    let first = base.map_or(0, |version| version.saturating_add(1));
    if set.is_empty() {
        return delete(reader, first, deleted).map(|update| into_update(update, first));
    }
    let tree = JellyfishMerkleTree::<R, TreeHasher>::new(reader);
    let (roots, batch) = tree.batch_put_value_sets(vec![set], None, first)?;
    let root = roots.into_iter().next().ok_or_else(|| anyhow::anyhow!("the tree gave no root"))?;
    let update = into_update((root.0, batch), first);
    if deleted.is_empty() {
        return Ok(update);
    }
    let TreeUpdate { mut nodes, mut stale, .. } = update;
    let second = first.saturating_add(1);
    let overlay = Overlay { new: &nodes, base: reader };
    let after = into_update(delete(&overlay, second, deleted)?, second);
    // What the insertion made and the deletion replaced is never stored.
    stale.extend(after.stale.into_iter().filter(|key| nodes.remove(key).is_none()));
    nodes.extend(after.nodes);
    Ok(TreeUpdate { root: after.root, version: second, nodes, stale })
}

fn delete<R: TreeReader>(
    reader: &R,
    version: Version,
    keys: Vec<KeyHash>,
) -> anyhow::Result<([u8; 32], TreeUpdateBatch)> {
    let tree = JellyfishMerkleTree::<R, TreeHasher>::new(reader);
    let (root, batch) = tree.put_value_set(keys.into_iter().map(|key| (key, None)), version)?;
    Ok((root.0, batch))
}

fn into_update((root, batch): ([u8; 32], TreeUpdateBatch), version: Version) -> TreeUpdate {
    TreeUpdate {
        root: B256::new(root),
        version,
        nodes: batch.node_batch.nodes().clone(),
        stale: batch.stale_node_index_batch.into_iter().map(|index| index.node_key).collect(),
    }
}

/// Nodes and the one value that a proof of a stored version needs, read from a snapshot.
///
/// The tree library panics on unreadable siblings, so a failed read is remembered and answered with a leaf of zeros;
/// whoever asked for the proof looks at [`ProofNodes::failure`] before using it.
pub(crate) struct ProofNodes<'a> {
    read: &'a dyn Fn(&[u8]) -> Result<Option<Vec<u8>>, StorageError>,
    value: Option<OwnedValue>,
    failed: Cell<Option<StorageError>>,
}

impl<'a> ProofNodes<'a> {
    pub(crate) const fn new(
        read: &'a dyn Fn(&[u8]) -> Result<Option<Vec<u8>>, StorageError>,
        value: Option<OwnedValue>,
    ) -> Self {
        Self { read, value, failed: Cell::new(None) }
    }

    pub(crate) fn failure(&self) -> Option<StorageError> {
        self.failed.take()
    }

    fn node(&self, key: &NodeKey) -> Result<Node, StorageError> {
        let bytes = (self.read)(&node_row(key))?.ok_or_else(|| StorageError::Corrupt {
            column: Column::TreeNodes.name(),
            reason: format!("node {key:?} is missing"),
        })?;
        decode(Column::TreeNodes, &bytes)
    }
}

impl TreeReader for ProofNodes<'_> {
    fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<Node>> {
        Ok(Some(self.node(key).unwrap_or_else(|error| {
            self.failed.set(Some(error));
            Node::Leaf(LeafNode::new(KeyHash([0; 32]), ValueHash([0; 32])))
        })))
    }

    fn get_value_option(&self, _: Version, _: KeyHash) -> anyhow::Result<Option<OwnedValue>> {
        Ok(self.value.clone())
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        Ok(None)
    }
}
