//! Judge a run from outside: what was sent, what was committed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use neura_consensus::{CommittedBlock, Output, Peer};
use neura_types::{
    B256, BlockId, Height, QuorumCertificate, ValidatorIndex, ValidatorSet, View,
    vote::{ChainContext, ConsensusMessage, Signed, Statement},
};

/// Every how many heights a proof of finality is verified: signatures take most of a run's time.
const PROOF_SAMPLE: Height = 8;
/// Violations kept; the first one matters.
const MAX_VIOLATIONS: usize = 20;

/// Collects violations.
#[derive(Debug)]
pub(crate) struct Checker {
    chain: ChainContext,
    set: Arc<ValidatorSet>,
    genesis_id: BlockId,
    /// Keys that may do anything.
    dishonest: BTreeSet<ValidatorIndex>,
    said: BTreeMap<(ValidatorIndex, View, u8), Statement>,
    certified: BTreeMap<View, BlockId>,
    canonical: BTreeMap<Height, BlockId>,
    forked: bool,
    violations: Vec<String>,
}

impl Checker {
    /// A checker that knows whom not to blame.
    pub(crate) fn new(
        chain: ChainContext,
        set: Arc<ValidatorSet>,
        genesis_id: BlockId,
        dishonest: BTreeSet<ValidatorIndex>,
    ) -> Self {
        Self {
            chain,
            set,
            genesis_id,
            dishonest,
            said: BTreeMap::new(),
            certified: BTreeMap::new(),
            canonical: BTreeMap::from([(0, genesis_id)]),
            forked: false,
            violations: Vec::new(),
        }
    }

    /// What was found wrong.
    pub(crate) fn into_violations(self) -> Vec<String> {
        self.violations
    }

    /// Whether anything was found wrong.
    pub(crate) fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// Whether two nodes committed different blocks at one height.
    pub(crate) fn has_forked(&self) -> bool {
        self.forked
    }

    /// Reports something that another part noticed.
    pub(crate) fn report(&mut self, violation: String) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(violation);
        }
    }

    /// An output was carried out by a node with this index; none for an observer.
    pub(crate) fn on_output(&mut self, author: Option<ValidatorIndex>, output: &Output) {
        match output {
            Output::Send { message, .. } | Output::Broadcast(message) => match author {
                None => self.report("an observer sent a message".to_owned()),
                Some(index) => self.on_sent(index, message),
            },
            Output::Evidence(evidence) => {
                if !evidence.verify(&self.set, &self.chain) {
                    self.report(format!("evidence that does not verify: {evidence:?}"));
                }
                self.accused(evidence.first.author);
            }
            Output::PeerFault { peer: Peer::Validator(index), reason }
                if !self.dishonest.contains(index) =>
            {
                self.report(format!("honest validator {index} was accused: {reason}"));
            }
            Output::PeerFault { peer: Peer::Other(_), reason } => {
                self.report(format!("an observer was accused: {reason}"));
            }
            _ => {}
        }
    }

    fn accused(&mut self, index: ValidatorIndex) {
        if !self.dishonest.contains(&index) {
            self.report(format!("honest validator {index} was convicted"));
        }
    }

    fn on_sent(&mut self, author: ValidatorIndex, message: &ConsensusMessage) {
        match message {
            ConsensusMessage::Proposal(proposal) => {
                let (view, block) = (proposal.block.header.view, proposal.block.id());
                self.on_certificate(&proposal.block.justify);
                if proposal.block.header.proposer == author {
                    self.on_statement(author, Statement::Propose { view, block });
                }
            }
            ConsensusMessage::Vote(signed) => self.on_signed(author, signed),
            ConsensusMessage::Timeout(signed, qc) => {
                self.on_signed(author, signed);
                self.on_certificate(qc);
            }
            ConsensusMessage::Quorum(qc) => self.on_certificate(qc),
            ConsensusMessage::ViewChange(tc) => self.on_certificate(&tc.high_qc),
            ConsensusMessage::Committed(_) => {}
        }
    }

    fn on_signed(&mut self, author: ValidatorIndex, signed: &Signed) {
        if signed.author != author {
            self.report(format!("validator {author} sent a statement of {}", signed.author));
        }
        self.on_statement(author, signed.statement);
    }

    fn on_statement(&mut self, author: ValidatorIndex, statement: Statement) {
        if self.dishonest.contains(&author) {
            return;
        }
        let kind = match statement {
            Statement::Propose { .. } => 0,
            Statement::Vote { .. } => 1,
            Statement::Commit { .. } => 2,
            Statement::Timeout { .. } => 3,
        };
        let slot = (author, statement.view(), kind);
        let known = *self.said.entry(slot).or_insert(statement);
        if known != statement {
            self.report(format!("validator {author} said both {known:?} and {statement:?}"));
        }
    }

    fn on_certificate(&mut self, qc: &QuorumCertificate) {
        let known = *self.certified.entry(qc.view).or_insert(qc.block);
        if known != qc.block {
            self.report(format!("view {} has two certified blocks", qc.view));
        }
    }

    /// A node whose final chain ended at `height` delivered a block.
    pub(crate) fn on_commit(&mut self, node: usize, height: Height, committed: &CommittedBlock) {
        let header = &committed.block.header;
        if header.height != height + 1 {
            let got = header.height;
            self.report(format!("node {node} committed height {got} after height {height}"));
        }
        if committed.block.id() != committed.id {
            self.report(format!("node {node} committed a block under a wrong id"));
        }
        let known = *self.canonical.entry(header.height).or_insert(committed.id);
        if known != committed.id {
            let at = header.height;
            self.forked = true;
            self.report(format!("FORK at height {at}: node {node} committed another block"));
        }
        if let Some(proof) =
            committed.proof.as_ref().filter(|_| header.height.is_multiple_of(PROOF_SAMPLE))
        {
            let fits = proof.block() == committed.id && proof.view() == header.view;
            if !fits || proof.verify(&self.set, &self.chain, self.genesis_id).is_err() {
                self.report(format!("node {node} committed with a proof that does not verify"));
            }
        }
    }

    /// A digest of the agreed chain.
    pub(crate) fn chain_digest(&self) -> B256 {
        let mut hasher = blake3::Hasher::new();
        for id in self.canonical.values() {
            hasher.update(id.as_slice());
        }
        B256::new(*hasher.finalize().as_bytes())
    }
}
