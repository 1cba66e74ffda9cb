//! What a replica asks of its driver.

use std::sync::Arc;

use neura_types::{
    Block, BlockId, CommitProof, Height, ValidatorIndex, View,
    vote::{ConsensusMessage, Evidence, Statement},
};

use crate::{
    bugs::{Bug, broken},
    input::Peer,
    invariants::HeaderFault,
    record::SafetyRecord,
    safety::Permit,
};

/// A block that became final.
#[derive(Debug, Clone)]
pub struct CommittedBlock {
    /// Its id.
    pub id: BlockId,
    /// The block.
    pub block: Arc<Block>,
    /// Proof that it is final; present at least on the newest block of a batch, which proves the others.
    pub proof: Option<CommitProof>,
}

/// Blocks to get from peers, at most [`crate::MAX_RANGE_BLOCKS`] and [`crate::MAX_RANGE_BYTES`] at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchRequest {
    /// A block and its ancestors, as many as fit.
    Ancestors {
        /// The block.
        of: BlockId,
        /// Height below the oldest block wanted.
        down_to: Height,
        /// Peers that should have them, best first; empty: any.
        ask: Vec<Peer>,
    },
    /// Final blocks with a proof of the last one.
    Committed {
        /// Height of the first.
        from: Height,
        /// Peers that should have them, best first; empty: any.
        ask: Vec<Peer>,
    },
}

/// What a peer did wrong. An honest peer does none of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A signature that does not verify.
    #[error("a signature does not verify")]
    Signature,
    /// A certificate or proof that does not verify.
    #[error("a certificate does not verify")]
    Certificate,
    /// A proposal that breaks a rule.
    #[error("a proposal breaks a rule: {0}")]
    Proposal(HeaderFault),
    /// A message whose statement is of another kind, or whose parts contradict each other.
    #[error("a message contradicts itself")]
    Malformed,
    /// Blocks that are not a chain, or not the chain asked for.
    #[error("blocks sent are not the chain asked for")]
    Range,
}

/// One thing to do. [`Output::StoreBlock`] and [`Output::Persist`] stand before everything else of a step and must be
/// durable before anything after them is done.
#[derive(Debug, Clone)]
pub enum Output {
    /// Keep this block until one of its height is final.
    StoreBlock {
        /// Its id.
        id: BlockId,
        /// The block.
        block: Arc<Block>,
    },
    /// Make this record durable; if that fails the process must end. At most one per step; a later record includes
    /// all earlier ones.
    Persist(Box<SafetyRecord>),
    /// Send to one validator.
    Send {
        /// The receiver.
        to: ValidatorIndex,
        /// The message.
        message: ConsensusMessage,
    },
    /// Send to every other validator.
    Broadcast(ConsensusMessage),
    /// Bring [`crate::Input::Timer`] at this time; replaces the earlier request.
    SetTimer {
        /// On the clock of `now_ms`.
        at_ms: u64,
    },
    /// Build the body of a block; replaces the earlier request.
    BuildPayload {
        /// View to propose in.
        view: View,
        /// The parent.
        parent: BlockId,
        /// Height of the new block.
        height: Height,
        /// Time of the parent: the new block's must be above.
        parent_timestamp_ms: u64,
        /// Executed height of the parent: the new block's must not be below.
        parent_executed: Height,
        /// Too many blocks are not final yet, or the epoch is at its end: no transactions.
        must_be_empty: bool,
        /// The block is the last of its epoch: it names the next one's configuration.
        ends_epoch: bool,
    },
    /// Check a proposed body and executed root.
    Validate {
        /// The block's id.
        id: BlockId,
        /// The block.
        block: Arc<Block>,
        /// Its parent.
        parent: Arc<Block>,
    },
    /// Get blocks.
    Fetch(FetchRequest),
    /// Execute this block: it is final. Oldest first, each once, without gaps. Those without a proof are to be made
    /// durable together with the next one that has it.
    Commit(CommittedBlock),
    /// A validator signed two statements that exclude each other.
    Evidence(Box<Evidence>),
    /// A peer sent something that no honest peer sends.
    PeerFault {
        /// The peer.
        peer: Peer,
        /// What it did.
        reason: Fault,
    },
}

/// A statement whose record stands in the outputs of this step, before anything that is sent in it.
#[derive(Debug)]
pub(crate) struct Persisted(Statement);

impl Persisted {
    /// What may be signed.
    pub(crate) fn statement(&self) -> Statement {
        self.0
    }
}

/// Collects the outputs of one step: what must be durable first, then the rest in order.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    stores: Vec<Output>,
    record: Option<Box<SafetyRecord>>,
    rest: Vec<Output>,
}

impl Outbox {
    /// Asks for a block to be stored.
    pub(crate) fn store(&mut self, id: BlockId, block: Arc<Block>) {
        self.stores.push(Output::StoreBlock { id, block });
    }

    /// Asks for the permit's record to be made durable. A later permit's record includes it, so one is enough.
    pub(crate) fn persist(&mut self, permit: Permit) -> Persisted {
        let (statement, record) = permit.into_parts();
        let forgotten =
            broken(Bug::CommitNotPersisted) && matches!(statement, Statement::Commit { .. });
        if !forgotten {
            self.record = Some(record);
        }
        Persisted(statement)
    }

    /// Adds anything that has no durability of its own.
    pub(crate) fn push(&mut self, output: Output) {
        self.rest.push(output);
    }

    /// Names a peer that sent something invalid.
    pub(crate) fn fault(&mut self, peer: Peer, reason: Fault) {
        self.push(Output::PeerFault { peer, reason });
    }

    /// The outputs of the step.
    pub(crate) fn finish(self) -> Vec<Output> {
        let mut outputs = self.stores;
        let record = self.record.map(Output::Persist);
        if broken(Bug::PersistAfterSend) {
            outputs.extend(self.rest);
            outputs.extend(record);
        } else {
            outputs.extend(record);
            outputs.extend(self.rest);
        }
        outputs
    }
}
