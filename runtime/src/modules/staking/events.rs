//! The module's events.

use alloy_primitives::{Address, B256};
use neura_types::{Amount, Epoch, EpochConfig, abi::IStaking, system};

use super::state::Candidate;
use crate::modules::{
    entry::emit,
    host::{Fault, Host},
};

/// Operator and delegator.
type Pair = (Address, Address);

pub(super) fn created(host: &mut dyn Host, new: &Candidate, bond: Amount) -> Result<(), Fault> {
    let event = IStaking::ValidatorCreated {
        operator: new.operator,
        publicKey: new.public_key.0,
        stake: bond.0,
        commissionBps: new.commission_bps,
    };
    emit(host, system::STAKING, &event)
}

pub(super) fn delegated(
    host: &mut dyn Host,
    (operator, delegator): Pair,
    amount: Amount,
    shares: u128,
) -> Result<(), Fault> {
    let event = IStaking::Delegated { operator, delegator, amount: amount.0, shares };
    emit(host, system::STAKING, &event)
}

pub(super) fn undelegated(
    host: &mut dyn Host,
    (operator, delegator): Pair,
    amount: Amount,
    released_at: Epoch,
) -> Result<(), Fault> {
    let event =
        IStaking::Undelegated { operator, delegator, amount: amount.0, releasedAt: released_at };
    emit(host, system::STAKING, &event)
}

pub(super) fn withdrawn(
    host: &mut dyn Host,
    (operator, delegator): Pair,
    amount: Amount,
) -> Result<(), Fault> {
    emit(host, system::STAKING, &IStaking::Withdrawn { operator, delegator, amount: amount.0 })
}

pub(super) fn claimed(
    host: &mut dyn Host,
    (operator, delegator): Pair,
    amount: Amount,
) -> Result<(), Fault> {
    emit(host, system::STAKING, &IStaking::RewardsClaimed { operator, delegator, amount: amount.0 })
}

pub(super) fn rewarded(
    host: &mut dyn Host,
    operator: Address,
    amount: Amount,
    commission: Amount,
) -> Result<(), Fault> {
    let event = IStaking::Rewarded { operator, amount: amount.0, commission: commission.0 };
    emit(host, system::STAKING, &event)
}

pub(super) fn commission_changed(host: &mut dyn Host, of: &Candidate) -> Result<(), Fault> {
    let event =
        IStaking::CommissionChanged { operator: of.operator, commissionBps: of.commission_bps };
    emit(host, system::STAKING, &event)
}

pub(super) fn listing_changed(host: &mut dyn Host, of: &Candidate) -> Result<(), Fault> {
    let event = IStaking::ListingChanged { operator: of.operator, listed: of.slot.is_some() };
    emit(host, system::STAKING, &event)
}

pub(super) fn jailed(host: &mut dyn Host, of: &Candidate, reason: &str) -> Result<(), Fault> {
    let (operator, until) = (of.operator, of.jailed_until);
    emit(host, system::STAKING, &IStaking::Jailed { operator, until, reason: reason.into() })
}

pub(super) fn unjailed(host: &mut dyn Host, of: &Candidate) -> Result<(), Fault> {
    emit(host, system::STAKING, &IStaking::Unjailed { operator: of.operator })
}

/// What a validator lost.
pub(super) struct Loss {
    pub(super) bonded: Amount,
    pub(super) unbonding: Amount,
    pub(super) reward: Amount,
}

pub(super) fn slashed(
    host: &mut dyn Host,
    operator: Address,
    epoch: Epoch,
    loss: &Loss,
) -> Result<(), Fault> {
    let event = IStaking::Slashed {
        operator,
        epoch,
        bonded: loss.bonded.0,
        unbonding: loss.unbonding.0,
        reward: loss.reward.0,
    };
    emit(host, system::STAKING, &event)
}

pub(super) fn epoch_fixed(
    host: &mut dyn Host,
    config: &EpochConfig,
    digest: B256,
) -> Result<(), Fault> {
    let event = IStaking::EpochFixed {
        epoch: config.epoch,
        digest,
        validators: u64::try_from(config.set.len()).unwrap_or(u64::MAX),
        totalPower: config.set.total_power(),
    };
    emit(host, system::STAKING, &event)
}
