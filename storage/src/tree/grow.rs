//! Change a tree: every node on the way to a changed key is made anew once.

use std::thread;

use neura_types::state::proof::Leaf;

use super::{
    NoNodes, Node, NodeRow, Nodes, Path, Version, live::collect_rows, nibble, node::Child, node_row,
};
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

/// The subtree of version 0 that some leaves make, which begin with the same nibbles, `depth` of them and not none: what
/// stands in its place, and its nodes.
pub(crate) fn subtree(
    depth: u8,
    leaves: &[PathChange],
) -> Result<(Option<Child>, Vec<NodeRow>), StorageError> {
    let child = Growth::new(&NoNodes, 0).change_child(None, depth, leaves)?;
    let mut rows = Vec::new();
    if let (Some(Child::Inner { node: Some(node), .. }), [first, ..]) = (&child, leaves) {
        let row = node_row(0, depth, &first.path);
        let mut path = [0; 32];
        let whole = usize::from(depth.div_ceil(2));
        path[..whole].copy_from_slice(&first.path[..whole]);
        collect_rows(node, (depth, &mut path), 0, &mut rows);
        rows.push((row, node.encode()));
    }
    Ok((child, rows))
}

/// The making of nodes of one version.
pub(super) struct Growth<'a, N> {
    nodes: &'a N,
    version: Version,
    /// Rows of saved nodes that were replaced.
    pub(super) stale: Vec<Vec<u8>>,
}

impl<N: Nodes + Sync> Growth<'_, N> {
    /// Applies changes to the root, those below each of its children on one thread.
    pub(super) fn change_root(
        &mut self,
        root: &mut Node,
        changes: &[PathChange],
    ) -> Result<(), StorageError> {
        let cores = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        if cores == 1 || changes.len() < SHARED_CHANGES {
            return self.change(root, 0, changes);
        }
        let groups: Vec<_> = changes
            .chunk_by(|a, b| nibble(&a.path, 0) == nibble(&b.path, 0))
            .map(|group| (root.take(nibble(&group[0].path, 0)), group))
            .collect();
        let mut parts: Vec<Vec<Group<'_>>> = Vec::new();
        let share = groups.len().div_ceil(cores).max(1);
        for group in groups {
            match parts.last_mut().filter(|part| part.len() < share) {
                Some(part) => part.push(group),
                None => parts.push(vec![group]),
            }
        }
        let (nodes, version) = (self.nodes, self.version);
        let grown: Vec<_> = thread::scope(|scope| {
            let grow = |part: Vec<Group<'_>>| Growth::new(nodes, version).change_children(part);
            let mut parts = parts.into_iter();
            let first = parts.next().unwrap_or_default();
            let others: Vec<_> = parts.map(|part| scope.spawn(move || grow(part))).collect();
            let first = grow(first);
            let others = others.into_iter().map(|thread| thread.join().unwrap_or_else(panicked));
            std::iter::once(first).chain(others).collect()
        });
        for part in grown {
            let (children, stale) = part?;
            children.into_iter().for_each(|(slot, child)| root.set(slot, child));
            self.stale.extend(stale);
        }
        Ok(())
    }
}

/// A child of the root with the changes below it.
type Group<'a> = (Option<Child>, &'a [PathChange]);
/// Children by nibble, with the rows that they replace.
type Grown = (Vec<(u8, Option<Child>)>, Vec<Vec<u8>>);

fn panicked<T>(_: Box<dyn std::any::Any + Send>) -> Result<T, StorageError> {
    Err(StorageError::Poisoned("a thread that grew the state tree panicked".into()))
}

impl<'a, N: Nodes> Growth<'a, N> {
    pub(super) const fn new(nodes: &'a N, version: Version) -> Self {
        Self { nodes, version, stale: Vec::new() }
    }

    fn change_children(mut self, groups: Vec<Group<'_>>) -> Result<Grown, StorageError> {
        let mut children = Vec::with_capacity(groups.len());
        for (old, group) in groups {
            let slot = nibble(&group[0].path, 0);
            children.push((slot, self.change_child(old, 1, group)?));
        }
        Ok((children, self.stale))
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
            node.replace(slot, |old| self.change_child(old, depth + 1, group))?;
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
        let mut node = Box::default();
        match old {
            Some(Child::Inner { version, node: held, .. }) => {
                node = self.replaced(version, held, (depth, path))?;
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
            [(_, Child::Leaf { leaf, hash })] => Some(Child::Leaf { leaf: *leaf, hash: *hash }),
            _ => Some(Child::Inner { hash: node.hash(), version: self.version, node: Some(node) }),
        })
    }

    /// A node that will be replaced.
    fn replaced(
        &mut self,
        version: Version,
        held: Option<Box<Node>>,
        (depth, path): (u8, &Path),
    ) -> Result<Box<Node>, StorageError> {
        if version == self.version
            && let Some(node) = held
        {
            return Ok(node);
        }
        let row = node_row(version, depth, path);
        let node = match held {
            Some(node) => node,
            None => Box::new(self.nodes.node(&row)?),
        };
        self.stale.push(row);
        Ok(node)
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
