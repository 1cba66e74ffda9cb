//! Answer the core's wish for a body: at once when transactions wait, paced when the chain is idle.

use std::{sync::Arc, time::Duration};

use neura_consensus::Input;
use neura_types::{Height, View, block::BlockId};
use tokio::time::Instant;

use crate::node::{
    chain::{Chain, unix_time_ms},
    workload::{InFlight, Workload},
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
    pub(super) since: Instant,
}

/// Holds the newest wish until it can be answered.
#[derive(Debug)]
pub(super) struct Builder {
    chain: Arc<Chain>,
    workload: Arc<dyn Workload>,
    request: Option<(Request, InFlight)>,
    idle_interval: Duration,
}

impl Builder {
    pub(super) fn new(chain: Arc<Chain>, workload: Arc<dyn Workload>) -> Self {
        let idle_interval = Duration::from_millis(chain.params.idle_block_interval_ms);
        Self { chain, workload, request: None, idle_interval }
    }

    pub(super) fn request(&mut self, request: Request) {
        let in_flight = self.workload.in_flight(request.parent);
        self.request = Some((request, in_flight));
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
        let (request, in_flight) = self.request.as_ref()?;
        let executed = self.executed_for(request)?;
        let lagging = self.chain.committed_height().saturating_sub(self.chain.executed_height())
            > self.chain.params.execution_lag.saturating_mul(2);
        let fill = !request.must_be_empty && !lagging;
        let due = self.due().is_some_and(|at| at <= Instant::now());
        if !(due || fill && self.workload.has_ready(in_flight)) {
            return None;
        }
        let payload = if fill { self.workload.take(in_flight) } else { Vec::new() };
        let (request, _) = self.request.take()?;
        Some(Input::Payload {
            view: request.view,
            parent: request.parent,
            timestamp_ms: unix_time_ms().max(request.parent_timestamp_ms.saturating_add(1)),
            executed,
            payload,
        })
    }

    /// The newest own result that the block may carry: not newer than the lag allows, not older than its parent's.
    fn executed_for(&self, request: &Request) -> Option<neura_types::ExecutedRoot> {
        let lowest = request.parent_executed;
        let highest = request.height.saturating_sub(self.chain.params.execution_lag).max(lowest);
        let height = highest.min(self.chain.executed_height());
        if height < lowest { None } else { self.chain.root(height) }
    }
}
