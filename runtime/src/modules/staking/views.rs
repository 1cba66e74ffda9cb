//! Answer what the module's views ask, in ABI form.

use alloy_primitives::{Address, Bytes};
use neura_types::{ValidatorIndex, abi::IStaking};

use super::state::Candidate;
use crate::modules::{
    code,
    entry::{self, answer},
    host::{Fault, Host},
};

pub(super) fn epoch(host: &mut dyn Host) -> Bytes {
    let epoch = &host.block().epoch;
    let (number, first, last) = (epoch.epoch, epoch.first, epoch.last);
    answer::<IStaking::epochCall>(&IStaking::epochReturn { number, first, last })
}

pub(super) fn count(host: &mut dyn Host) -> Bytes {
    let number = u64::try_from(host.block().validators().len()).unwrap_or(u64::MAX);
    answer::<IStaking::countCall>(&number)
}

pub(super) fn total_power(host: &mut dyn Host) -> Bytes {
    answer::<IStaking::totalPowerCall>(&host.block().validators().total_power())
}

pub(super) fn validator(host: &mut dyn Host, index: u64) -> Result<Bytes, Fault> {
    let position = ValidatorIndex::try_from(index).ok();
    let member = position.and_then(|index| host.block().validators().get(index));
    let member = member.ok_or_else(|| {
        Fault::refused(code::UNKNOWN_VALIDATOR, format!("no validator has the index {index}"))
    })?;
    Ok(answer::<IStaking::validatorCall>(&member.into()))
}

pub(super) fn validators(host: &mut dyn Host, start: u64, limit: u64) -> Result<Bytes, Fault> {
    entry::page(limit)?;
    let page = start..start.saturating_add(limit);
    let members = host.block().validators().iter();
    let members = members.filter(|(index, _)| page.contains(&u64::from(*index)));
    let encoded = members.map(|(_, member)| member.into()).collect();
    Ok(answer::<IStaking::validatorsCall>(&encoded))
}

pub(super) fn candidate(host: &mut dyn Host, operator: Address) -> Result<Bytes, Fault> {
    let found = super::known(host, operator)?;
    Ok(answer::<IStaking::candidateCall>(&encoded(host, &found)))
}

pub(super) fn candidates(host: &mut dyn Host, start: u64, limit: u64) -> Result<Bytes, Fault> {
    let found = super::candidates(host, start, limit)?;
    let entries = found.iter().map(|candidate| encoded(host, candidate)).collect();
    Ok(answer::<IStaking::candidatesCall>(&entries))
}

pub(super) fn delegation(
    host: &mut dyn Host,
    operator: Address,
    delegator: Address,
) -> Result<Bytes, Fault> {
    let (shares, amount, rewards) = super::delegation(host, operator, delegator)?;
    let found = IStaking::delegationReturn { shares, amount: amount.0, rewards: rewards.0 };
    Ok(answer::<IStaking::delegationCall>(&found))
}

pub(super) fn unbondings(
    host: &mut dyn Host,
    operator: Address,
    delegator: Address,
) -> Result<Bytes, Fault> {
    let found = super::unbondings(host, operator, delegator)?;
    let entries = found.iter().map(|entry| IStaking::Unbonding {
        begun: entry.begun,
        releasedAt: entry.released_at,
        amount: entry.amount.0,
    });
    Ok(answer::<IStaking::unbondingsCall>(&entries.collect()))
}

fn encoded(host: &mut dyn Host, candidate: &Candidate) -> IStaking::Candidate {
    let mut members = host.block().validators().iter();
    let member = members.find(|(_, member)| member.account == candidate.operator);
    IStaking::Candidate {
        operator: candidate.operator,
        publicKey: candidate.public_key.0,
        stake: candidate.pool.stake.0,
        shares: candidate.pool.shares,
        commissionBps: candidate.commission_bps,
        listed: candidate.slot.is_some(),
        tombstoned: candidate.tombstoned,
        jailedUntil: candidate.jailed_until,
        missedEpochs: candidate.missed_epochs,
        power: member.map_or(0, |(_, member)| member.power),
    }
}
