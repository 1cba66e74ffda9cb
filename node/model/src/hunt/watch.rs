//! Watch what honest replicas do: every rule stated a second time, in terms of what can be seen from outside.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use neura_consensus_bugs::{CommittedBlock, Output, Peer, SafetyRecord};
use neura_types::{
    B256, Block, BlockId, CommitProof, Height, QuorumCertificate, TimeoutCertificate,
    ValidatorIndex, View,
    vote::{ConsensusMessage, Evidence, Proposal, Signed, Statement},
};

use super::oracle;
use crate::real::{Node, Realm};

/// Why an honest replica misbehaved.
pub type Violation = String;

/// What one honest key was seen doing.
#[derive(Debug, Default)]
struct Seen {
    said: BTreeSet<Statement>,
    signed: Vec<Signed>,
    timed_out: View,
    /// The epoch's last block is final here, or the record is lost: nothing new may be said.
    silent: bool,
    /// Final blocks that left the replica and are durable, or wait for the next that is.
    committed: Vec<BlockId>,
}

/// The checks, with all that they remember.
#[derive(Debug)]
pub(super) struct Watch {
    byzantine: ValidatorIndex,
    keys: BTreeMap<ValidatorIndex, Seen>,
    /// Every block that was proposed or sent, by id.
    pub(super) blocks: BTreeMap<BlockId, Arc<Block>>,
    /// The final block of each height.
    finals: BTreeMap<Height, BlockId>,
    /// Certificates and proofs checked.
    good: BTreeSet<B256>,
    /// Highest view of any statement of an honest key.
    highest: View,
    /// The first thing that went wrong.
    pub(super) violation: Option<Violation>,
}

impl Watch {
    /// Watches everyone but the Byzantine validator.
    pub(super) fn new(realm: &Realm, byzantine: ValidatorIndex) -> Self {
        let mut blocks = BTreeMap::new();
        blocks.insert(realm.anchor().block, Arc::clone(&realm.anchor_block));
        Self {
            byzantine,
            keys: BTreeMap::new(),
            blocks,
            finals: BTreeMap::new(),
            good: BTreeSet::new(),
            highest: realm.anchor().view,
            violation: None,
        }
    }

    /// Notes a violation; the first one counts.
    pub(super) fn report(&mut self, what: impl Into<Violation>) {
        self.violation.get_or_insert(what.into());
    }

    /// Highest final height of anyone.
    pub(super) fn height(&self) -> Option<Height> {
        self.finals.keys().next_back().copied()
    }

    /// A replica starts again: what was final but not durable will come again.
    pub(super) fn restarted(&mut self, node: &Node) {
        let seen = self.keys.entry(node.index).or_default();
        seen.committed = node.disk.committed.iter().map(|(id, _)| *id).collect();
        seen.silent |= node.disk.lost;
    }

    /// One output, after its node made durable what it asks for.
    pub(super) fn output(&mut self, realm: &Realm, node: &Node, output: &Output) {
        match output {
            Output::Broadcast(message) | Output::Send { message, .. } => {
                self.message(realm, node, message);
            }
            Output::StoreBlock { id, block } => {
                self.blocks.insert(*id, Arc::clone(block));
            }
            Output::Commit(block) => self.commit(realm, node, block),
            Output::PeerFault { peer, reason } => {
                let honest = |index: &ValidatorIndex| *index != self.byzantine;
                if matches!(peer, Peer::Validator(index) if honest(index)) {
                    self.report(format!("{} accuses honest {peer:?}: {reason}", node.index));
                }
            }
            Output::Evidence(evidence) => self.evidence(realm, evidence),
            _ => {}
        }
    }

    fn evidence(&mut self, realm: &Realm, evidence: &Evidence) {
        if !evidence.verify(&realm.set, &realm.chain) {
            self.report("evidence does not verify");
        }
        if evidence.first.author != self.byzantine {
            self.report("evidence against an honest key");
        }
    }

    fn message(&mut self, realm: &Realm, node: &Node, message: &ConsensusMessage) {
        match message {
            ConsensusMessage::Vote(signed) => self.statement(realm, node, signed),
            ConsensusMessage::Timeout(signed, qc) => {
                self.quorum(realm, qc);
                self.statement(realm, node, signed);
                let reports = matches!(signed.statement, Statement::Timeout { high_qc_view, .. } if high_qc_view == qc.view);
                if !reports {
                    self.report("a timeout carries another certificate than it reports");
                }
            }
            ConsensusMessage::Quorum(qc) => self.quorum(realm, qc),
            ConsensusMessage::ViewChange(tc) => self.timeout(realm, tc),
            ConsensusMessage::Committed(proof) => self.proof(realm, proof),
            ConsensusMessage::Proposal(proposal) => self.proposal(realm, node, proposal),
        }
    }

    fn proposal(&mut self, realm: &Realm, node: &Node, proposal: &Proposal) {
        let id = proposal.block.id();
        self.blocks.insert(id, Arc::clone(&proposal.block));
        let header = &proposal.block.header;
        let statement = Statement::Propose { view: header.view, block: id };
        let (author, signature) = (header.proposer, proposal.signature);
        self.statement(realm, node, &Signed { epoch: header.epoch, author, statement, signature });
        self.valid_block(realm, &proposal.block, "proposed");
    }

    fn valid_block(&mut self, realm: &Realm, block: &Block, verb: &str) {
        self.quorum(realm, &block.justify);
        if let Some(tc) = &block.timeout {
            self.timeout(realm, tc);
        }
        let parent = self.blocks.get(&block.header.parent).cloned();
        let wrong = match &parent {
            Some(parent) => oracle::fault(realm, block, parent),
            None => Some("its parent was never proposed"),
        };
        if let Some(wrong) = wrong {
            self.report(format!("a block was {verb} that is no valid block: {wrong}"));
        }
    }

    /// Everything that an honest key may not say.
    fn statement(&mut self, realm: &Realm, node: &Node, signed: &Signed) {
        let statement = signed.statement;
        if signed.author != node.index || !signed.verify(&realm.set, &realm.chain) {
            return self.report(format!("{} sends a signature that is not its own", node.index));
        }
        let seen = self.keys.entry(node.index).or_default();
        if !seen.said.insert(statement) {
            return;
        }
        let mut wrong = remembers(node.disk.record.as_ref(), &statement).err();
        if seen.silent {
            wrong =
                wrong.or(Some("nothing may be signed after the epoch's end or without the record"));
        }
        if seen.signed.iter().any(|earlier| earlier.conflicts_with(signed)) {
            wrong = wrong.or(Some("it excludes an earlier statement of the key"));
        }
        let view = statement.view();
        let late = matches!(statement, Statement::Vote { .. } | Statement::Commit { .. });
        if late && view <= seen.timed_out {
            wrong = wrong.or(Some("the view was given up before"));
        }
        if matches!(statement, Statement::Timeout { .. }) {
            seen.timed_out = seen.timed_out.max(view);
            if view > self.highest.saturating_add(1) {
                wrong = wrong.or(Some("no honest key was in the view before"));
            }
        }
        seen.signed.push(*signed);
        self.highest = self.highest.max(view);
        if let Some(wrong) = wrong {
            self.report(format!("{} says {statement:?}: {wrong}", node.index));
        }
        if let Statement::Vote { block, parent_view, .. } = statement {
            self.vote(realm, node, block, parent_view);
        }
    }

    fn vote(&mut self, realm: &Realm, node: &Node, id: BlockId, parent_view: View) {
        let durable = node.disk.blocks.contains_key(&id)
            || node.disk.committed.iter().any(|(known, _)| *known == id);
        if !durable {
            self.report("a block was voted for that is not stored");
        }
        let Some(block) = self.blocks.get(&id).cloned() else {
            return self.report("a block was voted for that nobody made");
        };
        if parent_view != block.justify.view {
            self.report("a vote names another parent view than its block");
        }
        if oracle::is_refused(&block) {
            self.report("a block was voted for that the driver refused");
        }
        self.valid_block(realm, &block, "voted for");
    }

    fn quorum(&mut self, realm: &Realm, qc: &QuorumCertificate) {
        let fresh = self.good.insert(qc.digest());
        if fresh && qc.verify(&realm.set, &realm.chain, realm.anchor()).is_err() {
            self.report(format!("a quorum certificate of view {} does not verify", qc.view));
        }
    }

    fn timeout(&mut self, realm: &Realm, tc: &TimeoutCertificate) {
        let fresh = self.good.insert(tc.digest());
        if fresh && tc.verify(&realm.set, &realm.chain, realm.anchor()).is_err() {
            self.report(format!("a timeout certificate of view {} does not verify", tc.view));
        }
    }

    fn proof(&mut self, realm: &Realm, proof: &CommitProof) {
        if proof.verify(&realm.set, &realm.chain, realm.anchor()).is_err() {
            self.report(format!("a proof of view {} does not verify", proof.view()));
        }
    }

    /// Oldest first, each once, without gaps, the same everywhere, proved, not behind the epoch's end.
    fn commit(&mut self, realm: &Realm, node: &Node, committed: &CommittedBlock) {
        let CommittedBlock { id, block, proof } = committed;
        let height = block.header.height;
        let seen = self.keys.entry(node.index).or_default();
        let newest = seen.committed.last().copied().unwrap_or(realm.anchor().block);
        let place = realm.anchor_block.header.height + seen.committed.len() as u64 + 1;
        seen.committed.push(*id);
        seen.silent |= height >= realm.last_height;
        if height != place || block.header.parent != newest || block.id() != *id {
            self.report(format!(
                "{} delivers height {height} after height {}",
                node.index,
                place - 1
            ));
        }
        if height > realm.last_height {
            self.report("a block behind the epoch's last one became final");
        }
        if *self.finals.entry(height).or_insert(*id) != *id {
            self.report(format!("two blocks are final at height {height}"));
        }
        if let Some(proof) = proof {
            self.proof(realm, proof);
            if proof.block() != *id {
                self.report("a proof names another block than it came with");
            }
        }
    }
}

/// Whether a record would keep its key from saying anything else, and from denying what it knew.
fn remembers(record: Option<&SafetyRecord>, statement: &Statement) -> Result<(), &'static str> {
    let record = record.ok_or("there is no durable record")?;
    let high_qc = record.high_qc.view;
    let (slot, certificate) = match *statement {
        Statement::Propose { view, .. } => (record.proposed >= view, true),
        Statement::Vote { view, parent_view, .. } => (record.voted >= view, high_qc >= parent_view),
        Statement::Commit { view, .. } => {
            (record.committed >= view && record.voted >= view, high_qc >= view)
        }
        Statement::Timeout { view, high_qc_view } => {
            (record.timed_out >= view, high_qc == high_qc_view || record.timed_out > view)
        }
    };
    match (slot, certificate) {
        (true, true) => Ok(()),
        (false, _) => Err("the durable record does not know of it"),
        (_, false) => Err("the durable record holds another certificate"),
    }
}
