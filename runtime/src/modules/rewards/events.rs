//! The module's events.

use neura_types::{Amount, abi::IRewards, system};

use crate::modules::{
    entry::emit,
    host::{Fault, Host},
};

pub(super) fn distributed(
    host: &mut dyn Host,
    amount: Amount,
    validators: u64,
) -> Result<(), Fault> {
    emit(host, system::REWARDS, &IRewards::RewardsDistributed { amount: amount.0, validators })
}
