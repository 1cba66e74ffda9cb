//! PROPOSE, and what a proposal must satisfy.

use std::sync::Arc;

use neura_types::{
    Block, BlockId, Header, View,
    block::payload_digest,
    vote::{ConsensusMessage, Evidence, Proposal, Signed, Statement},
};

use crate::{
    bugs::{Bug, broken},
    input::{Body, Peer},
    invariants::{self, HeaderFault},
    leaders::{absences, leader_after, leader_of},
    output::{Fault, Outbox, Output},
    replica::Replica,
    tree::Check,
    verify::out_of_range,
};

/// Views whose leaders' signatures are kept to convict them; views above the newest final one, oldest dropped first.
const MAX_PROPOSED_VIEWS: usize = 256;

impl Replica {
    /// PROPOSE: leader of the view, nothing proposed in it, on the highest certificate, which is of the view before
    /// or covered by that view's timeout certificate. Asks for the body; the rest is in [`Self::on_payload`].
    pub(crate) fn try_propose(&mut self, out: &mut Outbox) {
        let view = self.view();
        let leads = self.config.me == Some(self.leader(view));
        let given_up = self.pacemaker.own_timeout().is_some();
        if !leads || given_up || self.has_ended() || !self.safety.proposal_is_free(view) {
            return;
        }
        let timeout = self.justifying_timeout(view);
        let parent = self.high_qc.block;
        if !invariants::justified(view, self.high_qc.view, timeout)
            || self.asked == Some((view, parent))
        {
            return;
        }
        let Some(above) = self.tree.block(&parent) else { return };
        let height = above.header.height.saturating_add(1);
        let parent_timestamp_ms = above.header.timestamp_ms;
        let parent_executed = above.header.executed.height;
        let is_tail = height > self.config.last_height;
        let must_be_empty = is_tail || self.is_beyond(height, self.config.max_uncommitted);
        let ends_epoch = height == self.config.last_height;
        self.asked = Some((view, parent));
        out.push(Output::BuildPayload {
            view,
            parent,
            height,
            parent_timestamp_ms,
            parent_executed,
            must_be_empty,
            ends_epoch,
        });
    }

    /// The body is there: PROPOSE, then VOTE for it.
    pub(crate) fn on_payload(&mut self, request: (View, BlockId), body: Body, out: &mut Outbox) {
        let (view, parent) = request;
        let stale = self.asked != Some(request)
            || view != self.view()
            || parent != self.high_qc.block
            || self.pacemaker.own_timeout().is_some();
        let Some(above) = self.tree.block(&parent).filter(|_| !stale).cloned() else { return };
        let Some(proposer) = self.config.me else { return };
        let Some(beacon) = self.safety.beacon(&above.header) else { return };
        let timeout = self.justifying_timeout(view).and_then(|_| self.high_tc.clone());
        let Body { timestamp_ms, executed, batches, payload, next_epoch } = body;
        let header = Header {
            epoch: self.config.set.epoch(),
            view,
            height: above.header.height.saturating_add(1),
            parent,
            proposer,
            timestamp_ms: timestamp_ms.max(above.header.timestamp_ms.saturating_add(1)),
            beacon,
            payload_digest: payload_digest(&batches, &payload),
            executed,
            absent: Vec::new(),
            next_epoch,
        };
        let justify = self.high_qc.clone();
        let mut block = Block { header, justify, timeout, batches, payload };
        block.header.absent = absences(&self.config.set, &block, &above.header);
        if self.is_tail(&block.header) {
            block.header.executed = above.header.executed;
        }
        if self.check_beside(&block, &above).is_err() {
            return;
        }
        let block = Arc::new(block);
        let id = block.id();
        let Some(permit) = self.safety.propose(&block, id) else { return };
        out.store(id, Arc::clone(&block));
        let persisted = out.persist(permit);
        let Some(signed) = self.safety.sign(persisted) else { return };
        let proposal = Proposal { block: Arc::clone(&block), signature: signed.signature };
        self.proposed.entry(view).or_default().push(signed);
        self.own.proposal = Some(proposal.clone());
        out.push(Output::Broadcast(ConsensusMessage::Proposal(Box::new(proposal))));
        self.tree.insert(id, block, Check::Valid, &self.high_qc.block);
        self.cast_vote(&id, out);
    }

    /// A proposal arrived: its certificates count in any case, then the block is linked or its parent fetched.
    pub(crate) fn on_proposal(&mut self, from: Peer, proposal: Proposal, out: &mut Outbox) {
        let block = proposal.block;
        let header = &block.header;
        let view = header.view;
        if view <= self.tree.view() || !self.may_lead(&block) {
            return;
        }
        if let Err(fault) = invariants::check_alone(&block, &self.config.set) {
            return out.fault(from, Fault::Proposal(fault));
        }
        let above = self.tree.block(&header.parent).map(|parent| &parent.header);
        let leads = |above| leader_after(&self.config.set, view, above) == header.proposer;
        if above.is_some_and(|above| !leads(above)) && !broken(Bug::LeaderUnchecked) {
            return out.fault(from, Fault::Proposal(HeaderFault::Leader));
        }
        let id = block.id();
        let signed = Signed {
            epoch: header.epoch,
            author: header.proposer,
            statement: Statement::Propose { view, block: id },
            signature: proposal.signature,
        };
        // Two of each proposer, so that nobody takes the leader's place.
        let of_author = |known: &&Signed| known.author == signed.author;
        let earlier: Vec<&Signed> =
            self.proposed.get(&view).into_iter().flatten().filter(of_author).collect();
        if earlier.len() > 1 || earlier.iter().any(|known| known.statement == signed.statement) {
            return;
        }
        if out_of_range(view) || !self.verifier.signed(&signed) {
            return out.fault(from, Fault::Signature);
        }
        if !block.payload_matches() && !broken(Bug::PayloadUnchecked) {
            return out.fault(from, Fault::Proposal(HeaderFault::Payload));
        }
        if !self.certificates_hold(&block) {
            return out.fault(from, Fault::Certificate);
        }
        self.note_proposal(signed, out);
        if let Some(tc) = block.timeout.clone() {
            self.on_view_change(tc, Some(from), out);
        }
        self.on_quorum(&block.justify, Some(from), out);
        if view > self.tree.view() && !self.tree.knows(&id) {
            self.link(id, block, Some(from), out);
        }
    }

    /// Links a block, and all that waited for it, to the tree; without its parent it waits.
    pub(crate) fn link(
        &mut self,
        id: BlockId,
        block: Arc<Block>,
        from: Option<Peer>,
        out: &mut Outbox,
    ) {
        // Who brought this block is not to blame for those that waited for it.
        let mut waiting = vec![(id, block, from)];
        while let Some((id, block, from)) = waiting.pop() {
            let Some(parent) = self.tree.block(&block.header.parent) else {
                let (view, missing) = (block.justify.view, block.header.parent);
                self.tree.add_orphan(id, block);
                self.want(missing, view, from);
                continue;
            };
            match self.check_beside(&block, parent) {
                Ok(()) => self.tree.insert(id, block, Check::Unchecked, &self.high_qc.block),
                Err(fault) => {
                    if let Some(peer) = from {
                        out.fault(peer, Fault::Proposal(fault));
                    }
                    continue;
                }
            }
            self.commit_with(&id, out);
            let children = self.tree.take_children(&id);
            waiting.extend(children.into_iter().map(|(id, block)| (id, block, None)));
        }
        self.try_propose(out);
        self.consider_votes(out);
    }

    /// Whether a block of this height would lie more than `limit` above the newest final one.
    pub(crate) fn is_beyond(&self, height: u64, limit: u64) -> bool {
        height.saturating_sub(self.tree.height()) > limit
    }

    /// View and highest report of the timeout certificate needed to propose in a view, if one is needed and at hand.
    fn justifying_timeout(&self, view: View) -> Option<(View, View)> {
        let direct = self.high_qc.view.checked_add(1) == Some(view);
        let tc = self.high_tc.as_ref().filter(|_| !direct)?;
        Some((tc.view, tc.high_qc.view))
    }

    fn check_beside(&self, block: &Block, parent: &Block) -> Result<(), HeaderFault> {
        invariants::check_beside(block, parent, (&self.config.set, self.config.last_height))?;
        self.verifier.beacon(&block.header, &parent.header)
    }

    /// Whether a proposal is worth a look. While its parent is missing, who leads is not known for sure: those count
    /// who would lead after the newest blocks at hand.
    fn may_lead(&self, block: &Block) -> bool {
        let (set, header) = (&self.config.set, &block.header);
        if self.tree.block(&header.parent).is_some() {
            return true;
        }
        [self.leader(header.view), leader_of(set, header.view, &[])].contains(&header.proposer)
    }

    fn certificates_hold(&mut self, block: &Block) -> bool {
        self.verifier.quorum(&block.justify, &self.votes)
            && block.timeout.as_ref().is_none_or(|tc| self.verifier.timeout(tc))
    }

    /// Remembers a leader's signature; a second one for another block convicts it.
    fn note_proposal(&mut self, signed: Signed, out: &mut Outbox) {
        let known = self.proposed.entry(signed.statement.view()).or_default();
        let first = known.iter().copied().find(|first| first.author == signed.author);
        known.push(signed);
        if let Some(first) = first.filter(|_| !broken(Bug::ProposalPairMissed)) {
            self.convict(Evidence { first, second: signed }, out);
        }
        if self.proposed.len() > MAX_PROPOSED_VIEWS {
            self.proposed.pop_first();
        }
    }
}
