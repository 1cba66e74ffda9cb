//! A tree in memory, as far as it was used.

use alloy_primitives::B256;

use super::{
    Node, NodeRow, Nodes, Path, PathChange, Version,
    grow::{Growth, Step},
    node::Child,
    node_row,
};
use crate::error::StorageError;

/// Keys changed since a tree was saved after which it is saved again: what the tree of a state between two versions, and
/// a restart, have to repeat at most, besides one block; some ten milliseconds.
const SAVE_AFTER_KEYS: usize = 32 << 10;
/// Depths of nodes: nibbles of a path.
const DEPTHS: usize = 64;

/// The tree of one state. Nodes that were not used stand in the rows of a saved version.
#[derive(Debug)]
pub(crate) struct Tree {
    root: Node,
    /// Version that the root carries.
    root_version: Version,
    /// What nodes carry that are not saved yet.
    version: Version,
    /// Rows of saved nodes that this tree no longer has.
    stale: Vec<Vec<u8>>,
    /// Keys changed since it was saved.
    changed: usize,
}

/// What a save writes.
pub(crate) struct Saving {
    /// Version that the tree has then.
    pub(crate) version: Version,
    /// New nodes, in order of their rows.
    pub(crate) nodes: Vec<NodeRow>,
    /// Rows of nodes that this version replaces.
    pub(crate) stale: Vec<Vec<u8>>,
}

impl Tree {
    /// The tree without leaves, unsaved.
    pub(crate) fn empty() -> Self {
        Self { root: Node::default(), root_version: 0, version: 0, stale: Vec::new(), changed: 0 }
    }

    /// A saved version.
    pub(crate) fn open(nodes: &impl Nodes, version: Version) -> Result<Self, StorageError> {
        Ok(Self {
            root: nodes.node(&node_row(version, 0, &[0; 32]))?,
            root_version: version,
            version: version.saturating_add(1),
            stale: Vec::new(),
            changed: 0,
        })
    }

    /// Changes keys, each at most once, and gives the new root; what is not in memory is read from `nodes`.
    ///
    /// Many changes are shared out among the machine's cores; the result is the same. After an error the tree is none.
    pub(crate) fn change(
        &mut self,
        nodes: &(impl Nodes + Sync),
        mut changes: Vec<PathChange>,
    ) -> Result<B256, StorageError> {
        if !changes.is_empty() {
            changes.sort_unstable();
            if self.root_version != self.version {
                self.stale.push(node_row(self.root_version, 0, &[0; 32]));
                self.root_version = self.version;
            }
            let mut growth = Growth::new(nodes, self.version);
            growth.change_root(&mut self.root, &Step::of(&changes))?;
            self.stale.append(&mut growth.stale);
            self.changed = self.changed.saturating_add(changes.len());
        }
        Ok(self.root_hash())
    }

    pub(crate) fn root_hash(&self) -> B256 {
        B256::new(self.root.hash())
    }

    pub(crate) const fn root(&self) -> &Node {
        &self.root
    }

    /// Whether so much has changed since it was saved, so many blocks ago of so many at most, that it should be again.
    pub(crate) const fn is_due(&self, blocks: u64, most: u64) -> bool {
        self.changed >= SAVE_AFTER_KEYS || (self.changed > 0 && blocks >= most)
    }

    /// What makes it a saved version once it is written.
    pub(crate) fn saving(&mut self) -> Saving {
        let mut nodes = Vec::new();
        let root_row = node_row(self.version, 0, &[0; 32]);
        collect_rows(&self.root, (0, &mut [0; 32]), self.version, &mut nodes);
        nodes.push((root_row, self.root.encode()));
        // The database inserts rows in order faster.
        nodes.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Saving { version: self.version, nodes, stale: std::mem::take(&mut self.stale) }
    }

    /// Notes that [`Tree::saving`] was written, and keeps about `capacity` nodes in memory at most: those used since the
    /// save before, and of them the upper ones, if it has more.
    pub(crate) fn saved(&mut self, capacity: usize) {
        let used = self.version;
        self.version = self.version.saturating_add(1);
        self.changed = 0;
        if self.nodes_in_memory() <= capacity {
            return;
        }
        release(&mut self.root, &|_, version| version != used);
        let mut room = capacity / 2;
        let fits = self.nodes_by_depth().into_iter().position(|nodes| {
            let fits = nodes <= room;
            room = room.saturating_sub(nodes);
            !fits
        });
        if let Some(depth) = fits {
            release(&mut self.root, &|below, _| below >= depth);
        }
    }

    /// Nodes in memory below the root.
    pub(super) fn nodes_in_memory(&self) -> usize {
        self.nodes_by_depth().iter().sum()
    }

    /// Nodes in memory below the root, by their depth less one.
    fn nodes_by_depth(&self) -> [usize; DEPTHS] {
        let mut counts = [0; DEPTHS];
        count(&self.root, &mut counts);
        counts
    }
}

fn count(node: &Node, counts: &mut [usize]) {
    let Some((here, below)) = counts.split_first_mut() else { return };
    for child in node.children_in_memory() {
        *here += 1;
        count(child, below);
    }
}

/// Drops from memory the saved nodes below a node that are chosen by their depth below it, less one, and their version.
fn release(node: &mut Node, chosen: &impl Fn(usize, Version) -> bool) {
    release_below(node, 0, chosen);
}

fn release_below(node: &mut Node, depth: usize, chosen: &impl Fn(usize, Version) -> bool) {
    for (_, child) in node.children_mut() {
        let Child::Inner { version, node, .. } = child else { continue };
        if chosen(depth, *version) {
            *node = None;
        } else if let Some(node) = node {
            release_below(node, depth + 1, chosen);
        }
    }
}

/// Adds the rows of the nodes of a version that lie below a node, which stands where the first nibbles of a path lead.
pub(super) fn collect_rows(
    node: &Node,
    (depth, path): (u8, &mut Path),
    version: Version,
    rows: &mut Vec<NodeRow>,
) {
    for (nibble, child) in node.children() {
        let Child::Inner { version: made, node: Some(below), .. } = child else { continue };
        if *made != version {
            continue;
        }
        set_nibble(path, depth, *nibble);
        collect_rows(below, (depth + 1, &mut *path), version, rows);
        rows.push((node_row(version, depth + 1, path), below.encode()));
    }
    set_nibble(path, depth, 0);
}

fn set_nibble(path: &mut Path, depth: u8, nibble: u8) {
    let byte = &mut path[usize::from(depth / 2)];
    *byte = if depth.is_multiple_of(2) {
        (*byte & 0x0f) | nibble << 4
    } else {
        (*byte & 0xf0) | nibble
    };
}
