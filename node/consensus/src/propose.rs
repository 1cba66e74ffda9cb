//! PROPOSE, and what a proposal must satisfy.

use std::sync::Arc;

use neura_types::{
    Block, BlockId, Bytes, ExecutedRoot, Header, View,
    block::payload_digest,
    vote::{ConsensusMessage, Evidence, Proposal, Signed, Statement},
};

use crate::{
    input::Peer,
    invariants::{self, HeaderFault},
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
        let leads = self.config.me == Some(self.config.set.leader(view));
        let given_up = self.pacemaker.own_timeout().is_some();
        if !leads || given_up || !self.safety.proposal_is_free(view) {
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
        let must_be_empty = self.is_beyond(height, self.config.max_uncommitted);
        self.asked = Some((view, parent));
        out.push(Output::BuildPayload {
            view,
            parent,
            height,
            parent_timestamp_ms,
            parent_executed,
            must_be_empty,
        });
    }

    /// The body is there: PROPOSE, then VOTE for it.
    pub(crate) fn on_payload(
        &mut self,
        request: (View, BlockId),
        (timestamp_ms, executed, payload): (u64, ExecutedRoot, Vec<Bytes>),
        out: &mut Outbox,
    ) {
        let (view, parent) = request;
        let stale = self.asked != Some(request)
            || view != self.view()
            || parent != self.high_qc.block
            || self.pacemaker.own_timeout().is_some();
        let Some(above) = self.tree.block(&parent).filter(|_| !stale).cloned() else { return };
        let Some(proposer) = self.config.me else { return };
        let timeout = self.justifying_timeout(view).and_then(|_| self.high_tc.clone());
        let header = Header {
            epoch: self.config.set.epoch(),
            view,
            height: above.header.height.saturating_add(1),
            parent,
            proposer,
            timestamp_ms: timestamp_ms.max(above.header.timestamp_ms.saturating_add(1)),
            payload_digest: payload_digest(&payload),
            executed,
        };
        let block = Arc::new(Block { header, justify: self.high_qc.clone(), timeout, payload });
        if invariants::check_beside(&block, &above).is_err() {
            return;
        }
        let id = block.id();
        let Some(permit) = self.safety.propose(&block, id) else { return };
        out.store(id, Arc::clone(&block));
        let persisted = out.persist(permit);
        let Some(signed) = self.safety.sign(persisted) else { return };
        let proposal = Proposal { block: Arc::clone(&block), signature: signed.signature };
        self.proposed.insert(view, vec![signed]);
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
        if header.epoch != self.config.set.epoch() || view <= self.tree.view() {
            return;
        }
        if let Err(fault) = invariants::check_alone(&block, self.config.set.leader(view)) {
            return out.fault(from, Fault::Proposal(fault));
        }
        let id = block.id();
        let signed = Signed {
            epoch: header.epoch,
            author: header.proposer,
            statement: Statement::Propose { view, block: id },
            signature: proposal.signature,
        };
        let earlier = self.proposed.get(&view).map(Vec::as_slice).unwrap_or_default();
        if earlier.len() > 1 || earlier.iter().any(|known| known.statement == signed.statement) {
            return;
        }
        if out_of_range(view) || !self.verifier.signed(&signed) {
            return out.fault(from, Fault::Signature);
        }
        if !block.payload_matches() {
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
        let mut waiting = vec![(id, block)];
        while let Some((id, block)) = waiting.pop() {
            let Some(parent) = self.tree.block(&block.header.parent) else {
                let (view, missing) = (block.justify.view, block.header.parent);
                self.tree.add_orphan(id, block);
                self.want(missing, view, from);
                continue;
            };
            match invariants::check_beside(&block, parent) {
                Ok(()) => self.tree.insert(id, block, Check::Unchecked, &self.high_qc.block),
                Err(fault) => {
                    if let Some(peer) = from {
                        out.fault(peer, Fault::Proposal(fault));
                    }
                    continue;
                }
            }
            self.commit_with(&id, out);
            waiting.extend(self.tree.take_children(&id));
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

    fn certificates_hold(&mut self, block: &Block) -> bool {
        self.verifier.quorum(&block.justify, &self.votes)
            && block.timeout.as_ref().is_none_or(|tc| self.verifier.timeout(tc))
    }

    /// Remembers a leader's signature; a second one for another block convicts it.
    fn note_proposal(&mut self, signed: Signed, out: &mut Outbox) {
        let known = self.proposed.entry(signed.statement.view()).or_default();
        if let Some(first) = known.first().copied() {
            out.push(Output::Evidence(Box::new(Evidence { first, second: signed })));
        }
        known.push(signed);
        if self.proposed.len() > MAX_PROPOSED_VIEWS {
            self.proposed.pop_first();
        }
    }
}
