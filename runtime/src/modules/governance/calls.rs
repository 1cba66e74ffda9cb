//! Proposals and votes.

use alloy_primitives::Address;
use neura_types::{Params, abi::IGovernance::Change, provider::MAX_TEXT};

use super::{
    UPGRADE_NOTICE, events, known,
    state::{self, Matter, Proposal, Status, Upgrade},
};
use crate::modules::{
    code, entry,
    host::{Call, Fault, Host},
    staking,
};

/// Most parameters that one proposal changes: enough for those that belong together.
pub const MAX_CHANGES: usize = 8;

pub(super) fn propose_params(
    host: &mut dyn Host,
    call: &Call,
    changes: Vec<Change>,
    title: String,
) -> Result<u64, Fault> {
    if changes.is_empty() || changes.len() > MAX_CHANGES {
        let number = changes.len();
        return Err(invalid(format!("{number} changes: propose 1 to {MAX_CHANGES}")));
    }
    let changes: Vec<_> = changes.into_iter().map(|c| (c.name, c.value)).collect();
    changed(newest(host)?.0, &changes).map_err(invalid)?;
    open(host, call.caller, title, Matter::Params(changes))
}

pub(super) fn propose_upgrade(
    host: &mut dyn Host,
    call: &Call,
    upgrade: Upgrade,
    title: String,
) -> Result<u64, Fault> {
    let (_, version) = newest(host)?;
    if upgrade.version <= version {
        let asked = upgrade.version;
        return Err(invalid(format!("version {asked}: the chain speaks {version} already")));
    }
    let earliest = host.block().epoch.epoch.saturating_add(UPGRADE_NOTICE);
    if upgrade.epoch < earliest {
        let asked = upgrade.epoch;
        return Err(invalid(format!(
            "epoch {asked}: {earliest} is the first that can be upgraded"
        )));
    }
    open(host, call.caller, title, Matter::Upgrade(upgrade))
}

pub(super) fn propose_cancellation(
    host: &mut dyn Host,
    call: &Call,
    title: String,
) -> Result<u64, Fault> {
    let Some(upgrade) = state::UPGRADE.get(host, &())? else {
        return Err(invalid("no upgrade is scheduled: there is nothing to cancel".into()));
    };
    if upgrade.epoch < host.block().epoch.epoch.saturating_add(UPGRADE_NOTICE) {
        let Upgrade { version, epoch } = upgrade;
        return Err(invalid(format!("version {version} is fixed for epoch {epoch} already")));
    }
    open(host, call.caller, title, Matter::Cancellation(upgrade))
}

/// `params` with changes, within all bounds.
pub(super) fn changed(mut params: Params, changes: &[(String, u128)]) -> Result<Params, String> {
    for (name, value) in changes {
        params.set(name, *value).map_err(|error| error.to_string())?;
    }
    params.validate().map_err(|error| error.to_string())?;
    Ok(params)
}

/// Parameters and version of the newest epoch that is fixed.
pub(super) fn newest(host: &mut dyn Host) -> Result<(Params, u16), Fault> {
    let next = host.block().epoch.epoch.saturating_add(1);
    let config = staking::config(host, next)?;
    Ok((config.params, config.version))
}

fn open(
    host: &mut dyn Host,
    proposer: Address,
    title: String,
    matter: Matter,
) -> Result<u64, Fault> {
    power(host, proposer)?;
    entry::text("title", &title, MAX_TEXT)?;
    let epoch = host.block().epoch.epoch;
    let earlier = state::OPEN.get(host, &proposer)?;
    if earlier > 0 && known(host, earlier)?.expires_at >= epoch {
        let message = format!("proposal {earlier} of {proposer} is open: wait for its end");
        return Err(Fault::refused(code::PROPOSAL_OPEN, message));
    }
    let id = state::COUNT.get(host, &())?.saturating_add(1);
    let voting = host.block().params().voting_epochs;
    let expires_at = epoch.saturating_add(voting).saturating_sub(1);
    let status = Status::Open;
    let proposal = Proposal { id, proposer, title, matter, created_at: epoch, expires_at, status };
    state::PROPOSALS.put(host, &id, &proposal)?;
    state::COUNT.set(host, &(), id)?;
    state::OPEN.set(host, &proposer, id)?;
    events::proposed(host, &proposal)?;
    Ok(id)
}

pub(super) fn vote(host: &mut dyn Host, call: &Call, id: u64, approve: bool) -> Result<(), Fault> {
    let power = power(host, call.caller)?;
    let proposal = known(host, id)?;
    let epoch = host.block().epoch.epoch;
    if proposal.status != Status::Open || proposal.expires_at < epoch {
        let message = format!("proposal {id} has ended: propose again");
        return Err(Fault::refused(code::PROPOSAL_ENDED, message));
    }
    state::VOTES.set(host, &(id, call.caller), u64::from(approve))?;
    events::voted(host, id, call.caller, (approve, power))
}

/// Voting power of an operator in the present epoch.
fn power(host: &mut dyn Host, operator: Address) -> Result<u64, Fault> {
    let mut members = host.block().validators().iter();
    let member = members.find(|(_, member)| member.account == operator);
    member.map(|(_, member)| member.power).ok_or_else(|| {
        let message = format!("{operator} operates no validator of this epoch: only those vote");
        Fault::refused(code::NOT_VALIDATOR, message)
    })
}

fn invalid(why: String) -> Fault {
    Fault::refused(code::INVALID_PROPOSAL, why)
}
