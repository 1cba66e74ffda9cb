//! What a node keeps over a crash.

use std::{collections::BTreeMap, sync::Arc};

use neura_consensus::{
    CommittedBlock, FetchRequest, Input, MAX_RANGE_BLOCKS, Peer, Recovered, SafetyRecord,
};
use neura_types::{Block, BlockId, Height};
use rand::{RngExt, rand_core::Rng};

/// A disk that loses what was not synced. Persisting the record syncs all that was written before.
#[derive(Debug)]
pub(crate) struct Disk {
    record: Option<Vec<u8>>,
    synced_blocks: BTreeMap<BlockId, Arc<Block>>,
    unsynced_blocks: BTreeMap<BlockId, Arc<Block>>,
    /// The final chain; index is height.
    committed: Vec<CommittedBlock>,
    synced_commits: usize,
}

impl Disk {
    /// A disk that holds genesis only.
    pub(crate) fn new(genesis: Arc<Block>) -> Self {
        let id = genesis.id();
        Self {
            record: None,
            synced_blocks: BTreeMap::new(),
            unsynced_blocks: BTreeMap::new(),
            committed: vec![CommittedBlock { id, block: genesis, proof: None }],
            synced_commits: 1,
        }
    }

    pub(crate) fn store(&mut self, id: BlockId, block: Arc<Block>) {
        self.unsynced_blocks.insert(id, block);
    }

    pub(crate) fn persist(&mut self, record: &SafetyRecord) {
        self.record = Some(record.encode());
        self.synced_blocks.append(&mut self.unsynced_blocks);
        self.synced_commits = self.committed.len();
        let final_height = self.height();
        self.synced_blocks.retain(|_, block| block.header.height > final_height);
    }

    pub(crate) fn commit(&mut self, block: CommittedBlock) {
        self.committed.push(block);
    }

    pub(crate) fn height(&self) -> Height {
        self.committed.len() as Height - 1
    }

    pub(crate) fn id_at(&self, height: Height) -> Option<BlockId> {
        self.committed.get(height as usize).map(|block| block.id)
    }

    /// Forgets the record: what a wrong driver, or a broken disk, would do.
    pub(crate) fn lose_record(&mut self) {
        self.record = None;
    }

    /// Loses what was not synced, or a part of it.
    pub(crate) fn crash(&mut self, rng: &mut impl Rng) {
        let survivors: Vec<bool> = self.unsynced_blocks.iter().map(|_| rng.random()).collect();
        let unsynced = std::mem::take(&mut self.unsynced_blocks);
        for ((id, block), survives) in unsynced.into_iter().zip(survivors) {
            if survives {
                self.synced_blocks.insert(id, block);
            }
        }
        let kept = rng.random_range(self.synced_commits..=self.committed.len());
        self.committed.truncate(kept);
        // A batch of commits is written as a whole: its last block has the proof.
        while self.committed.len() > 1 && self.committed.last().is_some_and(|b| b.proof.is_none()) {
            self.committed.pop();
        }
        let kept = self.committed.len();
        self.synced_commits = kept;
    }

    /// What a restart finds.
    pub(crate) fn recover(&self, must_observe: bool) -> Recovered {
        let newest = self.committed.last().expect("genesis is never lost").clone();
        let uncommitted =
            self.synced_blocks.values().filter(|b| b.header.height > self.height()).cloned();
        Recovered {
            safety: self.record.as_deref().map(|bytes| {
                SafetyRecord::decode(bytes).expect("the simulated disk does not damage records")
            }),
            committed: (newest.block, newest.id, newest.proof),
            uncommitted: uncommitted.collect(),
            must_observe,
        }
    }

    /// Answers a fetch from what is on the disk.
    pub(crate) fn serve(&self, me: Peer, request: &FetchRequest) -> Input {
        match request {
            FetchRequest::Ancestors { of, down_to, .. } => {
                let mut blocks = Vec::new();
                let mut next = *of;
                while let Some(block) = self.find(&next) {
                    if block.header.height <= *down_to || blocks.len() == MAX_RANGE_BLOCKS {
                        break;
                    }
                    next = block.header.parent;
                    blocks.push(Arc::clone(block));
                }
                blocks.reverse();
                Input::Ancestors { from: me, of: *of, blocks }
            }
            FetchRequest::Committed { from, .. } => {
                let range = self.committed.get(*from as usize..).unwrap_or_default();
                let range = &range[..range.len().min(MAX_RANGE_BLOCKS)];
                let proved = range.iter().rposition(|block| block.proof.is_some());
                let proved = &range[..proved.map_or(0, |last| last + 1)];
                Input::Committed {
                    from: me,
                    blocks: proved.iter().map(|block| Arc::clone(&block.block)).collect(),
                    proof: proved.last().and_then(|block| block.proof.clone()),
                }
            }
        }
    }

    fn find(&self, id: &BlockId) -> Option<&Arc<Block>> {
        let stored = self.unsynced_blocks.get(id).or_else(|| self.synced_blocks.get(id));
        stored.or_else(|| {
            let newest_first = self.committed.iter().rev().take(4 * MAX_RANGE_BLOCKS);
            newest_first.into_iter().find(|block| block.id == *id).map(|block| &block.block)
        })
    }
}
