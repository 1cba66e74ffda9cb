//! One simulated node: the real core, a disk, its executed states, and what the driver remembers between events.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use neura_consensus::{Peer, Replica};
use neura_types::{
    B256, Block, BlockId, Epoch, EpochConfig, ExecutedRoot, Height, QuorumCertificate,
    ValidatorIndex, keys::SecretKey,
};

use crate::{chain::Chain, disk::Disk, ledger::Executed, plan::Identity};

/// A check that waits until the node has what it needs.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) id: BlockId,
    pub(crate) block: Arc<Block>,
}

/// One node.
#[derive(Debug)]
pub(crate) struct Node {
    /// Number of its key.
    pub(crate) identity: Identity,
    pub(crate) key: SecretKey,
    /// Whether it follows the rules.
    pub(crate) honest: bool,
    /// Whether its process runs.
    pub(crate) up: bool,
    /// Serves the current epoch; none while the node is down, or does not know the epoch's validators yet.
    pub(crate) replica: Option<Replica>,
    /// Counts starts: events of an earlier life do not reach it.
    pub(crate) life: u32,
    pub(crate) disk: Disk,
    /// The current epoch.
    pub(crate) config: Arc<EpochConfig>,
    /// Configurations known, by epoch.
    pub(crate) configs: BTreeMap<Epoch, Arc<EpochConfig>>,
    /// Its results; index is height.
    pub(crate) executed: Vec<Arc<Executed>>,
    /// Whether a block is being executed.
    pub(crate) executing: bool,
    /// Blocks to check.
    pub(crate) waiting: Vec<Waiting>,
    /// Blocks that the driver found bad.
    pub(crate) refused: BTreeSet<BlockId>,
    /// Digests of the batches that it holds, durably.
    pub(crate) held: BTreeSet<B256>,
    pub(crate) timer_ms: Option<u64>,
    /// Crashes within the next step that has outputs.
    pub(crate) doomed: bool,
    /// The next write or sync fails.
    pub(crate) failing_disk: bool,
    /// Handles nothing before this time.
    pub(crate) stalled_until_us: u64,
    /// Difference of its wall clock, in milliseconds.
    pub(crate) skew_ms: i64,
    /// The epoch in which it must not sign, as its record is damaged.
    pub(crate) observes_in: Option<Epoch>,
    /// Outputs carried out so far, over all lives.
    pub(crate) outputs: u64,
    /// Certificates that a liar may report later.
    pub(crate) old_certificates: Vec<QuorumCertificate>,
}

impl Node {
    /// A node that is down.
    pub(crate) fn new(chain: &Chain, identity: Identity, honest: bool) -> Self {
        let configs: BTreeMap<Epoch, Arc<EpochConfig>> =
            (0..2).map(|epoch| (epoch, Arc::new(chain.genesis_epoch(epoch)))).collect();
        Self {
            identity,
            key: chain.keys[usize::from(identity)].clone(),
            honest,
            up: false,
            replica: None,
            life: 0,
            disk: Disk::new(chain.id, Arc::clone(&chain.block)),
            config: Arc::clone(&configs[&0]),
            configs,
            executed: vec![Arc::clone(&chain.first)],
            executing: false,
            waiting: Vec::new(),
            refused: BTreeSet::new(),
            held: BTreeSet::new(),
            timer_ms: None,
            doomed: false,
            failing_disk: false,
            stalled_until_us: 0,
            skew_ms: 0,
            observes_in: None,
            outputs: 0,
            old_certificates: Vec::new(),
        }
    }

    /// Its index in the set of its epoch.
    pub(crate) fn index(&self) -> Option<ValidatorIndex> {
        self.config.set.index_of(&self.key.public_key())
    }

    /// As a node in the epoch of `set` sees this one.
    pub(crate) fn peer_in(&self, node: usize, config: &EpochConfig) -> Peer {
        let index = config.set.index_of(&self.key.public_key());
        index.map_or(Peer::Other(node as u64), Peer::Validator)
    }

    /// The clock of its timers.
    pub(crate) fn timer_now_ms(&self, now_us: u64) -> u64 {
        now_us / 1_000 + u64::from(self.identity) * 1_000
    }

    /// Its wall clock.
    pub(crate) fn wall_ms(&self, chain: &Chain, now_us: u64) -> u64 {
        (chain.genesis.timestamp_ms + 1 + now_us / 1_000).saturating_add_signed(self.skew_ms)
    }

    /// Height of its final chain, as delivered.
    pub(crate) fn height(&self) -> Height {
        self.disk.height()
    }

    /// Height of the newest executed block.
    pub(crate) fn executed_height(&self) -> Height {
        self.executed.len() as Height - 1
    }

    /// Its result for a height.
    pub(crate) fn root(&self, height: Height) -> Option<ExecutedRoot> {
        self.executed.get(usize::try_from(height).ok()?).map(|executed| executed.root)
    }

    /// What a block of this height may refer to: the newest result in range, not below the parent's.
    pub(crate) fn root_for(
        &self,
        chain: &Chain,
        height: Height,
        parent: Height,
    ) -> Option<ExecutedRoot> {
        let newest = chain.executable(height).min(self.executed_height());
        self.root(newest.max(parent))
    }

    /// Where it stands, for a report.
    pub(crate) fn position(&self) -> String {
        let (key, executed) = (self.identity, self.executed_height());
        self.replica
            .as_ref()
            .map_or(format!("key {key} executed {executed}: no replica"), |replica| {
                format!("key {key} executed {executed} {:?}", replica.status())
            })
    }
}
