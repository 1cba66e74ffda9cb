//! Pay the validators: the module's balance is their pool, divided by voting power at the end of an epoch.
//!
//! # Invariants
//! - What is paid out never passes the pool; the rounding remainder stays in it, and so do the parts of validators in
//!   jail.
//! - A pool below [`MIN_PAYOUT_PER_VALIDATOR`] for each validator is left alone, so that nothing is written for the sake of
//!   dust.

mod events;
mod state;

use alloy_primitives::{Bytes, U256};
use neura_types::{
    Amount,
    abi::IRewards::{self, IRewardsCalls as F},
    system,
};

use super::{
    entry,
    host::{Call, Fault, Host},
    staking,
};

/// Least pool per validator that is paid out: 1 gwei, less than a transfer costs.
pub const MIN_PAYOUT_PER_VALIDATOR: Amount = Amount(1_000_000_000);

pub(crate) fn dispatch(host: &mut dyn Host, call: &Call) -> Result<Bytes, Fault> {
    let function: F = entry::decode(call)?;
    entry::view(call)?;
    match function {
        F::pool(_) => pool(host).map(|pool| entry::answer::<IRewards::poolCall>(&pool.0)),
        F::distributed(_) => {
            distributed(host).map(|sum| entry::answer::<IRewards::distributedCall>(&sum.0))
        }
    }
}

/// What the pool holds.
///
/// # Errors
/// What the host reports.
pub fn pool(host: &mut dyn Host) -> Result<Amount, Fault> {
    Ok(Amount::from_u256(host.balance(system::REWARDS)?)?)
}

/// What was paid out since genesis.
///
/// # Errors
/// What the host reports.
pub fn distributed(host: &mut dyn Host) -> Result<Amount, Fault> {
    state::DISTRIBUTED.get(host, &())
}

/// Divides the pool, if it is worth it.
pub(crate) fn end_epoch(host: &mut dyn Host) -> Result<(), Fault> {
    let pool = pool(host)?;
    let epoch = host.block().epoch.clone();
    let members = u64::try_from(epoch.set.len()).unwrap_or(u64::MAX);
    if pool < MIN_PAYOUT_PER_VALIDATOR.times(members)? {
        return Ok(());
    }
    let total_power = U256::from(epoch.set.total_power());
    let (mut paid, mut receivers) = (Amount::ZERO, 0u64);
    for (_, validator) in epoch.set.iter() {
        // At most 2^128 × 2^63: fits 256 bits; rounded down, so the shares sum up to at most the pool.
        let share = pool
            .to_u256()
            .checked_mul(U256::from(validator.power))
            .and_then(|product| product.checked_div(total_power))
            .ok_or_else(|| entry::broken("a validator set without power"))?;
        let share = Amount::from_u256(share)?;
        if share > Amount::ZERO && staking::reward(host, validator.account, share)? {
            paid = paid.add(share)?;
            receivers = receivers.saturating_add(1);
        }
    }
    if paid == Amount::ZERO {
        return Ok(());
    }
    let sum = distributed(host)?.add(paid)?;
    state::DISTRIBUTED.set(host, &(), sum)?;
    events::distributed(host, paid, receivers)
}

#[cfg(test)]
mod tests;
