//! COMMIT, and what a quorum certificate brings about.

use std::sync::Arc;

use neura_types::{BlockId, CommitProof, QuorumCertificate, commit_proof::TwoChain};

use crate::{
    bugs::{Bug, broken},
    input::Peer,
    invariants::two_chain,
    output::{CommittedBlock, Fault, Outbox, Output},
    replica::Replica,
};

impl Replica {
    /// A verified quorum certificate: it may be the highest, finish two chains, earn a commit vote, open a view.
    pub(crate) fn on_quorum(
        &mut self,
        qc: &QuorumCertificate,
        from: Option<Peer>,
        out: &mut Outbox,
    ) {
        if qc.view > self.high_qc.view || broken(Bug::HighQcRegresses) {
            self.high_qc = qc.clone();
            self.high_tc = self.high_tc.take().filter(|tc| tc.view > qc.view);
            self.want_certified(qc, from);
        }
        self.cast_commit_vote(qc, out);
        self.commit_two_chain(qc, out);
        self.enter(qc.view.saturating_add(1), out);
        // The highest certificate may have changed within a view that a timeout certificate opened.
        self.try_propose(out);
    }

    /// COMMIT by two chains: the parent of a certified block of the very next view is final.
    fn commit_two_chain(&mut self, qc: &QuorumCertificate, out: &mut Outbox) {
        let Some(child) = self.tree.block(&qc.block) else { return };
        let block = child.justify.view;
        // A block behind the epoch's last one never becomes final.
        let parent_is_tail = child.header.height.saturating_sub(1) > self.config.last_height
            && !broken(Bug::TailCommits);
        if block <= self.tree.view() || !two_chain(block, child.header.view) || parent_is_tail {
            return;
        }
        let proof = CommitProof::TwoChain(Box::new(TwoChain {
            header: child.header.clone(),
            justify: child.justify.clone(),
            certificate: qc.clone(),
        }));
        self.commit_by(proof, None, out);
    }

    /// A block was linked: certificates that came before it now count.
    pub(crate) fn commit_with(&mut self, id: &BlockId, out: &mut Outbox) {
        if self.high_qc.block == *id {
            let qc = self.high_qc.clone();
            self.cast_commit_vote(&qc, out);
            self.commit_two_chain(&qc, out);
        }
        if let Some(proof) = self.pending_proof.take_if(|proof| proof.block() == *id) {
            self.commit_by(proof, None, out);
        }
    }

    /// A proof of finality arrived.
    pub(crate) fn on_proof(&mut self, from: Peer, proof: CommitProof, out: &mut Outbox) {
        if proof.view() <= self.tree.view() {
            return;
        }
        if !self.verifier.proof(&proof) {
            return out.fault(from, Fault::Certificate);
        }
        self.commit_by(proof, Some(from), out);
    }

    /// COMMIT: the block and its ancestors become final, oldest first; without the block, it is fetched. Verified
    /// before.
    pub(crate) fn commit_by(&mut self, proof: CommitProof, from: Option<Peer>, out: &mut Outbox) {
        let (id, view) = (proof.block(), proof.view());
        if view <= self.tree.view() {
            return;
        }
        let mut blocks = self.tree.commit(&id);
        if broken(Bug::CommitReversed) {
            blocks.reverse();
        }
        if broken(Bug::CommitSkipsAncestors) {
            blocks.drain(..blocks.len().saturating_sub(1));
        }
        if blocks.is_empty() {
            self.want_proved(&proof, from);
            if self.pending_proof.as_ref().is_none_or(|known| known.view() < view) {
                self.pending_proof = Some(proof);
            }
        } else {
            self.deliver(blocks, proof, out);
        }
        // ENTER by a commit certificate.
        self.enter(view.saturating_add(1), out);
    }

    fn deliver(
        &mut self,
        blocks: Vec<(BlockId, Arc<neura_types::Block>)>,
        proof: CommitProof,
        out: &mut Outbox,
    ) {
        let newest = proof.block();
        for (id, block) in blocks {
            let proof = (id == newest).then(|| proof.clone());
            out.push(Output::Commit(CommittedBlock { id, block, proof }));
        }
        self.last_proof = Some(proof);
        let view = self.tree.view();
        self.pending_proof = self.pending_proof.take().filter(|proof| proof.view() > view);
        self.proposed = self.proposed.split_off(&view.saturating_add(1));
        self.pacemaker.on_commit();
        self.advance_windows();
    }
}
