//! Share what a validator earns with its delegators: each epoch raises what one share has earned so far.
//!
//! # Invariants
//! - What is held for delegators is at least the sum of what they can claim. The difference is dust of rounding: it goes
//!   back to the rewards pool when the last share leaves.

use alloy_primitives::{Address, U256};
use neura_types::{Amount, system};

use super::{
    events, expected,
    state::{self, Candidate, Delegation},
};
use crate::modules::{
    entry,
    host::{Fault, Host},
};

/// Binary places of [`Candidate::per_share`]: with 2^100 shares an epoch's reward of 16 wei still counts.
const SCALE_BITS: usize = 96;

/// Gives a member of the present set its part of the rewards pool; false if it forfeits it, being in jail or convicted.
///
/// Stake that came in during the epoch shares in it; as stake that goes out earns nothing for the epochs of unbonding,
/// coming for the end of an epoch only does not pay.
pub(crate) fn reward(
    host: &mut dyn Host,
    operator: Address,
    amount: Amount,
) -> Result<bool, Fault> {
    let mut candidate = expected(host, operator)?;
    if !candidate.is_fit() {
        return Ok(false);
    }
    let most = host.block().params().max_commission_bps;
    let mut commission = amount.share(candidate.commission_bps.min(most))?;
    let rest = amount.sub(commission)?;
    let raise = rest.to_u256().checked_shl(SCALE_BITS);
    match raise.and_then(|raise| raise.checked_div(U256::from(candidate.pool.shares))) {
        Some(raise) => {
            candidate.per_share = candidate
                .per_share
                .checked_add(raise)
                .ok_or_else(|| entry::broken("rewards of a share pass 2^160 wei"))?;
            hold(host, &mut candidate, rest)?;
            state::CANDIDATES.put(host, &operator, &candidate)?;
        }
        // No shares: all stake left since the epoch's set was elected.
        None => commission = amount,
    }
    if commission > Amount::ZERO {
        host.transfer(system::REWARDS, operator, commission)?;
    }
    events::rewarded(host, operator, amount, commission)?;
    Ok(true)
}

fn hold(host: &mut dyn Host, candidate: &mut Candidate, amount: Amount) -> Result<(), Fault> {
    candidate.owed = candidate.owed.add(amount)?;
    let owed = state::OWED.get(host, &())?.add(amount)?;
    state::OWED.set(host, &(), owed)?;
    host.transfer(system::REWARDS, system::STAKING, amount)
}

fn release(
    host: &mut dyn Host,
    candidate: &mut Candidate,
    to: Address,
    amount: Amount,
) -> Result<(), Fault> {
    candidate.owed = candidate.owed.sub(amount)?;
    let owed = state::OWED.get(host, &())?.sub(amount)?;
    state::OWED.set(host, &(), owed)?;
    host.transfer(system::STAKING, to, amount)
}

/// What a delegation has earned and not been paid.
pub(super) fn pending(candidate: &Candidate, delegation: &Delegation) -> Result<Amount, Fault> {
    let earned = candidate.per_share.checked_sub(delegation.per_share);
    let scaled = earned.and_then(|each| each.checked_mul(U256::from(delegation.shares)));
    let scaled = scaled.ok_or_else(|| entry::broken("rewards pass what was earned"))?;
    Ok(Amount::from_u256(scaled.wrapping_shr(SCALE_BITS))?)
}

/// Pays what a delegation has earned; delegation and candidate are to be written by the caller.
pub(super) fn settle(
    host: &mut dyn Host,
    candidate: &mut Candidate,
    delegation: &mut Delegation,
    delegator: Address,
) -> Result<Amount, Fault> {
    let amount = pending(candidate, delegation)?;
    delegation.per_share = candidate.per_share;
    if amount > Amount::ZERO {
        release(host, candidate, delegator, amount)?;
        events::claimed(host, (candidate.operator, delegator), amount)?;
    }
    Ok(amount)
}

/// Gives the dust of a validator without shares back to the rewards pool; the candidate is to be written by the caller.
pub(super) fn return_dust(host: &mut dyn Host, candidate: &mut Candidate) -> Result<(), Fault> {
    match candidate.owed {
        Amount::ZERO => Ok(()),
        dust => release(host, candidate, system::REWARDS, dust),
    }
}
