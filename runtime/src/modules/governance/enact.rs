//! Count votes at the end of an epoch, and give the next configuration what was accepted.

use neura_types::{Epoch, EpochConfig, Params};

use super::{
    UPGRADE_NOTICE,
    calls::{changed, newest},
    events, known,
    state::{self, Matter, Proposal, Status, Upgrade},
};
use crate::modules::host::{Fault, Host};

/// Parameters and version of the epoch after `next`: those of `next` with what was accepted by now.
pub(crate) fn enact(host: &mut dyn Host, next: &EpochConfig) -> Result<(Params, u16), Fault> {
    let mut params = next.params.clone();
    let epoch = host.block().epoch.clone();
    for (_, member) in epoch.set.iter() {
        let id = state::OPEN.get(host, &member.account)?;
        if id > 0 {
            let mut proposal = known(host, id)?;
            count(host, &mut proposal, epoch.epoch, &mut params)?;
        }
    }
    let version = version(host, next)?;
    Ok((params, version))
}

fn count(
    host: &mut dyn Host,
    proposal: &mut Proposal,
    epoch: Epoch,
    params: &mut Params,
) -> Result<(), Fault> {
    let approving = approving(host, proposal.id)?;
    if !is_in_time(&proposal.matter, epoch) {
        proposal.status = Status::Lapsed;
    // A vote that came in time counts; an epoch in which the proposer did not serve is not made up for.
    } else if proposal.expires_at >= epoch && is_accepted(host, approving) {
        proposal.status = accept(host, proposal, params)?;
    } else if proposal.expires_at <= epoch {
        proposal.status = Status::Expired;
    } else {
        return Ok(());
    }
    state::OPEN.set(host, &proposal.proposer, 0)?;
    state::PROPOSALS.put(host, &proposal.id, proposal)?;
    clear_votes(host, proposal.id)?;
    events::ended(host, proposal, approving)
}

fn accept(host: &mut dyn Host, proposal: &Proposal, params: &mut Params) -> Result<Status, Fault> {
    match &proposal.matter {
        Matter::Params(changes) => match changed(params.clone(), changes) {
            Ok(changed) => *params = changed,
            Err(_) => return Ok(Status::Failed),
        },
        Matter::Upgrade(upgrade) => {
            if !is_compatible(host, *upgrade)? {
                return Ok(Status::Failed);
            }
            state::UPGRADE.put(host, &(), upgrade)?;
            events::upgrade_scheduled(host, *upgrade)?;
        }
        Matter::Cancellation(upgrade) => {
            if state::UPGRADE.get(host, &())? != Some(*upgrade) {
                return Ok(Status::Failed);
            }
            state::UPGRADE.remove(host, &())?;
            events::upgrade_cancelled(host, *upgrade)?;
        }
    }
    Ok(Status::Passed)
}

/// Whether what a proposal asks for can still be decided at the end of `epoch`: an upgrade, and the end of its plan, need
/// notice.
fn is_in_time(matter: &Matter, epoch: Epoch) -> bool {
    match matter {
        Matter::Params(_) => true,
        Matter::Upgrade(upgrade) | Matter::Cancellation(upgrade) => {
            upgrade.epoch >= epoch.saturating_add(UPGRADE_NOTICE)
        }
    }
}

/// Whether an upgrade may be scheduled beside what is. There is one plan at a time, for which operators prepare: another
/// epoch needs its cancellation first; another version of the same epoch replaces it.
fn is_compatible(host: &mut dyn Host, upgrade: Upgrade) -> Result<bool, Fault> {
    let (_, spoken) = newest(host)?;
    let planned = state::UPGRADE.get(host, &())?;
    Ok(upgrade.version > spoken && planned.is_none_or(|plan| plan.epoch == upgrade.epoch))
}

/// Voting power in the present epoch of those who approve.
pub(super) fn approving(host: &mut dyn Host, id: u64) -> Result<u64, Fault> {
    let epoch = host.block().epoch.clone();
    let mut power = 0u64;
    for (_, member) in epoch.set.iter() {
        if state::VOTES.get(host, &(id, member.account))? > 0 {
            power = power.saturating_add(member.power);
        }
    }
    Ok(power)
}

/// More than two thirds of all voting power, as a certificate takes.
fn is_accepted(host: &mut dyn Host, approving: u64) -> bool {
    host.block().validators().is_quorum(approving)
}

/// Votes of those who no longer serve stay: a word each, which nobody counts.
fn clear_votes(host: &mut dyn Host, id: u64) -> Result<(), Fault> {
    let epoch = host.block().epoch.clone();
    for (_, member) in epoch.set.iter() {
        state::VOTES.set(host, &(id, member.account), 0)?;
    }
    Ok(())
}

/// The version of the epoch after `next`. The plan stays until its epoch begins, so that it is seen and nothing takes its
/// place.
fn version(host: &mut dyn Host, next: &EpochConfig) -> Result<u16, Fault> {
    let Some(upgrade) = state::UPGRADE.get(host, &())? else { return Ok(next.version) };
    if upgrade.epoch <= next.epoch {
        state::UPGRADE.remove(host, &())?;
    }
    let due = upgrade.epoch <= next.epoch.saturating_add(1);
    Ok(if due { next.version.max(upgrade.version) } else { next.version })
}
