//! VOTE and COMMIT-VOTE: cast our own, collect everyone's.

use std::sync::Arc;

use neura_types::{
    BlockId, CommitCertificate, CommitProof, QuorumCertificate,
    vote::{ConsensusMessage, Signed, Statement},
};

use crate::{
    aggregator::Added,
    bugs::{Bug, broken},
    input::Peer,
    output::{Fault, Outbox, Output},
    replica::Replica,
    tree::Check,
};

/// Chains of blocks that are not final may be this many times longer for a voter than for a proposer, who may know
/// of a later commit.
const VOTER_SLACK: u64 = 2;

impl Replica {
    /// Asks for the check of the first block of the current view, unless one is being checked or was found good.
    pub(crate) fn consider_votes(&mut self, out: &mut Outbox) {
        let view = self.view();
        if !self.safety.vote_is_free(view) || self.has_ended() {
            return;
        }
        for id in self.tree.of_view(view) {
            let Some(node) = self.tree.node_mut(&id) else { continue };
            match node.check {
                Check::Asked | Check::Valid if !broken(Bug::VoteTwice) => return,
                Check::Asked | Check::Valid => continue,
                Check::Invalid => continue,
                Check::Unchecked => {}
            }
            let block = Arc::clone(&node.block);
            let limit = self.config.max_uncommitted.saturating_mul(VOTER_SLACK);
            let too_long = self.is_beyond(block.header.height, limit) && !block.is_empty();
            let Some(parent) = self.tree.block(&block.header.parent).cloned() else { continue };
            let Some(node) = self.tree.node_mut(&id).filter(|_| !too_long) else { continue };
            node.check = Check::Asked;
            out.push(Output::Validate { id, block, parent });
            return;
        }
    }

    /// The driver checked a block.
    pub(crate) fn on_validated(&mut self, id: &BlockId, good: bool, out: &mut Outbox) {
        let Some(node) = self.tree.node_mut(id).filter(|node| node.check == Check::Asked) else {
            return;
        };
        let good = good || broken(Bug::VerdictIgnored);
        node.check = if good { Check::Valid } else { Check::Invalid };
        if good {
            self.cast_vote(id, out);
        } else {
            self.consider_votes(out);
        }
    }

    /// VOTE: for a block of the current view, whose certificates and body are good, once.
    pub(crate) fn cast_vote(&mut self, id: &BlockId, out: &mut Outbox) {
        let Some(block) = self.tree.block(id).cloned() else { return };
        if block.header.view != self.view() || self.has_ended() {
            return;
        }
        let Some(permit) = self.safety.vote(&block, *id) else { return };
        if !broken(Bug::VotedBlockNotStored) {
            out.store(*id, block);
        }
        let persisted = out.persist(permit);
        let Some(signed) = self.safety.sign(persisted) else { return };
        self.own.vote = Some(signed);
        out.push(Output::Broadcast(ConsensusMessage::Vote(signed)));
        self.votes.add_own(signed);
        self.certify(&signed.statement, out);
    }

    /// COMMIT-VOTE: for a certified block of a view that was not given up, once.
    pub(crate) fn cast_commit_vote(&mut self, qc: &QuorumCertificate, out: &mut Outbox) {
        if qc.view <= self.tree.view() || self.has_ended() {
            return;
        }
        let Some(block) = self.committable(qc) else { return };
        let Some(permit) = self.safety.commit(qc, block) else { return };
        let persisted = out.persist(permit);
        let Some(signed) = self.safety.sign(persisted) else { return };
        self.own.commit = Some(signed);
        out.push(Output::Broadcast(ConsensusMessage::Vote(signed)));
        self.commits.add_own(signed);
        self.finalize(&signed.statement, out);
    }

    /// A vote arrived.
    pub(crate) fn on_vote(&mut self, from: Peer, signed: Signed, out: &mut Outbox) {
        let own_place = from == Peer::Validator(signed.author);
        let verifier = &self.verifier;
        match self.votes.add(signed, own_place, |signed| verifier.signed(signed)) {
            Added::Kept => {
                self.compare_with_timeout(&signed, out);
                self.certify(&signed.statement, out);
            }
            Added::Ignored => {}
            Added::Invalid => out.fault(from, Fault::Signature),
            Added::Conflict(evidence) => self.convict(*evidence, out),
        }
    }

    /// A commit vote arrived.
    pub(crate) fn on_commit_vote(&mut self, from: Peer, signed: Signed, out: &mut Outbox) {
        let own_place = from == Peer::Validator(signed.author);
        let verifier = &self.verifier;
        match self.commits.add(signed, own_place, |signed| verifier.signed(signed)) {
            Added::Kept => {
                self.compare_with_timeout(&signed, out);
                self.finalize(&signed.statement, out);
            }
            Added::Ignored => {}
            Added::Invalid => out.fault(from, Fault::Signature),
            Added::Conflict(evidence) => self.convict(*evidence, out),
        }
    }

    /// Assembles a quorum certificate once a quorum voted, unless a higher one is known.
    fn certify(&mut self, statement: &Statement, out: &mut Outbox) {
        let Statement::Vote { view, block, parent_view } = *statement else { return };
        if view <= self.high_qc.view {
            return;
        }
        let verifier = &self.verifier;
        let collected = self.votes.collect(statement, |signed| verifier.signed(signed));
        for author in collected.faulty {
            out.fault(Peer::Validator(author), Fault::Signature);
        }
        let Some(signers) = collected.signers else { return };
        let epoch = self.config.set.epoch();
        let qc = QuorumCertificate { epoch, view, block, parent_view, signers };
        self.verifier.trust(qc.digest());
        self.forward(&qc, out);
        self.on_quorum(&qc, None, out);
    }

    /// Votes go to everyone, so most replicas assemble the certificate themselves. The next leader must have it; all
    /// are told if the view was given up here, which says that messages get lost.
    fn forward(&self, qc: &QuorumCertificate, out: &mut Outbox) {
        let message = ConsensusMessage::Quorum(Box::new(qc.clone()));
        let next = self.leader(qc.view.saturating_add(1));
        if self.safety.observes() || qc.view < self.view() {
            return;
        }
        if self.pacemaker.own_timeout().is_some() {
            out.push(Output::Broadcast(message));
        } else if self.config.me != Some(next) {
            out.push(Output::Send { to: next, message });
        }
    }

    /// Assembles a commit certificate once a quorum cast commit votes.
    fn finalize(&mut self, statement: &Statement, out: &mut Outbox) {
        let Statement::Commit { view, block } = *statement else { return };
        if view <= self.tree.view() {
            return;
        }
        let verifier = &self.verifier;
        let collected = self.commits.collect(statement, |signed| verifier.signed(signed));
        for author in collected.faulty {
            out.fault(Peer::Validator(author), Fault::Signature);
        }
        let Some(signers) = collected.signers else { return };
        let epoch = self.config.set.epoch();
        let certificate = CommitCertificate { epoch, view, block, signers };
        self.verifier.trust(certificate.digest());
        self.commit_by(CommitProof::Certificate(certificate), None, out);
    }
}
