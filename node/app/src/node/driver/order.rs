//! The order in which a turn's outputs are carried out: first what must be durable, then what others may see.

use anyhow::Result;
use neura_consensus::{CommittedBlock, Output, SafetyRecord};
use neura_types::{Block, BlockId};
use std::sync::Arc;

/// What outputs do.
pub(super) trait Effects {
    /// Makes blocks durable before it returns.
    fn store(&mut self, blocks: &[(BlockId, Arc<Block>)]) -> Result<()>;
    /// Makes the safety record durable before it returns.
    fn record(&mut self, record: SafetyRecord) -> Result<()>;
    /// Learns which blocks are final, before anything is built or checked on top of them.
    fn ordered(&mut self, block: &CommittedBlock);
    /// Carries out anything else.
    fn act(&mut self, output: Output);
    /// Makes final blocks final here.
    fn commit(&mut self, blocks: Vec<CommittedBlock>) -> Result<()>;
}

/// Carries out the outputs of one turn. Of several records the newest says all that the others do.
///
/// # Errors
/// The first failure of the disk. Then nothing of the turn has left this node, or will.
pub(super) fn carry_out(outputs: Vec<Output>, effects: &mut impl Effects) -> Result<()> {
    let (mut blocks, mut record, mut commits) = (Vec::new(), None, Vec::new());
    let mut rest = Vec::with_capacity(outputs.len());
    for output in outputs {
        match output {
            Output::StoreBlock { id, block } => blocks.push((id, block)),
            Output::Persist(newest) => record = Some(newest),
            Output::Commit(block) => commits.push(block),
            other => rest.push(other),
        }
    }
    if !blocks.is_empty() {
        effects.store(&blocks)?;
    }
    if let Some(record) = record {
        effects.record(*record)?;
    }
    // First of all: what is built or checked in this turn may stand on blocks that become final in it.
    for block in &commits {
        effects.ordered(block);
    }
    for output in rest {
        effects.act(output);
    }
    effects.commit(commits)
}

#[cfg(test)]
mod tests;
