//! Judge a run from outside: what was sent, what was committed, what was executed, and what was durable by then.

mod proofs;
mod votes;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use neura_consensus::{CommittedBlock, Output, Peer, Status};
use neura_types::{
    Anchor, B256, Batch, BlockId, Epoch, EpochConfig, ExecutedRoot, Header, Height,
    QuorumCertificate, View,
    vote::{ChainContext, ConsensusMessage, Evidence, Signed, Statement},
};

use crate::{
    chain::Chain,
    disk::Disk,
    ledger::Executed,
    node::Node,
    plan::{Identity, Plan},
};

/// Every how many heights a proof of finality is verified: signatures take most of a run's time.
const PROOF_SAMPLE: Height = 4;
/// Violations kept; the first one matters.
const MAX_VIOLATIONS: usize = 20;
/// Statements of a key that are compared with each new one.
const REMEMBERED: usize = 96;
/// Blocks that a replica may keep in memory, however bad the network.
const MAX_KEPT_BLOCKS: usize = 500;

/// Collects violations.
#[derive(Debug)]
pub(crate) struct Checker {
    context: ChainContext,
    keys: Vec<neura_types::keys::PublicKey>,
    /// Keys that may do anything.
    dishonest: BTreeSet<Identity>,
    epochs: BTreeMap<Epoch, (Arc<EpochConfig>, Anchor)>,
    said: BTreeMap<(Identity, Epoch, View, u8), Statement>,
    recent: BTreeMap<Identity, VecDeque<Signed>>,
    certified: BTreeMap<(Epoch, View), BlockId>,
    canonical: BTreeMap<Height, (BlockId, Option<ExecutedRoot>)>,
    roots: BTreeMap<Height, ExecutedRoot>,
    /// Height up to which each node has told its clients of results.
    acknowledged: BTreeMap<usize, Height>,
    evidence: Vec<Evidence>,
    execution_lag: Height,
    /// Blocks whose votes were judged.
    judged: BTreeSet<BlockId>,
    /// Highest view that each key gave up in an epoch, and highest that it voted in.
    reached: BTreeMap<(Identity, Epoch), (View, View)>,
    forked: bool,
    violations: Vec<String>,
}

impl Checker {
    /// A checker that knows whom not to blame.
    pub(crate) fn new(chain: &Chain, plan: &Plan) -> Self {
        Self {
            context: chain.context,
            keys: chain.keys.iter().map(neura_types::keys::SecretKey::public_key).collect(),
            dishonest: plan.byzantine.keys().copied().collect(),
            epochs: BTreeMap::new(),
            said: BTreeMap::new(),
            recent: BTreeMap::new(),
            certified: BTreeMap::new(),
            canonical: BTreeMap::from([(0, (chain.id, None))]),
            roots: BTreeMap::from([(0, chain.first.root)]),
            acknowledged: BTreeMap::new(),
            evidence: Vec::new(),
            execution_lag: plan.execution_lag,
            judged: BTreeSet::new(),
            reached: BTreeMap::new(),
            forked: false,
            violations: Vec::new(),
        }
    }

    /// What was found wrong.
    pub(crate) fn into_violations(self) -> Vec<String> {
        self.violations
    }

    /// Whether nothing was found wrong.
    pub(crate) fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// Whether two nodes committed different blocks at one height.
    pub(crate) fn has_forked(&self) -> bool {
        self.forked
    }

    /// How often the members or their powers changed from an epoch to the next.
    pub(crate) fn set_changes(&self) -> u64 {
        let members = |config: &EpochConfig| config.set.iter().map(|(_, v)| v.clone()).collect();
        let sets: Vec<Vec<_>> = self.epochs.values().map(|(config, _)| members(config)).collect();
        sets.windows(2).filter(|pair| pair[0] != pair[1]).count() as u64
    }

    /// Evidence that honest nodes reported.
    pub(crate) fn evidence(&self) -> &[Evidence] {
        &self.evidence
    }

    /// Reports something that another part noticed.
    pub(crate) fn report(&mut self, violation: String) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(violation);
        }
    }

    /// A node starts an epoch.
    pub(crate) fn on_epoch(&mut self, config: &Arc<EpochConfig>, anchor: Anchor) {
        let (known, from) =
            self.epochs.entry(config.epoch).or_insert_with(|| (Arc::clone(config), anchor));
        if *known != *config || *from != anchor {
            let epoch = config.epoch;
            self.report(format!("epoch {epoch} starts in two ways"));
        }
    }

    /// A node starts from its disk.
    pub(crate) fn on_start(&mut self, node: usize, at: &Node) {
        let told = self.acknowledged.get(&node).copied().unwrap_or(0);
        if at.honest && at.disk.height() < told {
            self.report(format!("node {node} lost height {told}, whose results it had told"));
        }
    }

    /// Where a replica stands after a step.
    pub(crate) fn on_status(&mut self, node: usize, honest: bool, status: &Status) {
        let kept = status.orphan_blocks + status.tree_blocks;
        if honest && kept > MAX_KEPT_BLOCKS {
            self.report(format!("node {node} keeps {kept} blocks"));
        }
    }

    /// An honest node carries out an output.
    pub(crate) fn on_output(
        &mut self,
        at: &Node,
        output: &Output,
        batches: &BTreeMap<B256, Arc<Batch>>,
    ) {
        match output {
            Output::Send { message, .. } | Output::Broadcast(message) => {
                self.on_sent(at, message, batches);
            }
            Output::Evidence(evidence) => self.on_evidence(evidence),
            Output::PeerFault { peer, reason } => self.on_fault(at, *peer, reason.to_string()),
            _ => {}
        }
    }

    fn on_fault(&mut self, at: &Node, peer: Peer, reason: String) {
        let identity = match peer {
            Peer::Validator(index) => self.identity(&at.config, index),
            Peer::Other(_) => None,
        };
        let accuser = at.identity;
        match identity {
            Some(identity) if self.dishonest.contains(&identity) => {}
            Some(identity) => {
                self.report(format!("key {accuser} accused honest key {identity}: {reason}"));
            }
            // Liars that are not in the set are not told apart from others.
            None if !self.dishonest.is_empty() => {}
            None => self.report(format!("key {accuser} accused {peer:?}: {reason}")),
        }
    }

    fn identity(&self, config: &EpochConfig, index: u16) -> Option<Identity> {
        let key = config.set.get(index)?.public_key;
        (0..).zip(&self.keys).find(|(_, known)| **known == key).map(|(identity, _)| identity)
    }

    fn on_evidence(&mut self, evidence: &Evidence) {
        let Evidence { first, second } = evidence;
        let Some((config, _)) = self.epochs.get(&first.epoch).cloned() else {
            return self.report("evidence of an epoch that nobody entered".to_owned());
        };
        let good = proofs::signature_holds(first, &config, &self.context)
            && proofs::signature_holds(second, &config, &self.context)
            && (first.author, first.epoch) == (second.author, second.epoch)
            && first.conflicts_with(second);
        if !good {
            self.report(format!("evidence that does not verify: {evidence:?}"));
        }
        match self.identity(&config, first.author) {
            Some(identity) if self.dishonest.contains(&identity) => self.evidence.push(*evidence),
            identity => self.report(format!("honest key {identity:?} was convicted: {evidence:?}")),
        }
    }

    fn on_sent(
        &mut self,
        at: &Node,
        message: &ConsensusMessage,
        batches: &BTreeMap<B256, Arc<Batch>>,
    ) {
        match message {
            ConsensusMessage::Proposal(proposal) => {
                let header = &proposal.block.header;
                let (view, block) = (header.view, proposal.block.id());
                self.on_certificate(&proposal.block.justify);
                if Some(header.proposer) == at.index() {
                    let statement = Statement::Propose { view, block };
                    let (epoch, signature) = (header.epoch, proposal.signature);
                    let author = header.proposer;
                    self.on_signed(at, Signed { epoch, author, statement, signature });
                }
            }
            ConsensusMessage::Vote(signed) => {
                self.on_signed(at, *signed);
                self.on_voted(at, signed, batches);
            }
            ConsensusMessage::Timeout(signed, qc) => {
                self.on_signed(at, *signed);
                self.on_certificate(qc);
            }
            ConsensusMessage::Quorum(qc) => self.on_certificate(qc),
            ConsensusMessage::ViewChange(tc) => self.on_certificate(&tc.high_qc),
            ConsensusMessage::Committed(_) => {}
        }
    }

    /// What an honest key says: in its own name, not against what it said before, and not before that is durable.
    fn on_signed(&mut self, at: &Node, signed: Signed) {
        let (identity, statement) = (at.identity, signed.statement);
        if Some(signed.author) != at.index() || signed.epoch != at.config.epoch {
            return self.report(format!("key {identity} sent a statement of {}", signed.author));
        }
        let kind = match statement {
            Statement::Propose { .. } => 0,
            Statement::Vote { .. } => 1,
            Statement::Commit { .. } => 2,
            Statement::Timeout { .. } => 3,
        };
        let slot = (identity, signed.epoch, statement.view(), kind);
        let known = *self.said.entry(slot).or_insert(statement);
        if known != statement {
            self.report(format!("key {identity} said both {known:?} and {statement:?}"));
        }
        if !is_recorded(&at.disk, &signed) {
            self.report(format!("key {identity} sent {statement:?} before it was durable"));
        }
        let recent = self.recent.entry(identity).or_default();
        if recent.contains(&signed) {
            return;
        }
        self.on_new_statement(at, &signed);
        let recent = self.recent.entry(identity).or_default();
        let contradicted = recent.iter().find(|earlier| earlier.conflicts_with(&signed)).copied();
        recent.push_back(signed);
        if recent.len() > REMEMBERED {
            recent.pop_front();
        }
        if let Some(earlier) = contradicted {
            let earlier = earlier.statement;
            self.report(format!("key {identity} said {earlier:?}, which excludes {statement:?}"));
        }
    }

    /// Views only go up; none is voted in that was given up; commit votes never name what follows an epoch's end.
    fn on_new_statement(&mut self, at: &Node, signed: &Signed) {
        let (identity, view) = (at.identity, signed.statement.view());
        let (given_up, voted) = self.reached.entry((identity, signed.epoch)).or_default();
        let late = match signed.statement {
            Statement::Timeout { .. } => std::mem::replace(given_up, view.max(*given_up)) >= view,
            Statement::Vote { .. } => {
                std::mem::replace(voted, view.max(*voted)) >= view || *given_up >= view
            }
            Statement::Commit { .. } => *given_up >= view,
            Statement::Propose { .. } => false,
        };
        if late {
            self.report(format!("key {identity} said {:?} too late", signed.statement));
        }
        if let Statement::Commit { block, .. } = signed.statement
            && at.disk.find(&block).is_some_and(|block| block.header.height > at.config.last)
        {
            self.report(format!("key {identity} cast a commit vote for a block behind the end"));
        }
    }

    /// Who votes has the block and its batches on the disk.
    fn on_voted(&mut self, at: &Node, signed: &Signed, batches: &BTreeMap<B256, Arc<Batch>>) {
        let (Statement::Vote { block: id, .. }, identity) = (signed.statement, at.identity) else {
            return;
        };
        let Some(block) = at.disk.find(&id) else {
            return self.report(format!("key {identity} voted for a block that it did not store"));
        };
        if !at.disk.holds_durably(&id, block.header.height) {
            self.report(format!("key {identity} voted for a block that is not durable"));
        }
        let held = |digest: &B256| at.held.contains(digest) && batches.contains_key(digest);
        if !block.batches.iter().all(|batch| held(&batch.digest)) {
            self.report(format!("key {identity} voted without the block's batches"));
        }
        // One's own block is not asked about: above a parent whose time lies ahead of a slow clock it lies ahead too, and
        // before a crash left it in the store it may have been judged as anyone's.
        if at.refused.contains(&id) && block.header.proposer != signed.author {
            self.report(format!("key {identity} voted for a block that its driver refused"));
        }
        let Statement::Vote { parent_view, .. } = signed.statement else { return };
        if parent_view != block.justify.view {
            self.report(format!("key {identity} named {parent_view} as its block's parent view"));
        }
        let Some(parent) = at.disk.find(&block.header.parent) else { return };
        if self.judged.insert(id) {
            let law = votes::Law {
                config: &at.config,
                context: &self.context,
                execution_lag: self.execution_lag,
            };
            if let Some(rule) = law.broken_by(block, parent) {
                self.report(format!("key {identity} voted for a block although {rule}"));
            }
        }
    }

    fn on_certificate(&mut self, qc: &QuorumCertificate) {
        let known = *self.certified.entry((qc.epoch, qc.view)).or_insert(qc.block);
        if known != qc.block {
            self.report(format!("view {} has two certified blocks", qc.view));
        }
    }

    /// A node whose final chain ended at `height` delivered a block.
    pub(crate) fn on_commit(
        &mut self,
        (node, height): (usize, Height),
        committed: &CommittedBlock,
        retrievable: bool,
    ) {
        let header = &committed.block.header;
        let at = header.height;
        if at != height + 1 {
            self.report(format!("node {node} committed height {at} after height {height}"));
        }
        if committed.block.id() != committed.id {
            self.report(format!("node {node} committed a block under a wrong id"));
        }
        if !retrievable {
            self.report(format!("node {node} committed height {at}, whose batches nobody has"));
        }
        let first = !self.canonical.contains_key(&at);
        let (known, _) = *self.canonical.entry(at).or_insert((committed.id, Some(header.executed)));
        if known != committed.id {
            self.forked = true;
            self.report(format!("FORK at height {at}: node {node} committed another block"));
        }
        self.check_header(header, height);
        if let Some(proof) = &committed.proof
            && (first && at.is_multiple_of(PROOF_SAMPLE) || header.next_epoch.is_some())
        {
            let Some((config, _)) = self.epochs.get(&header.epoch).cloned() else { return };
            if !proofs::proof_holds(proof, committed, &config, &self.context) {
                self.report(format!("node {node} committed with a proof that does not verify"));
            }
        }
    }

    /// The parent is the canonical block below; the epoch is the one that the height belongs to, and names the next.
    fn check_header(&mut self, header: &Header, below: Height) {
        let at = header.height;
        if self.canonical.get(&below).is_some_and(|(parent, _)| *parent != header.parent)
            && !self.forked
        {
            self.report(format!("the block of height {at} has another parent"));
        }
        let Some((config, _)) = self.epochs.get(&header.epoch) else { return };
        let ends = at == config.last;
        if !(config.first..=config.last).contains(&at) || ends != header.next_epoch.is_some() {
            let epoch = header.epoch;
            self.report(format!("height {at} does not belong where epoch {epoch} has it"));
        }
        if let Some(root) = self.roots.get(&header.executed.height)
            && *root != header.executed
        {
            let wrong = header.executed.height;
            self.report(format!("height {at} certifies another result of height {wrong}"));
        }
    }

    /// A node executed a block and tells its clients.
    pub(crate) fn on_executed(&mut self, node: usize, disk: &Disk, executed: &Executed) {
        let height = executed.root.height;
        let known = *self.roots.entry(height).or_insert(executed.root);
        if known != executed.root && !self.forked {
            self.report(format!("node {node} has another result of height {height}"));
        }
        if disk.durable_height() < height {
            self.report(format!("node {node} executed height {height} before it was durable"));
        }
        let told = self.acknowledged.entry(node).or_default();
        *told = height.max(*told);
    }

    /// A digest of the agreed chain.
    pub(crate) fn chain_digest(&self) -> B256 {
        let mut hasher = blake3::Hasher::new();
        for (id, _) in self.canonical.values() {
            hasher.update(id.as_slice());
        }
        B256::new(*hasher.finalize().as_bytes())
    }
}

/// Whether the durable record remembers a statement.
fn is_recorded(disk: &Disk, signed: &Signed) -> bool {
    let Some(record) = disk.durable_record().filter(|record| record.epoch == signed.epoch) else {
        return false;
    };
    let (slot, last) = match signed.statement {
        Statement::Propose { .. } => (record.proposed, record.last_proposal),
        Statement::Vote { .. } => (record.voted, record.last_vote),
        Statement::Commit { .. } => (record.committed, record.last_commit),
        Statement::Timeout { .. } => {
            (record.timed_out, record.last_timeout.as_ref().map(|(statement, _)| *statement))
        }
    };
    let view = signed.statement.view();
    let known = match signed.statement {
        Statement::Vote { parent_view, .. } => parent_view,
        Statement::Commit { .. } => view,
        Statement::Propose { .. } | Statement::Timeout { .. } => 0,
    };
    if record.high_qc.view < known {
        return false;
    }
    match last {
        Some(last) if last.view() == view => last == signed.statement,
        _ => slot >= view,
    }
}
