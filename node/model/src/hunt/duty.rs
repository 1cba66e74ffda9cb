//! What a replica must do at once: report a validator that contradicts itself before its eyes.

use std::collections::{BTreeMap, BTreeSet};

use neura_consensus_bugs::{Input, Output, Peer};
use neura_types::{
    ValidatorIndex, View,
    vote::{ConsensusMessage, Signed, Statement},
};

use crate::real::{Node, Realm};

/// What one run of a replica was shown by the Byzantine validator itself.
#[derive(Debug, Default)]
struct Shown {
    /// Votes and commit votes that it must have kept.
    kept: Vec<Signed>,
    /// Proposals that it must have kept.
    proposed: Vec<Signed>,
    /// Highest view of a timeout.
    timed_out: View,
    convicted: bool,
}

/// Evidence due.
#[derive(Debug, Default)]
pub(super) struct Duty {
    shown: BTreeMap<ValidatorIndex, Shown>,
    /// No lies, no loss: the network is healed.
    pub(super) calm: bool,
    /// Replicas that reported the Byzantine validator at least once.
    pub(super) reporters: BTreeSet<ValidatorIndex>,
}

impl Duty {
    /// A replica starts again and has seen nothing.
    pub(super) fn restarted(&mut self, index: ValidatorIndex) {
        self.shown.remove(&index);
    }

    /// Whether evidence is due for this input.
    pub(super) fn before(
        &mut self,
        realm: &Realm,
        byzantine: ValidatorIndex,
        node: &Node,
        input: &Input,
    ) -> bool {
        let Input::Message { from: Peer::Validator(from), message } = input else { return false };
        let status = node.status();
        if *from != byzantine || status.committed_height >= realm.last_height {
            return false;
        }
        let shown = self.shown.entry(node.index).or_default();
        let due = match message {
            ConsensusMessage::Vote(signed) => shown.vote(realm, byzantine, status.view, signed),
            ConsensusMessage::Timeout(signed, qc) => {
                let known = qc.verify(&realm.set, &realm.chain, realm.anchor()).is_ok();
                let news = signed.statement.view() > shown.timed_out.max(status.view);
                let mine = signed.author == byzantine && signed.verify(&realm.set, &realm.chain);
                let counts = known && news && mine && reports(signed, qc.view);
                if counts {
                    shown.timed_out = signed.statement.view();
                }
                counts
                    && shown.kept.iter().any(|earlier| {
                        let near = earlier.statement.view() + 24 > status.view;
                        near && earlier.conflicts_with(signed)
                    })
            }
            ConsensusMessage::Proposal(proposal) => {
                let header = &proposal.block.header;
                let statement =
                    Statement::Propose { view: header.view, block: proposal.block.id() };
                let signed = Signed {
                    epoch: header.epoch,
                    author: header.proposer,
                    statement,
                    signature: proposal.signature,
                };
                let seen = header.view == status.view
                    && status.leader == byzantine
                    && header.proposer == byzantine
                    && signed.verify(&realm.set, &realm.chain)
                    && self.well_formed(realm, proposal);
                self.shown.entry(node.index).or_default().proposal(seen, signed)
            }
            _ => false,
        };
        due && !self.shown.entry(node.index).or_default().convicted
    }

    fn well_formed(&self, realm: &Realm, proposal: &neura_types::vote::Proposal) -> bool {
        let block = &proposal.block;
        let direct = block.timeout.is_none() && block.justify.view + 1 == block.header.view;
        direct
            && block.header.epoch == realm.epoch()
            && block.header.parent == block.justify.block
            && block.payload_matches()
            && block.justify.verify(&realm.set, &realm.chain, realm.anchor()).is_ok()
    }

    /// Whether the evidence due was reported.
    ///
    /// # Errors
    /// If it was not.
    pub(super) fn after(
        &mut self,
        index: ValidatorIndex,
        due: bool,
        outputs: &[Output],
    ) -> Result<(), String> {
        let reported = outputs.iter().any(|output| matches!(output, Output::Evidence(_)));
        if reported {
            self.shown.entry(index).or_default().convicted = true;
            self.reporters.insert(index);
        }
        if due && !reported {
            return Err(format!("{index} saw a validator contradict itself and says nothing"));
        }
        Ok(())
    }
}

impl Shown {
    fn vote(
        &mut self,
        realm: &Realm,
        byzantine: ValidatorIndex,
        view: View,
        signed: &Signed,
    ) -> bool {
        // Well within the views whose statements are kept.
        let near = signed.statement.view() + 16 > view && signed.statement.view() < view + 8;
        let kind = matches!(signed.statement, Statement::Vote { .. } | Statement::Commit { .. });
        let counts =
            near && kind && signed.author == byzantine && signed.verify(&realm.set, &realm.chain);
        let same_slot = |earlier: &&Signed| {
            earlier.statement.view() == signed.statement.view()
                && std::mem::discriminant(&earlier.statement)
                    == std::mem::discriminant(&signed.statement)
        };
        if !counts {
            return false;
        }
        let earlier = self.kept.iter().find(same_slot).copied();
        if earlier.is_none() {
            self.kept.push(*signed);
        }
        earlier.is_some_and(|earlier| earlier.statement != signed.statement)
    }

    fn proposal(&mut self, seen: bool, signed: Signed) -> bool {
        let other = self.proposed.iter().any(|earlier| earlier.conflicts_with(&signed));
        if seen {
            self.proposed.push(signed);
        }
        seen && other
    }
}

fn reports(signed: &Signed, view: View) -> bool {
    matches!(signed.statement, Statement::Timeout { view: given_up, high_qc_view } if high_qc_view == view && given_up > view)
}
