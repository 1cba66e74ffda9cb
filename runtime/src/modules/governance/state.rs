//! The module's tables and records.

use alloy_primitives::Address;
use neura_types::{Epoch, system};
use serde::{Deserialize, Serialize};

use crate::modules::store::{Table, Words};

/// What became of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Can be voted on, until it expires.
    Open,
    /// Accepted.
    Passed,
    /// Ran out of time.
    Expired,
    /// Accepted, but at odds with what was accepted before.
    Failed,
    /// Not accepted in time for the epoch that it names.
    Lapsed,
}

/// A version of the protocol that is to be spoken from an epoch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrade {
    /// The version.
    pub version: u16,
    /// Its first epoch.
    pub epoch: Epoch,
}

/// What a proposal asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Matter {
    /// Values for parameters, by their names.
    Params(Vec<(String, u128)>),
    /// An upgrade.
    Upgrade(Upgrade),
    /// That the upgrade that is scheduled does not take place.
    Cancellation(Upgrade),
}

/// A proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Its number, from 1.
    pub id: u64,
    /// Operator who made it.
    pub proposer: Address,
    /// What for.
    pub title: String,
    /// What it asks for.
    pub matter: Matter,
    /// Epoch in which it was made.
    pub created_at: Epoch,
    /// Last epoch at whose end it can be accepted.
    pub expires_at: Epoch,
    /// What became of it.
    pub status: Status,
}

/// Proposals by number.
pub(super) const PROPOSALS: Table<u64, Proposal> = Table::new(system::GOVERNANCE, 1);
/// Number of proposals ever made.
pub(super) const COUNT: Words<(), u64> = Words::new(system::GOVERNANCE, 2);
/// The open proposal of an operator; 0 for none.
pub(super) const OPEN: Words<Address, u64> = Words::new(system::GOVERNANCE, 3);
/// Votes by proposal and operator: 1 for it, 0 otherwise.
pub(super) const VOTES: Words<(u64, Address), u64> = Words::new(system::GOVERNANCE, 4);
/// The upgrade that waits for its epoch to begin.
pub(super) const UPGRADE: Table<(), Upgrade> = Table::new(system::GOVERNANCE, 5);
