//! Keep what the chain knows about itself: base fee, coins burned, supply.
//!
//! The records are storage words of [`system::CHAIN`], so that the state root covers them. The first
//! [`RESERVED_SLOTS`] slots belong to this table:
//!
//! | slot | holds | written |
//! |---|---|---|
//! | 0 | base fee of the next block, in wei per gas | at every block's end |
//! | 1 | coins burned since genesis, in wei | at every block's end |
//! | 2 | supply at genesis, in wei | at genesis |

#[cfg(test)]
mod tests;

use alloy_primitives::U256;
use neura_types::{Account, Amount, StateRead, state::StateError, system};

/// Base fee of the next block, in wei per gas.
pub const NEXT_BASE_FEE_SLOT: U256 = U256::ZERO;
/// Coins burned since genesis, in wei.
pub const BURNED_SLOT: U256 = U256::from_limbs([1, 0, 0, 0]);
/// Supply at genesis, in wei.
pub const GENESIS_SUPPLY_SLOT: U256 = U256::from_limbs([2, 0, 0, 0]);
/// Slots of [`system::CHAIN`] that this table owns.
pub const RESERVED_SLOTS: u64 = 16;

/// Balances and burned coins do not add up to the supply of genesis: coins were made or lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("balances of {balances} and {burned} burned are not the {genesis} wei of genesis")]
pub struct SupplyMismatch {
    /// Sum of all balances, in wei.
    pub balances: U256,
    /// Burned since genesis, in wei.
    pub burned: U256,
    /// Supply at genesis, in wei.
    pub genesis: U256,
}

/// Base fee of the next block, in wei per gas.
///
/// # Errors
/// If the store fails.
pub fn next_base_fee(state: &impl StateRead) -> Result<u64, StateError> {
    let word = state.storage(system::CHAIN, NEXT_BASE_FEE_SLOT)?;
    u64::try_from(word).map_err(|_| StateError(format!("the base fee is {word}: past 2^64")))
}

/// Coins burned since genesis.
///
/// # Errors
/// If the store fails.
pub fn burned(state: &impl StateRead) -> Result<Amount, StateError> {
    amount(state, BURNED_SLOT)
}

/// Supply at genesis.
///
/// # Errors
/// If the store fails.
pub fn genesis_supply(state: &impl StateRead) -> Result<Amount, StateError> {
    amount(state, GENESIS_SUPPLY_SLOT)
}

fn amount(state: &impl StateRead, slot: U256) -> Result<Amount, StateError> {
    let word = state.storage(system::CHAIN, slot)?;
    Amount::from_u256(word)
        .map_err(|error| StateError(format!("slot {slot} of the chain's records: {error}")))
}

/// Checks that balances and burned coins add up to the supply of genesis.
///
/// It walks every account: made for tests, simulation and devnets.
///
/// # Errors
/// The sums, if they differ; a state that cannot be read shows as a mismatch with zeros.
pub fn check_supply<'a>(
    state: &impl StateRead,
    accounts: impl Iterator<Item = &'a Account>,
) -> Result<(), SupplyMismatch> {
    let balances = accounts.fold(U256::ZERO, |sum, account| sum.saturating_add(account.balance));
    let burned = burned(state).unwrap_or_default().to_u256();
    let genesis = genesis_supply(state).unwrap_or_default().to_u256();
    if balances.saturating_add(burned) == genesis {
        Ok(())
    } else {
        Err(SupplyMismatch { balances, burned, genesis })
    }
}
