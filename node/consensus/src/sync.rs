//! Fetch missing blocks: by range, from those who certified them, one request at a time.
//!
//! Short gaps are closed backwards from a certified id: every block is named by its child, so hashes suffice. Long ones
//! are closed forwards by final ranges, each with its proof, which leave the core as they come.

use std::{collections::BTreeMap, sync::Arc};

use neura_types::{
    Block, BlockId, CommitProof, Height, QuorumCertificate, View, certificate::Signers,
};

use crate::{
    bugs::{Bug, broken},
    input::Peer,
    output::{Fault, FetchRequest, Outbox, Output},
    replica::Replica,
};

/// Blocks in one answer: a gap that is closed in one round trip.
pub const MAX_RANGE_BLOCKS: usize = 64;
/// Bytes of the blocks in one answer, unless one block alone is larger: two full blocks of two megabytes.
pub const MAX_RANGE_BYTES: usize = 4 << 20;
/// Certified blocks that are looked for at once; the highest views stay, the others are mostly their ancestors.
const MAX_TARGETS: usize = 16;
/// Peers named in a request.
const MAX_ASKED: usize = 8;

/// A certified block that is not linked, and who should have it.
#[derive(Debug)]
struct Target {
    view: View,
    ask: Vec<Peer>,
}

/// The request under way.
#[derive(Debug)]
struct Job {
    request: FetchRequest,
    deadline_ms: u64,
}

/// What is looked for.
#[derive(Debug, Default)]
pub(crate) struct Sync {
    targets: BTreeMap<BlockId, Target>,
    job: Option<Job>,
    attempts: usize,
    /// The gap is long: ask for final ranges.
    forward: bool,
    /// However long it is, nobody has final ranges for it: its blocks are not final yet.
    backward: bool,
    /// Peers that speak of a later epoch, asked for final ranges until they have none; [`None`]: nobody does.
    ahead: Option<Vec<Peer>>,
}

impl Sync {
    /// Whether anything is looked for.
    pub(crate) fn is_active(&self) -> bool {
        !self.targets.is_empty() || self.ahead.is_some()
    }

    /// A peer is in a later epoch.
    pub(crate) fn follow(&mut self, peer: Peer) {
        let ahead = self.ahead.get_or_insert_default();
        if ahead.len() < MAX_ASKED && !ahead.contains(&peer) {
            ahead.push(peer);
        }
    }

    /// Anyone may know more.
    pub(crate) fn follow_anyone(&mut self) {
        self.ahead.get_or_insert_default();
    }

    /// When the request under way is to be issued again.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        self.job.as_ref().map(|job| job.deadline_ms)
    }

    /// Nobody answered: the request is issued again soon, to others first.
    pub(crate) fn failed(&mut self, request: &FetchRequest, retry_ms: u64) {
        if let Some(job) = self.job.as_mut().filter(|job| job.request == *request) {
            job.deadline_ms = job.deadline_ms.min(retry_ms);
        }
    }

    fn want(&mut self, id: BlockId, view: View, ask: impl IntoIterator<Item = Peer>) {
        let target = self.targets.entry(id).or_insert(Target { view, ask: Vec::new() });
        for peer in ask {
            if target.ask.len() < MAX_ASKED && !target.ask.contains(&peer) {
                target.ask.push(peer);
            }
        }
        if self.targets.len() > MAX_TARGETS {
            let lowest = self.targets.iter().map(|(id, t)| (t.view, *id)).min();
            if let Some((_, id)) = lowest {
                self.targets.remove(&id);
            }
        }
    }

    /// A peer has no further final range: the rest is closed backwards, at once if ranges came before.
    fn stop_forward(&mut self) {
        let led = self.ahead.take().is_some();
        self.backward = !self.targets.is_empty();
        if std::mem::take(&mut self.forward) || led || self.backward {
            self.job = None;
        }
    }

    fn is_asked_for(&self, of: &BlockId) -> bool {
        self.job.as_ref().is_some_and(
            |job| matches!(&job.request, FetchRequest::Ancestors { of: asked, .. } if asked == of),
        )
    }
}

impl Replica {
    /// Looks for the parent of a block that waits.
    pub(crate) fn want(&mut self, id: BlockId, view: View, from: Option<Peer>) {
        if view > self.tree.view() && self.tree.block(&id).is_none() {
            self.sync.want(id, view, from);
        }
    }

    /// Looks for the block of a certificate with those who signed it.
    pub(crate) fn want_certified(&mut self, qc: &QuorumCertificate, from: Option<Peer>) {
        if qc.view > self.tree.view() && self.tree.block(&qc.block).is_none() {
            let ask = self.signers(&qc.signers);
            self.sync.want(qc.block, qc.view, from.into_iter().chain(ask));
        }
    }

    /// Looks for the block of a proof.
    pub(crate) fn want_proved(&mut self, proof: &CommitProof, from: Option<Peer>) {
        let signers = match proof {
            CommitProof::Certificate(certificate) => &certificate.signers,
            CommitProof::TwoChain(pair) => &pair.justify.signers,
        };
        let ask = self.signers(signers);
        self.sync.want(proof.block(), proof.view(), from.into_iter().chain(ask));
    }

    /// Looks for the block of the highest certificate, after a restart.
    pub(crate) fn want_high_qc(&mut self) {
        let qc = self.high_qc.clone();
        self.want_certified(&qc, None);
    }

    fn signers(&self, signers: &Signers) -> Vec<Peer> {
        let members = signers.members(&self.config.set).unwrap_or_default();
        let me = self.config.me;
        let others = members.into_iter().map(|(index, _)| index).filter(|i| Some(*i) != me);
        others.map(Peer::Validator).collect()
    }

    /// Issues the next request if something is missing and none is under way.
    pub(crate) fn continue_fetch(&mut self, out: &mut Outbox) {
        let (tree, settled) = (&self.tree, self.tree.view());
        self.sync.targets.retain(|id, target| target.view > settled && tree.block(id).is_none());
        if !self.sync.is_active() {
            self.sync = Sync::default();
            return;
        }
        if self.sync.job.as_ref().is_some_and(|job| job.deadline_ms > self.now_ms) {
            return;
        }
        let retried = self.sync.job.take().is_some();
        self.sync.attempts = if retried { self.sync.attempts.saturating_add(1) } else { 0 };
        let request = self.next_fetch();
        let deadline_ms = self.now_ms.saturating_add(self.config.fetch_retry_ms);
        self.sync.job = Some(Job { request: request.clone(), deadline_ms });
        out.push(Output::Fetch(request));
    }

    fn next_fetch(&self) -> FetchRequest {
        let down_to = self.tree.height();
        let from = down_to.saturating_add(1);
        let newest = self.sync.targets.iter().max_by_key(|(_, target)| target.view);
        let Some((id, target)) = newest else {
            let ahead = self.sync.ahead.clone().unwrap_or_default();
            return FetchRequest::Committed { from, ask: self.in_turn(ahead) };
        };
        let ask = self.in_turn(target.ask.clone());
        let (of, height) = self.tree.missing(id);
        let gap = height.map_or(0, |height| height.saturating_sub(down_to));
        if !self.sync.backward && (self.sync.forward || gap > max_range()) {
            FetchRequest::Committed { from, ask }
        } else {
            FetchRequest::Ancestors { of, down_to, ask }
        }
    }

    /// Others first after each attempt that failed.
    fn in_turn(&self, mut ask: Vec<Peer>) -> Vec<Peer> {
        if let Some(first) = self.sync.attempts.checked_rem(ask.len()) {
            ask.rotate_left(first);
        }
        ask
    }

    /// Ancestors arrived: a chain that ends in the block asked for is as certified as that block.
    pub(crate) fn on_ancestors(
        &mut self,
        from: Peer,
        of: BlockId,
        blocks: Vec<Arc<Block>>,
        out: &mut Outbox,
    ) {
        if blocks.is_empty() || !self.sync.is_asked_for(&of) {
            return;
        }
        let leads = |id: &BlockId| *id == of || broken(Bug::RangeUnchecked);
        let Some(chain) = chain_of(blocks).filter(|c| c.last().is_some_and(|(id, _)| leads(id)))
        else {
            return out.fault(from, Fault::Range);
        };
        self.sync.job = None;
        let oldest = chain.first().map_or(0, |(_, block)| block.header.height);
        let gap = oldest.saturating_sub(self.tree.height()).saturating_sub(1);
        self.sync.forward = gap > max_range();
        self.sync.backward = false;
        for (id, block) in chain {
            if block.header.height > self.tree.height() && !self.tree.knows(&id) {
                self.link(id, block, None, out);
            }
        }
    }

    /// A final range arrived: hashes lead from the proof's block down to our newest final one.
    pub(crate) fn on_committed_range(
        &mut self,
        from: Peer,
        mut blocks: Vec<Arc<Block>>,
        proof: Option<CommitProof>,
        out: &mut Outbox,
    ) {
        let Some(proof) = proof else {
            return self.sync.stop_forward();
        };
        // A range that runs past the epoch's end cannot be checked yet: no fault, and no use.
        if proof.epoch() != self.config.set.epoch() || proof.view() <= self.tree.view() {
            return;
        }
        if !self.verifier.proof(&proof) {
            return out.fault(from, Fault::Certificate);
        }
        let height = self.tree.height();
        blocks.retain(|block| block.header.height > height);
        let Some(oldest) = blocks.first() else {
            self.sync.stop_forward();
            return self.commit_by(proof, Some(from), out);
        };
        let linked = oldest.header.parent == self.tree.root();
        let chain = chain_of(blocks)
            .filter(|chain| linked && chain.last().is_some_and(|(id, _)| *id == proof.block()));
        let Some(chain) = chain else { return out.fault(from, Fault::Range) };
        self.sync.job = None;
        self.sync.forward = true;
        for (id, block) in chain {
            if self.tree.block(&id).is_none() && block.header.height > self.tree.height() {
                self.link(id, block, Some(from), out);
            }
        }
        self.commit_by(proof, Some(from), out);
    }
}

fn max_range() -> Height {
    Height::try_from(MAX_RANGE_BLOCKS).unwrap_or(Height::MAX)
}

/// The blocks with their ids, if each is the parent of the next and each body is the one its header names.
fn chain_of(blocks: Vec<Arc<Block>>) -> Option<Vec<(BlockId, Arc<Block>)>> {
    let mut chain: Vec<(BlockId, Arc<Block>)> = Vec::with_capacity(blocks.len());
    for block in blocks {
        let follows = chain.last().is_none_or(|(id, _)| *id == block.header.parent);
        if !follows || !block.payload_matches() {
            return None;
        }
        chain.push((block.id(), block));
    }
    Some(chain)
}
