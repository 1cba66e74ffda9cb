//! Answer the core's wish for a body: at once when transactions wait, paced when the chain is idle.

use std::{collections::HashSet, sync::Arc, time::Duration};

use neura_consensus::{Body, Input};
use neura_types::{B256, BatchRef, Height, View, block::BlockId};
use tokio::time::Instant;

use crate::node::{
    batches::BlockLimits,
    chain::{Chain, unix_time_ms},
};

/// Pace of empty blocks while a result that has changed the state is not certified yet.
const CERTIFY_INTERVAL: Duration = Duration::from_millis(25);

/// A wish of the core.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub(super) view: View,
    pub(super) parent: BlockId,
    pub(super) height: Height,
    pub(super) parent_timestamp_ms: u64,
    pub(super) parent_executed: Height,
    pub(super) must_be_empty: bool,
    pub(super) ends_epoch: bool,
    pub(super) since: Instant,
}

/// Holds the newest wish until it can be answered.
#[derive(Debug)]
pub(super) struct Builder {
    chain: Arc<Chain>,
    /// The newest wish, and the batches that the block's ancestors name.
    request: Option<(Request, HashSet<B256>)>,
    idle_interval: Duration,
}

impl Builder {
    pub(super) fn new(chain: Arc<Chain>) -> Self {
        let idle_interval = Duration::from_millis(chain.params().idle_block_interval_ms);
        Self { chain, request: None, idle_interval }
    }

    /// `taken` are the batches that the block's ancestors name.
    pub(super) fn request(&mut self, request: Request, taken: HashSet<B256>) {
        self.request = Some((request, taken));
    }

    /// When an empty block is due.
    pub(super) fn due(&self) -> Option<Instant> {
        let (request, _) = self.request.as_ref()?;
        let pace = if self.uncertified() { CERTIFY_INTERVAL } else { self.idle_interval };
        Some(request.since + pace)
    }

    /// Whether some executed block that changed the state is not certified yet.
    fn uncertified(&self) -> bool {
        let certified = self.chain.certified_height();
        let executed = self.chain.executed_height();
        match (self.chain.root(certified), self.chain.root(executed)) {
            (Some(old), Some(new)) => old.state_root != new.state_root,
            _ => false,
        }
    }

    /// The answer, once it can be given: the state below the block is executed, and there is something to put into
    /// it or an empty block is due.
    pub(super) fn ready(&mut self) -> Option<Input> {
        let (request, taken) = self.request.as_ref()?;
        let executed = self.executed_for(request)?;
        let lagging = self.chain.committed_height().saturating_sub(self.chain.executed_height())
            > self.chain.params().execution_lag.saturating_mul(2);
        let fill = !request.must_be_empty && !lagging;
        let due = self.due().is_some_and(|at| at <= Instant::now());
        if !(due || fill && self.chain.batches.has_waiting(taken)) {
            return None;
        }
        let next_epoch = self.next_epoch(request)?;
        let batches = if fill { self.select(taken) } else { Vec::new() };
        let (request, _) = self.request.take()?;
        let body = Body {
            timestamp_ms: unix_time_ms().max(request.parent_timestamp_ms.saturating_add(1)),
            executed,
            batches,
            payload: Vec::new(),
            next_epoch,
        };
        Some(Input::Payload { view: request.view, parent: request.parent, body: Box::new(body) })
    }

    fn select(&self, taken: &HashSet<B256>) -> Vec<BatchRef> {
        let epoch = self.chain.epochs.current();
        let limits = BlockLimits {
            bytes: epoch.params.max_block_bytes.into(),
            gas: epoch.params.block_gas_limit,
        };
        self.chain.batches.select(taken, limits)
    }

    /// What the last block of an epoch says of the next one; it follows from a state executed long ago.
    fn next_epoch(&self, request: &Request) -> Option<Option<B256>> {
        if !request.ends_epoch {
            return Some(None);
        }
        let next = self.chain.epochs.current().epoch.saturating_add(1);
        self.chain.epochs.get(next).map(|config| Some(config.digest()))
    }

    /// The newest own result that the block may carry: not newer than the lag allows, not older than its parent's.
    fn executed_for(&self, request: &Request) -> Option<neura_types::ExecutedRoot> {
        let lowest = request.parent_executed;
        let highest = request.height.saturating_sub(self.chain.params().execution_lag).max(lowest);
        let height = highest.min(self.chain.executed_height());
        if height < lowest { None } else { self.chain.root(height) }
    }
}
