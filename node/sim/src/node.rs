//! One simulated node: the real core, a disk, an executor, and what the driver remembers between events.

use std::sync::Arc;

use neura_consensus::{Config, Output, Peer, Replica};
use neura_types::{
    Block, BlockId, Height, ValidatorIndex, ValidatorSet, keys::SecretKey, vote::ChainContext,
};

use crate::{disk::Disk, executor::Executor};

/// First view timer in the simulator, in milliseconds.
const BASE_TIMEOUT_MS: u64 = 600;
/// Longest view timer in the simulator, in milliseconds.
const MAX_TIMEOUT_MS: u64 = 3_000;

/// What all nodes of a run share.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub(crate) context: ChainContext,
    pub(crate) set: Arc<ValidatorSet>,
    pub(crate) genesis: Arc<Block>,
}

/// A check that waits until the node has executed far enough.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) id: BlockId,
    pub(crate) block: Arc<Block>,
}

/// One node.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its key and index; none for an observer.
    pub(crate) key: Option<(ValidatorIndex, SecretKey)>,
    /// Running, or down.
    pub(crate) replica: Option<Replica>,
    /// Counts starts: events of an earlier life do not reach it.
    pub(crate) life: u32,
    pub(crate) disk: Disk,
    pub(crate) executor: Executor,
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) timer_ms: Option<u64>,
    /// Crashes within the next step that has outputs.
    pub(crate) doomed: bool,
    pub(crate) must_observe: bool,
    /// Outputs carried out so far, over all lives.
    pub(crate) outputs: u64,
    /// Difference of its clock from virtual time, in milliseconds.
    pub(crate) clock_ms: u64,
}

impl Node {
    /// A node that is down.
    pub(crate) fn new(
        key: Option<(ValidatorIndex, SecretKey)>,
        genesis: Arc<Block>,
        clock_ms: u64,
    ) -> Self {
        Self {
            key,
            replica: None,
            life: 0,
            disk: Disk::new(genesis),
            executor: Executor::new(),
            waiting: Vec::new(),
            timer_ms: None,
            doomed: false,
            must_observe: false,
            outputs: 0,
            clock_ms,
        }
    }

    /// Its index in the set.
    pub(crate) fn index(&self) -> Option<ValidatorIndex> {
        self.key.as_ref().map(|(index, _)| *index)
    }

    /// As others see it.
    pub(crate) fn peer(&self, node: usize) -> Peer {
        self.index().map_or(Peer::Other(node as u64), Peer::Validator)
    }

    /// Its clock.
    pub(crate) fn now_ms(&self, now_us: u64) -> u64 {
        now_us / 1_000 + self.clock_ms
    }

    /// Starts from the disk.
    pub(crate) fn start(&mut self, chain: &Chain, now_us: u64) -> Vec<Output> {
        self.life += 1;
        self.timer_ms = None;
        self.waiting.clear();
        self.executor = Executor::new();
        for height in 1..=self.disk.height() {
            self.executor.execute(self.disk.id_at(height).expect("heights are contiguous"));
        }
        let genesis_id = chain.genesis.id();
        let mut config =
            Config::new(chain.context, genesis_id, Arc::clone(&chain.set), self.index());
        (config.base_timeout_ms, config.max_timeout_ms) = (BASE_TIMEOUT_MS, MAX_TIMEOUT_MS);
        let signer = self.key.as_ref().map(|(_, key)| key.clone());
        let recovered = self.disk.recover(self.must_observe);
        let (replica, outputs) = Replica::new(config, signer, recovered, self.now_ms(now_us))
            .expect("key, set and record belong together");
        self.replica = Some(replica);
        outputs
    }

    /// Where it stands, for a report.
    pub(crate) fn position(&self) -> String {
        let index = self.index();
        self.replica.as_ref().map_or("down".to_owned(), |replica| {
            let status = replica.status();
            format!("{index:?} executed {} {status:?}", self.executor.height())
        })
    }

    /// Height of its final chain, as delivered.
    pub(crate) fn height(&self) -> Height {
        self.disk.height()
    }
}
