//! A replica and what its disk holds.

use std::{collections::BTreeMap, sync::Arc};

use neura_consensus_bugs::{
    CommittedBlock, Input, Output, Recovered, Replica, SafetyRecord, Status,
};
use neura_types::{Block, BlockId, CommitProof, ValidatorIndex};

use super::realm::Realm;

/// What survives a crash.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    /// The newest record.
    pub record: Option<SafetyRecord>,
    /// Whether the record was lost once.
    pub lost: bool,
    /// Stored blocks.
    pub blocks: BTreeMap<BlockId, Arc<Block>>,
    /// Final blocks above the anchor, oldest first, up to one with a proof.
    pub committed: Vec<(BlockId, Arc<Block>)>,
    /// Proof of the last of them.
    pub proof: Option<CommitProof>,
    /// Final blocks whose proof has not come yet: they are not durable.
    waiting: Vec<(BlockId, Arc<Block>)>,
}

/// A validator.
#[derive(Debug)]
pub struct Node {
    /// Its index.
    pub index: ValidatorIndex,
    /// Its replica.
    pub replica: Replica,
    /// Its disk.
    pub disk: Disk,
    /// Its clock.
    pub now_ms: u64,
}

impl Node {
    /// A first start.
    pub fn start(realm: &Realm, index: ValidatorIndex) -> (Self, Vec<Output>) {
        let disk = Disk::default();
        let (replica, outputs) = boot(realm, index, &disk, 0);
        (Self { index, replica, disk, now_ms: 0 }, outputs)
    }

    /// Starts again from the disk.
    pub fn restart(&mut self, realm: &Realm) -> Vec<Output> {
        self.disk.waiting.clear();
        let (replica, outputs) = boot(realm, self.index, &self.disk, self.now_ms);
        self.replica = replica;
        outputs
    }

    /// The record is lost, and the node starts again.
    pub fn lose_record(&mut self, realm: &Realm) -> Vec<Output> {
        self.disk.record = None;
        self.disk.lost = true;
        self.restart(realm)
    }

    /// Applies an input.
    pub fn step(&mut self, input: Input) -> Vec<Output> {
        self.replica.step(self.now_ms, input)
    }

    /// Its position.
    pub fn status(&self) -> Status {
        self.replica.status()
    }

    /// Makes durable what an output asks for.
    pub fn absorb(&mut self, output: &Output) {
        match output {
            Output::StoreBlock { id, block } => {
                self.disk.blocks.insert(*id, Arc::clone(block));
            }
            Output::Persist(record) => self.disk.record = Some((**record).clone()),
            Output::Commit(CommittedBlock { id, block, proof }) => {
                self.disk.waiting.push((*id, Arc::clone(block)));
                if let Some(proof) = proof {
                    self.disk.committed.append(&mut self.disk.waiting);
                    self.disk.proof = Some(proof.clone());
                }
            }
            _ => {}
        }
    }
}

fn boot(realm: &Realm, index: ValidatorIndex, disk: &Disk, now_ms: u64) -> (Replica, Vec<Output>) {
    let newest = disk.committed.last();
    let (id, block) =
        newest.cloned().unwrap_or_else(|| (realm.anchor().block, Arc::clone(&realm.anchor_block)));
    let height = block.header.height;
    let above = disk.blocks.values().filter(|block| block.header.height > height);
    let recovered = Recovered {
        safety: disk.record.clone(),
        committed: (block, id, disk.proof.clone()),
        uncommitted: above.cloned().collect(),
        must_observe: disk.lost,
    };
    Replica::new(realm.config(index), Some(realm.key(index)), recovered, now_ms)
        .expect("key, set and record belong together")
}
