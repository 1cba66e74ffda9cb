//! Describe a validator set: members by index, power, quorum, leader of a view.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::{
    Epoch, View,
    hash::{Domain, hash_value},
    keys::PublicKey,
};

/// Position of a validator in its epoch's set.
pub type ValidatorIndex = u16;

/// Most validators in a set: certificates stay below 20 kB.
pub const MAX_VALIDATORS: usize = 256;

/// One member of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validator {
    /// Key that signs its consensus messages and is its libp2p identity.
    pub public_key: PublicKey,
    /// Account that receives its fees and rewards.
    pub account: Address,
    /// Voting power, above zero.
    pub power: u64,
}

/// Why a list of validators is no set.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ValidatorSetError {
    /// No members, or more than [`MAX_VALIDATORS`].
    #[error("a validator set has 1 to {MAX_VALIDATORS} members, not {0}")]
    Size(usize),
    /// A member without power, or a total past 2^63.
    #[error("validator {0} has no voting power or overflows the total")]
    Power(usize),
    /// Not a point of the curve: nobody can sign with it.
    #[error("{0} is not an ed25519 public key")]
    Key(PublicKey),
    /// A key stands twice.
    #[error("validator key {0} stands twice in the set")]
    Duplicate(PublicKey),
}

/// The validators of one epoch, in the order of their indices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawSet", into = "RawSet")]
pub struct ValidatorSet {
    epoch: Epoch,
    members: Vec<Validator>,
    total_power: u64,
}

#[derive(Clone, Serialize, Deserialize)]
struct RawSet {
    epoch: Epoch,
    members: Vec<Validator>,
}

impl TryFrom<RawSet> for ValidatorSet {
    type Error = ValidatorSetError;

    fn try_from(raw: RawSet) -> Result<Self, Self::Error> {
        Self::new(raw.epoch, raw.members)
    }
}

impl From<ValidatorSet> for RawSet {
    fn from(set: ValidatorSet) -> Self {
        Self { epoch: set.epoch, members: set.members }
    }
}

impl ValidatorSet {
    /// Checks and builds a set.
    ///
    /// # Errors
    /// See [`ValidatorSetError`].
    pub fn new(epoch: Epoch, members: Vec<Validator>) -> Result<Self, ValidatorSetError> {
        if members.is_empty() || members.len() > MAX_VALIDATORS {
            return Err(ValidatorSetError::Size(members.len()));
        }
        let mut keys = std::collections::BTreeSet::new();
        let mut total_power = 0u64;
        for (index, member) in members.iter().enumerate() {
            if !member.public_key.is_valid() {
                return Err(ValidatorSetError::Key(member.public_key));
            }
            if !keys.insert(member.public_key) {
                return Err(ValidatorSetError::Duplicate(member.public_key));
            }
            total_power = total_power
                .checked_add(member.power)
                .filter(|total| member.power > 0 && *total < 1 << 63)
                .ok_or(ValidatorSetError::Power(index))?;
        }
        Ok(Self { epoch, members, total_power })
    }

    /// The epoch that the set serves.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Number of members.
    #[expect(clippy::len_without_is_empty, reason = "a set is never empty")]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// The member at an index.
    pub fn get(&self, index: ValidatorIndex) -> Option<&Validator> {
        self.members.get(usize::from(index))
    }

    /// The members in order of their indices.
    pub fn iter(&self) -> impl Iterator<Item = (ValidatorIndex, &Validator)> {
        (0..=ValidatorIndex::MAX).zip(&self.members)
    }

    /// The index of a key.
    pub fn index_of(&self, key: &PublicKey) -> Option<ValidatorIndex> {
        self.iter().find(|(_, member)| member.public_key == *key).map(|(index, _)| index)
    }

    /// Sum of all powers.
    pub fn total_power(&self) -> u64 {
        self.total_power
    }

    /// Whether `power` is a quorum: more than two thirds of the total.
    pub fn is_quorum(&self, power: u64) -> bool {
        u128::from(power).saturating_mul(3) > u128::from(self.total_power).saturating_mul(2)
    }

    /// Whether `power` must include an honest member: more than one third of the total.
    pub fn includes_honest(&self, power: u64) -> bool {
        u128::from(power).saturating_mul(3) > u128::from(self.total_power)
    }

    /// Leader of a view: round robin over the members.
    pub fn leader(&self, view: View) -> ValidatorIndex {
        let count = u64::try_from(self.members.len()).unwrap_or(1);
        ValidatorIndex::try_from(view.checked_rem(count).unwrap_or(0)).unwrap_or(0)
    }

    /// Digest of the set.
    pub fn digest(&self) -> B256 {
        hash_value(Domain::ValidatorSet, self)
    }
}
