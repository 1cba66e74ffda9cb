//! Remember which batches the proposed blocks above the final ones name.

use std::collections::{BTreeMap, HashSet};

use neura_types::{B256, BlockId, Height};

/// Blocks remembered: far more than a core keeps that are not final.
const MAX_BLOCKS: usize = 1_024;

/// The proposed blocks that are not final, with the batches that they name.
#[derive(Debug, Default)]
pub(super) struct Lineage(BTreeMap<(Height, BlockId), Vec<B256>>);

impl Lineage {
    pub(super) fn insert(&mut self, id: BlockId, height: Height, digests: Vec<B256>) {
        self.0.insert((height, id), digests);
        if self.0.len() > MAX_BLOCKS {
            self.0.pop_first();
        }
    }

    /// Every batch that some block names.
    pub(super) fn all(&self) -> HashSet<B256> {
        self.0.values().flatten().copied().collect()
    }

    /// Forgets blocks up to a final height.
    pub(super) fn prune(&mut self, committed: Height) {
        self.0 = self.0.split_off(&(committed.saturating_add(1), BlockId::ZERO));
    }
}
