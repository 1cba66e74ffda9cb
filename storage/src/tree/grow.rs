//! Compute the next version of the tree: every node on the way to a changed key is made once.

use std::{sync::Arc, thread};

use alloy_primitives::B256;
use neura_types::state::proof::Leaf;

use super::{NoNodes, Node, Nodes, Path, Version, nibble, node::Child, node_row};
use crate::error::StorageError;

/// Fewest changes that are shared out among threads: below, starting them costs more than it saves.
const SHARED_CHANGES: usize = 128;
/// Most threads that grow a tree: the subtrees of the root.
const MAX_THREADS: usize = 16;

/// A changed key: its path with the hash of its new value, or none if it is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PathChange {
    pub(crate) path: Path,
    pub(crate) value: Option<[u8; 32]>,
}

/// A node with the row that it is stored under.
pub(crate) type NodeRow = (Vec<u8>, Arc<Node>);

/// A next version of the tree, yet to be written.
pub(crate) struct TreeUpdate {
    pub(crate) root: B256,
    pub(crate) version: Version,
    /// Rows and nodes that are new, in order.
    pub(crate) nodes: Vec<NodeRow>,
    /// Rows of stored nodes that no later version needs.
    pub(crate) stale: Vec<Vec<u8>>,
}

/// Computes the tree that follows version `base` (none: the empty tree below genesis). The changes name each path once.
///
/// Many changes are shared out among the machine's cores; the result is the same.
pub(crate) fn next_tree(
    nodes: &(impl Nodes + Sync),
    base: Option<Version>,
    mut changes: Vec<PathChange>,
) -> Result<TreeUpdate, StorageError> {
    changes.sort_unstable();
    let version = base.map_or(0, |base| base.saturating_add(1));
    let mut growth = Growth::new(nodes, version);
    let mut root = match base {
        Some(base) => growth.take(base, 0, &[0; 32])?,
        None => Node::default(),
    };
    growth.change_root(&mut root, &changes)?;
    let hash = root.hash();
    growth.new.push((node_row(version, 0, &[0; 32]), Arc::new(root)));
    let (mut nodes, stale) = (growth.new, growth.stale);
    // The database inserts rows in order faster.
    nodes.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(TreeUpdate { root: B256::new(hash), version, nodes, stale })
}

/// The subtree of version 0 that some leaves make, which begin with the same nibbles, `depth` of them and not none: what
/// stands in its place, and its nodes.
pub(crate) fn subtree(
    depth: u8,
    leaves: &[PathChange],
) -> Result<(Option<Child>, Vec<NodeRow>), StorageError> {
    let mut growth = Growth::new(&NoNodes, 0);
    let child = growth.change_child(None, depth, leaves)?;
    Ok((child, growth.new))
}

struct Growth<'a, N> {
    nodes: &'a N,
    version: Version,
    new: Vec<NodeRow>,
    stale: Vec<Vec<u8>>,
}

impl<N: Nodes + Sync> Growth<'_, N> {
    /// Applies changes to the root, those below each of its children on one thread.
    fn change_root(&mut self, root: &mut Node, changes: &[PathChange]) -> Result<(), StorageError> {
        let cores = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        if cores == 1 || changes.len() < SHARED_CHANGES {
            return self.change(root, 0, changes);
        }
        let mut groups: Vec<&[PathChange]> = Vec::new();
        for group in changes.chunk_by(|a, b| nibble(&a.path, 0) == nibble(&b.path, 0)) {
            groups.push(group);
        }
        let (nodes, version, old) = (self.nodes, self.version, &*root);
        let grown = thread::scope(|scope| {
            let grow = |groups: &[&[PathChange]]| {
                let mut growth = Growth::new(nodes, version);
                let child = |group: &&[PathChange]| {
                    let slot = nibble(&group[0].path, 0);
                    Ok((slot, growth.change_child(old.child(slot), 1, group)?))
                };
                let children = groups.iter().map(child).collect::<Result<Vec<_>, StorageError>>();
                children.map(|children| (children, growth.new, growth.stale))
            };
            let mut parts = groups.chunks(groups.len().div_ceil(cores).max(1));
            let first = parts.next().unwrap_or_default();
            let others: Vec<_> = parts.map(|part| scope.spawn(move || grow(part))).collect();
            let mut grown = vec![grow(first)];
            grown.extend(others.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)));
            grown
        });
        for part in grown {
            let (children, new, stale) = part?;
            children.into_iter().for_each(|(slot, child)| root.set(slot, child));
            self.new.extend(new);
            self.stale.extend(stale);
        }
        Ok(())
    }
}

fn panicked<T>(_: Box<dyn std::any::Any + Send>) -> Result<T, StorageError> {
    Err(StorageError::Poisoned("a thread that grew the state tree panicked".into()))
}

impl<'a, N: Nodes> Growth<'a, N> {
    const fn new(nodes: &'a N, version: Version) -> Self {
        Self { nodes, version, new: Vec::new(), stale: Vec::new() }
    }

    /// Takes a stored node that will be replaced.
    fn take(&mut self, version: Version, depth: u8, path: &Path) -> Result<Node, StorageError> {
        let row = node_row(version, depth, path);
        let node = self.nodes.take(&row)?;
        self.stale.push(row);
        Ok(node)
    }

    /// Applies changes, which are not empty and all lie below it, to a node.
    fn change(
        &mut self,
        node: &mut Node,
        depth: u8,
        changes: &[PathChange],
    ) -> Result<(), StorageError> {
        let together =
            |a: &PathChange, b: &PathChange| nibble(&a.path, depth) == nibble(&b.path, depth);
        for group in changes.chunk_by(together) {
            let slot = nibble(&group[0].path, depth);
            let child = self.change_child(node.child(slot), depth + 1, group)?;
            node.set(slot, child);
        }
        Ok(())
    }

    /// What stands in a child's place after the changes that lie below it.
    fn change_child(
        &mut self,
        old: Option<Child>,
        depth: u8,
        changes: &[PathChange],
    ) -> Result<Option<Child>, StorageError> {
        let path = &changes[0].path;
        let mut node = Node::default();
        match old {
            Some(Child::Inner { version, .. }) => {
                node = self.take(version, depth, path)?;
                self.change(&mut node, depth, changes)?;
            }
            None | Some(Child::Leaf { .. }) => {
                let leaves = merge(old, changes);
                if leaves.len() <= 1 {
                    return Ok(leaves.first().and_then(new_leaf));
                }
                self.change(&mut node, depth, &leaves)?;
            }
        }
        Ok(match node.children() {
            [] => None,
            // A subtree with one leaf is that leaf.
            [(_, only @ Child::Leaf { .. })] => Some(*only),
            _ => {
                let hash = node.hash();
                self.new.push((node_row(self.version, depth, path), Arc::new(node)));
                Some(Child::Inner { hash, version: self.version })
            }
        })
    }
}

fn new_leaf(change: &PathChange) -> Option<Child> {
    change.value.map(|value| Child::leaf(Leaf { path: change.path, value }))
}

/// The leaves that a place with at most one leaf has after some changes, in order.
fn merge(old: Option<Child>, changes: &[PathChange]) -> Vec<PathChange> {
    let mut leaves: Vec<PathChange> =
        changes.iter().copied().filter(|change| change.value.is_some()).collect();
    if let Some(Child::Leaf { leaf: Leaf { path, value }, .. }) = old
        && changes.binary_search_by_key(&path, |change| change.path).is_err()
    {
        let place = leaves.partition_point(|change| change.path < path);
        leaves.insert(place, PathChange { path, value: Some(value) });
    }
    leaves
}
