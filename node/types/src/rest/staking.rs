//! Validators, their stake, and those who delegate to them.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::{Amount, Epoch, Height, validator::ValidatorIndex};

/// `GET /v1/validators`: the set of the present epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Validators {
    /// Epoch that the set serves.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub epoch: Epoch,
    /// Sum of all powers.
    pub total_power: u64,
    /// The members in order of their indices.
    pub validators: Vec<ValidatorInfo>,
}

/// A registered validator, whether it serves or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ValidatorInfo {
    /// Index in the set of the present epoch; null outside of it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u16>))]
    pub index: Option<ValidatorIndex>,
    /// ed25519 key.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub public_key: B256,
    /// Account that registered it: receives its tips and commission.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub account: Address,
    /// Voting power in the present epoch; 0 outside of its set.
    pub power: u64,
    /// Where it stands with the elections.
    pub status: ValidatorStatus,
    /// Everything bonded to it, in wei.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub stake: Amount,
    /// The part of it that others than its own account have bonded, in wei.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub delegated: Amount,
    /// Its part of what its delegators earn, in basis points.
    pub commission_bps: u16,
    /// First epoch in which it can be released from jail; null if it is not in jail.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub jailed_until: Option<Epoch>,
    /// Epochs in a row without a sign of it.
    pub missed_epochs: u64,
    /// Whether it is passed over as a leader now, because it failed to lead.
    pub passed_over: bool,
}

/// Where a validator stands with the elections. One that left or is jailed keeps its power until the epochs that are
/// fixed already are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ValidatorStatus {
    /// Serves in the present epoch.
    Active,
    /// Stands for election, but does not serve in the present epoch.
    Waiting,
    /// Does not stand for election.
    Left,
    /// Is kept out until it asks to be let in again.
    Jailed,
    /// Contradicted itself: its key never serves again.
    Tombstoned,
}

impl std::fmt::Display for ValidatorStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Active => "active",
            Self::Waiting => "waiting",
            Self::Left => "left",
            Self::Jailed => "jailed",
            Self::Tombstoned => "tombstoned",
        })
    }
}

/// What an account has bonded to one validator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DelegationInfo {
    /// Account of the validator.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub operator: Address,
    /// Account of the delegator; the operator's own bond is a delegation, too.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub delegator: Address,
    /// Its shares of the validator's stake, as a decimal string.
    pub shares: String,
    /// What they are worth now, in wei.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub amount: Amount,
    /// Rewards to claim, in wei.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub rewards: Amount,
    /// Stake that left the validator and was not withdrawn.
    pub unbonding: Vec<UnbondingInfo>,
}

/// Stake on its way back to its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnbondingInfo {
    /// Epoch in which it left the validator.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub begun: Epoch,
    /// First epoch in which it can be withdrawn.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub released_at: Epoch,
    /// What it is worth now, in wei.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub amount: Amount,
}

/// `GET /v1/accounts/{address}/staking`: everything that an account has at stake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StakingAccount {
    /// The account.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub address: Address,
    /// Height that this was read at.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub height: Height,
    /// One entry for each validator at which it has anything.
    pub delegations: Vec<DelegationInfo>,
}
