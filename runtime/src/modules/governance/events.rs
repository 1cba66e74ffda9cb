//! The module's events.

use alloy_primitives::Address;
use neura_types::{abi::IGovernance, system};

use super::state::{Proposal, Upgrade};
use crate::modules::{
    entry::emit,
    host::{Fault, Host},
};

pub(super) fn proposed(host: &mut dyn Host, proposal: &Proposal) -> Result<(), Fault> {
    let event = IGovernance::Proposed {
        id: proposal.id,
        proposer: proposal.proposer,
        title: proposal.title.clone(),
    };
    emit(host, system::GOVERNANCE, &event)
}

pub(super) fn voted(
    host: &mut dyn Host,
    id: u64,
    voter: Address,
    (approve, power): (bool, u64),
) -> Result<(), Fault> {
    emit(host, system::GOVERNANCE, &IGovernance::Voted { id, voter, approve, power })
}

pub(super) fn ended(host: &mut dyn Host, proposal: &Proposal, approving: u64) -> Result<(), Fault> {
    let total = host.block().validators().total_power();
    let (id, status) = (proposal.id, proposal.status.into());
    emit(host, system::GOVERNANCE, &IGovernance::Ended { id, status, approving, totalPower: total })
}

pub(super) fn upgrade_scheduled(host: &mut dyn Host, upgrade: Upgrade) -> Result<(), Fault> {
    let Upgrade { version, epoch } = upgrade;
    emit(host, system::GOVERNANCE, &IGovernance::UpgradeScheduled { version, epoch })
}

pub(super) fn upgrade_cancelled(host: &mut dyn Host, upgrade: Upgrade) -> Result<(), Fault> {
    let Upgrade { version, epoch } = upgrade;
    emit(host, system::GOVERNANCE, &IGovernance::UpgradeCancelled { version, epoch })
}
