//! Prove that a block is final to someone who holds only the validator set.

use serde::{Deserialize, Serialize};

use crate::{
    Epoch, View,
    block::{BlockId, Header, block_id},
    certificate::{Anchor, CertificateError, CommitCertificate, QuorumCertificate},
    validator::ValidatorSet,
    vote::ChainContext,
};

/// Why a proof proves nothing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CommitProofError {
    /// One of its certificates does not hold.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The header does not name the certified block as its parent, or is not the block of the child's certificate.
    #[error("the child's header does not link the two certificates")]
    Link,
    /// The views of block and child are not consecutive.
    #[error("the child's view {child} does not follow the block's view {block}")]
    Gap {
        /// View of the block.
        block: View,
        /// View of its child.
        child: View,
    },
}

/// Two certified blocks, parent and child, of consecutive views: the parent is final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TwoChain {
    /// Header of the child.
    pub header: Header,
    /// The child's certificate of its parent: of the block that is final.
    pub justify: QuorumCertificate,
    /// Certificate of the child.
    pub certificate: QuorumCertificate,
}

/// Proof that a block, and with it every ancestor, is final.
///
/// The commit certificate of an epoch's last block may be of a later view: of an empty block that follows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommitProof {
    /// A quorum of commit votes.
    Certificate(CommitCertificate),
    /// A certified child of the next view.
    TwoChain(Box<TwoChain>),
}

impl CommitProof {
    /// The final block.
    pub fn block(&self) -> BlockId {
        match self {
            Self::Certificate(certificate) => certificate.block,
            Self::TwoChain(pair) => pair.justify.block,
        }
    }

    /// The epoch whose set proves it.
    pub fn epoch(&self) -> Epoch {
        match self {
            Self::Certificate(certificate) => certificate.epoch,
            Self::TwoChain(pair) => pair.certificate.epoch,
        }
    }

    /// View of the final block, or of a later one of the same epoch.
    pub fn view(&self) -> View {
        match self {
            Self::Certificate(certificate) => certificate.view,
            Self::TwoChain(pair) => pair.justify.view,
        }
    }

    /// Checks every signature and link against the set of its epoch.
    ///
    /// # Errors
    /// See [`CommitProofError`].
    pub fn verify(
        &self,
        set: &ValidatorSet,
        chain: &ChainContext,
        anchor: Anchor,
    ) -> Result<(), CommitProofError> {
        match self {
            Self::Certificate(certificate) => Ok(certificate.verify(set, chain)?),
            Self::TwoChain(pair) => pair.verify(set, chain, anchor),
        }
    }
}

impl TwoChain {
    fn verify(
        &self,
        set: &ValidatorSet,
        chain: &ChainContext,
        anchor: Anchor,
    ) -> Result<(), CommitProofError> {
        let (block, child) = (self.justify.view, self.certificate.view);
        if block.checked_add(1) != Some(child) {
            return Err(CommitProofError::Gap { block, child });
        }
        // A child of the view after its parent's carries no timeout certificate.
        let linked = self.header.parent == self.justify.block
            && self.header.view == child
            && block_id(&self.header, &self.justify, None) == self.certificate.block;
        if !linked {
            return Err(CommitProofError::Link);
        }
        self.justify.verify(set, chain, anchor)?;
        Ok(self.certificate.verify(set, chain, anchor)?)
    }
}
