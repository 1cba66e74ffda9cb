//! What a replica starts from, and what it shows of itself.

use std::sync::Arc;

use neura_types::{
    Anchor, Block, BlockId, CommitProof, Epoch, Height, ValidatorIndex, ValidatorSet, View,
    vote::ChainContext,
};

use crate::record::SafetyRecord;

/// Parameters of a replica.
#[derive(Debug, Clone)]
pub struct Config {
    /// What ties signatures to this chain.
    pub chain: ChainContext,
    /// The block that the epoch starts from.
    pub anchor: Anchor,
    /// The validators of the epoch.
    pub set: Arc<ValidatorSet>,
    /// Height of the epoch's last block.
    pub last_height: Height,
    /// This replica's index in the set; none for an observer.
    pub me: Option<ValidatorIndex>,
    /// First view timer, in milliseconds: above the idle distance of blocks by more than a round trip.
    pub base_timeout_ms: u64,
    /// Longest view timer, in milliseconds.
    pub max_timeout_ms: u64,
    /// Time after which an unanswered fetch is issued again, in milliseconds.
    pub fetch_retry_ms: u64,
    /// Above this many blocks that are not final yet, only empty ones are proposed.
    pub max_uncommitted: u64,
}

impl Config {
    /// Parameters for an epoch of a chain, with timers for a network of some ten milliseconds.
    pub fn new(
        chain: ChainContext,
        anchor: Anchor,
        (set, last_height): (Arc<ValidatorSet>, Height),
        me: Option<ValidatorIndex>,
    ) -> Self {
        Self {
            chain,
            anchor,
            set,
            last_height,
            me,
            base_timeout_ms: 1_000,
            max_timeout_ms: 10_000,
            fetch_retry_ms: 300,
            max_uncommitted: 16,
        }
    }
}

/// What survived the last run.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// The newest durable record of this epoch; none if nothing was ever signed in it.
    pub safety: Option<SafetyRecord>,
    /// The newest block whose commit was made durable, with its proof; the anchor at first. A batch of commits is to be
    /// made durable as a whole, so that its newest block has its proof.
    pub committed: (Arc<Block>, BlockId, Option<CommitProof>),
    /// The stored blocks above it, in any order.
    pub uncommitted: Vec<Arc<Block>>,
    /// The record was lost or damaged: follow, sign nothing.
    pub must_observe: bool,
}

impl Recovered {
    /// The first start of a chain.
    pub fn genesis(block: Arc<Block>) -> Self {
        let id = block.id();
        Self {
            safety: None,
            committed: (block, id, None),
            uncommitted: Vec::new(),
            must_observe: false,
        }
    }
}

/// Why a replica must not start.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StartError {
    /// The set has no such member, or another key.
    #[error(
        "the signing key is not the key of validator {0} in the set: check the key file and the genesis"
    )]
    NotMember(ValidatorIndex),
    /// An index without a key, or a key without an index.
    #[error("a validator needs both its index and its key; an observer has neither")]
    KeyAndIndex,
    /// The record belongs to another chain, epoch or key.
    #[error("the safety record belongs to another {0}: it must not be used here")]
    ForeignRecord(&'static str),
}

/// A replica's position, for metrics and status pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Current view.
    pub view: View,
    /// Its leader.
    pub leader: ValidatorIndex,
    /// View of the highest quorum certificate known.
    pub high_qc_view: View,
    /// Height of the newest final block.
    pub committed_height: Height,
    /// Its view.
    pub committed_view: View,
    /// Its id.
    pub committed_id: BlockId,
    /// Views given up since the last commit.
    pub timeouts_since_commit: u32,
    /// Blocks in the tree, the newest final one included.
    pub tree_blocks: usize,
    /// Blocks whose parents are missing.
    pub orphan_blocks: usize,
    /// Epoch served.
    pub epoch: Epoch,
    /// Whether blocks are being fetched.
    pub fetching: bool,
    /// Whether it signs nothing: an observer, or a validator whose record was lost.
    pub observing: bool,
}
