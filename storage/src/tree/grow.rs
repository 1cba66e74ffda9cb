//! Change a tree: every node on the way to a changed key is made anew once.

use std::{sync::OnceLock, thread};

use neura_types::state::proof::{EMPTY_HASH, Leaf};

use super::{
    NoNodes, Node, NodeRow, Nodes, Path, Version, hash::hash_nodes, live::collect_rows, nibble,
    node::Child, node_row,
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

/// A changed key: its path with the hash of its new value and that of its leaf, or none if it is deleted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    path: Path,
    leaf: Option<([u8; 32], [u8; 32])>,
}

impl Step {
    /// The steps of some changes, the leaves hashed together.
    pub(super) fn of(changes: &[PathChange]) -> Vec<Self> {
        let leaf = |change: &PathChange| Some(Leaf { path: change.path, value: change.value? });
        let mut hashes = Leaf::hashes(changes.iter().filter_map(leaf)).into_iter();
        let step = |change: &PathChange| Self {
            path: change.path,
            leaf: change.value.and_then(|value| Some((value, hashes.next()?))),
        };
        changes.iter().map(step).collect()
    }
}

/// The subtree of version 0 that some leaves make, which begin with the same nibbles, `depth` of them and not none: what
/// stands in its place, and its nodes.
pub(crate) fn subtree(
    depth: u8,
    leaves: &[PathChange],
) -> Result<(Option<Child>, Vec<NodeRow>), StorageError> {
    let mut child = Growth::new(&NoNodes, 0).change_child(None, depth, &Step::of(leaves))?;
    hash_nodes(child.iter_mut());
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
        changes: &[Step],
    ) -> Result<(), StorageError> {
        let cores = cores();
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

/// How many threads grow a tree. The operating system is asked once: it reads files to answer.
fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    let count = || thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    *CORES.get_or_init(count)
}

/// A child of the root with the changes below it.
type Group<'a> = (Option<Child>, &'a [Step]);
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
        hash_nodes(children.iter_mut().filter_map(|(_, child)| child.as_mut()));
        Ok((children, self.stale))
    }

    /// Applies changes, which are not empty and all lie below it, to a node.
    fn change(&mut self, node: &mut Node, depth: u8, changes: &[Step]) -> Result<(), StorageError> {
        let together = |a: &Step, b: &Step| nibble(&a.path, depth) == nibble(&b.path, depth);
        let mut changed = 0u16;
        for group in changes.chunk_by(together) {
            let slot = nibble(&group[0].path, depth);
            changed |= 1 << slot;
            node.replace(slot, |old| self.change_child(old, depth + 1, group))?;
        }
        let changed = |nibble: u8| changed >> nibble & 1 == 1;
        let children = node.children_mut();
        hash_nodes(children.filter_map(|(nibble, child)| changed(*nibble).then_some(child)));
        Ok(())
    }

    /// What stands in a child's place after the changes that lie below it. The hash of a node is yet to be made.
    fn change_child(
        &mut self,
        old: Option<Child>,
        depth: u8,
        changes: &[Step],
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
            _ => Some(Child::Inner { hash: EMPTY_HASH, version: self.version, node: Some(node) }),
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

fn new_leaf(step: &Step) -> Option<Child> {
    let (value, hash) = step.leaf?;
    Some(Child::Leaf { leaf: Leaf { path: step.path, value }, hash })
}

/// The leaves that a place with at most one leaf has after some changes, in order.
fn merge(old: Option<Child>, changes: &[Step]) -> Vec<Step> {
    let mut leaves: Vec<Step> =
        changes.iter().copied().filter(|change| change.leaf.is_some()).collect();
    if let Some(Child::Leaf { leaf: Leaf { path, value }, hash }) = old
        && changes.binary_search_by_key(&path, |change| change.path).is_err()
    {
        let place = leaves.partition_point(|change| change.path < path);
        leaves.insert(place, Step { path, leaf: Some((value, hash)) });
    }
    leaves
}
