//! Check proposed blocks against what this node knows: body within bounds and at hand, time sane, executed result equal
//! to ours.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use neura_consensus::Input;
use neura_types::{B256, Block, block::BlockId};
use tokio::time::Instant;

use crate::node::{
    batches::block_bytes,
    chain::{Chain, unix_time_ms},
};

/// How far a block's time may be ahead of this node's clock.
pub(super) const MAX_CLOCK_DRIFT_MS: u64 = 1_000;
/// Blocks that may wait for execution to catch up; the core holds far fewer uncommitted ones.
const MAX_WAITING: usize = 64;
/// Missing batches are waited for during this part of a view: then there is time left to end it.
const FETCH_PART: u64 = 4;

/// A block that cannot be judged yet.
#[derive(Debug)]
struct Waiting {
    block: Arc<Block>,
    /// Until then its batches must be here.
    deadline: Instant,
}

/// Holds blocks until they can be judged.
#[derive(Debug)]
pub(super) struct Checker {
    chain: Arc<Chain>,
    waiting: BTreeMap<BlockId, Waiting>,
    verdicts: Vec<Input>,
}

impl Checker {
    pub(super) fn new(chain: Arc<Chain>) -> Self {
        Self { chain, waiting: BTreeMap::new(), verdicts: Vec::new() }
    }

    /// `taken` are the batches that the block's ancestors name.
    pub(super) fn request(
        &mut self,
        id: BlockId,
        block: Arc<Block>,
        parent: &Block,
        taken: HashSet<B256>,
    ) {
        let sound = self.static_check(&block, parent);
        match sound.and_then(|()| self.chain.batches.check(&block, taken)) {
            Err(reason) => {
                let header = &block.header;
                tracing::warn!(
                    height = header.height,
                    view = header.view,
                    reason,
                    "no vote for a block"
                );
                self.verdicts.push(Input::Validated { block: id, verdict: Err(reason) });
            }
            Ok(()) => {
                // Before its batches are looked for: from now on they do not expire.
                self.chain.batches.proposed(id, &block);
                let time = self.chain.epochs.current().params.view_timeout_ms / FETCH_PART;
                let deadline = Instant::now() + Duration::from_millis(time);
                if let Ok(missing) = self.chain.batches.missing(&block.batches) {
                    let until = Some(deadline.into_std());
                    self.chain.batches.want(&missing, block.header.proposer, until);
                }
                if self.waiting.len() >= MAX_WAITING {
                    // The oldest by id is as good as any: its view has passed, or the proposer sends it again.
                    self.waiting.pop_first();
                }
                self.waiting.insert(id, Waiting { block, deadline });
            }
        }
    }

    fn static_check(&self, block: &Block, parent: &Block) -> Result<(), String> {
        let header = &block.header;
        let bytes = block_bytes(block);
        let limit = u64::from(self.chain.params().max_block_bytes);
        if bytes > limit {
            return Err(format!("the body has {bytes} bytes, {limit} are allowed"));
        }
        let latest = unix_time_ms().saturating_add(MAX_CLOCK_DRIFT_MS);
        if header.timestamp_ms > latest {
            return Err(format!("its time {} is ahead of this node's clock", header.timestamp_ms));
        }
        let lowest = parent.header.executed.height;
        let highest = header.height.saturating_sub(self.chain.params().execution_lag).max(lowest);
        if !(lowest..=highest).contains(&header.executed.height) {
            return Err(format!(
                "it names the result of height {}, allowed are {lowest} to {highest}",
                header.executed.height
            ));
        }
        Ok(())
    }

    /// When a block will have waited long enough for its batches.
    pub(super) fn due(&self) -> Option<Instant> {
        let now = Instant::now();
        self.waiting.values().map(|waiting| waiting.deadline).filter(|at| *at > now).min()
    }

    /// Verdicts that can be given now.
    pub(super) fn ready(&mut self) -> Vec<Input> {
        let executed = self.chain.executed_height();
        let mut verdicts = std::mem::take(&mut self.verdicts);
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|id, Waiting { block, deadline }| {
            let verdict = match self.chain.batches.missing(&block.batches) {
                Err(reason) => Err(reason),
                Ok(missing) if missing.is_empty() => {
                    if block.header.executed.height > executed {
                        return true;
                    }
                    self.compare(block)
                }
                Ok(_) if *deadline > Instant::now() => return true,
                Ok(missing) => Err(format!("{} of its batches are not here", missing.len())),
            };
            if let Err(reason) = &verdict {
                let header = &block.header;
                tracing::warn!(
                    height = header.height,
                    view = header.view,
                    reason,
                    "no vote for a block"
                );
            }
            verdicts.push(Input::Validated { block: *id, verdict });
            false
        });
        self.waiting = waiting;
        verdicts
    }

    fn compare(&self, block: &Block) -> Result<(), String> {
        let header = &block.header;
        let next = self.chain.epochs.get(header.epoch.saturating_add(1));
        if header.next_epoch.is_some() && header.next_epoch != next.map(|config| config.digest()) {
            return Err(format!("it names another epoch {} than this node", header.epoch + 1));
        }
        let named = header.executed;
        match self.chain.root(named.height) {
            Some(own) if own == named => Ok(()),
            Some(own) => Err(format!("it names the result {named:?}, this node computed {own:?}")),
            None => Err(format!("this node has no result of height {}", named.height)),
        }
    }
}
