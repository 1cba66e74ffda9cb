//! Hold the validators' stake: who bonded what to whom, who serves in which epoch, who is punished.
//!
//! # Design
//! - Stake behind a validator is a [`Pool`] of shares, its own bond being one delegation among others; what leaves in one
//!   epoch is a pool of its own until it is released. Slashing takes a part of each pool and so of every owner's.
//! - The last block of an epoch fixes the configuration of the second epoch after ([`epoch_config`]): those with the most
//!   stake, reached by bounded steps, with the parameters and version that [`governance`](super::governance)
//!   accepted.
//! - Stake cannot be moved from one validator to another without unbonding: it would have to answer for both.
//!
//! # Invariants
//! - The module holds at least all bonded stake, all stake on its way back, and all rewards owed to delegators.
//! - Stake that counted for a validator's power in an epoch is not released before evidence of that epoch expires.
//! - What a validator lost is paid to the reporter or burned.

mod calls;
mod delegations;
mod election;
mod epochs;
mod events;
mod evidence;
mod genesis;
pub(crate) mod invariants;
mod pool;
mod rewards;
mod state;
mod views;

use alloy_primitives::{Address, Bytes};
use neura_types::{
    Epoch, EpochConfig,
    abi::IStaking::{self, IStakingCalls as F},
    keys::PublicKey,
};

use super::{
    code, entry,
    host::{Call, Fault, Host},
};

pub use calls::MAX_LISTED;
pub use delegations::{Unbonding, delegation, unbondings};
pub use epochs::epoch_config;
pub(crate) use epochs::{begin_block, end_epoch, judge};
pub use evidence::{Gravity, MAX_EVIDENCE_BYTES, is_convicted};
pub(crate) use genesis::genesis;
pub use pool::Pool;
pub(crate) use rewards::reward;
pub use state::Candidate;

pub(crate) fn dispatch(host: &mut dyn Host, call: &Call) -> Result<Bytes, Fault> {
    let function: F = entry::decode(call)?;
    admit(call, &function)?;
    let nothing = |()| Bytes::new();
    match function {
        F::createValidator(f) => calls::create(host, call, f).map(nothing),
        F::delegate(f) => delegations::delegate(host, call, f.operator)
            .map(|shares| entry::answer::<IStaking::delegateCall>(&shares)),
        F::undelegate(f) => delegations::undelegate(host, call, f.operator, f.shares)
            .map(|amount| entry::answer::<IStaking::undelegateCall>(&amount.0)),
        F::withdraw(f) => delegations::withdraw(host, call, f.operator)
            .map(|amount| entry::answer::<IStaking::withdrawCall>(&amount.0)),
        F::claim(f) => delegations::claim(host, call, f.operator)
            .map(|amount| entry::answer::<IStaking::claimCall>(&amount.0)),
        F::setCommission(f) => calls::set_commission(host, call, f.commissionBps).map(nothing),
        F::retire(_) => calls::retire(host, call).map(nothing),
        F::enlist(f) => calls::enlist(host, call, f.instead).map(nothing),
        F::unjail(_) => calls::unjail(host, call).map(nothing),
        F::submitEvidence(f) => evidence::submit(host, call, &f.evidence)
            .map(|reward| entry::answer::<IStaking::submitEvidenceCall>(&reward.0)),
        F::epoch(_) => Ok(views::epoch(host)),
        F::count(_) => Ok(views::count(host)),
        F::totalPower(_) => Ok(views::total_power(host)),
        F::validator(f) => views::validator(host, f.index),
        F::validators(f) => views::validators(host, f.start, f.limit),
        F::candidate(f) => views::candidate(host, f.operator),
        F::candidateCount(_) => candidate_count(host)
            .map(|number| entry::answer::<IStaking::candidateCountCall>(&number)),
        F::candidates(f) => views::candidates(host, f.start, f.limit),
        F::delegation(f) => views::delegation(host, f.operator, f.delegator),
        F::unbondings(f) => views::unbondings(host, f.operator, f.delegator),
    }
}

fn admit(call: &Call, function: &F) -> Result<(), Fault> {
    match function {
        F::createValidator(_) | F::delegate(_) => entry::payable(call),
        F::undelegate(_)
        | F::withdraw(_)
        | F::claim(_)
        | F::setCommission(_)
        | F::retire(_)
        | F::enlist(_)
        | F::unjail(_)
        | F::submitEvidence(_) => entry::write(call),
        F::epoch(_)
        | F::count(_)
        | F::totalPower(_)
        | F::validator(_)
        | F::validators(_)
        | F::candidate(_)
        | F::candidateCount(_)
        | F::candidates(_)
        | F::delegation(_)
        | F::unbondings(_) => entry::view(call),
    }
}

/// The validator of an operator, whether it serves or not.
///
/// # Errors
/// What the host reports.
pub fn get(host: &mut dyn Host, operator: Address) -> Result<Option<Candidate>, Fault> {
    state::CANDIDATES.get(host, &operator)
}

/// The operator of the validator with a key, if one was ever registered with it.
///
/// # Errors
/// What the host reports.
pub fn operator_of(host: &mut dyn Host, key: &PublicKey) -> Result<Option<Address>, Fault> {
    let operator = state::OPERATORS.get(host, &key.0)?;
    Ok((!operator.is_zero()).then_some(operator))
}

/// How many validators were ever registered.
///
/// # Errors
/// What the host reports.
pub fn candidate_count(host: &mut dyn Host) -> Result<u64, Fault> {
    state::COUNT.get(host, &())
}

/// Up to `limit` registered validators in order of registration, from position `start`.
///
/// # Errors
/// [`code::LIMIT_OUT_OF_BOUNDS`] past [`entry::MAX_PAGE`]; what the host reports.
pub fn candidates(host: &mut dyn Host, start: u64, limit: u64) -> Result<Vec<Candidate>, Fault> {
    entry::page(limit)?;
    let end = candidate_count(host)?.min(start.saturating_add(limit));
    (start..end)
        .map(|position| {
            let operator = state::ORDER.get(host, &position)?;
            expected(host, operator)
        })
        .collect()
}

/// The configuration of an epoch that must be known: the present one, the next one, those of evidence.
pub(crate) fn config(host: &mut dyn Host, epoch: Epoch) -> Result<EpochConfig, Fault> {
    state::EPOCHS
        .get(host, &epoch)?
        .ok_or_else(|| entry::broken(&format!("epoch {epoch} has no configuration")))
}

/// The validator of an operator, or a refusal.
fn known(host: &mut dyn Host, operator: Address) -> Result<Candidate, Fault> {
    get(host, operator)?.ok_or_else(|| {
        let message = format!("{operator} has no validator: see the list of candidates");
        Fault::refused(code::UNKNOWN_VALIDATOR, message)
    })
}

/// The validator of an account that the module itself names.
fn expected(host: &mut dyn Host, operator: Address) -> Result<Candidate, Fault> {
    get(host, operator)?.ok_or_else(|| entry::broken("a validator has no record"))
}

#[cfg(test)]
mod tests;
