//! The signed messages of the protocol and the bytes that their signatures cover.
//!
//! Signed bytes bind chain, genesis, epoch, view, kind, block and parent view, so no signature serves twice.

use std::sync::Arc;

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use crate::{
    ChainId, Epoch, View,
    block::{Block, BlockId},
    certificate::{QuorumCertificate, TimeoutCertificate},
    commit_proof::CommitProof,
    hash::{Domain, hash_value},
    keys::Signature,
    validator::{ValidatorIndex, ValidatorSet},
};

/// What ties every signature to one chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainContext {
    /// EIP-155 chain id.
    pub chain_id: ChainId,
    /// Hash of the genesis file.
    pub genesis: B256,
}

/// What a signature says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Statement {
    /// "I propose this block in this view."
    Propose {
        /// View of the proposal.
        view: View,
        /// The block proposed.
        block: BlockId,
    },
    /// "This block may be certified in this view."
    Vote {
        /// View of the block.
        view: View,
        /// The block voted for.
        block: BlockId,
        /// View of its parent: makes violations of a lock provable.
        parent_view: View,
    },
    /// "I hold a quorum certificate of this view; the block is final as far as I am concerned."
    Commit {
        /// View of the certificate.
        view: View,
        /// The certified block; if it follows the epoch's last block, that one.
        block: BlockId,
    },
    /// "I give up on this view; the highest certificate I hold has this view."
    Timeout {
        /// The view given up.
        view: View,
        /// View of the sender's highest quorum certificate.
        high_qc_view: View,
    },
}

impl Statement {
    /// The digest that is signed.
    pub fn digest(&self, chain: &ChainContext, epoch: Epoch) -> B256 {
        let domain = match self {
            Self::Propose { .. } => Domain::Proposal,
            _ => Domain::Message,
        };
        hash_value(domain, &(chain, epoch, self))
    }

    /// The view that the statement is about.
    pub fn view(&self) -> View {
        match self {
            Self::Propose { view, .. }
            | Self::Vote { view, .. }
            | Self::Commit { view, .. }
            | Self::Timeout { view, .. } => *view,
        }
    }
}

/// A statement with its author and signature; what it says is only as good as the signature's check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// Epoch whose set `author` indexes.
    pub epoch: Epoch,
    /// Index of the signer.
    pub author: ValidatorIndex,
    /// What is said.
    pub statement: Statement,
    /// ed25519 over [`Statement::digest`].
    pub signature: Signature,
}

impl Signed {
    /// Checks the signature against the author's key in the set of its epoch.
    pub fn verify(&self, set: &ValidatorSet, chain: &ChainContext) -> bool {
        let digest = self.statement.digest(chain, self.epoch);
        self.epoch == set.epoch()
            && set.get(self.author).is_some_and(|member| {
                member.public_key.verify(digest.as_slice(), &self.signature).is_ok()
            })
    }

    /// Whether an honest key never makes both: same author and epoch, and
    /// - two proposals, votes or commit votes of one view with different content, or
    /// - a commit vote of view *r*, or a vote whose parent is of view *r*, and a timeout of that view or a later one
    ///   that reports a certificate below *r*: a lock that was denied, in whichever order they were made.
    ///
    /// Two timeouts of one view do not exclude each other: the later one may report a higher certificate.
    pub fn conflicts_with(&self, other: &Self) -> bool {
        let same_key = self.author == other.author && self.epoch == other.epoch;
        same_key
            && (contradict(&self.statement, &other.statement)
                || denies_lock(&self.statement, &other.statement)
                || denies_lock(&other.statement, &self.statement))
    }
}

/// Same slot, different content.
fn contradict(first: &Statement, second: &Statement) -> bool {
    let timeout = matches!(first, Statement::Timeout { .. });
    let same_kind = std::mem::discriminant(first) == std::mem::discriminant(second);
    same_kind && !timeout && first.view() == second.view() && first != second
}

/// Whether `timeout` reports less than `locked` shows that the signer knew. Who votes for a block knows its parent's
/// certificate; who casts a commit vote knows the block's; and neither is done in a view that was given up before.
fn denies_lock(locked: &Statement, timeout: &Statement) -> bool {
    let Statement::Timeout { view: given_up, high_qc_view } = *timeout else { return false };
    match *locked {
        Statement::Commit { view, .. } => given_up >= view && high_qc_view < view,
        Statement::Vote { view, parent_view, .. } => given_up >= view && high_qc_view < parent_view,
        Statement::Propose { .. } | Statement::Timeout { .. } => false,
    }
}

/// Two statements of one key that no honest replica makes together; each convicts with its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The statement seen first.
    pub first: Signed,
    /// The one that excludes it.
    pub second: Signed,
}

impl Evidence {
    /// Whether both signatures are good and the statements exclude each other.
    pub fn verify(&self, set: &ValidatorSet, chain: &ChainContext) -> bool {
        self.first.conflicts_with(&self.second)
            && self.first.verify(set, chain)
            && self.second.verify(set, chain)
    }
}

/// A block with its proposer's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The block, with the certificates that justify it; shared, so that a body is never copied.
    pub block: Arc<Block>,
    /// Proposer's signature over [`Statement::Propose`].
    pub signature: Signature,
}

/// A message between replicas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConsensusMessage {
    /// The leader's block for a view.
    Proposal(Box<Proposal>),
    /// A vote or a commit vote.
    Vote(Signed),
    /// A timeout with the certificate that it reports.
    Timeout(Signed, Box<QuorumCertificate>),
    /// A certificate that the receiver may lack: enters it into the next view.
    Quorum(Box<QuorumCertificate>),
    /// As `Quorum`, for a view that timed out.
    ViewChange(Box<TimeoutCertificate>),
    /// Proof that a block is final.
    Committed(Box<CommitProof>),
}
