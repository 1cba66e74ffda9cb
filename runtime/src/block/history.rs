//! Keep the ids of past blocks where contracts and proofs find them (EIP-2935).
//!
//! The contract and its storage are Ethereum's: the id of block *n* is the word *n* mod 8191 of its account. Ethereum
//! writes one word in every block. Here an idle block changes no state, so a block with transactions writes the ids that
//! the idle ones before it left out, as far back as BLOCKHASH reaches.

use alloy_eips::eip2935::{HISTORY_SERVE_WINDOW, HISTORY_STORAGE_ADDRESS};
use alloy_primitives::U256;
use neura_types::{Height, StateRead};

use crate::modules::host::{Fault, Host};

/// Blocks that BLOCKHASH reaches: what every node has the ids of, one that began from a snapshot too.
const REACH: Height = 256;

/// Writes the ids of the blocks before `height` that are not there yet.
pub(super) fn write(
    state: &impl StateRead,
    height: Height,
    host: &mut dyn Host,
) -> Result<(), Fault> {
    let window = Height::try_from(HISTORY_SERVE_WINDOW).unwrap_or(Height::MAX);
    for past in (height.saturating_sub(REACH)..height).rev() {
        let Some(id) = state.block_id(past)? else { break };
        let slot = U256::from(past.checked_rem(window).unwrap_or_default());
        if host.load(HISTORY_STORAGE_ADDRESS, slot)? == U256::from_be_bytes(id.0) {
            break;
        }
        host.store(HISTORY_STORAGE_ADDRESS, slot, id.into())?;
    }
    Ok(())
}
