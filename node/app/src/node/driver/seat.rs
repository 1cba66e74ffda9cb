//! Make the replica of each epoch, with the key and the record that let it sign.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, Result, bail};
use neura_consensus::{CommittedBlock, Config, Output, Recovered, Replica, SafetyRecord};
use neura_storage::{EpochEnd, EpochRecord, Mark, ProvenHeader};
use neura_types::{
    Anchor, Block, BlockId, CommitProof, Epoch, EpochConfig, codec, keys::SecretKey,
};

use super::check::MAX_CLOCK_DRIFT_MS;
use crate::node::{
    chain::{Chain, unix_time_ms},
    peers::peer_ids,
};

/// How much longer than the first view timer one may become.
const MAX_TIMEOUT_FACTOR: u64 = 10;

/// How much later than this node an epoch must have begun: a block is voted for if its time is at most a second ahead of
/// the voters' clocks, and those may differ from this one by two.
const CLOCK_MARGIN_MS: u64 = 3_000;

/// What the disk still knew of the key's signatures when the node started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Memory {
    /// All of them: the newest durable record.
    Kept(Box<SafetyRecord>),
    /// None was ever made with this folder.
    Blank,
    /// The record is missing, damaged, or an older copy.
    Lost,
}

/// This node's part in consensus, across epochs.
#[derive(Debug)]
pub struct Seat {
    key: SecretKey,
    memory: Memory,
    started_ms: u64,
    started: Instant,
}

impl Seat {
    /// With what the disk holds of the record, at the start of the node.
    pub fn new(key: SecretKey, memory: Memory) -> Self {
        Self { key, memory, started_ms: unix_time_ms(), started: Instant::now() }
    }

    /// Whether the record was lost, and nothing was signed since.
    pub fn is_lost(&self) -> bool {
        self.memory == Memory::Lost
    }

    /// Remembers what was made durable.
    pub(super) fn note(&mut self, record: SafetyRecord) {
        self.memory = Memory::Kept(Box::new(record));
    }

    /// Whether nothing that the key may have signed before can contradict what it signs in an epoch. Without a record
    /// that is so in epochs that began after this node did: a signature is good in its own epoch only. `began_ms` is the
    /// time of the block before the epoch, `now_ms` this node's clock, which must not be behind, nor have been set since the
    /// start, `running_ms` ago. In the first epoch
    /// everyone starts without a record. One of a later epoch means that final blocks were lost: the node follows until
    /// it is there again.
    fn may_sign(&self, epoch: Epoch, began_ms: u64, (now_ms, running_ms): (u64, u64)) -> bool {
        let since = self.started_ms.saturating_add(CLOCK_MARGIN_MS);
        let until = now_ms.saturating_add(MAX_CLOCK_DRIFT_MS);
        match &self.memory {
            Memory::Kept(record) => record.epoch <= epoch,
            Memory::Blank if epoch == 0 => true,
            Memory::Blank | Memory::Lost => {
                let expected_ms = self.started_ms.saturating_add(running_ms);
                let steady = now_ms.abs_diff(expected_ms) <= MAX_CLOCK_DRIFT_MS;
                steady && (since..=until).contains(&began_ms)
            }
        }
    }

    /// The time of day, and how long the node has been running, both in milliseconds.
    fn clocks(&self) -> (u64, u64) {
        let running = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        (unix_time_ms(), running)
    }

    /// A replica for an epoch, at the newest final block. A record of an earlier epoch says nothing of this one.
    pub fn replica(
        &self,
        chain: &Chain,
        config: &EpochConfig,
        committed: (Arc<Block>, BlockId, Option<CommitProof>),
        uncommitted: Vec<Arc<Block>>,
        now_ms: u64,
    ) -> Result<(Replica, Vec<Output>)> {
        let set = Arc::new(config.set.clone());
        let me = set.index_of(&self.key.public_key());
        let (anchor, began_ms) = anchor(chain, config)?;
        let mut core = Config::new(chain.context(), anchor, (set, config.last), me);
        let params = &config.params;
        core.base_timeout_ms = params.view_timeout_ms.saturating_add(params.idle_block_interval_ms);
        core.max_timeout_ms = core.base_timeout_ms.saturating_mul(MAX_TIMEOUT_FACTOR);
        let record = match &self.memory {
            Memory::Kept(record) if record.epoch == config.epoch => {
                Some(SafetyRecord::clone(record))
            }
            _ => None,
        };
        let recovered = Recovered {
            safety: record,
            committed,
            uncommitted,
            must_observe: !self.may_sign(config.epoch, began_ms, self.clocks()),
        };
        let signer = me.map(|_| self.key.clone());
        Replica::new(core, signer, recovered, now_ms).context("starting consensus")
    }
}

/// What the safety file holds: how far the database was durable when the record was written, and the record.
pub(super) fn entry(mark: Mark, record: &SafetyRecord) -> Vec<u8> {
    [&mark.to_bytes()[..], &record.encode()].concat()
}

/// The record, if it is this key's and of this chain: another one says nothing of what this key has signed. Refused if
/// the database lost what was durable before the record was written.
pub fn own_record(chain: &Chain, key: &SecretKey, entry: &[u8]) -> Result<SafetyRecord> {
    let (mark, bytes) = entry
        .split_first_chunk()
        .context("the safety record is shorter than any that is written")?;
    let record = SafetyRecord::decode(bytes)?;
    chain.store.check_mark(&Mark::from_bytes(*mark))?;
    let of = match (record.chain == chain.context(), record.key == key.public_key()) {
        (true, true) => return Ok(record),
        (false, _) => "chain",
        (true, false) => "key",
    };
    bail!(
        "the safety record in this data folder is of another {of}: give each key and chain a folder of its own, or move \
         safety.dat away if what it remembers is of no use any more"
    )
}

/// The block that an epoch starts from, and its time.
fn anchor(chain: &Chain, config: &EpochConfig) -> Result<(Anchor, u64)> {
    if config.epoch == 0 {
        return Ok((Anchor::genesis(chain.genesis_id), chain.genesis.timestamp_ms));
    }
    let before = config.epoch.saturating_sub(1);
    let record = chain.store.epoch(before)?.and_then(|record| record.end);
    let end = record.with_context(|| format!("the end of epoch {before} is not in the store"))?;
    let header = &end.block.header;
    Ok((Anchor { view: header.view, block: end.block.id() }, header.timestamp_ms))
}

impl super::Driver {
    /// Enters the next epoch once this one's last block is final and the next configuration is known: it follows from
    /// the state at the end of the epoch before, which a node that catches up may not have executed yet.
    pub(super) fn enter_next_epoch(&mut self) -> Result<Option<Vec<Output>>> {
        let Some(CommittedBlock { id, block, proof }) = &self.ending else { return Ok(None) };
        let chain = Arc::clone(&self.parts.chain);
        let header = &block.header;
        let Some(config) = chain.epochs.get(header.epoch.saturating_add(1)) else {
            return Ok(None);
        };
        let ended = chain.epochs.current();
        chain.epochs.enter(Arc::clone(&config), header.next_epoch)?;
        let proof = match proof {
            Some(proof) => proof.clone(),
            // A snapshot ends here: the proof came with the chain of epochs.
            None => {
                let known = chain.store.epoch(ended.epoch)?.and_then(|record| record.end);
                codec::decode(&known.context("the end of the epoch has no proof")?.proof)?
            }
        };
        let end = EpochEnd { block: ProvenHeader::of(block), proof: codec::encode(&proof) };
        chain
            .store
            .put_epoch(&EpochRecord { config: EpochConfig::clone(&ended), end: Some(end) })?;
        chain.store.put_epoch(&EpochRecord { config: EpochConfig::clone(&config), end: None })?;
        self.parts.peers.set(&config.set);
        self.parts.network.set_validators(peer_ids(&chain.epochs.neighbours()));
        let committed = (Arc::clone(block), *id, Some(proof));
        let (replica, outputs) =
            self.parts.seat.replica(&chain, &config, committed, Vec::new(), self.now_ms())?;
        tracing::info!(
            epoch = config.epoch,
            first = config.first,
            validators = config.set.len(),
            signs = !replica.status().observing,
            "epoch begins"
        );
        self.parts.replica = replica;
        self.ending = None;
        self.timer = None;
        self.restart_parts();
        Ok(Some(outputs))
    }
}

#[cfg(test)]
mod tests;
