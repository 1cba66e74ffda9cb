//! Batches: transactions that a validator sends to the others ahead of the block that orders them.

use alloy_primitives::{B256, Bytes};
use serde::{Deserialize, Serialize};

use crate::{
    hash::{Domain, hash_value},
    validator::ValidatorIndex,
};

/// Transactions on their way into blocks; named by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Who made it.
    pub author: ValidatorIndex,
    /// Counts its author's batches, so that two of the same transactions differ.
    pub sequence: u64,
    /// Encoded transactions in order of execution.
    pub items: Vec<Bytes>,
}

impl Batch {
    /// Its name.
    pub fn digest(&self) -> B256 {
        hash_value(Domain::Batch, self)
    }

    /// What a block says of it.
    pub fn reference(&self) -> BatchRef {
        BatchRef {
            digest: self.digest(),
            author: self.author,
            bytes: self
                .items
                .iter()
                .map(|item| u32::try_from(item.len()).unwrap_or(u32::MAX))
                .fold(0, u32::saturating_add),
            items: u32::try_from(self.items.len()).unwrap_or(u32::MAX),
        }
    }
}

/// A batch as a block names it. The sizes are checked against the batch before the block is voted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRef {
    /// [`Batch::digest`].
    pub digest: B256,
    /// Who made it: asked first when it is missing.
    pub author: ValidatorIndex,
    /// Bytes of its transactions.
    pub bytes: u32,
    /// Number of its transactions.
    pub items: u32,
}
