//! Check proposed blocks against what this node knows: body within bounds, time sane, executed result equal to ours.

use std::{collections::BTreeMap, sync::Arc};

use neura_consensus::Input;
use neura_types::{Block, block::BlockId};

use crate::node::{
    chain::{Chain, unix_time_ms},
    workload::Workload,
};

/// How far a block's time may be ahead of this node's clock.
const MAX_CLOCK_DRIFT_MS: u64 = 1_000;
/// Blocks that may wait for execution to catch up; the core holds far fewer uncommitted ones.
const MAX_WAITING: usize = 64;

/// Holds blocks until they can be judged.
#[derive(Debug)]
pub(super) struct Checker {
    chain: Arc<Chain>,
    workload: Arc<dyn Workload>,
    waiting: BTreeMap<BlockId, Arc<Block>>,
    verdicts: Vec<Input>,
}

impl Checker {
    pub(super) fn new(chain: Arc<Chain>, workload: Arc<dyn Workload>) -> Self {
        Self { chain, workload, waiting: BTreeMap::new(), verdicts: Vec::new() }
    }

    pub(super) fn request(&mut self, id: BlockId, block: Arc<Block>, parent: Arc<Block>) {
        match self.static_check(&block, &parent) {
            Err(reason) => self.verdicts.push(Input::Validated { block: id, verdict: Err(reason) }),
            Ok(()) => {
                self.workload.proposed(id, &block);
                if self.waiting.len() >= MAX_WAITING {
                    // The oldest by id is as good as any: its view has passed, or the proposer sends it again.
                    self.waiting.pop_first();
                }
                self.waiting.insert(id, block);
            }
        }
    }

    fn static_check(&self, block: &Block, parent: &Block) -> Result<(), String> {
        let header = &block.header;
        let bytes: usize = block.payload.iter().map(|item| item.len()).sum();
        let limit = usize::try_from(self.chain.params.max_block_bytes).unwrap_or(usize::MAX);
        if bytes > limit {
            return Err(format!("the body has {bytes} bytes, {limit} are allowed"));
        }
        let latest = unix_time_ms().saturating_add(MAX_CLOCK_DRIFT_MS);
        if header.timestamp_ms > latest {
            return Err(format!("its time {} is ahead of this node's clock", header.timestamp_ms));
        }
        let lowest = parent.header.executed.height;
        let highest = header.height.saturating_sub(self.chain.params.execution_lag).max(lowest);
        if !(lowest..=highest).contains(&header.executed.height) {
            return Err(format!(
                "it names the result of height {}, allowed are {lowest} to {highest}",
                header.executed.height
            ));
        }
        Ok(())
    }

    /// Verdicts that can be given now.
    pub(super) fn ready(&mut self) -> Vec<Input> {
        let executed = self.chain.executed_height();
        let decidable: Vec<BlockId> = self
            .waiting
            .iter()
            .filter(|(_, block)| block.header.executed.height <= executed)
            .map(|(id, _)| *id)
            .collect();
        for id in decidable {
            if let Some(block) = self.waiting.remove(&id) {
                let verdict = self.compare(&block);
                self.verdicts.push(Input::Validated { block: id, verdict });
            }
        }
        std::mem::take(&mut self.verdicts)
    }

    fn compare(&self, block: &Block) -> Result<(), String> {
        let named = block.header.executed;
        match self.chain.root(named.height) {
            Some(own) if own == named => Ok(()),
            Some(own) => Err(format!("it names the result {named:?}, this node computed {own:?}")),
            None => Err(format!("this node has no result of height {}", named.height)),
        }
    }
}
