//! What operators do with their validators.

use alloy_primitives::{Address, U256};
use neura_types::{
    Amount,
    abi::IStaking::createValidatorCall,
    keys::{PublicKey, Signature},
    staking::possession_digest,
};

use super::{
    delegations, events, known,
    state::{self, Candidate},
};
use crate::modules::{
    code, entry,
    host::{Call, Fault, Host},
};

/// Most validators that stand for election at a time: twice the largest set, and few enough to be read at the end of an
/// epoch. Whoever has more stake takes the place of one with less.
pub const MAX_LISTED: u64 = 512;
/// Gas for checking an ed25519 signature: some 80 µs, at the price of as much work of a contract.
pub(super) const SIGNATURE_GAS: u64 = 8_000;

/// The signature of nobody: the neutral point and a scalar of zero.
const NEUTRAL_SIGNATURE: [u8; 64] = {
    let mut signature = [0; 64];
    signature[0] = 1;
    signature
};

/// What a validator is registered with.
pub(super) struct NewCandidate {
    pub(super) operator: Address,
    pub(super) public_key: PublicKey,
    pub(super) commission_bps: u16,
}

pub(super) fn create(
    host: &mut dyn Host,
    call: &Call,
    f: createValidatorCall,
) -> Result<(), Fault> {
    let (operator, public_key) = (call.caller, PublicKey(f.publicKey));
    if super::get(host, operator)?.is_some() {
        let message = format!("{operator} has a validator: an account registers one");
        return Err(Fault::refused(code::ALREADY_REGISTERED, message));
    }
    if super::operator_of(host, &public_key)?.is_some() {
        let message = format!("the key {public_key} is or was a validator's: make a new one");
        return Err(Fault::refused(code::ALREADY_REGISTERED, message));
    }
    let least = host.block().params().min_validator_stake;
    if call.value < least {
        let message = format!("the bond is {}: at least {least} must be sent", call.value);
        return Err(Fault::refused(code::STAKE_TOO_SMALL, message));
    }
    check_commission(host, f.commissionBps)?;
    check_possession(host, operator, public_key, &f.proof)?;
    let new = NewCandidate { operator, public_key, commission_bps: f.commissionBps };
    register(host, new, call.value)
}

/// Writes a validator with its own bond, which the module holds already.
pub(super) fn register(host: &mut dyn Host, new: NewCandidate, bond: Amount) -> Result<(), Fault> {
    let NewCandidate { operator, public_key, commission_bps } = new;
    let mut candidate = Candidate {
        operator,
        public_key,
        pool: Default::default(),
        commission_bps,
        commission_set: host.block().epoch.epoch,
        slot: None,
        tombstoned: false,
        jailed_until: 0,
        missed_epochs: 0,
        overhang: None,
        per_share: U256::ZERO,
        owed: Amount::ZERO,
        unbonding: Vec::new(),
    };
    let listed = state::LISTED.get(host, &())?;
    if listed < MAX_LISTED {
        append(host, &mut candidate, listed)?;
    }
    let position = state::COUNT.get(host, &())?;
    state::ORDER.set(host, &position, operator)?;
    state::COUNT.set(host, &(), position.saturating_add(1))?;
    state::OPERATORS.set(host, &public_key.0, operator)?;
    events::created(host, &candidate, bond)?;
    delegations::bond(host, candidate, operator, bond).map(|_| ())
}

fn check_commission(host: &mut dyn Host, bps: u16) -> Result<(), Fault> {
    let most = host.block().params().max_commission_bps;
    if bps <= most {
        return Ok(());
    }
    let message = format!("a commission of {bps} basis points: at most {most} are allowed");
    Err(Fault::refused(code::INVALID_COMMISSION, message))
}

/// Whoever registers a key must be able to sign with it.
fn check_possession(
    host: &mut dyn Host,
    operator: Address,
    key: PublicKey,
    proof: &[u8],
) -> Result<(), Fault> {
    host.charge(SIGNATURE_GAS.saturating_mul(2))?;
    let digest = possession_digest(&host.block().chain(), operator);
    let signed_by = |signature| key.verify(digest.as_slice(), &Signature(signature)).is_ok();
    // By the rules of ZIP-215 this holds for every message under the few keys of small order, which belong to nobody.
    let anyones = signed_by(NEUTRAL_SIGNATURE);
    if !anyones && <[u8; 64]>::try_from(proof).is_ok_and(signed_by) {
        return Ok(());
    }
    let message = format!(
        "the key {key} has not signed that {operator} may register it on this chain: make the proof with the key"
    );
    Err(Fault::refused(code::INVALID_KEY, message))
}

pub(super) fn set_commission(host: &mut dyn Host, call: &Call, bps: u16) -> Result<(), Fault> {
    let mut candidate = known(host, call.caller)?;
    check_commission(host, bps)?;
    let (epoch, step) = (host.block().epoch.epoch, host.block().params().max_commission_change_bps);
    let refused = |why: String| Err(Fault::refused(code::INVALID_COMMISSION, why));
    if candidate.commission_set >= epoch {
        return refused(format!("the commission was set in epoch {epoch}: wait for the next"));
    }
    if candidate.commission_bps.abs_diff(bps) > step {
        let now = candidate.commission_bps;
        return refused(format!(
            "from {now} to {bps} basis points: an epoch allows a change of {step}"
        ));
    }
    candidate.commission_bps = bps;
    candidate.commission_set = epoch;
    state::CANDIDATES.put(host, &call.caller, &candidate)?;
    events::commission_changed(host, &candidate)
}

pub(super) fn retire(host: &mut dyn Host, call: &Call) -> Result<(), Fault> {
    let mut candidate = known(host, call.caller)?;
    if candidate.slot.is_none() {
        let message = format!("the validator of {} does not stand for election", call.caller);
        return Err(Fault::refused(code::NOT_LISTED, message));
    }
    unlist(host, &mut candidate)?;
    state::CANDIDATES.put(host, &call.caller, &candidate)
}

pub(super) fn enlist(host: &mut dyn Host, call: &Call, instead: Address) -> Result<(), Fault> {
    let mut candidate = known(host, call.caller)?;
    not_tombstoned(&candidate)?;
    if candidate.slot.is_some() {
        let message = format!("the validator of {} stands for election", call.caller);
        return Err(Fault::refused(code::ALREADY_REGISTERED, message));
    }
    let least = host.block().params().min_validator_stake;
    if candidate.pool.stake < least {
        let message = format!("the stake is {}: at least {least} is needed", candidate.pool.stake);
        return Err(Fault::refused(code::STAKE_TOO_SMALL, message));
    }
    let listed = state::LISTED.get(host, &())?;
    if listed < MAX_LISTED {
        append(host, &mut candidate, listed)?;
    } else {
        displace(host, &mut candidate, instead)?;
    }
    state::CANDIDATES.put(host, &call.caller, &candidate)?;
    events::listing_changed(host, &candidate)
}

pub(super) fn unjail(host: &mut dyn Host, call: &Call) -> Result<(), Fault> {
    let mut candidate = known(host, call.caller)?;
    not_tombstoned(&candidate)?;
    let epoch = host.block().epoch.epoch;
    let refused = |why: String| Err(Fault::refused(code::NOT_RELEASABLE, why));
    match candidate.jailed_until {
        0 => return refused(format!("the validator of {} is not in jail", call.caller)),
        until if epoch < until => {
            return refused(format!("the jail holds until epoch {until}; now: {epoch}"));
        }
        _ => candidate.jailed_until = 0,
    }
    state::CANDIDATES.put(host, &call.caller, &candidate)?;
    events::unjailed(host, &candidate)
}

pub(super) fn not_tombstoned(candidate: &Candidate) -> Result<(), Fault> {
    if !candidate.tombstoned {
        return Ok(());
    }
    let message = format!(
        "the validator of {} contradicted itself: it never serves again",
        candidate.operator
    );
    Err(Fault::refused(code::TOMBSTONED, message))
}

/// Gives a candidate, which is to be written by the caller, the first free slot.
fn append(host: &mut dyn Host, candidate: &mut Candidate, listed: u64) -> Result<(), Fault> {
    candidate.slot = Some(listed);
    state::LIST.set(host, &listed, candidate.operator)?;
    state::LISTED.set(host, &(), listed.saturating_add(1))
}

/// Gives a candidate the slot of another that has less stake.
fn displace(host: &mut dyn Host, candidate: &mut Candidate, instead: Address) -> Result<(), Fault> {
    let weaker = super::get(host, instead)?;
    let weaker = weaker.filter(|other| other.pool.stake < candidate.pool.stake);
    let Some((mut weaker, slot)) = weaker.and_then(|other| other.slot.map(|slot| (other, slot)))
    else {
        let message = format!(
            "all {MAX_LISTED} places are taken, and {instead} holds none with a stake below {}: name one who does",
            candidate.pool.stake
        );
        return Err(Fault::refused(code::LIST_FULL, message));
    };
    weaker.slot = None;
    candidate.slot = Some(slot);
    state::LIST.set(host, &slot, candidate.operator)?;
    state::CANDIDATES.put(host, &instead, &weaker)?;
    events::listing_changed(host, &weaker)
}

/// Frees a candidate's slot, which the last one takes; the candidate is to be written by the caller.
pub(super) fn unlist(host: &mut dyn Host, candidate: &mut Candidate) -> Result<(), Fault> {
    let Some(slot) = candidate.slot.take() else { return Ok(()) };
    let last = state::LISTED
        .get(host, &())?
        .checked_sub(1)
        .ok_or_else(|| entry::broken("a slot of an empty list"))?;
    if slot != last {
        let moved = state::LIST.get(host, &last)?;
        let mut other = super::expected(host, moved)?;
        other.slot = Some(slot);
        state::CANDIDATES.put(host, &moved, &other)?;
        state::LIST.set(host, &slot, moved)?;
    }
    state::LIST.set(host, &last, Address::ZERO)?;
    state::LISTED.set(host, &(), last)?;
    events::listing_changed(host, candidate)
}
