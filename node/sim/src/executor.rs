//! A stub of execution: every final block gets a root, some time after it became final.

use neura_types::{B256, BlockId, ExecutedRoot, Height};

/// A header certifies the state of a block at least this many heights below it.
pub(crate) const EXECUTION_LAG: Height = 4;

/// Roots of executed blocks by height: a hash chain over their ids, so equal roots mean equal histories.
#[derive(Debug)]
pub(crate) struct Executor {
    roots: Vec<B256>,
}

impl Executor {
    /// Genesis is executed.
    pub(crate) fn new() -> Self {
        Self { roots: vec![B256::ZERO] }
    }

    /// Height of the newest executed block.
    pub(crate) fn height(&self) -> Height {
        self.roots.len() as Height - 1
    }

    /// Executes the next block.
    pub(crate) fn execute(&mut self, id: BlockId) {
        let last = self.roots.last().copied().unwrap_or_default();
        let mut hasher = blake3::Hasher::new();
        hasher.update(last.as_slice()).update(id.as_slice());
        self.roots.push(B256::new(*hasher.finalize().as_bytes()));
    }

    /// The result for a height, if it was executed.
    pub(crate) fn root(&self, height: Height) -> Option<ExecutedRoot> {
        let state_root = *self.roots.get(height as usize)?;
        Some(ExecutedRoot { height, state_root, ..ExecutedRoot::default() })
    }

    /// What a block of this height may certify: the newest result in range, not below the parent's.
    pub(crate) fn newest_for(
        &self,
        height: Height,
        parent_executed: Height,
    ) -> Option<ExecutedRoot> {
        let newest = height.saturating_sub(EXECUTION_LAG).min(self.height());
        self.root(newest.max(parent_executed))
    }
}
