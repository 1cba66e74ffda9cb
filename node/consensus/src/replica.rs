//! Take one input, apply the rules, return the outputs.

use std::{collections::BTreeMap, sync::Arc};

use neura_types::{
    Block, BlockId, CommitProof, QuorumCertificate, TimeoutCertificate, ValidatorIndex, View,
    keys::SecretKey,
    vote::{ConsensusMessage, Proposal, Signed, Statement},
};

use crate::{
    aggregator::Aggregator,
    bugs::{Bug, broken},
    config::{Config, Recovered, StartError, Status},
    epoch::epoch_of,
    input::{Input, Peer},
    leaders::leader_after,
    output::{Fault, Outbox, Output},
    pacemaker::Pacemaker,
    record::SafetyRecord,
    safety::Safety,
    sync::Sync,
    tree::{Check, Tree},
    verify::Verifier,
};

/// After a fetch that nobody answered, the next one waits this fraction of the usual time, so that peers who answer at
/// once that they have nothing are not asked in a loop.
const FAILED_FETCH_FRACTION: u64 = 4;

/// One participant: a validator, or an observer that follows and signs nothing.
#[derive(Debug)]
pub struct Replica {
    pub(crate) config: Config,
    pub(crate) verifier: Verifier,
    pub(crate) safety: Safety,
    pub(crate) tree: Tree,
    pub(crate) votes: Aggregator,
    pub(crate) commits: Aggregator,
    pub(crate) pacemaker: Pacemaker,
    pub(crate) sync: Sync,
    /// Highest quorum certificate known.
    pub(crate) high_qc: QuorumCertificate,
    /// Highest timeout certificate known, while it is above `high_qc`.
    pub(crate) high_tc: Option<TimeoutCertificate>,
    /// The leaders' signatures by view: at most two, which then convict.
    pub(crate) proposed: BTreeMap<View, Vec<Signed>>,
    /// The payload asked for: view and parent.
    pub(crate) asked: Option<(View, BlockId)>,
    /// A proof whose block is not linked yet.
    pub(crate) pending_proof: Option<CommitProof>,
    /// Proof of the newest final block, for peers that lack it.
    pub(crate) last_proof: Option<CommitProof>,
    /// Proof of the anchor, by the set of the epoch before.
    pub(crate) entry_proof: Option<CommitProof>,
    /// Validators that were reported, each with whether it was for more than a double proposal.
    pub(crate) convicted: BTreeMap<ValidatorIndex, bool>,
    /// Our latest messages, for peers that lack them.
    pub(crate) own: OwnMessages,
    pub(crate) now_ms: u64,
    armed_ms: Option<u64>,
}

/// What this replica signed last, apart from timeouts.
#[derive(Debug, Default)]
pub(crate) struct OwnMessages {
    pub(crate) proposal: Option<Proposal>,
    pub(crate) vote: Option<Signed>,
    pub(crate) commit: Option<Signed>,
}

impl Replica {
    /// Starts, or starts again from what survived. The outputs are to be carried out like those of a step.
    ///
    /// # Errors
    /// [`StartError`] if the key, the set and the record do not belong together.
    pub fn new(
        config: Config,
        signer: Option<SecretKey>,
        recovered: Recovered,
        now_ms: u64,
    ) -> Result<(Self, Vec<Output>), StartError> {
        let anchor = QuorumCertificate::anchor(config.set.epoch(), config.anchor);
        let safety = safety_of(&config, signer, &recovered, &anchor)?;
        let (block, id, proof) = recovered.committed;
        let tree = Tree::new(id, block);
        let (proof, entry_proof) = match proof {
            Some(proof) if proof.epoch() < config.set.epoch() => (None, Some(proof)),
            proof => (proof, None),
        };
        let record = safety.record();
        let high_qc = record.map_or(anchor, |record| record.high_qc.clone());
        let high_tc = record.and_then(|record| record.high_tc.clone());
        let view = first_view(&high_qc, high_tc.as_ref(), proof.as_ref(), record);
        let timers = (config.base_timeout_ms, config.max_timeout_ms);
        let mut replica = Self {
            verifier: Verifier::new(config.chain, config.anchor, Arc::clone(&config.set)),
            votes: Aggregator::new(Arc::clone(&config.set)),
            commits: Aggregator::new(Arc::clone(&config.set)),
            pacemaker: Pacemaker::new(Arc::clone(&config.set), timers, view, now_ms),
            sync: Sync::default(),
            proposed: BTreeMap::new(),
            asked: None,
            pending_proof: None,
            last_proof: proof,
            entry_proof,
            convicted: BTreeMap::new(),
            own: OwnMessages::default(),
            now_ms,
            armed_ms: None,
            config,
            safety,
            tree,
            high_qc,
            high_tc,
        };
        let mut out = Outbox::default();
        replica.resume(recovered.uncommitted, &mut out);
        Ok((replica, out.finish()))
    }

    /// Applies one input. `now_ms` is any clock that does not go back; it drives timers only.
    pub fn step(&mut self, now_ms: u64, input: Input) -> Vec<Output> {
        self.now_ms = now_ms.max(self.now_ms);
        let mut out = Outbox::default();
        if self.has_ended() {
            match input {
                Input::Message { from, message } => {
                    self.on_message_after_end(from, &message, &mut out)
                }
                Input::Connected { peer } => self.on_connected(peer, &mut out),
                _ => {}
            }
            return out.finish();
        }
        match input {
            Input::Message { from, message } => self.on_message(from, message, &mut out),
            Input::Timer => self.on_timer(&mut out),
            Input::Connected { peer } => self.on_connected(peer, &mut out),
            Input::Payload { view, parent, body } => {
                self.on_payload((view, parent), *body, &mut out)
            }
            Input::Validated { block, verdict } => {
                self.on_validated(&block, verdict.is_ok(), &mut out)
            }
            Input::Ancestors { from, of, blocks } => self.on_ancestors(from, of, blocks, &mut out),
            Input::Committed { from, blocks, proof } => {
                self.on_committed_range(from, blocks, proof, &mut out);
            }
            Input::FetchFailed { request } => {
                let pause_ms = self.config.fetch_retry_ms / FAILED_FETCH_FRACTION;
                self.sync.failed(&request, self.now_ms.saturating_add(pause_ms));
            }
        }
        self.finish_step(&mut out);
        out.finish()
    }

    /// A block above the newest final one, or that one.
    pub fn block(&self, id: &BlockId) -> Option<&Arc<Block>> {
        self.tree.block(id)
    }

    /// Its position.
    pub fn status(&self) -> Status {
        let (tree_blocks, orphan_blocks) = self.tree.sizes();
        Status {
            view: self.view(),
            leader: self.leader(self.view()),
            high_qc_view: self.high_qc.view,
            committed_height: self.tree.height(),
            committed_view: self.tree.view(),
            committed_id: self.tree.root(),
            timeouts_since_commit: self.pacemaker.timeouts(),
            tree_blocks,
            orphan_blocks,
            epoch: self.config.set.epoch(),
            fetching: self.sync.is_active(),
            observing: self.safety.observes(),
        }
    }

    /// The leader of a view, as far as the highest certificate and its block are known.
    pub(crate) fn leader(&self, view: View) -> ValidatorIndex {
        let parent = self.tree.block(&self.high_qc.block).unwrap_or_else(|| self.tree.root_block());
        leader_after(&self.config.set, view, &parent.header)
    }

    pub(crate) fn view(&self) -> View {
        self.pacemaker.view()
    }

    /// ENTER: a certificate of `view - 1`, or a third of the power in `view`, opens it; any higher view is entered
    /// at once.
    pub(crate) fn enter(&mut self, view: View, out: &mut Outbox) {
        if view <= self.view() || self.has_ended() {
            return;
        }
        self.pacemaker.enter(view, self.now_ms);
        self.asked = None;
        self.advance_windows();
        self.try_propose(out);
        self.consider_votes(out);
    }

    pub(crate) fn advance_windows(&mut self) {
        if broken(Bug::WindowStays) {
            return;
        }
        let view = self.view();
        self.votes.advance(view);
        self.commits.advance(view);
    }

    fn on_message(&mut self, from: Peer, message: ConsensusMessage, out: &mut Outbox) {
        if epoch_of(&message) != self.config.set.epoch() && !broken(Bug::EpochUnchecked) {
            return self.on_other_epoch(from, &message, out);
        }
        match message {
            ConsensusMessage::Proposal(proposal) => self.on_proposal(from, *proposal, out),
            ConsensusMessage::Vote(signed) => match signed.statement {
                Statement::Vote { .. } => self.on_vote(from, signed, out),
                Statement::Commit { .. } => self.on_commit_vote(from, signed, out),
                Statement::Propose { .. } | Statement::Timeout { .. } => {
                    out.fault(from, Fault::Malformed);
                }
            },
            ConsensusMessage::Timeout(signed, qc) => self.on_timeout(from, signed, *qc, out),
            ConsensusMessage::Quorum(qc) => {
                if qc.view > self.high_qc.view {
                    if self.verifier.quorum(&qc, &self.votes) {
                        self.on_quorum(&qc, Some(from), out);
                    } else {
                        out.fault(from, Fault::Certificate);
                    }
                }
            }
            ConsensusMessage::ViewChange(tc) => {
                if tc.view >= self.view() {
                    if self.verifier.timeout(&tc) {
                        self.on_view_change(*tc, Some(from), out);
                    } else {
                        out.fault(from, Fault::Certificate);
                    }
                }
            }
            ConsensusMessage::Committed(proof) => self.on_proof(from, *proof, out),
        }
    }

    /// Brings a validator to where we are, with messages that were sent before.
    fn on_connected(&self, peer: ValidatorIndex, out: &mut Outbox) {
        if self.safety.observes() {
            return;
        }
        let mut messages = Vec::new();
        messages.extend(self.best_certificates());
        if let Some(proposal) = &self.own.proposal
            && proposal.block.header.view == self.view()
        {
            messages.push(ConsensusMessage::Proposal(Box::new(proposal.clone())));
        }
        let settled = self.tree.view();
        let live = |signed: &Signed| signed.statement.view() > settled;
        let signed = [self.own.vote, self.own.commit];
        messages.extend(signed.into_iter().flatten().filter(live).map(ConsensusMessage::Vote));
        if let Some((signed, qc)) = self.pacemaker.own_timeout() {
            messages.push(ConsensusMessage::Timeout(*signed, Box::new(qc.clone())));
        }
        for message in messages {
            out.push(Output::Send { to: peer, message });
        }
    }

    /// What brings anyone to where we are: the certificates that opened the view, and the newest proof of finality,
    /// without which a voter may lack the execution results that a proposal refers to.
    pub(crate) fn best_certificates(&self) -> Vec<ConsensusMessage> {
        let qc = Some(&self.high_qc).filter(|qc| qc.view > 0);
        let qc = qc.map(|qc| ConsensusMessage::Quorum(Box::new(qc.clone())));
        let tc = self.high_tc.clone().map(|tc| ConsensusMessage::ViewChange(Box::new(tc)));
        let proofs = [&self.last_proof, &self.pending_proof].into_iter().flatten();
        let newest = proofs.max_by_key(|proof| proof.view());
        let proof = newest.map(|proof| ConsensusMessage::Committed(Box::new(proof.clone())));
        qc.into_iter().chain(tc).chain(proof).collect()
    }

    /// Restores the tree and sends again what was signed last: the first sending may not have happened.
    fn resume(&mut self, mut uncommitted: Vec<Arc<neura_types::Block>>, out: &mut Outbox) {
        uncommitted.retain(|block| block.header.height > self.tree.height());
        uncommitted.sort_by_key(|block| block.header.height);
        for block in uncommitted {
            let id = block.id();
            if self.tree.block(&block.header.parent).is_some() {
                self.tree.insert(id, block, Check::Unchecked, &self.high_qc.block);
            } else {
                self.tree.add_orphan(id, block);
            }
        }
        self.advance_windows();
        let signatures = self.safety.recovered();
        let settled = self.tree.view();
        let live = |signed: &Signed| signed.statement.view() > settled;
        self.own.vote = signatures.vote.filter(live);
        self.own.commit = signatures.commit.filter(live);
        for signed in [self.own.vote, self.own.commit].into_iter().flatten() {
            out.push(Output::Broadcast(ConsensusMessage::Vote(signed)));
        }
        if let Some(signed) = self.own.vote {
            self.votes.add_own(signed);
        }
        if let Some(signed) = self.own.commit {
            self.commits.add_own(signed);
        }
        self.resume_proposal(signatures.proposal, out);
        if let Some((signed, qc)) = signatures.timeout
            && signed.statement.view() == self.view()
        {
            self.pacemaker.gave_up(signed, qc);
            self.send_timeout(out);
        }
        self.want_high_qc();
        self.try_propose(out);
        self.consider_votes(out);
        self.finish_step(out);
    }

    fn resume_proposal(&mut self, signed: Option<Signed>, out: &mut Outbox) {
        let Some(signed) = signed else { return };
        let Statement::Propose { view, block: id } = signed.statement else { return };
        if view != self.view() {
            return;
        }
        if let Some(node) = self.tree.node_mut(&id) {
            node.check = Check::Valid;
            let block = Arc::clone(&node.block);
            let proposal = Proposal { block, signature: signed.signature };
            self.own.proposal = Some(proposal.clone());
            out.push(Output::Broadcast(ConsensusMessage::Proposal(Box::new(proposal))));
            self.cast_vote(&id, out);
        }
    }

    fn finish_step(&mut self, out: &mut Outbox) {
        if self.has_ended() {
            return;
        }
        self.continue_fetch(out);
        let view_timer = (!self.safety.observes()).then(|| self.pacemaker.deadline_ms());
        let next = view_timer.into_iter().chain(self.sync.deadline_ms()).min();
        if let Some(at_ms) = next
            && self.armed_ms != Some(at_ms)
        {
            self.armed_ms = Some(at_ms);
            out.push(Output::SetTimer { at_ms });
        }
    }

    fn on_timer(&mut self, out: &mut Outbox) {
        self.armed_ms = None;
        if !self.safety.observes() && self.now_ms >= self.pacemaker.deadline_ms() {
            self.give_up_view(out);
        }
    }
}

fn safety_of(
    config: &Config,
    signer: Option<SecretKey>,
    recovered: &Recovered,
    anchor: &QuorumCertificate,
) -> Result<Safety, StartError> {
    let (index, key) = match (config.me, signer) {
        (None, None) => return Ok(Safety::observer()),
        (Some(index), Some(key)) => (index, key),
        _ => return Err(StartError::KeyAndIndex),
    };
    let public = key.public_key();
    if config.set.get(index).is_none_or(|member| member.public_key != public) {
        return Err(StartError::NotMember(index));
    }
    if recovered.must_observe && !broken(Bug::AmnesiaVotes) {
        return Ok(Safety::observer());
    }
    let survived = recovered.safety.as_ref().filter(|_| !broken(Bug::ForgetsOnRestart));
    let record = match survived {
        None => SafetyRecord::new(config.chain, config.set.epoch(), public, anchor.clone()),
        Some(record) if record.chain != config.chain => {
            return Err(StartError::ForeignRecord("chain"));
        }
        Some(record) if record.epoch != config.set.epoch() => {
            return Err(StartError::ForeignRecord("epoch"));
        }
        Some(record) if record.key != public => return Err(StartError::ForeignRecord("key")),
        Some(record) => record.clone(),
    };
    Ok(Safety::validator(index, key, record))
}

/// The view to start in: the one that the best certificate at hand opens, or the one given up last, if it is higher.
/// Not simply the one after the newest final block: others may be stuck below it, and can be brought along only by a
/// certificate.
fn first_view(
    high_qc: &QuorumCertificate,
    high_tc: Option<&TimeoutCertificate>,
    proof: Option<&CommitProof>,
    record: Option<&SafetyRecord>,
) -> View {
    let certified = high_qc.view.max(high_tc.map_or(0, |tc| tc.view));
    let certified = certified.max(proof.map_or(0, CommitProof::view));
    certified.saturating_add(1).max(record.map_or(0, |record| record.timed_out))
}
