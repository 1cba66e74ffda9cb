//! Forgeries of the Byzantine validator: certificates, proofs and statements that must be refused.

use std::sync::Arc;

use neura_consensus_bugs::{Input, Peer};
use neura_types::{
    B256, Block, BlockId, CommitProof, QuorumCertificate, ValidatorIndex, View,
    keys::Signature,
    vote::{ConsensusMessage, Proposal, Signed, Statement},
};

use super::arena::Arena;

impl Arena {
    /// Votes of views far ahead, as many as one pleases: they need no good signature to be kept.
    pub(super) fn flood(&mut self, votes: View) {
        let honest = self.honest();
        let Some(to) = self.rng.pick(&honest).copied() else { return };
        for ahead in 0..votes {
            let view = self.view + 1 + ahead;
            let statement = Statement::Vote { view, block: B256::ZERO, parent_view: view - 1 };
            let message =
                ConsensusMessage::Vote(garbage(self.realm.epoch(), self.byzantine, statement));
            let input = Input::Message { from: Peer::Validator(self.byzantine), message };
            self.step(to, input, usize::MAX);
        }
    }

    /// A quorum certificate that proves nothing.
    pub(super) fn forged_qc(&mut self) -> QuorumCertificate {
        let ids: Vec<(BlockId, View, View)> = self
            .watch
            .blocks
            .iter()
            .filter(|(_, block)| block.header.view + 4 > self.view)
            .map(|(id, block)| (*id, block.header.view, block.justify.view))
            .collect();
        let anchor = self.realm.anchor_qc();
        let Some((block, view, parent_view)) = self.rng.pick(&ids).copied() else { return anchor };
        let view = if self.rng.chance(30) { self.view + 1 } else { view };
        let vote = Statement::Vote { view, block, parent_view };
        let epoch = self.realm.epoch();
        let authors = |count: u16| 0..count;
        let signed: Vec<Signed> = match self.rng.below(5) {
            // Too few: half of the keys.
            0 => return self.few(vote).unwrap_or(anchor),
            // No signatures.
            1 => authors(3).map(|author| garbage(epoch, author, vote)).collect(),
            // Signed in the epoch before.
            2 => authors(3).map(|author| self.realm.signed_in(epoch - 1, author, vote)).collect(),
            // The anchor's view, but another block.
            3 => return QuorumCertificate { block, ..anchor },
            // One signer for three.
            _ => {
                let Some(mut qc) = self.realm.qc(&[self.own(vote)]) else { return anchor };
                let signature = self.own(vote).signature;
                let parts = (vec![1u8 << self.byzantine], vec![signature; 3]);
                let bytes = neura_types::codec::encode(&parts);
                if let Ok(signers) = neura_types::codec::decode(&bytes) {
                    qc.signers = signers;
                }
                return qc;
            }
        };
        self.realm.qc(&signed).unwrap_or(anchor)
    }

    /// The certificate of one honest key, if it voted so, and the Byzantine one.
    pub(super) fn few(&mut self, vote: Statement) -> Option<QuorumCertificate> {
        let mut signed = self.assemble(&vote);
        signed.truncate(2);
        self.realm.qc(&signed)
    }

    /// A proof of finality that proves nothing.
    pub(super) fn any_proof(&mut self) -> Option<CommitProof> {
        let qc = self.forged_qc();
        let statement = Statement::Commit { view: qc.view, block: qc.block };
        let epoch = self.realm.epoch();
        if self.rng.chance(50) {
            let child = self.watch.blocks.get(&qc.block).cloned()?;
            return Some(self.realm.two_chain(&child, qc));
        }
        let signed: Vec<Signed> = (0..3).map(|author| garbage(epoch, author, statement)).collect();
        self.realm.commit_certificate(&signed).map(CommitProof::Certificate)
    }

    pub(super) fn forge(&mut self) {
        let qc = self.forged_qc();
        let message = match self.rng.below(6) {
            0 => ConsensusMessage::Quorum(Box::new(qc)),
            1 => {
                // The anchor's certificate in the name of the newest block.
                let newest = self.watch.blocks.iter().max_by_key(|(_, block)| block.header.view);
                let Some(block) = newest.map(|(id, _)| *id) else { return };
                let qc = QuorumCertificate { block, ..self.realm.anchor_qc() };
                let view = self.near_view();
                let signed = self.own(Statement::Timeout { view, high_qc_view: qc.view });
                ConsensusMessage::Timeout(signed, Box::new(qc))
            }
            5 => {
                let view = self.near_view().max(qc.view + 1);
                let signed = self.own(Statement::Timeout { view, high_qc_view: qc.view });
                ConsensusMessage::Timeout(signed, Box::new(qc))
            }
            2 => {
                let view = self.near_view();
                let lie = self.rng.chance(50);
                let tc = self.any_tc(view, lie).unwrap_or_else(|| self.foreign_tc(view));
                ConsensusMessage::ViewChange(Box::new(tc))
            }
            3 => {
                let view = self.near_view();
                let statement = Statement::Timeout { view, high_qc_view: qc.view };
                let epoch = self.realm.epoch();
                let signed: Vec<Signed> = (0..3).map(|a| garbage(epoch, a, statement)).collect();
                let Some(tc) = self.realm.tc(&signed, &qc) else { return };
                ConsensusMessage::ViewChange(Box::new(tc))
            }
            _ => {
                let Some(proof) = self.any_proof() else { return };
                ConsensusMessage::Committed(Box::new(proof))
            }
        };
        self.say_to_some(&message);
    }

    /// Statements in the names of others.
    pub(super) fn impersonate(&mut self) {
        let honest = self.honest();
        let Some(author) = self.rng.pick(&honest).copied() else { return };
        let ids: Vec<(BlockId, View, View)> = self
            .watch
            .blocks
            .iter()
            .map(|(id, block)| (*id, block.header.view, block.justify.view))
            .filter(|(_, view, _)| view + 4 > self.view)
            .collect();
        let Some((block, view, parent_view)) = self.rng.pick(&ids).copied() else { return };
        let epoch = self.realm.epoch();
        let message = match self.rng.below(4) {
            0 => ConsensusMessage::Vote(garbage(
                epoch,
                author,
                Statement::Vote { view, block, parent_view },
            )),
            1 => ConsensusMessage::Vote(garbage(epoch, author, Statement::Commit { view, block })),
            2 => {
                let qc = self.any_qc();
                let view = self.near_view().max(qc.view + 1);
                let statement = Statement::Timeout { view, high_qc_view: qc.view };
                ConsensusMessage::Timeout(garbage(epoch, author, statement), Box::new(qc))
            }
            _ => {
                let qc = self.any_qc();
                let Some(parent) = self.watch.blocks.get(&qc.block).cloned() else { return };
                let view = qc.view + 1;
                let block = Arc::new(self.realm.child(&parent, view, (qc, None), 6));
                self.watch.blocks.insert(block.id(), Arc::clone(&block));
                let signature = Signature([6; 64]);
                ConsensusMessage::Proposal(Box::new(Proposal { block, signature }))
            }
        };
        // Not heard: a forgery is no part of a certificate.
        for to in self.honest() {
            if to != author && self.rng.chance(70) {
                self.send(Peer::Validator(self.byzantine), to, message.clone());
            }
        }
    }

    /// True statements and certificates, late or to few.
    pub(super) fn relay(&mut self) {
        let view = self.near_view();
        let message = match self.rng.below(3) {
            0 => ConsensusMessage::Quorum(Box::new(self.any_qc())),
            1 => match self.any_tc(view, false) {
                Some(tc) => ConsensusMessage::ViewChange(Box::new(tc)),
                None => return,
            },
            _ => {
                let signed: Vec<Signed> = self
                    .heard
                    .iter()
                    .filter(|(statement, _)| !matches!(statement, Statement::Timeout { .. }))
                    .flat_map(|(_, by)| by.values().copied())
                    .filter(|signed| signed.statement.view() + 6 > view)
                    .collect();
                let Some(signed) = self.rng.pick(&signed).copied() else { return };
                ConsensusMessage::Vote(signed)
            }
        };
        self.say_to_some(&message);
    }

    /// Blocks that nobody certified, for a replica that asked for others.
    pub(super) fn lie(&mut self, to: ValidatorIndex) -> Vec<Arc<Block>> {
        let Some(view) = self.nodes.get(&to).map(|node| node.status().view) else {
            return Vec::new();
        };
        let qc = self.any_qc();
        let Some(parent) = self.watch.blocks.get(&qc.block).cloned() else { return Vec::new() };
        if view <= qc.view {
            return Vec::new();
        }
        let timeout = (qc.view + 1 != view).then(|| self.foreign_tc(view - 1));
        let mut block = self.realm.child(&parent, view, (qc, timeout), 8);
        if block.timeout.is_none() {
            // Its certificate keeps its shape, but not its signatures.
            let few = self.few(Statement::Vote {
                view: block.justify.view,
                block: block.justify.block,
                parent_view: block.justify.parent_view,
            });
            block.justify = few.unwrap_or(block.justify);
        }
        let block = Arc::new(block);
        self.watch.blocks.insert(block.id(), Arc::clone(&block));
        vec![block]
    }
}

fn garbage(epoch: u64, author: ValidatorIndex, statement: Statement) -> Signed {
    Signed { epoch, author, statement, signature: Signature([5; 64]) }
}
