//! What holds of the stake after every block.

use alloy_primitives::Address;
use neura_types::{Amount, system};

use super::{
    get,
    state::{self, Candidate},
};
use crate::modules::host::{Fault, Host};

/// Checks in a few reads that the coins are there.
pub(crate) fn check(host: &mut dyn Host) -> Result<Vec<String>, Fault> {
    let parts = [state::BONDED, state::UNBONDING, state::OWED];
    let mut promised = Amount::ZERO;
    for part in parts {
        promised = promised.add(part.get(host, &())?)?;
    }
    let balance = host.balance(system::STAKING)?;
    let mut broken = Vec::new();
    if balance < promised.to_u256() {
        broken.push(format!("staking: {balance} wei held for {} wei promised", promised.0));
    }
    Ok(broken)
}

/// Walks all validators.
pub(crate) fn audit(host: &mut dyn Host) -> Result<Vec<String>, Fault> {
    let mut broken = Vec::new();
    let (mut bonded, mut owed, mut leaving) = (Amount::ZERO, Amount::ZERO, Amount::ZERO);
    let mut listed = 0u64;
    for position in 0..state::COUNT.get(host, &())? {
        let operator = state::ORDER.get(host, &position)?;
        let Some(candidate) = get(host, operator)? else {
            broken.push(format!("staking: position {position} has no record"));
            continue;
        };
        bonded = bonded.add(candidate.pool.stake)?;
        owed = owed.add(candidate.owed)?;
        listed = listed.saturating_add(u64::from(candidate.slot.is_some()));
        for begun in &candidate.unbonding {
            let pool = state::POOLS.get(host, &(operator, *begun))?.unwrap_or_default();
            leaving = leaving.add(pool.stake)?;
        }
        broken.extend(audit_one(host, operator, &candidate)?);
    }
    if bonded != state::BONDED.get(host, &())? || owed != state::OWED.get(host, &())? {
        broken.push("staking: stake or rewards do not sum up to their totals".into());
    }
    if leaving > state::UNBONDING.get(host, &())? {
        broken.push("staking: more stake in pools than is on its way back".into());
    }
    if listed != state::LISTED.get(host, &())? {
        broken.push("staking: the slots do not match those who hold them".into());
    }
    Ok(broken)
}

fn audit_one(
    host: &mut dyn Host,
    operator: Address,
    candidate: &Candidate,
) -> Result<Vec<String>, Fault> {
    let mut broken = Vec::new();
    if (candidate.pool.shares == 0) != (candidate.pool.stake == Amount::ZERO) {
        broken.push(format!("staking: {operator} has shares without stake or the reverse"));
    }
    if candidate.pool.shares == 0 && candidate.owed > Amount::ZERO {
        broken.push(format!("staking: {operator} owes rewards to nobody"));
    }
    if state::OPERATORS.get(host, &candidate.public_key.0)? != operator {
        broken.push(format!("staking: the key of {operator} is another's"));
    }
    if let Some(slot) = candidate.slot
        && (state::LIST.get(host, &slot)? != operator || candidate.tombstoned)
    {
        broken.push(format!("staking: {operator} holds a slot that is not its own"));
    }
    Ok(broken)
}
