//! Keep the blocks above the newest final one, linked to it, and those whose parents are missing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use neura_types::{Block, BlockId, Height, View};

/// Blocks kept beside the certified chain: forks of leaders that contradict themselves, and views that timed out.
const MAX_FORK_BLOCKS: usize = 256;
/// Bytes of the bodies in the tree above which such blocks make room: two full blocks of every proposer of a stretch
/// without commits.
const MAX_TREE_BYTES: usize = 96 << 20;
/// Blocks kept whose parents are missing. A gap of blocks that are not final is closed backwards through them, so they
/// are as many as views may pass without a commit, most of them empty, while validators withhold commit votes.
pub(crate) const MAX_ORPHANS: usize = 1_024;
/// Bytes of the bodies of those blocks.
const MAX_ORPHAN_BYTES: usize = 96 << 20;

/// What is known of a block's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// Nobody asked.
    Unchecked,
    /// The driver was asked.
    Asked,
    /// It may be voted for.
    Valid,
    /// It may not.
    Invalid,
}

/// A block of the tree.
#[derive(Debug)]
pub(crate) struct Node {
    /// The block.
    pub(crate) block: Arc<Block>,
    /// What is known of its body.
    pub(crate) check: Check,
    bytes: usize,
}

/// The newest final block and its known descendants.
#[derive(Debug)]
pub(crate) struct Tree {
    root: BlockId,
    root_block: Arc<Block>,
    nodes: BTreeMap<BlockId, Node>,
    orphans: BTreeMap<BlockId, Arc<Block>>,
    orphan_bytes: usize,
}

impl Tree {
    /// A tree of one block.
    pub(crate) fn new(root: BlockId, block: Arc<Block>) -> Self {
        Self {
            root,
            root_block: block,
            nodes: BTreeMap::new(),
            orphans: BTreeMap::new(),
            orphan_bytes: 0,
        }
    }

    /// Id of the newest final block.
    pub(crate) fn root(&self) -> BlockId {
        self.root
    }

    /// The newest final block.
    pub(crate) fn root_block(&self) -> &Arc<Block> {
        &self.root_block
    }

    /// Height of the newest final block.
    pub(crate) fn height(&self) -> Height {
        self.root_block.header.height
    }

    /// View of the newest final block.
    pub(crate) fn view(&self) -> View {
        self.root_block.header.view
    }

    /// Number of linked blocks, and of blocks whose parents are missing.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.nodes.len().saturating_add(1), self.orphans.len())
    }

    /// A linked block, the newest final one included.
    pub(crate) fn block(&self, id: &BlockId) -> Option<&Arc<Block>> {
        if *id == self.root {
            return Some(&self.root_block);
        }
        self.nodes.get(id).map(|node| &node.block)
    }

    /// A linked block that is not final.
    pub(crate) fn node_mut(&mut self, id: &BlockId) -> Option<&mut Node> {
        self.nodes.get_mut(id)
    }

    /// Whether the block is linked or waits for its parent.
    pub(crate) fn knows(&self, id: &BlockId) -> bool {
        self.block(id).is_some() || self.orphans.contains_key(id)
    }

    /// The linked blocks of a view.
    pub(crate) fn of_view(&self, view: View) -> Vec<BlockId> {
        let of_view = |(_, node): &(&BlockId, &Node)| node.block.header.view == view;
        self.nodes.iter().filter(of_view).map(|(id, _)| *id).collect()
    }

    /// Links a block whose parent is linked. Beyond [`MAX_FORK_BLOCKS`] or [`MAX_TREE_BYTES`], blocks that `chain`
    /// does not descend from make room, oldest first; they can be fetched again.
    pub(crate) fn insert(&mut self, id: BlockId, block: Arc<Block>, check: Check, chain: &BlockId) {
        let bytes = body_bytes(&block);
        self.nodes.insert(id, Node { block, check, bytes });
        let bytes = self.nodes.values().map(|node| node.bytes).fold(0, usize::saturating_add);
        if self.nodes.len() > MAX_FORK_BLOCKS || bytes > MAX_TREE_BYTES {
            self.evict_forks(&id, chain);
        }
    }

    fn evict_forks(&mut self, newest: &BlockId, chain: &BlockId) {
        let mut kept: BTreeSet<BlockId> = self.path(chain).into_iter().collect();
        kept.extend(self.path(newest));
        let mut forks: Vec<(View, BlockId)> = self
            .nodes
            .iter()
            .filter(|(id, _)| !kept.contains(*id))
            .map(|(id, node)| (node.block.header.view, *id))
            .collect();
        forks.sort_unstable();
        forks.truncate(forks.len().div_ceil(2));
        for (_, id) in forks {
            self.nodes.remove(&id);
        }
        self.drop_unlinked();
    }

    /// Ids from above the newest final block up to `id`, oldest first; empty if `id` is not linked.
    pub(crate) fn path(&self, id: &BlockId) -> Vec<BlockId> {
        let mut path = Vec::new();
        let mut next = *id;
        while let Some(node) = self.nodes.get(&next) {
            path.push(next);
            next = node.block.header.parent;
        }
        path.reverse();
        path
    }

    /// Makes a linked block final: returns the blocks that become final with it, oldest first, and forgets whatever
    /// does not descend from it.
    pub(crate) fn commit(&mut self, id: &BlockId) -> Vec<(BlockId, Arc<Block>)> {
        let path = self.path(id);
        let mut blocks = Vec::with_capacity(path.len());
        for id in path {
            if let Some(node) = self.nodes.remove(&id) {
                self.root = id;
                self.root_block = Arc::clone(&node.block);
                blocks.push((id, node.block));
            }
        }
        self.drop_unlinked();
        let height = self.height();
        let stale: Vec<BlockId> = self
            .orphans
            .iter()
            .filter(|(_, block)| block.header.height <= height)
            .map(|(id, _)| *id)
            .collect();
        for id in stale {
            self.take_orphan(&id);
        }
        blocks
    }

    /// Forgets blocks that do not descend from the root.
    fn drop_unlinked(&mut self) {
        let mut by_height: Vec<(Height, BlockId)> =
            self.nodes.iter().map(|(id, node)| (node.block.header.height, *id)).collect();
        by_height.sort_unstable();
        for (_, id) in by_height {
            let linked = self
                .nodes
                .get(&id)
                .is_some_and(|node| self.block(&node.block.header.parent).is_some());
            if !linked {
                self.nodes.remove(&id);
            }
        }
    }

    /// Keeps a block whose parent is missing. When full, the highest views go: the lowest ones link up first.
    pub(crate) fn add_orphan(&mut self, id: BlockId, block: Arc<Block>) {
        self.orphan_bytes = self.orphan_bytes.saturating_add(body_bytes(&block));
        if self.orphans.insert(id, block).is_some() {
            self.recount_orphans();
        }
        while self.orphans.len() > MAX_ORPHANS || self.orphan_bytes > MAX_ORPHAN_BYTES {
            let highest = self.orphans.iter().map(|(id, b)| (b.header.view, *id)).max();
            let Some((_, id)) = highest else { break };
            self.take_orphan(&id);
        }
    }

    /// Takes out the blocks that wait for this parent.
    pub(crate) fn take_children(&mut self, parent: &BlockId) -> Vec<(BlockId, Arc<Block>)> {
        let ids: Vec<BlockId> = self
            .orphans
            .iter()
            .filter(|(_, block)| block.header.parent == *parent)
            .map(|(id, _)| *id)
            .collect();
        ids.into_iter().filter_map(|id| Some((id, self.take_orphan(&id)?))).collect()
    }

    /// The lowest missing ancestor of a block that is not linked (itself, if it is unknown), with its height if a
    /// child of it is known.
    pub(crate) fn missing(&self, id: &BlockId) -> (BlockId, Option<Height>) {
        let (mut missing, mut height) = (*id, None);
        // Ids are hashes over parents, so this cannot go in circles.
        while let Some(block) = self.orphans.get(&missing) {
            missing = block.header.parent;
            height = Some(block.header.height.saturating_sub(1));
        }
        (missing, height)
    }

    fn take_orphan(&mut self, id: &BlockId) -> Option<Arc<Block>> {
        let block = self.orphans.remove(id)?;
        self.orphan_bytes = self.orphan_bytes.saturating_sub(body_bytes(&block));
        Some(block)
    }

    fn recount_orphans(&mut self) {
        self.orphan_bytes =
            self.orphans.values().map(|block| body_bytes(block)).fold(0, usize::saturating_add);
    }
}

fn body_bytes(block: &Block) -> usize {
    block.payload.iter().map(|item| item.len()).fold(0, usize::saturating_add)
}
