//! Stake on its way: to a validator, away from it, back to its owner.

use alloy_primitives::Address;
use neura_types::{Amount, Epoch, system};

use super::{
    calls::not_tombstoned,
    events, known, rewards,
    state::{self, Candidate, Delegation, Leaving},
};
use crate::modules::{
    code, entry,
    host::{Call, Fault, Host},
};

/// Most pools of stake that left one validator and may be slashed still: one for each epoch of the longest unbonding, and
/// some for a validator that keeps power without stake.
const MAX_POOLS: usize = 64;
/// Most entries of one delegator at one validator that wait to be withdrawn: one for each epoch.
const MAX_LEAVING: usize = 64;

pub(super) fn delegate(host: &mut dyn Host, call: &Call, operator: Address) -> Result<u128, Fault> {
    let candidate = known(host, operator)?;
    not_tombstoned(&candidate)?;
    bond(host, candidate, call.caller, call.value)
}

/// Adds coins that the module holds already to a validator's stake.
pub(super) fn bond(
    host: &mut dyn Host,
    mut candidate: Candidate,
    delegator: Address,
    amount: Amount,
) -> Result<u128, Fault> {
    let operator = candidate.operator;
    let shares = bought(candidate.pool.price_of(amount), amount)?;
    let key = (operator, delegator);
    let mut delegation = state::DELEGATIONS.get(host, &key)?.unwrap_or_default();
    rewards::settle(host, &mut candidate, &mut delegation, delegator)?;
    candidate.pool.join(amount, shares)?;
    // Not more than the pool's shares, which did not overflow.
    delegation.shares = delegation.shares.saturating_add(shares);
    state::DELEGATIONS.put(host, &key, &delegation)?;
    state::CANDIDATES.put(host, &operator, &candidate)?;
    let bonded = state::BONDED.get(host, &())?.add(amount)?;
    state::BONDED.set(host, &(), bonded)?;
    events::delegated(host, key, amount, shares)?;
    Ok(shares)
}

pub(super) fn undelegate(
    host: &mut dyn Host,
    call: &Call,
    operator: Address,
    shares: u128,
) -> Result<Amount, Fault> {
    let mut candidate = known(host, operator)?;
    let key = (operator, call.caller);
    let mut delegation = state::DELEGATIONS.get(host, &key)?.unwrap_or_default();
    if shares == 0 || shares > delegation.shares {
        let message = format!("{shares} shares: {} has {}", call.caller, delegation.shares);
        return Err(Fault::refused(code::INSUFFICIENT_SHARES, message));
    }
    rewards::settle(host, &mut candidate, &mut delegation, call.caller)?;
    let amount = candidate.pool.leave(shares)?;
    delegation.shares = delegation.shares.saturating_sub(shares);
    put_delegation(host, key, &delegation)?;
    let begun = begin(host, &mut candidate, call.caller, amount)?;
    if candidate.pool.shares == 0 {
        rewards::return_dust(host, &mut candidate)?;
    }
    state::CANDIDATES.put(host, &operator, &candidate)?;
    let bonded = state::BONDED.get(host, &())?.sub(amount)?;
    state::BONDED.set(host, &(), bonded)?;
    let unbonding = state::UNBONDING.get(host, &())?.add(amount)?;
    state::UNBONDING.set(host, &(), unbonding)?;
    let released = candidate.released_at(begun, host.block().params().unbonding_epochs);
    events::undelegated(host, key, amount, released)?;
    Ok(amount)
}

/// Puts stake that leaves into the pool of this epoch; the candidate is to be written by the caller.
fn begin(
    host: &mut dyn Host,
    candidate: &mut Candidate,
    delegator: Address,
    amount: Amount,
) -> Result<Epoch, Fault> {
    let (epoch, delay) = (host.block().epoch.epoch, host.block().params().unbonding_epochs);
    let full = |what: &str| {
        let message = format!("{what}: withdraw what is released, or wait for the next epochs");
        Err(Fault::refused(code::TOO_MANY_UNBONDINGS, message))
    };
    if !candidate.unbonding.contains(&epoch) {
        let released: Vec<Epoch> = candidate.unbonding.clone();
        candidate.unbonding =
            released.into_iter().filter(|b| candidate.released_at(*b, delay) > epoch).collect();
        if candidate.unbonding.len() >= MAX_POOLS {
            return full("stake of too many epochs waits to be released");
        }
        candidate.unbonding.push(epoch);
    }
    let mut pool = state::POOLS.get(host, &(candidate.operator, epoch))?.unwrap_or_default();
    let shares = bought(pool.price_of(amount), amount)?;
    pool.join(amount, shares)?;
    state::POOLS.put(host, &(candidate.operator, epoch), &pool)?;

    let key = (candidate.operator, delegator);
    let mut leaving = state::LEAVING.get(host, &key)?.unwrap_or_default();
    let entries = leaving.len();
    match leaving.iter_mut().find(|entry| entry.begun == epoch) {
        // Not more than the pool's shares, which did not overflow.
        Some(entry) => entry.shares = entry.shares.saturating_add(shares),
        None if entries >= MAX_LEAVING => return full("too many entries wait"),
        None => leaving.push(Leaving { begun: epoch, shares }),
    }
    state::LEAVING.put(host, &key, &leaving)?;
    Ok(epoch)
}

pub(super) fn withdraw(
    host: &mut dyn Host,
    call: &Call,
    operator: Address,
) -> Result<Amount, Fault> {
    let mut candidate = known(host, operator)?;
    let key = (operator, call.caller);
    let (epoch, delay) = (host.block().epoch.epoch, host.block().params().unbonding_epochs);
    let leaving = state::LEAVING.get(host, &key)?.unwrap_or_default();
    let (released, waiting): (Vec<Leaving>, Vec<Leaving>) =
        leaving.into_iter().partition(|entry| candidate.released_at(entry.begun, delay) <= epoch);
    if released.is_empty() {
        let first = waiting.iter().map(|entry| candidate.released_at(entry.begun, delay)).min();
        let message = first.map_or_else(
            || format!("{} has nothing on its way back from {operator}", call.caller),
            |first| format!("the first stake is released in epoch {first}; now: {epoch}"),
        );
        return Err(Fault::refused(code::BOND_LOCKED, message));
    }
    let mut amount = Amount::ZERO;
    for entry in released {
        amount = amount.add(take(host, &mut candidate, entry)?)?;
    }
    if waiting.is_empty() {
        state::LEAVING.remove(host, &key)?;
    } else {
        state::LEAVING.put(host, &key, &waiting)?;
    }
    state::CANDIDATES.put(host, &operator, &candidate)?;
    let unbonding = state::UNBONDING.get(host, &())?.sub(amount)?;
    state::UNBONDING.set(host, &(), unbonding)?;
    host.transfer(system::STAKING, call.caller, amount)?;
    events::withdrawn(host, key, amount)?;
    Ok(amount)
}

/// Takes an entry out of its pool; the last one removes the pool.
fn take(host: &mut dyn Host, candidate: &mut Candidate, entry: Leaving) -> Result<Amount, Fault> {
    let key = (candidate.operator, entry.begun);
    let mut pool = state::POOLS
        .get(host, &key)?
        .ok_or_else(|| entry::broken("an entry of unbonding stake has no pool"))?;
    let amount = pool.leave(entry.shares)?;
    if pool.shares > 0 {
        state::POOLS.put(host, &key, &pool)?;
        return Ok(amount);
    }
    state::POOLS.remove(host, &key)?;
    candidate.unbonding.retain(|begun| *begun != entry.begun);
    Ok(amount)
}

pub(super) fn claim(host: &mut dyn Host, call: &Call, operator: Address) -> Result<Amount, Fault> {
    let mut candidate = known(host, operator)?;
    let key = (operator, call.caller);
    let Some(mut delegation) = state::DELEGATIONS.get(host, &key)? else {
        let message = format!("{} has no stake at {operator}", call.caller);
        return Err(Fault::refused(code::INSUFFICIENT_SHARES, message));
    };
    let amount = rewards::settle(host, &mut candidate, &mut delegation, call.caller)?;
    put_delegation(host, key, &delegation)?;
    state::CANDIDATES.put(host, &operator, &candidate)?;
    Ok(amount)
}

fn put_delegation(
    host: &mut dyn Host,
    key: (Address, Address),
    delegation: &Delegation,
) -> Result<(), Fault> {
    if delegation.shares == 0 {
        return state::DELEGATIONS.remove(host, &key);
    }
    state::DELEGATIONS.put(host, &key, delegation)
}

/// Shares for an amount: at least one.
fn bought(shares: Option<u128>, amount: Amount) -> Result<u128, Fault> {
    shares.filter(|shares| *shares > 0).ok_or_else(|| {
        let message = format!("{} wei are not worth a share, or too many shares", amount.0);
        Fault::refused(code::STAKE_TOO_SMALL, message)
    })
}

/// What a delegator has at a validator: shares, what they are worth, rewards to claim.
///
/// # Errors
/// [`code::UNKNOWN_VALIDATOR`]; what the host reports.
pub fn delegation(
    host: &mut dyn Host,
    operator: Address,
    delegator: Address,
) -> Result<(u128, Amount, Amount), Fault> {
    let candidate = known(host, operator)?;
    let delegation = state::DELEGATIONS.get(host, &(operator, delegator))?.unwrap_or_default();
    let worth = candidate.pool.worth_of(delegation.shares);
    Ok((delegation.shares, worth, rewards::pending(&candidate, &delegation)?))
}

/// Stake on its way back to its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unbonding {
    /// Epoch in which it left the validator.
    pub begun: Epoch,
    /// First epoch in which it can be withdrawn.
    pub released_at: Epoch,
    /// What it is worth now.
    pub amount: Amount,
}

/// What of a delegator's stake left a validator and was not withdrawn.
///
/// # Errors
/// [`code::UNKNOWN_VALIDATOR`]; what the host reports.
pub fn unbondings(
    host: &mut dyn Host,
    operator: Address,
    delegator: Address,
) -> Result<Vec<Unbonding>, Fault> {
    let candidate = known(host, operator)?;
    let delay = host.block().params().unbonding_epochs;
    let leaving = state::LEAVING.get(host, &(operator, delegator))?.unwrap_or_default();
    leaving
        .into_iter()
        .map(|Leaving { begun, shares }| {
            let pool = state::POOLS.get(host, &(operator, begun))?.unwrap_or_default();
            let released_at = candidate.released_at(begun, delay);
            Ok(Unbonding { begun, released_at, amount: pool.worth_of(shares) })
        })
        .collect()
}
