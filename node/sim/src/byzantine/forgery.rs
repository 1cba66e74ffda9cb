//! Blocks that break one rule, rightly signed, and certificates that nobody earned.

use std::sync::Arc;

use neura_types::{
    Absence, B256, Beacon, Block, CommitCertificate, CommitProof, QuorumCertificate,
    TimeoutCertificate, View,
    beacon::Place,
    block::payload_digest,
    certificate::Signers,
    codec,
    keys::Signature,
    vote::{ConsensusMessage, Proposal, Statement},
};
use rand::{RngExt, rand_core::Rng};

use super::Liar;

/// Rules of a block that can be broken.
const BROKEN_RULES: u32 = 16;

impl Liar<'_> {
    /// The proposal with one rule broken.
    pub(super) fn unlawful_proposal(&self, block: &Block, rng: &mut impl Rng) -> ConsensusMessage {
        let mut block = block.clone();
        self.break_rule(&mut block, rng);
        self.propose(block)
    }

    /// The proposal with a value without a proof, the link due at another place, or none.
    pub(super) fn forged_beacon(&self, block: &Block, rng: &mut impl Rng) -> ConsensusMessage {
        let mut block = block.clone();
        let place = Place { chain: self.context, epoch: self.config.epoch, parent: &block.header };
        let none = Beacon::genesis(self.context.genesis);
        block.header.beacon = match rng.random_range(0..3) {
            0 => Beacon { value: B256::repeat_byte(8), ..block.header.beacon },
            1 => Beacon::next(place, self.key).unwrap_or(none),
            _ => none,
        };
        self.propose(block)
    }

    /// A block as this validator's proposal.
    pub(super) fn propose(&self, block: Block) -> ConsensusMessage {
        let statement = Statement::Propose { view: block.header.view, block: block.id() };
        let signature = self.sign(statement).signature;
        ConsensusMessage::Proposal(Box::new(Proposal { block: Arc::new(block), signature }))
    }

    fn break_rule(&self, block: &mut Block, rng: &mut impl Rng) {
        let (epoch, old) = (self.config.epoch, self.old_certificate(rng));
        let header = &mut block.header;
        match rng.random_range(0..BROKEN_RULES) {
            0 => header.executed.state_root = B256::repeat_byte(3),
            1 => header.height += 1,
            2 => header.timestamp_ms = 0,
            3 => header.executed.height = header.height,
            4 => header.executed.height = 0,
            5 => header.absent.push(Absence { validator: self.index, since: header.height }),
            6 => header.next_epoch = header.next_epoch.xor(Some(B256::repeat_byte(4))),
            7 => block.payload.push(vec![9; 9].into()),
            8 => {
                // Behind the epoch's end this is against the rules, before it is not.
                block.payload.push(vec![9; 9].into());
                header.payload_digest = payload_digest(&block.batches, &block.payload);
            }
            9 => header.parent = old.block,
            // An old parent, over views that nothing proves dead, with or without a certificate of other views.
            10 => {
                (header.parent, block.justify, block.timeout) = (old.block, old, None);
            }
            11 => {
                header.parent = old.block;
                block.timeout = Some(self.own_timeouts(header.view.saturating_sub(1), &old));
                block.justify = old;
            }
            12 => {
                (header.parent, block.justify) = (old.block, old);
            }
            13 => header.view += 1,
            14 => block.timeout = Some(self.own_timeouts(block.justify.view, &old)),
            _ => {
                let forged = self.forged_quorum(block.justify.view, block.justify.block, rng);
                block.justify = QuorumCertificate { epoch, ..forged };
            }
        }
    }

    fn old_certificate(&self, rng: &mut impl Rng) -> QuorumCertificate {
        let own = self.old.iter().filter(|old| old.epoch == self.config.epoch);
        let known: Vec<&QuorumCertificate> = own.collect();
        match known.len() {
            0 => self.forged_quorum(1, B256::repeat_byte(6), rng),
            count => known[rng.random_range(0..count)].clone(),
        }
    }

    /// A timeout certificate for which nobody but its maker signed.
    fn own_timeouts(&self, view: View, high_qc: &QuorumCertificate) -> TimeoutCertificate {
        let statement = Statement::Timeout { view, high_qc_view: high_qc.view };
        let signature = self.sign(statement).signature;
        let all = self.config.set.iter().map(|(index, _)| (index, signature));
        TimeoutCertificate {
            epoch: self.config.epoch,
            view,
            reported: vec![high_qc.view; self.config.set.len()],
            high_qc: high_qc.clone(),
            signers: Signers::collect(&self.config.set, all),
        }
    }

    /// Its own signature for everyone, or many times for itself, or a few for too many.
    fn forged_signers(&self, statement: Statement, rng: &mut impl Rng) -> Signers {
        let (set, signature) = (&self.config.set, self.sign(statement).signature);
        match rng.random_range(0..3) {
            0 => Signers::collect(set, set.iter().map(|(index, _)| (index, signature))),
            1 => {
                let own = Signers::collect(set, [(self.index, signature)]);
                let Ok((bitmap, _)) =
                    codec::decode::<(Vec<u8>, Vec<Signature>)>(&codec::encode(&own))
                else {
                    return own;
                };
                let many = vec![signature; set.len()];
                codec::decode(&codec::encode(&(bitmap, many))).unwrap_or(own)
            }
            _ => Signers::collect(set, [(self.index, signature)]),
        }
    }

    fn forged_quorum(&self, view: View, block: B256, rng: &mut impl Rng) -> QuorumCertificate {
        let parent_view = view.saturating_sub(1);
        let statement = Statement::Vote { view, block, parent_view };
        let signers = self.forged_signers(statement, rng);
        QuorumCertificate { epoch: self.config.epoch, view, block, parent_view, signers }
    }

    /// A certificate of views ahead, or a proof of finality, that nobody earned.
    pub(super) fn forged(&self, view: View, block: B256, rng: &mut impl Rng) -> ConsensusMessage {
        let ahead = view + rng.random_range(0..3);
        let epoch = self.config.epoch + u64::from(rng.random_ratio(1, 4));
        match rng.random_range(0..5) {
            0 => {
                let qc = QuorumCertificate { epoch, ..self.forged_quorum(ahead, block, rng) };
                ConsensusMessage::Quorum(Box::new(qc))
            }
            1 => {
                let high_qc = self.old_certificate(rng);
                let tc = TimeoutCertificate { epoch, ..self.own_timeouts(ahead, &high_qc) };
                ConsensusMessage::ViewChange(Box::new(tc))
            }
            2 => {
                // A certificate of the view that needs none, for another block.
                let mut qc = QuorumCertificate::genesis(block);
                qc.epoch = self.config.epoch;
                let signed = self.sign(Statement::Timeout { view: ahead.max(1), high_qc_view: 0 });
                ConsensusMessage::Timeout(signed, Box::new(qc))
            }
            3 => {
                let qc = self.forged_quorum(ahead, block, rng);
                let (view, high_qc_view) = (ahead + 1, qc.view);
                let signed = self.sign(Statement::Timeout { view, high_qc_view });
                ConsensusMessage::Timeout(signed, Box::new(qc))
            }
            _ => {
                let statement = Statement::Commit { view: ahead, block };
                let signers = self.forged_signers(statement, rng);
                let certificate = CommitCertificate { epoch, view: ahead, block, signers };
                ConsensusMessage::Committed(Box::new(CommitProof::Certificate(certificate)))
            }
        }
    }
}
