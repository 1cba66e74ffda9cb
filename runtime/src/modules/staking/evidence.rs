//! Punish validators that contradict themselves, on proof by their own signatures.
//!
//! A double proposal cannot fork the chain and is jailed. Two votes or commit votes of one view, and a lock denied, can:
//! they cost a part of all stake that stood behind the validator's power in that epoch, and the validator its future.
//!
//! # Invariants
//! - One punishment for each validator, epoch and gravity: a light offence does not shield a grave one.
//! - Statements are verified against the set of their own epoch and the digest binds chain and genesis, so no evidence
//!   serves for another epoch, another chain, or another key.

use alloy_primitives::Address;
use neura_types::{
    Amount, Epoch, StateRead,
    epoch::EVIDENCE_EPOCHS,
    state::StateError,
    system,
    validator::Validator,
    vote::{Evidence, Statement},
};

use super::{
    calls::{SIGNATURE_GAS, unlist},
    events, expected,
    state::{self, Candidate},
};
use crate::modules::{
    code,
    host::{Call, Fault, Host},
};

/// Longest encoding of two signed statements, in bytes: they have at most some 140 each.
pub const MAX_EVIDENCE_BYTES: usize = 512;

/// How grave an offence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gravity {
    /// Two proposals of one view.
    Jail,
    /// Two votes or commit votes of one view, or a lock denied.
    Slash,
}

impl Gravity {
    /// What the statements amount to.
    pub fn of(evidence: &Evidence) -> Self {
        match evidence.first.statement {
            Statement::Propose { .. } => Self::Jail,
            _ => Self::Slash,
        }
    }

    /// What is recorded; 0 stands for none.
    fn word(self) -> u64 {
        match self {
            Self::Jail => 1,
            Self::Slash => 2,
        }
    }
}

/// Whether this offence, or a graver one of the same validator and epoch, was counted: handing it in would be refused.
///
/// # Errors
/// If the store fails.
pub fn is_convicted(state: &impl StateRead, evidence: &Evidence) -> Result<bool, StateError> {
    let key = (evidence.first.epoch, evidence.first.author);
    let counted = state::PUNISHED.read(state, &key);
    counted
        .map(|gravity| gravity >= Gravity::of(evidence).word())
        .map_err(|fault| StateError(fault.to_string()))
}

/// Checks evidence, cheapest first, and punishes; returns what the reporter is paid.
pub(super) fn submit(host: &mut dyn Host, call: &Call, bytes: &[u8]) -> Result<Amount, Fault> {
    let evidence: Evidence = neura_types::codec::decode_limited(bytes, MAX_EVIDENCE_BYTES)
        .map_err(|error| refused(format!("these are not two signed statements: {error}")))?;
    if !evidence.first.conflicts_with(&evidence.second) {
        return Err(refused("an honest validator may make both statements".into()));
    }
    let (epoch, author) = (evidence.first.epoch, evidence.first.author);
    check_age(host, epoch)?;
    let gravity = Gravity::of(&evidence);
    if state::PUNISHED.get(host, &(epoch, author))? >= gravity.word() {
        let message = format!("validator {author} of epoch {epoch} has been punished for that");
        return Err(Fault::refused(code::ALREADY_PUNISHED, message));
    }
    let config = super::config(host, epoch)?;
    let Some(Validator { account, .. }) = config.set.get(author) else {
        return Err(refused(format!("epoch {epoch} has no validator {author}")));
    };
    host.charge(SIGNATURE_GAS.saturating_mul(2))?;
    if !evidence.verify(&config.set, &host.block().chain()) {
        return Err(refused("a signature is not the validator's, or for another chain".into()));
    }
    state::PUNISHED.set(host, &(epoch, author), gravity.word())?;
    let candidate = expected(host, *account)?;
    match gravity {
        Gravity::Jail => jail(host, candidate).map(|()| Amount::ZERO),
        Gravity::Slash => slash(host, candidate, epoch, call.caller),
    }
}

fn refused(why: String) -> Fault {
    Fault::refused(code::INVALID_EVIDENCE, why)
}

fn check_age(host: &mut dyn Host, epoch: Epoch) -> Result<(), Fault> {
    let now = host.block().epoch.epoch;
    if epoch <= now && now <= epoch.saturating_add(EVIDENCE_EPOCHS) {
        return Ok(());
    }
    let message = format!(
        "evidence of epoch {epoch} in epoch {now}: it counts in its own epoch and the {EVIDENCE_EPOCHS} that follow"
    );
    Err(Fault::refused(code::EVIDENCE_AGE, message))
}

fn jail(host: &mut dyn Host, mut candidate: Candidate) -> Result<(), Fault> {
    if candidate.tombstoned {
        return Ok(());
    }
    imprison(host, &mut candidate);
    state::CANDIDATES.put(host, &candidate.operator, &candidate)?;
    events::jailed(host, &candidate, "double_proposal")
}

/// Begins or prolongs a stay in jail; the candidate is to be written by the caller.
pub(super) fn imprison(host: &mut dyn Host, candidate: &mut Candidate) {
    let block = host.block();
    let until = block.epoch.epoch.saturating_add(block.params().jail_epochs);
    candidate.jailed_until = candidate.jailed_until.max(until);
    candidate.missed_epochs = 0;
}

fn slash(
    host: &mut dyn Host,
    mut candidate: Candidate,
    offence: Epoch,
    reporter: Address,
) -> Result<Amount, Fault> {
    let (part, reward_part) =
        (host.block().params().slash_bps, host.block().params().evidence_reward_bps);
    let bonded = candidate.pool.slash(part)?;
    let mut unbonding = Amount::ZERO;
    for begun in &candidate.unbonding {
        if candidate.answers_for(*begun, offence) {
            let key = (candidate.operator, *begun);
            let mut pool = state::POOLS.get(host, &key)?.unwrap_or_default();
            unbonding = unbonding.add(pool.slash(part)?)?;
            state::POOLS.put(host, &key, &pool)?;
        }
    }
    candidate.tombstoned = true;
    unlist(host, &mut candidate)?;
    state::CANDIDATES.put(host, &candidate.operator, &candidate)?;
    let all_bonded = state::BONDED.get(host, &())?.sub(bonded)?;
    state::BONDED.set(host, &(), all_bonded)?;
    let all_unbonding = state::UNBONDING.get(host, &())?.sub(unbonding)?;
    state::UNBONDING.set(host, &(), all_unbonding)?;

    let taken = bonded.add(unbonding)?;
    let reward = taken.share(reward_part)?;
    host.transfer(system::STAKING, reporter, reward)?;
    host.burn(system::STAKING, taken.sub(reward)?)?;
    let loss = events::Loss { bonded, unbonding, reward };
    events::slashed(host, candidate.operator, offence, &loss)?;
    Ok(reward)
}
