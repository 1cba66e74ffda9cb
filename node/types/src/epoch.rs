//! What holds during one epoch: its blocks, its validators, its parameters.
//!
//! The configuration of epoch *e + 1* follows from the state at the end of epoch *e - 1*, so that everyone knows it a
//! whole epoch ahead, and the last block of epoch *e* names it by its digest. Who trusts a set therefore can check the
//! next one: the chain of last blocks leads from genesis, or from a trusted checkpoint, to the newest set.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use crate::{
    Anchor, BlockId, CommitProof, Epoch, Genesis, Header, Height, Params,
    hash::{Domain, hash_value},
    validator::{ValidatorSet, ValidatorSetError},
    vote::ChainContext,
};

/// Version of the protocol that this program speaks: of the rules that all nodes must apply alike.
pub const PROTOCOL_VERSION: u16 = 1;

/// Evidence of an offence can be handed in until this many epochs after its own. As long as the shortest unbonding less
/// the epoch in which stake that left still counts, so that nobody takes stake away before an offence comes out.
pub const EVIDENCE_EPOCHS: Epoch = 2;

/// The configuration of one epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochConfig {
    /// Which epoch.
    pub epoch: Epoch,
    /// Height of its first block.
    pub first: Height,
    /// Height of its last block.
    pub last: Height,
    /// Version of the protocol: a program that knows only earlier ones must stop before the epoch.
    pub version: u16,
    /// Its validators.
    pub set: ValidatorSet,
    /// Its parameters.
    pub params: Params,
}

impl EpochConfig {
    /// Epoch 0 or 1 as genesis fixes them: the same validators and parameters.
    ///
    /// # Errors
    /// If the validators form no set.
    pub fn genesis(genesis: &Genesis, epoch: Epoch) -> Result<Self, ValidatorSetError> {
        let length = genesis.params.epoch_blocks;
        let first = epoch.saturating_mul(length).saturating_add(1);
        Ok(Self {
            epoch,
            first,
            last: first.saturating_add(length).saturating_sub(1),
            version: PROTOCOL_VERSION,
            set: ValidatorSet::new(epoch, genesis.validators.clone())?,
            params: genesis.params.clone(),
        })
    }

    /// What the last block of the epoch before names.
    pub fn digest(&self) -> B256 {
        hash_value(Domain::Epoch, self)
    }
}

/// Why one epoch does not lead to the next.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EpochChainError {
    /// The proof does not hold, or proves another block.
    #[error("the end of epoch {epoch} is not proved: {reason}")]
    NotProved {
        /// The epoch.
        epoch: Epoch,
        /// What is wrong with the proof.
        reason: String,
    },
    /// The block is not the last of the epoch.
    #[error("the block of height {height} is not the last of epoch {epoch}")]
    NotLast {
        /// The epoch.
        epoch: Epoch,
        /// Height of the block.
        height: Height,
    },
    /// The next configuration is not the one that the last block names.
    #[error("the last block of epoch {epoch} names another configuration of the next epoch")]
    Next {
        /// The epoch.
        epoch: Epoch,
    },
}

/// The last block of an epoch: the header whose identity is `id`, as the caller has checked, and the proof that it is
/// final.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// Its identity.
    pub id: BlockId,
    /// Its header.
    pub header: &'a Header,
    /// Proof by the epoch's set.
    pub proof: &'a CommitProof,
}

/// Goes from one trusted epoch to the next: the end of `present`, which starts from `anchor`, must be proved by its set
/// and name `next`. Returns what the next epoch starts from.
///
/// # Errors
/// See [`EpochChainError`].
pub fn follow(
    chain: &ChainContext,
    (present, anchor): (&EpochConfig, Anchor),
    end: End<'_>,
    next: &EpochConfig,
) -> Result<Anchor, EpochChainError> {
    let epoch = present.epoch;
    let not_proved = |reason: String| EpochChainError::NotProved { epoch, reason };
    if end.header.epoch != epoch || end.header.height != present.last {
        return Err(EpochChainError::NotLast { epoch, height: end.header.height });
    }
    if end.proof.block() != end.id {
        return Err(not_proved("the proof is of another block".into()));
    }
    end.proof.verify(&present.set, chain, anchor).map_err(|error| not_proved(error.to_string()))?;
    let continues =
        next.epoch.checked_sub(1) == Some(epoch) && next.first.checked_sub(1) == Some(present.last);
    if !continues || end.header.next_epoch != Some(next.digest()) {
        return Err(EpochChainError::Next { epoch });
    }
    Ok(Anchor { view: end.header.view, block: end.id })
}
