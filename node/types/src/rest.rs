//! JSON bodies of the REST interface, shared by the server and its clients.
//!
//! Values of the chain that already have a JSON form ([`Task`], [`Provider`], [`Requester`], [`Params`]) are sent
//! as they are. Hashes and addresses are `0x` hexadecimal, amounts decimal strings in wei, heights and times numbers,
//! times in milliseconds since the Unix epoch. Fields that do not apply are `null`.

mod answers;
mod chain;
mod governance;
#[cfg(feature = "openapi")]
pub mod schema;
mod staking;
#[cfg(test)]
mod tests;

use alloy_primitives::U256;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use answers::{
    BlobStored, ChainEvent, FaucetGrant, FaucetRequest, MatchRequest, NoteTaken, Problem,
    ProviderMatch, Shortfall, SubmitRequest, Submitted, TaskChange,
};
pub use chain::{
    AccountInfo, AccountProof, BlockDetail, BlockExecution, BlockSummary, Finality, Inclusion,
    LogInfo, ReceiptInfo, Status, TransactionInfo,
};
pub use governance::{
    EpochEnd, EpochInfo, ParameterChange, ProposalInfo, ProposalStatus, UpgradeInfo,
};
pub use staking::{
    DelegationInfo, StakingAccount, UnbondingInfo, ValidatorInfo, ValidatorStatus, Validators,
};

#[expect(unused_imports, reason = "named in the module's documentation")]
use crate::{
    Params,
    provider::{Provider, Requester},
    task::Task,
};

/// Most entries that one page of a listing holds; a larger `limit` is cut to this.
pub const MAX_PAGE: u32 = 100;
/// Entries of a page if no `limit` is given.
pub const DEFAULT_PAGE: u32 = 20;

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The entries, in the order of the listing.
    pub items: Vec<T>,
    /// What to pass as `before` or `after` (as the listing says) for the next page; null on the last one.
    pub next: Option<String>,
}

/// An amount of 256 bits in wei. Text form: a decimal string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Wei(pub U256);

impl From<u128> for Wei {
    fn from(value: u128) -> Self {
        Self(U256::from(value))
    }
}

impl std::fmt::Display for Wei {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Serialize for Wei {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Wei {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let value = if digits { U256::from_str_radix(&text, 10).ok() } else { None };
        value.map(Self).ok_or_else(|| {
            serde::de::Error::custom(format!("'{text}' is not a decimal amount in wei"))
        })
    }
}
