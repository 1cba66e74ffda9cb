//! The module's tables and records.

use alloy_primitives::{Address, B256, U256};
use neura_types::{
    Amount, Epoch, EpochConfig, ValidatorIndex, epoch::EVIDENCE_EPOCHS, keys::PublicKey, system,
};
use serde::{Deserialize, Serialize};

use super::pool::Pool;
use crate::modules::store::{Table, Words};

/// A registered validator. Its record stays for ever, so that its key is never another's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Account that registered it.
    pub operator: Address,
    /// Key that signs its consensus messages.
    pub public_key: PublicKey,
    /// What is bonded to it, its own bond included.
    pub pool: Pool,
    /// Its part of what its delegators earn, in basis points.
    pub commission_bps: u16,
    /// Epoch in which the commission was set.
    pub commission_set: Epoch,
    /// Its place among those who stand for election, if it does.
    pub slot: Option<u64>,
    /// Whether it contradicted itself: it never serves again.
    pub tombstoned: bool,
    /// First epoch in which it can be released from jail; 0 if it is not in jail.
    pub jailed_until: Epoch,
    /// Epochs in a row without a sign of it.
    pub missed_epochs: u64,
    /// First and last of the latest epochs in which its power passed its stake, because a set changes by steps.
    pub overhang: Option<(Epoch, Epoch)>,
    /// Rewards of one share since registration, in 2^-96 wei.
    pub per_share: U256,
    /// Rewards that are held for delegators; the dust of rounding stays here until the last share leaves.
    pub owed: Amount,
    /// Epochs of the pools of stake that left it and may be slashed still.
    pub unbonding: Vec<Epoch>,
}

impl Candidate {
    /// Whether it may be elected, apart from its stake.
    pub fn is_fit(&self) -> bool {
        !self.tombstoned && self.jailed_until == 0
    }

    /// First epoch in which stake that left it in epoch `begun` is released: after the delay, and not before evidence of
    /// the last epoch expires in which it answers for power.
    pub fn released_at(&self, begun: Epoch, unbonding_epochs: u64) -> Epoch {
        let delay = begun.saturating_add(unbonding_epochs);
        self.outlived(begun).map_or(delay, |(_, last)| {
            delay.max(last.saturating_add(EVIDENCE_EPOCHS).saturating_add(1))
        })
    }

    /// Whether stake that left it in epoch `begun` stood behind its power in epoch `offence`.
    pub(super) fn answers_for(&self, begun: Epoch, offence: Epoch) -> bool {
        let counted = begun.saturating_add(1) >= offence;
        counted || self.outlived(begun).is_some_and(|(from, to)| (from..=to).contains(&offence))
    }

    /// The overhang, if stake that left in epoch `begun` is behind it: the power of the second epoch after should have
    /// been without it, and was not.
    fn outlived(&self, begun: Epoch) -> Option<(Epoch, Epoch)> {
        let should_be_gone = begun.saturating_add(2);
        self.overhang.filter(|(from, to)| (*from..=*to).contains(&should_be_gone))
    }
}

/// A delegator's part of a validator's pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Delegation {
    pub(super) shares: u128,
    /// [`Candidate::per_share`] up to which its rewards are paid.
    pub(super) per_share: U256,
}

/// A delegator's part of a pool of stake that left a validator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Leaving {
    /// Epoch in which it left: names the pool.
    pub(super) begun: Epoch,
    pub(super) shares: u128,
}

/// Validators by operator.
pub(super) const CANDIDATES: Table<Address, Candidate> = Table::new(system::STAKING, 1);
/// Operators in order of registration, from 0.
pub(super) const ORDER: Words<u64, Address> = Words::new(system::STAKING, 2);
/// Number of validators ever registered.
pub(super) const COUNT: Words<(), u64> = Words::new(system::STAKING, 3);
/// Configurations of the epochs around the present one.
pub(super) const EPOCHS: Table<Epoch, EpochConfig> = Table::new(system::STAKING, 4);
/// Operators that stand for election, by slot.
pub(super) const LIST: Words<u64, Address> = Words::new(system::STAKING, 5);
/// Number of slots taken: the first ones.
pub(super) const LISTED: Words<(), u64> = Words::new(system::STAKING, 6);
/// Operators by validator key.
pub(super) const OPERATORS: Words<B256, Address> = Words::new(system::STAKING, 7);
/// Delegations by operator and delegator.
pub(super) const DELEGATIONS: Table<(Address, Address), Delegation> =
    Table::new(system::STAKING, 8);
/// What a delegator has on its way back, by operator and delegator.
pub(super) const LEAVING: Table<(Address, Address), Vec<Leaving>> = Table::new(system::STAKING, 9);
/// Stake that left, by operator and epoch.
pub(super) const POOLS: Table<(Address, Epoch), Pool> = Table::new(system::STAKING, 10);
/// Sum of all bonded stake, in wei.
pub(super) const BONDED: Words<(), Amount> = Words::new(system::STAKING, 11);
/// Sum of all stake on its way back, in wei.
pub(super) const UNBONDING: Words<(), Amount> = Words::new(system::STAKING, 12);
/// Sum of all rewards held for delegators, in wei.
pub(super) const OWED: Words<(), Amount> = Words::new(system::STAKING, 13);
/// Members of the present set of whom there was a sign in this epoch: bit i for index i.
pub(super) const SEEN: Words<(), U256> = Words::new(system::STAKING, 14);
/// Members of the present set who failed to lead in this epoch: bit i for index i.
pub(super) const FAILED: Words<(), U256> = Words::new(system::STAKING, 15);
/// The gravest offence counted of a member of an epoch's set: 0 for none, see `evidence`.
pub(super) const PUNISHED: Words<(Epoch, ValidatorIndex), u64> = Words::new(system::STAKING, 16);
