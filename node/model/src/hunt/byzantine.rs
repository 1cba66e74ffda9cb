//! What the Byzantine validator does: everything that its key allows, and forgeries that must be refused.

use std::sync::Arc;

use neura_consensus_bugs::{
    Peer,
    leaders::{absences, leader_after},
};
use neura_types::{
    Absence, B256, Beacon, Block, BlockId, QuorumCertificate, TimeoutCertificate, ValidatorIndex,
    View,
    block::payload_digest,
    keys::Signature,
    vote::{ConsensusMessage, Proposal, Signed, Statement},
};

use super::{arena::Arena, oracle};

/// A view, the view of a certified block below it, and that block.
type Slot = (View, View, Arc<Block>);

/// Honest keys that complete a quorum with the Byzantine one.
const HONEST_IN_QUORUM: usize = 2;

impl Arena {
    /// One act of malice.
    pub(super) fn misbehave(&mut self) {
        match self.rng.below(17) {
            0..=2 => self.propose(),
            3..=6 => self.propose_invalid(),
            7..=8 => self.vote(),
            9 => self.commit_vote(),
            10 => self.give_up(),
            11..=12 => self.forge(),
            13 => self.impersonate(),
            14 => self.relay(),
            15 if self.rng.chance(50) => self.mutate(),
            _ if self.temper.claims => self.claim_far_ahead(),
            _ => self.give_up(),
        }
    }

    pub(super) fn say(&mut self, to: ValidatorIndex, message: ConsensusMessage) {
        self.hear(&message);
        self.send(Peer::Validator(self.byzantine), to, message);
    }

    pub(super) fn say_to_some(&mut self, message: &ConsensusMessage) {
        for to in self.honest() {
            if self.rng.chance(70) {
                self.say(to, message.clone());
            }
        }
    }

    pub(super) fn own(&self, statement: Statement) -> Signed {
        self.realm.signed(self.byzantine, statement)
    }

    /// A view near the honest ones'.
    pub(super) fn near_view(&mut self) -> View {
        let lowest = self.realm.anchor().view + 1;
        let view = self.view + 1;
        view.saturating_sub(self.rng.below(4) as View).max(lowest)
    }

    /// Certificates that the statements heard allow, the newest last.
    pub(super) fn certificates(&self) -> Vec<Statement> {
        let certified = |(statement, by): &(&Statement, &std::collections::BTreeMap<_, _>)| {
            let honest = by.keys().filter(|author| **author != self.byzantine).count();
            matches!(statement, Statement::Vote { .. }) && honest >= HONEST_IN_QUORUM
        };
        let mut votes: Vec<Statement> =
            self.heard.iter().filter(certified).map(|(s, _)| *s).collect();
        votes.sort_by_key(Statement::view);
        votes
    }

    pub(super) fn assemble(&mut self, statement: &Statement) -> Vec<Signed> {
        let own = self.own(*statement);
        let heard = self.heard.entry(*statement).or_default();
        heard.insert(self.byzantine, own);
        heard.values().copied().collect()
    }

    /// A quorum certificate, mostly a new one.
    pub(super) fn any_qc(&mut self) -> QuorumCertificate {
        let votes = self.certificates();
        if votes.is_empty() || self.rng.chance(8) {
            return self.realm.anchor_qc();
        }
        let back = if self.rng.chance(60) { 0 } else { self.rng.below(votes.len().min(4)) };
        let signed = self.assemble(&votes[votes.len() - 1 - back]);
        self.realm.qc(&signed).unwrap_or_else(|| self.realm.anchor_qc())
    }

    pub(super) fn qc_of_view(&mut self, view: View) -> Option<QuorumCertificate> {
        let anchor = self.realm.anchor_qc();
        if view == anchor.view {
            return Some(anchor);
        }
        let vote = self.certificates().into_iter().find(|vote| vote.view() == view)?;
        let signed = self.assemble(&vote);
        self.realm.qc(&signed)
    }

    /// The honest timeouts of a view, one of each key.
    pub(super) fn timeouts_of(&self, view: View) -> Vec<Signed> {
        let of_view = self.heard.iter().filter(|(statement, _)| {
            matches!(statement, Statement::Timeout { view: given_up, .. } if *given_up == view)
        });
        let mut signed: Vec<Signed> = of_view
            .flat_map(|(_, by)| by.values().copied())
            .filter(|s| s.author != self.byzantine)
            .collect();
        signed.sort_by_key(|signed| signed.author);
        signed.dedup_by_key(|signed| signed.author);
        signed
    }

    /// A timeout certificate of a view, if enough honest replicas gave it up; with a lie, its certificate is lower
    /// than what it reports.
    pub(super) fn any_tc(&mut self, view: View, lie: bool) -> Option<TimeoutCertificate> {
        let mut timeouts = self.timeouts_of(view);
        if timeouts.len() < HONEST_IN_QUORUM {
            return None;
        }
        while timeouts.len() > HONEST_IN_QUORUM {
            timeouts.remove(self.rng.below(timeouts.len()));
        }
        let anchor = self.realm.anchor().view;
        timeouts.push(self.own(Statement::Timeout { view, high_qc_view: anchor }));
        let reported = |signed: &Signed| match signed.statement {
            Statement::Timeout { high_qc_view, .. } => high_qc_view,
            _ => 0,
        };
        let highest = timeouts.iter().map(reported).max()?;
        let high_qc = self.qc_of_view(if lie { anchor } else { highest })?;
        self.realm.tc(&timeouts, &high_qc)
    }

    /// A view that an honest replica is in, or the next, and a certified block such that the Byzantine validator leads
    /// the view after it; `direct` asks for a block of the view before, or of an earlier one.
    pub(super) fn slot(
        &mut self,
        direct: Option<bool>,
    ) -> Option<(View, QuorumCertificate, Arc<Block>)> {
        let fits =
            |(view, above, _): &Slot| direct.is_none_or(|direct| direct == (above + 1 == *view));
        let slots: Vec<Slot> = self.slots().into_iter().filter(fits).collect();
        self.take(&slots)
    }

    fn take(&mut self, slots: &[Slot]) -> Option<(View, QuorumCertificate, Arc<Block>)> {
        let (view, above, parent) = self.rng.pick(slots).cloned()?;
        Some((view, self.qc_of_view(above)?, parent))
    }

    /// All slots: the view to propose in, the certified block's view, the block.
    fn slots(&self) -> Vec<Slot> {
        let views: std::collections::BTreeSet<View> = self
            .nodes
            .values()
            .map(|node| node.status().view)
            .flat_map(|view| [view, view + 1])
            .collect();
        let anchor = self.realm.anchor();
        let certified = self.certificates();
        let mut parents: Vec<(View, BlockId)> = vec![(anchor.view, anchor.block)];
        for vote in certified.iter().rev().take(6) {
            if let Statement::Vote { view, block, .. } = vote {
                parents.push((*view, *block));
            }
        }
        let mut slots = Vec::new();
        for view in views {
            for (above, id) in &parents {
                let Some(parent) = self.watch.blocks.get(id) else { continue };
                let leads = leader_after(&self.realm.set, view, &parent.header) == self.byzantine;
                if view > *above && leads {
                    slots.push((view, *above, Arc::clone(parent)));
                }
            }
        }
        slots
    }

    /// A block for a slot, with the timeout certificate that it needs if there is one.
    pub(super) fn block_in(
        &mut self,
        (view, qc, parent): (View, QuorumCertificate, Arc<Block>),
        tag: u8,
    ) -> Option<Block> {
        let direct = qc.view + 1 == view;
        let timeout = if direct { None } else { Some(self.any_tc(view - 1, false)?) };
        let lower = timeout.as_ref().is_some_and(|tc| tc.high_qc.view > qc.view);
        (!lower).then(|| self.realm.child(&parent, view, (qc, timeout), tag))
    }

    pub(super) fn sign_proposal(&mut self, block: Block) -> ConsensusMessage {
        let block = Arc::new(block);
        let id = block.id();
        self.watch.blocks.insert(id, Arc::clone(&block));
        let statement = Statement::Propose { view: block.header.view, block: id };
        let signature = self.own(statement).signature;
        ConsensusMessage::Proposal(Box::new(Proposal { block, signature }))
    }

    /// Valid blocks, two of them to different replicas or to the same.
    pub(super) fn propose(&mut self) {
        let Some(slot) = self.slot(None) else { return };
        for tag in [1, 2] {
            let refused = self.rng.chance(20);
            let tag = if refused { oracle::REFUSED } else { tag };
            let Some(block) = self.block_in(slot.clone(), tag) else { return };
            let message = self.sign_proposal(block);
            self.say_to_some(&message);
        }
    }

    /// A block that breaks one rule.
    pub(super) fn propose_invalid(&mut self) {
        let block = match self.rng.below(4) {
            0 => self.break_certificates(),
            1 => self.break_certificates(),
            2 => self.break_place(),
            _ => self.break_header(),
        };
        if let Some(block) = block {
            let message = self.sign_proposal(block);
            self.say_to_some(&message);
        }
    }

    /// A block whose header breaks one rule.
    pub(super) fn break_header(&mut self) -> Option<Block> {
        let slot = self.slot(None)?;
        let parent = Arc::clone(&slot.2);
        let mut block = self.block_in(slot, 3)?;
        let is_tail = block.header.height > self.realm.last_height;
        match self.rng.below(8) {
            _ if is_tail && self.rng.chance(50) => {
                block.payload.push(vec![5].into());
                block.header.payload_digest = payload_digest(&block.batches, &block.payload);
            }
            0 => block.header.height += 1,
            1 => block.header.timestamp_ms = parent.header.timestamp_ms,
            2 => block.header.executed.height = block.header.height,
            3 => block.header.next_epoch = block.header.next_epoch.xor(Some(B256::repeat_byte(3))),
            4 => block.payload.push(vec![4].into()),
            5 => {
                block.payload.push(vec![5].into());
                block.header.payload_digest = payload_digest(&block.batches, &block.payload);
            }
            6 => {
                let other = self.realm.beacon(&block.header, self.byzantine);
                let invented = B256::repeat_byte(6);
                block.header.beacon = match self.rng.chance(50) {
                    true => other,
                    false => Beacon { value: invented, ..block.header.beacon },
                };
            }
            _ => {
                block.header.absent.push(Absence { validator: 0, since: 1 });
                return Some(block);
            }
        }
        block.header.absent = absences(&self.realm.set, &block, &parent.header);
        Some(block)
    }

    /// A block in the wrong place: of a view led by another, or on a block that its certificate does not name.
    pub(super) fn break_place(&mut self) -> Option<Block> {
        if self.rng.chance(40) {
            let qc = self.any_qc();
            let parent = self.watch.blocks.get(&qc.block).cloned()?;
            let view = qc.view + 1;
            let mut block = self.realm.child(&parent, view, (qc, None), 3);
            block.header.proposer = self.byzantine;
            return Some(block);
        }
        let views: Vec<View> = self.nodes.values().map(|node| node.status().view).collect();
        let view = self.rng.pick(&views).copied()?;
        let leads = |(_, block): &(&BlockId, &Arc<Block>)| {
            block.header.view < view
                && block.header.view + 5 > view
                && leader_after(&self.realm.set, view, &block.header) == self.byzantine
        };
        let others: Vec<Arc<Block>> =
            self.watch.blocks.iter().filter(leads).map(|(_, block)| Arc::clone(block)).collect();
        let other = self.rng.pick(&others).cloned()?;
        let justify = self.qc_of_view(view - 1)?;
        let mut block = self.realm.child(&other, view, (justify, None), 3);
        block.header.parent = other.id();
        Some(block)
    }

    /// A block whose certificates do not justify it.
    pub(super) fn break_certificates(&mut self) -> Option<Block> {
        let direct = self.rng.chance(20);
        let (view, qc, mut parent) = self.slot(Some(direct))?;
        let dead = view - 1;
        let (mut justify, mut timeout) = (qc, None);
        match self.rng.below(6) {
            _ if direct => timeout = Some(self.any_tc(dead, false)?),
            0 => {
                let other = dead.checked_sub(1 + self.rng.below(2) as View)?;
                timeout = Some(self.any_tc(other, false)?);
            }
            1 => {}
            2 => timeout = Some(self.foreign_tc(dead)),
            3 => timeout = Some(self.any_tc(dead, true)?),
            4 => {
                let tc = self.any_tc(dead, false)?;
                let lower = |(at, above, _): &Slot| *at == view && *above < tc.high_qc.view;
                let below: Vec<Slot> = self.slots().into_iter().filter(lower).collect();
                if let Some((_, qc, block)) = self.take(&below) {
                    (justify, parent) = (qc, block);
                }
                timeout = Some(tc);
            }
            _ => justify = self.forged_qc(),
        }
        let mut block = self.realm.child(&parent, view, (justify, timeout), 3);
        block.header.parent = parent.id();
        Some(block)
    }

    /// Timeouts of the epoch before, in which the same keys signed.
    pub(super) fn foreign_tc(&mut self, view: View) -> TimeoutCertificate {
        let epoch = self.realm.epoch() - 1;
        let anchor = self.realm.anchor_qc();
        let statement = Statement::Timeout { view, high_qc_view: anchor.view };
        let signed: Vec<Signed> =
            (0..3).map(|author| self.realm.signed_in(epoch, author, statement)).collect();
        let tc = self.realm.tc(&signed, &anchor);
        tc.unwrap_or_else(|| unreachable!("three timeouts of one view"))
    }

    /// Votes for every block of the newest view, to all: as an honest validator would.
    pub(super) fn follow_votes(&mut self) {
        let newest: Vec<(BlockId, Arc<Block>)> = self
            .watch
            .blocks
            .iter()
            .filter(|(_, block)| block.header.view == self.view)
            .map(|(id, block)| (*id, Arc::clone(block)))
            .collect();
        for (id, block) in newest {
            let statement = self.realm.vote_for(&block, id);
            let voted =
                self.heard.get(&statement).is_some_and(|by| by.contains_key(&self.byzantine));
            if !voted {
                let message = ConsensusMessage::Vote(self.own(statement));
                for to in self.honest() {
                    self.say(to, message.clone());
                }
            }
        }
    }

    pub(super) fn vote(&mut self) {
        let blocks: Vec<(BlockId, Arc<Block>)> =
            self.watch.blocks.iter().map(|(id, block)| (*id, Arc::clone(block))).collect();
        let recent = self.view.saturating_sub(3);
        let near: Vec<_> = blocks.into_iter().filter(|(_, b)| b.header.view >= recent).collect();
        let Some((id, block)) = self.rng.pick(&near).cloned() else { return };
        let mut signed = self.own(self.realm.vote_for(&block, id));
        if self.rng.chance(15) {
            signed.signature = Signature([7; 64]);
        }
        self.say_to_some(&ConsensusMessage::Vote(signed));
    }

    pub(super) fn commit_vote(&mut self) {
        let ids: Vec<(View, BlockId)> =
            self.watch.blocks.iter().map(|(id, block)| (block.header.view, *id)).collect();
        let Some((view, block)) = self.rng.pick(&ids).copied() else { return };
        let signed = self.own(Statement::Commit { view, block });
        self.say_to_some(&ConsensusMessage::Vote(signed));
    }

    /// A timeout with any certificate, often one that denies a lock.
    pub(super) fn give_up(&mut self) {
        let qc = self.any_qc();
        let view = self.near_view();
        if view > qc.view {
            let signed = self.own(Statement::Timeout { view, high_qc_view: qc.view });
            self.say_to_some(&ConsensusMessage::Timeout(signed, Box::new(qc)));
        }
    }

    pub(super) fn claim_far_ahead(&mut self) {
        let qc = self.any_qc();
        let view = self.view + 2 + self.rng.below(1_000) as View;
        let signed = self.own(Statement::Timeout { view, high_qc_view: qc.view });
        self.say_to_some(&ConsensusMessage::Timeout(signed, Box::new(qc)));
        let block = B256::repeat_byte(9);
        let far = self.own(Statement::Vote { view, block, parent_view: view - 1 });
        self.say_to_some(&ConsensusMessage::Vote(far));
    }
}
