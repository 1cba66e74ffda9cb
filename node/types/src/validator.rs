//! Describe a validator set: members by index, power, quorum, leader of a view.
//!
//! Leaders follow a table in which every member stands as often as its power earns. Those who lately failed to lead
//! are passed over; who that is, a header says ([`Absence`]), so that all who hold it agree.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::{
    Epoch, Height, View,
    hash::{Domain, hash_value},
    keys::PublicKey,
};

/// Position of a validator in its epoch's set.
pub type ValidatorIndex = u16;

/// Most validators in a set: certificates stay below 20 kB.
pub const MAX_VALIDATORS: usize = 256;

/// Places in the leaders' table per member: shares are right to a sixteenth of an average one.
const PLACES_PER_MEMBER: usize = 16;

/// A validator that failed to lead and is passed over for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absence {
    /// Its index.
    pub validator: ValidatorIndex,
    /// Height of the block that followed the view it failed in.
    pub since: Height,
}

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
    /// Leaders in turn.
    table: Vec<ValidatorIndex>,
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
        let table = leaders_table(&members, total_power);
        Ok(Self { epoch, members, total_power, table })
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

    /// Leader of a view: the table's, or if it is absent another member of the table; replacements take turns. If all
    /// are absent, the table's.
    pub fn leader(&self, view: View, absent: &[Absence]) -> ValidatorIndex {
        let leads = |index: &ValidatorIndex| absent.iter().all(|a| a.validator != *index);
        let len = u64::try_from(self.table.len()).unwrap_or(1).max(1);
        let at = |place: u64| {
            let place = usize::try_from(place.checked_rem(len).unwrap_or(0)).unwrap_or(0);
            self.table.get(place).copied().unwrap_or(0)
        };
        let regular = at(view);
        if leads(&regular) {
            return regular;
        }
        let start = view.saturating_add(view.checked_div(len).unwrap_or(0));
        (0..len).map(|step| at(start.saturating_add(step))).find(leads).unwrap_or(regular)
    }

    /// Digest of the set.
    pub fn digest(&self) -> B256 {
        hash_value(Domain::ValidatorSet, self)
    }
}

/// Smooth weighted round robin: each step every member gains its power, the richest leads and pays the total. The
/// members of a set of equal powers stand in turn.
fn leaders_table(members: &[Validator], total_power: u64) -> Vec<ValidatorIndex> {
    let equal = members.windows(2).all(|pair| matches!(pair, [a, b] if a.power == b.power));
    let places = if equal { 1 } else { PLACES_PER_MEMBER }.saturating_mul(members.len());
    let mut credit = vec![0i128; members.len()];
    let mut table = Vec::with_capacity(places);
    for _ in 0..places {
        for (credit, member) in credit.iter_mut().zip(members) {
            *credit = credit.saturating_add(i128::from(member.power));
        }
        let richest = (0..ValidatorIndex::MAX)
            .zip(&mut credit)
            .max_by_key(|(index, credit)| (**credit, std::cmp::Reverse(*index)));
        if let Some((index, credit)) = richest {
            *credit = credit.saturating_sub(i128::from(total_power));
            table.push(index);
        }
    }
    table
}
