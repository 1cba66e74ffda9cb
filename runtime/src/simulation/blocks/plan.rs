//! Put the blocks that are asked for in order, and fill the gaps between them.

use alloy_consensus::Header;
use neura_types::simulation::{BlockOverrides, BlockRequest, CallRequest, Overrides};

use super::{MAX_SIMULATED_BLOCKS, SimulationError};

/// Seconds between simulated blocks that name no time: geth's.
const BLOCK_SECONDS: u64 = 12;

/// A block that will be simulated.
#[derive(Debug)]
pub(super) struct Planned<'r> {
    pub(super) number: u64,
    pub(super) time: u64,
    pub(super) overrides: Overrides,
    pub(super) calls: &'r [CallRequest],
}

/// The blocks with numbers and times, empty ones between those that are not neighbours.
pub(super) fn plan<'r>(
    parent: &Header,
    asked: &'r [BlockRequest],
) -> Result<Vec<Planned<'r>>, SimulationError> {
    if asked.is_empty() {
        return Err(SimulationError::Empty);
    }
    let last_allowed = parent.number.saturating_add(MAX_SIMULATED_BLOCKS);
    let (mut number, mut time) = (parent.number, parent.timestamp);
    let mut planned = Vec::new();
    for block in asked {
        let changed = &block.overrides.block;
        let wanted = changed.number.unwrap_or(number.saturating_add(1));
        if wanted <= number {
            return Err(SimulationError::NumberOrder { got: wanted, before: number });
        }
        if wanted > last_allowed {
            return Err(SimulationError::TooManyBlocks);
        }
        for between in number.saturating_add(1)..wanted {
            time = time.saturating_add(BLOCK_SECONDS);
            planned.push(empty(between, time));
        }
        let at = changed.time.unwrap_or(time.saturating_add(BLOCK_SECONDS));
        if at <= time {
            return Err(SimulationError::TimeOrder { got: at, before: time });
        }
        (number, time) = (wanted, at);
        planned.push(Planned {
            number,
            time,
            overrides: block.overrides.clone(),
            calls: &block.calls,
        });
    }
    Ok(planned)
}

fn empty<'r>(number: u64, time: u64) -> Planned<'r> {
    let block = BlockOverrides { number: Some(number), time: Some(time), ..Default::default() };
    Planned { number, time, overrides: Overrides { block, ..Overrides::default() }, calls: &[] }
}
