//! Make the replica of each epoch, with the key and the record that let it sign.

use std::sync::Arc;

use anyhow::{Context, Result};
use neura_consensus::{CommittedBlock, Config, Output, Recovered, Replica, SafetyRecord};
use neura_storage::{EpochEnd, EpochRecord, ProvenHeader};
use neura_types::{Anchor, Block, BlockId, CommitProof, EpochConfig, codec, keys::SecretKey};

use crate::node::{chain::Chain, peers::peer_ids};

/// How much longer than the first view timer one may become.
const MAX_TIMEOUT_FACTOR: u64 = 10;

/// This node's part in consensus, across epochs.
#[derive(Debug)]
pub struct Seat {
    key: SecretKey,
    /// The newest durable record.
    record: Option<SafetyRecord>,
    /// The record was missing or damaged at the start: nothing is signed.
    lost: bool,
}

impl Seat {
    /// With what the disk holds of the record.
    pub fn new(key: SecretKey, record: Option<SafetyRecord>, lost: bool) -> Self {
        Self { key, record, lost }
    }

    /// Whether the record was lost.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// Remembers what was made durable.
    pub(super) fn note(&mut self, record: SafetyRecord) {
        self.record = Some(record);
    }

    /// A replica for an epoch, at the newest final block. A record of an earlier epoch says nothing of this one. One of
    /// a later epoch means that final blocks were lost: the replica follows until it is there again.
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
        let anchor = anchor(chain, config)?;
        let mut core = Config::new(chain.context(), anchor, (set, config.last), me);
        let params = &config.params;
        core.base_timeout_ms = params.view_timeout_ms.saturating_add(params.idle_block_interval_ms);
        core.max_timeout_ms = core.base_timeout_ms.saturating_mul(MAX_TIMEOUT_FACTOR);
        let record = self.record.as_ref();
        let later = record.is_some_and(|record| record.epoch > config.epoch);
        let recovered = Recovered {
            safety: record.filter(|record| record.epoch == config.epoch).cloned(),
            committed,
            uncommitted,
            must_observe: self.lost || later,
        };
        let signer = me.map(|_| self.key.clone());
        Replica::new(core, signer, recovered, now_ms).context("starting consensus")
    }
}

/// The block that an epoch starts from.
fn anchor(chain: &Chain, config: &EpochConfig) -> Result<Anchor> {
    if config.epoch == 0 {
        return Ok(Anchor::genesis(chain.genesis_id));
    }
    let before = config.epoch.saturating_sub(1);
    let record = chain.store.epoch(before)?.and_then(|record| record.end);
    let end = record.with_context(|| format!("the end of epoch {before} is not in the store"))?;
    Ok(Anchor { view: end.block.header.view, block: end.block.id() })
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
