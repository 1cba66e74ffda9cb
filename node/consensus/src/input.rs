//! What happens to a replica.

use std::sync::Arc;

use neura_types::{
    B256, BatchRef, Block, BlockId, Bytes, CommitProof, ExecutedRoot, ValidatorIndex, View,
    vote::ConsensusMessage,
};

use crate::output::FetchRequest;

/// Who sent something, as the transport authenticated it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// A member of the validator set.
    Validator(ValidatorIndex),
    /// Anyone else, by a number of the driver's choice.
    Other(u64),
}

/// What the driver adds to a proposal.
#[derive(Debug, Clone, Default)]
pub struct Body {
    /// Time of the block, in milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// Result of executing an ancestor.
    pub executed: ExecutedRoot,
    /// Batches that the block orders.
    pub batches: Vec<BatchRef>,
    /// Transactions that stand in no batch.
    pub payload: Vec<Bytes>,
    /// Digest of the next epoch's configuration, if the block is the last of its epoch.
    pub next_epoch: Option<B256>,
}

/// One event.
#[derive(Debug, Clone)]
pub enum Input {
    /// A message arrived.
    Message {
        /// Its sender, authenticated by the transport.
        from: Peer,
        /// The message.
        message: ConsensusMessage,
    },
    /// The time of the last [`crate::Output::SetTimer`] has come.
    Timer,
    /// A connection to a validator is up: it may lack our latest messages.
    Connected {
        /// The validator.
        peer: ValidatorIndex,
    },
    /// Answer to [`crate::Output::BuildPayload`], at any time; ignored once stale.
    Payload {
        /// View of the request.
        view: View,
        /// Parent of the request.
        parent: BlockId,
        /// The rest of the block.
        body: Box<Body>,
    },
    /// Answer to [`crate::Output::Validate`], at any time.
    Validated {
        /// The block asked about.
        block: BlockId,
        /// Whether it may be voted for, or why not.
        verdict: Result<(), String>,
    },
    /// Answer to [`FetchRequest::Ancestors`].
    Ancestors {
        /// Who answered.
        from: Peer,
        /// The block asked for.
        of: BlockId,
        /// Oldest first; the last one is `of`. Empty if the peer has it not.
        blocks: Vec<Arc<Block>>,
    },
    /// Answer to [`FetchRequest::Committed`].
    Committed {
        /// Who answered.
        from: Peer,
        /// Oldest first, from the height asked for up to the block that `proof` proves.
        blocks: Vec<Arc<Block>>,
        /// Proof of the last block; or of a later one, with no blocks, if the range up to it is too large. None if
        /// the peer has nothing newer.
        proof: Option<CommitProof>,
    },
    /// Nobody answered a fetch. Optional: an unanswered fetch is issued again anyway.
    FetchFailed {
        /// The request.
        request: FetchRequest,
    },
}
