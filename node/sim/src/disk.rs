//! What a node keeps over a crash.

use std::{collections::BTreeMap, sync::Arc};

use neura_consensus::{CommittedBlock, FetchRequest, Input, MAX_RANGE_BLOCKS, Peer, SafetyRecord};
use neura_types::{Block, BlockId, Epoch, Height};
use rand::{RngExt, rand_core::Rng};

use crate::record_file::{Found, RecordFile};

/// Final blocks in which an ancestor is looked for, newest first.
const SEARCHED: usize = 4 * MAX_RANGE_BLOCKS;

/// A disk that loses what was not synced, in any order.
#[derive(Debug)]
pub(crate) struct Disk {
    record: RecordFile,
    synced_blocks: BTreeMap<BlockId, Arc<Block>>,
    unsynced_blocks: BTreeMap<BlockId, Arc<Block>>,
    /// The final chain; index is height.
    committed: Vec<CommittedBlock>,
    synced_commits: usize,
    dirty: bool,
}

impl Disk {
    /// A disk that holds genesis only.
    pub(crate) fn new(id: BlockId, genesis: Arc<Block>) -> Self {
        Self {
            record: RecordFile::default(),
            synced_blocks: BTreeMap::new(),
            unsynced_blocks: BTreeMap::new(),
            committed: vec![CommittedBlock { id, block: genesis, proof: None }],
            synced_commits: 1,
            dirty: false,
        }
    }

    /// Writes a block.
    pub(crate) fn store(&mut self, id: BlockId, block: Arc<Block>) {
        self.unsynced_blocks.insert(id, block);
        self.dirty = true;
    }

    /// Writes the record.
    pub(crate) fn write_record(&mut self, record: Arc<SafetyRecord>) {
        self.record.write(record);
        self.dirty = true;
    }

    /// Writes a final block.
    pub(crate) fn commit(&mut self, block: CommittedBlock) {
        self.committed.push(block);
        self.dirty = true;
    }

    /// Whether something was written since the last sync.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Makes all that was written durable.
    pub(crate) fn sync(&mut self) {
        self.record.sync();
        self.synced_blocks.append(&mut self.unsynced_blocks);
        self.synced_commits = self.committed.len();
        self.dirty = false;
        let final_height = self.height();
        self.synced_blocks.retain(|_, block| block.header.height > final_height);
    }

    /// A sync fails, and nobody asks again for what was written before.
    pub(crate) fn fail_sync(&mut self) {
        self.dirty = false;
    }

    /// The record that a crash now would leave at least.
    pub(crate) fn durable_record(&self) -> Option<&SafetyRecord> {
        self.record.durable().map(Arc::as_ref)
    }

    /// Whether a block would survive a crash.
    pub(crate) fn holds_durably(&self, id: &BlockId, height: Height) -> bool {
        self.synced_blocks.contains_key(id)
            || usize::try_from(height).is_ok_and(|height| height < self.synced_commits)
    }

    /// Height of the newest final block.
    pub(crate) fn height(&self) -> Height {
        self.committed.len() as Height - 1
    }

    /// Height of the newest final block that would survive a crash.
    pub(crate) fn durable_height(&self) -> Height {
        self.synced_commits as Height - 1
    }

    /// A final block.
    pub(crate) fn at(&self, height: Height) -> Option<&CommittedBlock> {
        self.committed.get(usize::try_from(height).ok()?)
    }

    /// Forgets the record: what a wrong driver would do.
    pub(crate) fn lose_record(&mut self) {
        self.record.forget();
    }

    /// Flips bits of the record.
    pub(crate) fn damage_record(&mut self, rng: &mut impl Rng) {
        self.record.damage(rng);
    }

    /// Loses what was not synced, or a part of it.
    pub(crate) fn crash(&mut self, rng: &mut impl Rng) {
        self.record.crash(rng);
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
        self.synced_commits = self.committed.len();
        self.dirty = false;
    }

    /// The record that a start finds.
    pub(crate) fn read_record(&self, careless: bool) -> Found {
        self.record.read(careless)
    }

    /// The stored blocks of an epoch above the final ones.
    pub(crate) fn uncommitted(&self, epoch: Epoch) -> Vec<Arc<Block>> {
        let stored = self.synced_blocks.values().chain(self.unsynced_blocks.values());
        let above = |b: &&Arc<Block>| b.header.height > self.height() && b.header.epoch == epoch;
        stored.filter(above).cloned().collect()
    }

    /// Answers a fetch from what is on the disk. A range of final blocks ends with its epoch at the latest.
    pub(crate) fn serve(&self, request: &FetchRequest) -> Input {
        let from = Peer::Other(0);
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
                Input::Ancestors { from, of: *of, blocks }
            }
            FetchRequest::Committed { from: height, .. } => {
                let above = usize::try_from(*height).ok().and_then(|h| self.committed.get(h..));
                let above = above.unwrap_or_default();
                let epoch = above.first().map(|first| first.block.header.epoch);
                let same = above.iter().take_while(|b| Some(b.block.header.epoch) == epoch).count();
                let within = same.min(MAX_RANGE_BLOCKS);
                let proved =
                    |range: &[CommittedBlock]| range.iter().rposition(|b| b.proof.is_some());
                let (blocks, proof) = match proved(&above[..within]) {
                    Some(last) => (&above[..=last], above[last].proof.clone()),
                    // The next proof lies beyond the size of an answer.
                    None => (&above[..0], above[..same].iter().find_map(|b| b.proof.clone())),
                };
                let blocks = blocks.iter().map(|block| Arc::clone(&block.block)).collect();
                Input::Committed { from, blocks, proof }
            }
        }
    }

    /// A stored or final block.
    pub(crate) fn find(&self, id: &BlockId) -> Option<&Arc<Block>> {
        let stored = self.unsynced_blocks.get(id).or_else(|| self.synced_blocks.get(id));
        stored.or_else(|| {
            let mut newest_first = self.committed.iter().rev().take(SEARCHED);
            newest_first.find(|block| block.id == *id).map(|block| &block.block)
        })
    }
}
