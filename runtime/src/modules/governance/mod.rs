//! Let the validators change the chain's parameters and move it to a new version of the protocol.
//!
//! A proposal with two thirds of the voting power of the present epoch at its end is accepted. It takes effect with the
//! configuration that is fixed in that very block, that of the second epoch after, so that everyone knows it an epoch
//! ahead.
//!
//! # Invariants
//! - Parameters in force are within their bounds, alone and together: they are checked when proposed and when accepted.
//! - An operator has one open proposal, so what the end of an epoch counts is bounded by the set.
//! - The version of the protocol never goes down.
//! - One upgrade is scheduled at a time, and everyone knows of it [`UPGRADE_NOTICE`] epochs ahead.

mod calls;
mod enact;
mod events;
mod state;

use alloy_primitives::Bytes;
use neura_types::{
    Epoch,
    abi::IGovernance::{self, IGovernanceCalls as F},
};

use super::{
    code, entry,
    host::{Call, Fault, Host},
};

pub use calls::MAX_CHANGES;
pub(crate) use enact::enact;
pub use state::{Matter, Proposal, Status, Upgrade};

/// An upgrade that is accepted at the end of epoch *e* begins with *e* + this one or later: the first whose configuration
/// is not fixed by then, so that operators have at least one whole epoch to install what it needs.
pub const UPGRADE_NOTICE: Epoch = 2;

pub(crate) fn dispatch(host: &mut dyn Host, call: &Call) -> Result<Bytes, Fault> {
    let function: F = entry::decode(call)?;
    match &function {
        F::proposeParams(_) | F::proposeUpgrade(_) | F::proposeCancellation(_) | F::vote(_) => {
            entry::write(call)?
        }
        F::count(_)
        | F::proposal(_)
        | F::proposals(_)
        | F::support(_)
        | F::parameter(_)
        | F::scheduledUpgrade(_) => entry::view(call)?,
    }
    match function {
        F::proposeParams(f) => calls::propose_params(host, call, f.changes, f.title)
            .map(|id| entry::answer::<IGovernance::proposeParamsCall>(&id)),
        F::proposeUpgrade(f) => {
            let upgrade = Upgrade { version: f.version, epoch: f.epoch };
            calls::propose_upgrade(host, call, upgrade, f.title)
                .map(|id| entry::answer::<IGovernance::proposeUpgradeCall>(&id))
        }
        F::proposeCancellation(f) => calls::propose_cancellation(host, call, f.title)
            .map(|id| entry::answer::<IGovernance::proposeCancellationCall>(&id)),
        F::vote(f) => calls::vote(host, call, f.id, f.approve).map(|()| Bytes::new()),
        F::count(_) => count(host).map(|n| entry::answer::<IGovernance::countCall>(&n)),
        F::proposal(f) => known(host, f.id)
            .map(|found| entry::answer::<IGovernance::proposalCall>(&(&found).into())),
        F::proposals(f) => {
            let found = proposals(host, f.start, f.limit)?;
            let encoded = found.iter().map(IGovernance::Proposal::from).collect();
            Ok(entry::answer::<IGovernance::proposalsCall>(&encoded))
        }
        F::support(f) => support(host, f.id),
        F::parameter(f) => parameter(host, &f.name),
        F::scheduledUpgrade(_) => {
            let found = scheduled_upgrade(host)?.unwrap_or(Upgrade { version: 0, epoch: 0 });
            let Upgrade { version, epoch } = found;
            let found = IGovernance::scheduledUpgradeReturn { version, epoch };
            Ok(entry::answer::<IGovernance::scheduledUpgradeCall>(&found))
        }
    }
}

/// A proposal by its number.
///
/// # Errors
/// What the host reports.
pub fn get(host: &mut dyn Host, id: u64) -> Result<Option<Proposal>, Fault> {
    state::PROPOSALS.get(host, &id)
}

/// How many proposals were made.
///
/// # Errors
/// What the host reports.
pub fn count(host: &mut dyn Host) -> Result<u64, Fault> {
    state::COUNT.get(host, &())
}

/// Up to `limit` proposals in order of their numbers, from number `start`; the first is 1.
///
/// # Errors
/// [`code::LIMIT_OUT_OF_BOUNDS`] past [`entry::MAX_PAGE`]; what the host reports.
pub fn proposals(host: &mut dyn Host, start: u64, limit: u64) -> Result<Vec<Proposal>, Fault> {
    entry::page(limit)?;
    let start = start.max(1);
    let end = count(host)?.saturating_add(1).min(start.saturating_add(limit));
    (start..end).map(|id| known(host, id)).collect()
}

/// Voting power of the present epoch that approves a proposal.
///
/// # Errors
/// What the host reports.
pub fn approving(host: &mut dyn Host, id: u64) -> Result<u64, Fault> {
    enact::approving(host, id)
}

/// The upgrade whose epoch has not begun yet, if any.
///
/// # Errors
/// What the host reports.
pub fn scheduled_upgrade(host: &mut dyn Host) -> Result<Option<Upgrade>, Fault> {
    state::UPGRADE.get(host, &())
}

fn known(host: &mut dyn Host, id: u64) -> Result<Proposal, Fault> {
    get(host, id)?.ok_or_else(|| {
        Fault::refused(code::UNKNOWN_PROPOSAL, format!("no proposal has the number {id}"))
    })
}

fn support(host: &mut dyn Host, id: u64) -> Result<Bytes, Fault> {
    known(host, id)?;
    let approving = approving(host, id)?;
    let total = host.block().validators().total_power();
    let found = IGovernance::supportReturn { approving, totalPower: total };
    Ok(entry::answer::<IGovernance::supportCall>(&found))
}

fn parameter(host: &mut dyn Host, name: &str) -> Result<Bytes, Fault> {
    let value = host.block().params().get(name).ok_or_else(|| {
        let message = "no vote can change a parameter of this name: see the genesis file";
        Fault::refused(code::INVALID_PROPOSAL, message)
    })?;
    Ok(entry::answer::<IGovernance::parameterCall>(&value))
}

impl From<Status> for IGovernance::Status {
    fn from(status: Status) -> Self {
        match status {
            Status::Open => Self::Open,
            Status::Passed => Self::Passed,
            Status::Expired => Self::Expired,
            Status::Failed => Self::Failed,
            Status::Lapsed => Self::Lapsed,
        }
    }
}

impl From<&Proposal> for IGovernance::Proposal {
    fn from(proposal: &Proposal) -> Self {
        let (changes, upgrade) = match &proposal.matter {
            Matter::Params(changes) => (changes.as_slice(), Upgrade { version: 0, epoch: 0 }),
            Matter::Upgrade(upgrade) | Matter::Cancellation(upgrade) => (&[][..], *upgrade),
        };
        let change = |(name, value): &(String, u128)| IGovernance::Change {
            name: name.clone(),
            value: *value,
        };
        Self {
            id: proposal.id,
            proposer: proposal.proposer,
            title: proposal.title.clone(),
            changes: changes.iter().map(change).collect(),
            version: upgrade.version,
            versionEpoch: upgrade.epoch,
            createdAt: proposal.created_at,
            expiresAt: proposal.expires_at,
            status: proposal.status.into(),
            cancels: matches!(proposal.matter, Matter::Cancellation(_)),
        }
    }
}

#[cfg(test)]
mod tests;
