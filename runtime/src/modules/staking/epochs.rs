//! Turn epochs over: who was there, and who serves in the epoch after the next.

use std::collections::BTreeSet;

use alloy_primitives::{Address, U256};
use neura_types::{
    Amount, Epoch, EpochConfig, Params, StateRead, ValidatorIndex, ValidatorSet, amount::ANKR,
    epoch::EVIDENCE_EPOCHS, state::StateError, validator::Validator,
};

use super::{
    election::Election,
    events, evidence, expected,
    state::{self, Candidate},
};
use crate::modules::{
    entry, governance,
    host::{Fault, Host},
};

/// The configuration of an epoch, if the state holds it: from the oldest whose offences can be shown to the newest that
/// is fixed. After genesis those are 0 and 1; the last block of an epoch adds that of the second one after.
///
/// # Errors
/// If the store fails.
pub fn epoch_config(
    state: &impl StateRead,
    epoch: Epoch,
) -> Result<Option<EpochConfig>, StateError> {
    state::EPOCHS.read(state, &epoch).map_err(|fault| StateError(fault.to_string()))
}

/// Notes who took part in the block. Each member is noted once an epoch, so that most blocks write nothing.
pub(crate) fn begin_block(host: &mut dyn Host) -> Result<(), Fault> {
    let attendance = host.block().attendance.clone();
    for (table, members) in [(state::SEEN, attendance.seen), (state::FAILED, attendance.failed)] {
        let before = table.get(host, &())?;
        let after = members.into_iter().fold(before, |bits, index| bits | bit(index));
        if after != before {
            table.set(host, &(), after)?;
        }
    }
    Ok(())
}

fn bit(index: ValidatorIndex) -> U256 {
    U256::ONE.checked_shl(usize::from(index)).unwrap_or_default()
}

/// Jails who was absent in this epoch.
///
/// A certificate holds the fastest quorum, so standing in none is no fault. Absent is who stood in none, led no block and
/// failed to lead when its turn came, in each of several epochs in a row. Whoever is alive leads a block, even if
/// its votes always come last.
pub(crate) fn judge(host: &mut dyn Host) -> Result<(), Fault> {
    let (seen, failed) = (state::SEEN.get(host, &())?, state::FAILED.get(host, &())?);
    state::SEEN.set(host, &(), U256::ZERO)?;
    state::FAILED.set(host, &(), U256::ZERO)?;
    let epoch = host.block().epoch.clone();
    for (index, member) in epoch.set.iter() {
        let (was_seen, has_failed) =
            (!(seen & bit(index)).is_zero(), !(failed & bit(index)).is_zero());
        let mut candidate = expected(host, member.account)?;
        if was_seen && candidate.missed_epochs > 0 {
            candidate.missed_epochs = 0;
            state::CANDIDATES.put(host, &member.account, &candidate)?;
        } else if !was_seen && has_failed && candidate.is_fit() {
            missed(host, candidate)?;
        }
    }
    Ok(())
}

fn missed(host: &mut dyn Host, mut candidate: Candidate) -> Result<(), Fault> {
    candidate.missed_epochs = candidate.missed_epochs.saturating_add(1);
    let jailed = candidate.missed_epochs >= host.block().params().absence_epochs;
    if jailed {
        // The epoch is over: the stay begins with the next one.
        evidence::imprison(host, &mut candidate);
        candidate.jailed_until = candidate.jailed_until.saturating_add(1);
    }
    state::CANDIDATES.put(host, &candidate.operator, &candidate)?;
    if jailed { events::jailed(host, &candidate, "absent") } else { Ok(()) }
}

/// Fixes the configuration of the epoch after the next.
pub(crate) fn end_epoch(host: &mut dyn Host) -> Result<(), Fault> {
    let present = host.block().epoch.epoch;
    let next = super::config(host, present.saturating_add(1))?;
    let (params, version) = governance::enact(host, &next)?;
    let epoch = next.epoch.saturating_add(1);
    let members = elect(host, &next.set, &params)?;
    let set = ValidatorSet::new(epoch, members).map_err(|e| entry::broken(&e.to_string()))?;
    note_overhang(host, &set)?;
    let first = next.last.saturating_add(1);
    let last = next.last.saturating_add(params.epoch_blocks);
    let config = EpochConfig { epoch, first, last, version, set, params };
    state::EPOCHS.put(host, &epoch, &config)?;
    if let Some(past) = present.checked_sub(EVIDENCE_EPOCHS) {
        state::EPOCHS.remove(host, &past)?;
    }
    let digest = config.digest();
    events::epoch_fixed(host, &config, digest)
}

/// The members of the set that follows `next`.
fn elect(
    host: &mut dyn Host,
    next: &ValidatorSet,
    params: &Params,
) -> Result<Vec<Validator>, Fault> {
    let mut expelled = BTreeSet::new();
    for (_, member) in next.iter() {
        if !expected(host, member.account)?.is_fit() {
            expelled.insert(member.account);
        }
    }
    let wanted = strongest(host, params)?;
    Ok(Election { present: next, wanted: &wanted, expelled: &expelled }.members())
}

/// Those who should serve, the strongest first; of equal stake, in order of their accounts.
fn strongest(host: &mut dyn Host, params: &Params) -> Result<Vec<Validator>, Fault> {
    let mut fit = Vec::new();
    for slot in 0..state::LISTED.get(host, &())? {
        let operator = state::LIST.get(host, &slot)?;
        let candidate = expected(host, operator)?;
        if candidate.is_fit() && candidate.pool.stake >= params.min_validator_stake {
            fit.push((candidate.pool.stake, operator, candidate.public_key));
        }
    }
    fit.sort_unstable_by_key(|(stake, operator, _)| (std::cmp::Reverse(*stake), *operator));
    fit.truncate(usize::from(params.max_validators));
    let member = |(stake, account, public_key): (Amount, Address, _)| Validator {
        public_key,
        account,
        power: power_of(stake),
    };
    Ok(fit.into_iter().map(member).collect())
}

/// Whole ANKR; a set's total is bounded where it is elected.
fn power_of(stake: Amount) -> u64 {
    let whole = stake.0.checked_div(ANKR).unwrap_or(0);
    u64::try_from(whole).unwrap_or(u64::MAX)
}

/// Notes of whom a set holds more power than stake: because a step was not enough, or nobody else was there.
fn note_overhang(host: &mut dyn Host, set: &ValidatorSet) -> Result<(), Fault> {
    let epoch = set.epoch();
    for (_, member) in set.iter() {
        let mut candidate = expected(host, member.account)?;
        if power_of(candidate.pool.stake) >= member.power {
            continue;
        }
        let recent = |last: Epoch| last.saturating_add(EVIDENCE_EPOCHS).saturating_add(1) >= epoch;
        let from = candidate.overhang.filter(|(_, last)| recent(*last)).map_or(epoch, |o| o.0);
        candidate.overhang = Some((from, epoch));
        state::CANDIDATES.put(host, &member.account, &candidate)?;
    }
    Ok(())
}
