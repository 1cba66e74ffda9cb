//! Record the validators: their keys, accounts and voting power.
//!
//! The set is that of genesis and does not change yet. This is the place of bonding, delegation, epochs, unbonding,
//! jail and slashing by evidence; with them the voting power becomes stake that the module holds.
//!
//! # Invariants
//! - The recorded validators are, in order, the set that consensus starts from.

mod genesis;
mod state;

use alloy_primitives::Bytes;
use neura_types::{
    abi::IStaking::{self, IStakingCalls as F},
    validator::Validator,
};

use super::{
    code, entry,
    host::{Call, Fault, Host},
};

pub(crate) use genesis::genesis;

pub(crate) fn dispatch(host: &mut dyn Host, call: &Call) -> Result<Bytes, Fault> {
    let function: F = entry::decode(call)?;
    entry::view(call)?;
    match function {
        F::count(_) => count(host).map(|n| entry::answer::<IStaking::countCall>(&n)),
        F::totalPower(_) => {
            total_power(host).map(|power| entry::answer::<IStaking::totalPowerCall>(&power))
        }
        F::validator(f) => {
            let validator = validator(host, f.index)?.ok_or_else(|| unknown(f.index))?;
            Ok(entry::answer::<IStaking::validatorCall>(&(&validator).into()))
        }
        F::validators(f) => {
            entry::page(f.limit)?;
            let found = range(host, f.start, f.start.saturating_add(f.limit))?;
            let encoded = found.iter().map(IStaking::Validator::from).collect();
            Ok(entry::answer::<IStaking::validatorsCall>(&encoded))
        }
    }
}

/// How many validators there are.
///
/// # Errors
/// What the host reports.
pub fn count(host: &mut dyn Host) -> Result<u64, Fault> {
    state::COUNT.get(host, &())
}

/// Sum of all voting power.
///
/// # Errors
/// What the host reports.
pub fn total_power(host: &mut dyn Host) -> Result<u64, Fault> {
    state::TOTAL_POWER.get(host, &())
}

/// The validator at an index.
///
/// # Errors
/// What the host reports.
pub fn validator(host: &mut dyn Host, index: u64) -> Result<Option<Validator>, Fault> {
    state::VALIDATORS.get(host, &index)
}

/// All validators in order of their indices: at most
/// [`MAX_VALIDATORS`](neura_types::validator::MAX_VALIDATORS).
///
/// # Errors
/// What the host reports.
pub fn validators(host: &mut dyn Host) -> Result<Vec<Validator>, Fault> {
    range(host, 0, u64::MAX)
}

fn range(host: &mut dyn Host, start: u64, end: u64) -> Result<Vec<Validator>, Fault> {
    let end = count(host)?.min(end);
    (start..end)
        .map(|index| {
            validator(host, index)?.ok_or_else(|| entry::broken("a validator has no record"))
        })
        .collect()
}

fn unknown(index: u64) -> Fault {
    Fault::refused(code::UNKNOWN_VALIDATOR, format!("no validator has the index {index}"))
}

#[cfg(test)]
mod tests;
