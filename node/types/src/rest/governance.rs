//! Epochs, and the votes that change what holds in them.

use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use crate::{Epoch, epoch::EpochConfig};

/// `GET /v1/epochs/{epoch}`: what holds in an epoch and, once it is over, the proof of how it ended.
///
/// The ends of consecutive epochs lead from a trusted set to the newest: see [`crate::epoch::follow`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EpochInfo {
    /// Its blocks, validators and parameters.
    #[cfg_attr(feature = "openapi", schema(value_type = super::schema::EpochConfig))]
    pub config: EpochConfig,
    /// Digest of the configuration: what the last block of the epoch before names.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub digest: B256,
    /// Its last block; null until that is final.
    pub end: Option<EpochEnd>,
}

/// The last block of an epoch. Its id covers the header and the digests of its certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EpochEnd {
    /// Id of the block.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: B256,
    /// Canonical encoding of its header, which names the digest of the next epoch's configuration.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub header: Bytes,
    /// Digest of its parent's certificate.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub justify: B256,
    /// Digest of the certificate that the view before timed out, if the block carries one.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub timeout: Option<B256>,
    /// Canonical encoding of the proof that the block is final.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub proof: Bytes,
}

/// A proposal to change parameters, or to go over to another version of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProposalInfo {
    /// Its number; the first is 1.
    pub id: u64,
    /// Operator that made it.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub proposer: Address,
    /// What for.
    pub title: String,
    /// Values for parameters; empty if this is about an upgrade.
    pub changes: Vec<ParameterChange>,
    /// The upgrade to schedule, if this asks for one.
    pub upgrade: Option<UpgradeInfo>,
    /// The upgrade that was scheduled and shall not take place, if this asks for that.
    pub cancels: Option<UpgradeInfo>,
    /// Epoch in which it was made.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub created_at: Epoch,
    /// Last epoch at whose end it can be accepted.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub expires_at: Epoch,
    /// What became of it.
    pub status: ProposalStatus,
    /// Voting power of the present epoch that approves, while it is open.
    pub approving: u64,
    /// All voting power of the present epoch: more than two thirds of it must approve.
    pub total_power: u64,
}

/// A value for a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ParameterChange {
    /// As in the genesis file, such as `slash_bps` or `fee_split.model_bps`.
    pub name: String,
    /// The value as a decimal string; amounts in wei.
    pub value: String,
}

/// A version of the protocol that all nodes must speak from an epoch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UpgradeInfo {
    /// The version.
    pub version: u16,
    /// First epoch of it.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub epoch: Epoch,
}

/// What became of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProposalStatus {
    /// Can be voted on.
    Open,
    /// Accepted.
    Passed,
    /// Ran out of time.
    Expired,
    /// Accepted, but at odds with a change or an upgrade that was accepted before: without effect.
    Failed,
    /// About an upgrade, and not accepted in time for the epoch that it names.
    Lapsed,
}

impl std::fmt::Display for ProposalStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Open => "open",
            Self::Passed => "passed",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Lapsed => "lapsed",
        })
    }
}
