//! Messages and timers that make one step of the machine possible at a real replica.

use neura_consensus_bugs::{Input, Peer};
use neura_types::{
    BlockId, QuorumCertificate, View,
    vote::{ConsensusMessage, Statement},
};

use super::{BYZANTINE, Difference, Pair};
use crate::{machine::BlockIndex, rng::Rng};

impl Pair {
    /// Opens the view, shows the certificate to be reported, lets the timer run out.
    pub(super) fn drive_timeout(
        &mut self,
        life: usize,
        view: u8,
        high_qc: u8,
        rng: &mut Rng,
    ) -> Result<(), Difference> {
        if self.nodes[life].status().view < self.real_view(view) {
            self.open(life, view, high_qc, rng)?;
        }
        let reported = self.qc_of_view(high_qc, rng);
        if let Some(qc) = reported.filter(|qc| qc.view > self.nodes[life].status().high_qc_view) {
            self.show_qc(life, &qc);
            self.deliver(life, Peer::Other(1), ConsensusMessage::Quorum(Box::new(qc)))?;
        }
        let given_up = self.state.lives[life].timeouts[usize::from(view) - 1] != 0;
        if self.nodes[life].status().view == self.real_view(view) && !given_up {
            self.nodes[life].now_ms += 100_000;
            let outputs = self.nodes[life].step(Input::Timer);
            self.carry_out(life, outputs)?;
        }
        Ok(())
    }

    /// Brings a replica into a view, by whatever the machine says is at hand, with certificates up to a view if possible.
    pub(super) fn open(
        &mut self,
        life: usize,
        view: u8,
        at_most: u8,
        rng: &mut Rng,
    ) -> Result<(), Difference> {
        // With the highest reports allowed: they are learned from the certificate.
        let reports = (0..view - 1).filter(|reported| *reported <= at_most).rev();
        let tc = reports.into_iter().find_map(|reported| self.tc(view - 1, reported, rng));
        let base = self.base();
        if let Some(tc) = tc.filter(|tc| tc.high_qc.view - base <= View::from(at_most)) {
            self.show_qc(life, &tc.high_qc.clone());
            return self.deliver(life, Peer::Other(1), ConsensusMessage::ViewChange(Box::new(tc)));
        }
        if at_most >= view - 1
            && let Some(qc) = self.qc_of_view(view - 1, rng)
        {
            self.show_qc(life, &qc);
            return self.deliver(life, Peer::Other(1), ConsensusMessage::Quorum(Box::new(qc)));
        }
        self.join(life, view, rng)
    }

    /// Another honest key gave up this view or a higher one; the Byzantine one says the same of this one.
    fn join(&mut self, life: usize, view: u8, rng: &mut Rng) -> Result<(), Difference> {
        let own = (BYZANTINE, view, 0u8);
        let lives = (0u16..).zip(&self.state.lives[..self.nodes.len()]);
        let others = lives.flat_map(|(author, life)| {
            let given_up = (1u8..).zip(life.timeouts).filter(|(_, timeout)| *timeout != 0);
            given_up.map(move |(given_up, timeout)| (author, given_up, timeout - 1))
        });
        let other = others
            .filter(|(_, given_up, _)| *given_up >= view)
            .min_by_key(|(_, given_up, reported)| (*reported, std::cmp::Reverse(*given_up)));
        for (author, view, high_qc) in other.into_iter().chain([own]) {
            let Some(qc) = self.qc_of_view(high_qc, rng) else { continue };
            let statement = self.timeout(view, high_qc);
            let signed = self.realm.signed(author, statement);
            self.show_qc(life, &qc);
            let message = ConsensusMessage::Timeout(signed, Box::new(qc));
            self.deliver(life, Peer::Validator(author), message)?;
        }
        Ok(())
    }

    /// The Byzantine key shows a certificate by a timeout of some view far ahead.
    pub(super) fn claim(&mut self, life: usize, qc: &QuorumCertificate) -> Result<(), Difference> {
        self.claims += 1;
        let statement = Statement::Timeout { view: self.claims, high_qc_view: qc.view };
        let signed = self.realm.signed(BYZANTINE, statement);
        self.show_qc(life, qc);
        let message = ConsensusMessage::Timeout(signed, Box::new(qc.clone()));
        self.deliver(life, Peer::Validator(BYZANTINE), message)
    }

    /// Delivers a proof of a block that is final in the machine to a random replica.
    pub(super) fn deliver_final(&mut self, rng: &mut Rng) -> Result<bool, Difference> {
        let finals = self.machine.finals(&self.state);
        let Some((block, _)) = rng.pick(&finals).copied() else { return Ok(false) };
        let life = rng.below(self.nodes.len());
        self.finalize(life, block, rng)?;
        self.compare(life)?;
        Ok(true)
    }

    /// Delivers a proof of a final block to a replica, which must then hold it, or a later one.
    ///
    /// # Errors
    /// [`Difference`] if it does not.
    pub fn finalize(
        &mut self,
        life: usize,
        block: BlockIndex,
        rng: &mut Rng,
    ) -> Result<BlockId, Difference> {
        let Some((real, id)) = self.blocks.get(&block).cloned() else {
            return Err(self.differ("a final block was never proposed"));
        };
        let proof = self.proof(block, rng);
        let Some((proof, child)) = proof else {
            return Err(self.differ("a final block has no proof"));
        };
        match child {
            // By the certificate of a child, as the replica itself would assemble it.
            Some(qc) => {
                let block = self.blocks.values().find(|(_, id)| *id == qc.block).cloned();
                let Some((child, _)) = block else { return Err(self.differ("no such child")) };
                self.show_qc(life, &child.justify.clone());
                if let Some(tc) = &child.timeout {
                    self.show_qc(life, &tc.high_qc.clone());
                }
                let message = self.realm.proposal(&child);
                self.deliver(life, Peer::Validator(child.header.proposer), message)?;
                self.claim(life, &qc)?;
            }
            None => {
                self.deliver(life, Peer::Other(1), ConsensusMessage::Committed(Box::new(proof)))?
            }
        }
        let status = self.nodes[life].status();
        if status.committed_view < real.header.view
            || status.committed_view == real.header.view && status.committed_id != id
        {
            return Err(self
                .differ(format!("block {block} is final, but not at replica {life}: {status:?}")));
        }
        Ok(status.committed_id)
    }
}
