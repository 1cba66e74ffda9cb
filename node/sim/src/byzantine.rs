//! What liars send instead of what the rules say.

mod forgery;

use std::{collections::BTreeSet, sync::Arc};

use neura_consensus::Input;
use neura_types::{
    B256, Block, EpochConfig, QuorumCertificate, ValidatorIndex, View, codec,
    keys::{SecretKey, Signature},
    vote::{ChainContext, ConsensusMessage, Signed, Statement},
};
use rand::{RngExt, rand_core::Rng};

use crate::{disk::Disk, plan::Behaviour};

/// Certificates that a liar remembers.
const REMEMBERED: usize = 64;
/// Statements of one flood.
const FLOOD: u64 = 24;

/// Who gets a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Everyone that it was meant for.
    All,
    /// Those with even, or with odd numbers.
    Half(bool),
}

/// A liar about to send.
#[derive(Debug)]
pub(crate) struct Liar<'a> {
    pub(crate) behaviours: &'a BTreeSet<Behaviour>,
    pub(crate) key: &'a SecretKey,
    pub(crate) index: ValidatorIndex,
    pub(crate) config: &'a EpochConfig,
    pub(crate) context: &'a ChainContext,
    pub(crate) old: &'a mut Vec<QuorumCertificate>,
}

type Sent = (Audience, ConsensusMessage);

impl Liar<'_> {
    /// What is sent instead of a message.
    pub(crate) fn distort(&mut self, message: ConsensusMessage, rng: &mut impl Rng) -> Vec<Sent> {
        self.remember(&message);
        let mut sent = Vec::new();
        if self.does(Behaviour::FutureFlood) && rng.random_ratio(1, 8) {
            sent.extend(self.flood(&message, rng));
        }
        if self.does(Behaviour::Garbage) && rng.random_ratio(1, 3) {
            sent.extend(garbage(&message, rng).map(|message| (Audience::All, message)));
        }
        if self.does(Behaviour::Forger) && rng.random_ratio(1, 6) {
            let (view, block) = match &message {
                ConsensusMessage::Vote(signed) => match signed.statement {
                    Statement::Vote { view, block, .. } => (view, block),
                    statement => (statement.view(), B256::repeat_byte(5)),
                },
                _ => (1, B256::repeat_byte(5)),
            };
            sent.push((Audience::All, self.forged(view, block, rng)));
        }
        let own = match &message {
            ConsensusMessage::Vote(signed) => signed.author == self.index,
            _ => false,
        };
        match message {
            ConsensusMessage::Vote(_) if own && self.does(Behaviour::VoteWithholder) => {}
            ConsensusMessage::Vote(signed) if own && self.does(Behaviour::EquivocatingVoter) => {
                let half = rng.random();
                let other = ConsensusMessage::Vote(self.sign(other_than(signed.statement)));
                sent.push((Audience::Half(half), ConsensusMessage::Vote(signed)));
                sent.push((Audience::Half(!half), other));
            }
            ConsensusMessage::Proposal(proposal)
                if self.does(Behaviour::EquivocatingProposer)
                    && proposal.block.header.proposer == self.index =>
            {
                let half = rng.random();
                let other = self.second_proposal(&proposal.block);
                sent.push((Audience::Half(half), ConsensusMessage::Proposal(proposal)));
                sent.push((Audience::Half(!half), other));
            }
            ConsensusMessage::Proposal(proposal)
                if self.does(Behaviour::UnlawfulProposer)
                    && proposal.block.header.proposer == self.index =>
            {
                sent.push((Audience::All, self.unlawful_proposal(&proposal.block, rng)));
            }
            ConsensusMessage::Proposal(proposal)
                if self.does(Behaviour::BeaconForger)
                    && proposal.block.header.proposer == self.index =>
            {
                sent.push((Audience::All, self.forged_beacon(&proposal.block, rng)));
            }
            ConsensusMessage::Timeout(signed, qc) if self.does(Behaviour::StaleCertificates) => {
                sent.push((Audience::All, self.stale_timeout(signed, *qc, rng)));
            }
            message => sent.push((Audience::All, message)),
        }
        if self.does(Behaviour::Selective) {
            for (audience, _) in &mut sent {
                *audience = Audience::Half(rng.random());
            }
        }
        sent
    }

    fn does(&self, behaviour: Behaviour) -> bool {
        self.behaviours.contains(&behaviour)
    }

    fn sign(&self, statement: Statement) -> Signed {
        let epoch = self.config.epoch;
        let digest = statement.digest(self.context, epoch);
        let signature = self.key.sign(digest.as_slice());
        Signed { epoch, author: self.index, statement, signature }
    }

    fn remember(&mut self, message: &ConsensusMessage) {
        let qc = match message {
            ConsensusMessage::Proposal(proposal) => &proposal.block.justify,
            ConsensusMessage::Timeout(_, qc) => qc.as_ref(),
            _ => return,
        };
        if qc.epoch == self.config.epoch && !self.old.contains(qc) && self.old.len() < REMEMBERED {
            self.old.push(qc.clone());
        }
    }

    fn second_proposal(&self, block: &Block) -> ConsensusMessage {
        let mut block = block.clone();
        block.header.timestamp_ms += 1;
        self.propose(block)
    }

    fn stale_timeout(
        &self,
        signed: Signed,
        qc: QuorumCertificate,
        rng: &mut impl Rng,
    ) -> ConsensusMessage {
        let epoch = self.config.epoch;
        let older: Vec<&QuorumCertificate> =
            self.old.iter().filter(|old| old.epoch == epoch && old.view < qc.view).collect();
        if older.is_empty() {
            return ConsensusMessage::Timeout(signed, Box::new(qc));
        }
        let old = older[rng.random_range(0..older.len())].clone();
        let view = signed.statement.view();
        let signed = self.sign(Statement::Timeout { view, high_qc_view: old.view });
        ConsensusMessage::Timeout(signed, Box::new(old))
    }

    /// Votes and timeouts of many views ahead, rightly signed.
    fn flood(&self, message: &ConsensusMessage, rng: &mut impl Rng) -> Vec<Sent> {
        let (view, qc) = match message {
            ConsensusMessage::Timeout(signed, qc) => (signed.statement.view(), Some(qc.clone())),
            ConsensusMessage::Vote(signed) => (signed.statement.view(), None),
            _ => return Vec::new(),
        };
        let far =
            |step: u64| if step.is_multiple_of(5) { View::MAX / (step + 1) } else { view + step };
        let statements = (1..=FLOOD).map(|step| {
            let view = far(step);
            match &qc {
                Some(qc) => {
                    let signed = self.sign(Statement::Timeout { view, high_qc_view: qc.view });
                    ConsensusMessage::Timeout(signed, qc.clone())
                }
                None => {
                    let block = B256::repeat_byte(step as u8);
                    let parent_view = view - 1;
                    ConsensusMessage::Vote(self.sign(Statement::Vote { view, block, parent_view }))
                }
            }
        });
        let half = rng.random();
        statements.map(|message| (Audience::Half(half), message)).collect()
    }
}

/// Something else of the same kind and view.
fn other_than(statement: Statement) -> Statement {
    match statement {
        Statement::Vote { view, block, parent_view } => {
            Statement::Vote { view, block: flipped(block), parent_view }
        }
        Statement::Commit { view, block } => Statement::Commit { view, block: flipped(block) },
        other => other,
    }
}

fn flipped(id: B256) -> B256 {
    let mut bytes = id.0;
    bytes[7] ^= 1;
    B256::new(bytes)
}

/// A message with a flipped byte, if it can still be read; or someone else's vote with a made-up signature.
fn garbage(message: &ConsensusMessage, rng: &mut impl Rng) -> Option<ConsensusMessage> {
    if let (ConsensusMessage::Vote(signed), true) = (message, rng.random()) {
        let author = rng.random_range(0..8);
        let signature = Signature([rng.random(); 64]);
        return Some(ConsensusMessage::Vote(Signed { author, signature, ..*signed }));
    }
    let mut bytes = codec::encode(message);
    let at = rng.random_range(0..bytes.len());
    bytes[at] ^= 1 << rng.random_range(0..8);
    codec::decode_limited(&bytes, bytes.len()).ok()
}

/// A wrong answer to a fetch.
pub(crate) fn lie(answer: Input, disk: &Disk, rng: &mut impl Rng) -> Input {
    let tampered = |block: &Arc<Block>| {
        let mut block = block.as_ref().clone();
        block.payload.push(vec![1, 2, 3].into());
        Arc::new(block)
    };
    match answer {
        Input::Ancestors { from, of, mut blocks } => {
            match rng.random_range(0..4) {
                0 => blocks.clear(),
                1 => blocks.truncate(blocks.len() / 2),
                2 => blocks.reverse(),
                _ => blocks = blocks.iter().map(tampered).collect(),
            }
            Input::Ancestors { from, of, blocks }
        }
        Input::Committed { from, mut blocks, mut proof } => {
            match rng.random_range(0..5) {
                0 => (blocks, proof) = (Vec::new(), None),
                1 => blocks.truncate(blocks.len() / 2),
                2 => blocks = blocks.iter().map(tampered).collect(),
                3 => proof = disk.at(disk.height()).and_then(|block| block.proof.clone()),
                _ => blocks.reverse(),
            }
            Input::Committed { from, blocks, proof }
        }
        other => other,
    }
}
