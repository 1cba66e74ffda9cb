//! The end of an epoch, and messages of other epochs.
//!
//! The epoch's last block names the next configuration. Until it is final, empty blocks follow it, so that its
//! certificate earns commit votes; they never become final themselves. Once the last block is final, this replica has
//! done its work: the driver starts another one for the next epoch, anchored at that block.

use neura_types::{BlockId, Epoch, Header, QuorumCertificate, vote::ConsensusMessage};

use crate::{
    bugs::{Bug, broken},
    input::Peer,
    output::{Outbox, Output},
    replica::Replica,
};

impl Replica {
    /// Whether the epoch's last block is final: nothing is signed any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.tree.height() >= self.config.last_height && !broken(Bug::EndIgnored)
    }

    /// The block that a commit vote on a certificate names: the certified one, or the epoch's last one if that is an
    /// ancestor. None while the certified block is not linked: it may be such a descendant.
    pub(crate) fn committable(&self, qc: &QuorumCertificate) -> Option<BlockId> {
        let mut id = qc.block;
        loop {
            let block = self.tree.block(&id)?;
            if block.header.height <= self.config.last_height || broken(Bug::CommitNamesTail) {
                return Some(id);
            }
            id = block.header.parent;
        }
    }

    /// Whether a block of this height follows the epoch's last one.
    pub(crate) fn is_tail(&self, header: &Header) -> bool {
        header.height > self.config.last_height
    }

    /// A message of another epoch. Who is stuck in an older one is given the proof that ended it; who speaks of a newer
    /// one knows blocks that we lack.
    pub(crate) fn on_other_epoch(
        &mut self,
        from: Peer,
        message: &ConsensusMessage,
        out: &mut Outbox,
    ) {
        if epoch_of(message) > self.config.set.epoch() {
            return self.sync.follow(from);
        }
        let stuck = matches!(message, ConsensusMessage::Timeout(..));
        if let (true, Peer::Validator(to), Some(proof)) = (stuck, from, &self.entry_proof) {
            let message = ConsensusMessage::Committed(Box::new(proof.clone()));
            out.push(Output::Send { to, message });
        }
    }

    /// What is left to do after the epoch: to help those who have not seen its end.
    pub(crate) fn on_message_after_end(
        &self,
        from: Peer,
        message: &ConsensusMessage,
        out: &mut Outbox,
    ) {
        if let ConsensusMessage::Timeout(signed, _) = message {
            self.bring_along(from, signed, out);
        }
    }
}

/// The epoch that a message belongs to.
pub(crate) fn epoch_of(message: &ConsensusMessage) -> Epoch {
    match message {
        ConsensusMessage::Proposal(proposal) => proposal.block.header.epoch,
        ConsensusMessage::Vote(signed) | ConsensusMessage::Timeout(signed, _) => signed.epoch,
        ConsensusMessage::Quorum(qc) => qc.epoch,
        ConsensusMessage::ViewChange(tc) => tc.epoch,
        ConsensusMessage::Committed(proof) => proof.epoch(),
    }
}
