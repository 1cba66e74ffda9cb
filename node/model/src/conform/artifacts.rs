//! Real certificates, proofs and blocks for what the machine says can be assembled.

use std::sync::Arc;

use neura_types::{
    Block, CommitProof, QuorumCertificate, TimeoutCertificate, ValidatorIndex,
    vote::{Signed, Statement},
};

use super::{BYZANTINE, Pair};
use crate::{machine::BlockIndex, real::KEYS, rng::Rng};

impl Pair {
    /// Honest signers of a condition and the Byzantine key, in a random selection that is still a quorum.
    pub(super) fn select(
        &self,
        mut signers: Vec<ValidatorIndex>,
        rng: &mut Rng,
    ) -> Vec<ValidatorIndex> {
        signers.push(BYZANTINE);
        while signers.len() > 3 && rng.chance(60) {
            signers.remove(rng.below(signers.len()));
        }
        debug_assert!(signers.len() <= usize::from(KEYS));
        signers
    }

    pub(super) fn lives_where(&self, holds: impl Fn(usize) -> bool) -> Vec<ValidatorIndex> {
        (0..BYZANTINE).filter(|index| holds(usize::from(*index))).collect()
    }

    /// The real certificate of a block that the machine says can be certified.
    pub(super) fn qc(&self, block: BlockIndex, rng: &mut Rng) -> QuorumCertificate {
        let slot = usize::from(self.machine.blocks().view(block)).wrapping_sub(1);
        let Some((real, id)) = self.blocks.get(&block) else { return self.realm.anchor_qc() };
        let voted = self.lives_where(|life| self.state.lives[life].votes[slot] == block);
        let vote = self.realm.vote_for(real, *id);
        let votes: Vec<Signed> = self
            .select(voted, rng)
            .into_iter()
            .map(|author| self.realm.signed(author, vote))
            .collect();
        self.realm.qc(&votes).unwrap_or_else(|| self.realm.anchor_qc())
    }

    pub(super) fn qc_of_view(&self, view: u8, rng: &mut Rng) -> Option<QuorumCertificate> {
        if view == 0 {
            return Some(self.realm.anchor_qc());
        }
        let certified = self.machine.certificates(&self.state).certified;
        let mut blocks = self.machine.blocks().of_view(usize::from(view));
        blocks.find(|block| certified & (1u128 << block) != 0).map(|block| self.qc(block, rng))
    }

    /// A real timeout certificate that reports nothing above a view, if the machine says that there is one.
    pub(super) fn tc(&self, view: u8, at_most: u8, rng: &mut Rng) -> Option<TimeoutCertificate> {
        if !self.machine.timeout_certificate(&self.state, view, at_most) {
            return None;
        }
        let report = |life: usize| self.state.lives[life].timeouts[usize::from(view) - 1];
        let signers = self.lives_where(|life| report(life) != 0 && report(life) - 1 <= at_most);
        let timeouts: Vec<(ValidatorIndex, u8)> = self
            .select(signers, rng)
            .into_iter()
            .map(|author| {
                (author, if author == BYZANTINE { 0 } else { report(usize::from(author)) - 1 })
            })
            .collect();
        let highest = timeouts.iter().map(|(_, reported)| *reported).max()?;
        let signed: Vec<Signed> = timeouts
            .iter()
            .map(|(author, reported)| self.realm.signed(*author, self.timeout(view, *reported)))
            .collect();
        self.realm.tc(&signed, &self.qc_of_view(highest, rng)?)
    }

    /// The proof of a final block; with it the child's certificate, if the child proves it.
    pub(super) fn proof(
        &self,
        block: BlockIndex,
        rng: &mut Rng,
    ) -> Option<(CommitProof, Option<QuorumCertificate>)> {
        let slot = usize::from(self.machine.blocks().view(block)).checked_sub(1)?;
        let certificates = self.machine.certificates(&self.state);
        let (_, id) = self.blocks.get(&block)?;
        if certificates.committed & (1u128 << block) != 0 {
            let statement = Statement::Commit { view: self.real_view(slot as u8 + 1), block: *id };
            let voted = self.lives_where(|life| self.state.lives[life].commits[slot] == block);
            let commits: Vec<Signed> = self
                .select(voted, rng)
                .into_iter()
                .map(|author| self.realm.signed(author, statement))
                .collect();
            return Some((
                CommitProof::Certificate(self.realm.commit_certificate(&commits)?),
                None,
            ));
        }
        let finals = |child: &BlockIndex| {
            self.machine.blocks().parent(*child) == block
                && certificates.certified & (1u128 << child) != 0
        };
        let child = self.blocks.keys().copied().filter(finals).min()?;
        let qc = self.qc(child, rng);
        let (real, _) = self.blocks.get(&child)?;
        Some((self.realm.two_chain(real, qc.clone()), Some(qc)))
    }

    /// The real block of one of the machine's, made when it is first voted for.
    pub(super) fn real_block(&mut self, block: BlockIndex, rng: &mut Rng) -> Arc<Block> {
        if let Some((real, _)) = self.blocks.get(&block) {
            return Arc::clone(real);
        }
        let blocks = self.machine.blocks();
        let (view, parent) = (blocks.view(block), blocks.parent(block));
        let above = blocks.view(parent);
        let real_parent = self
            .blocks
            .get(&parent)
            .map_or_else(|| Arc::clone(&self.realm.anchor_block), |(real, _)| Arc::clone(real));
        let direct = above + 1 == view;
        // Below its parent if there is such a certificate; a broken machine may have none.
        let timeout = (!direct)
            .then(|| (0..view).find_map(|at_most| self.tc(view - 1, at_most, rng)))
            .flatten();
        let justify = self.qc(parent, rng);
        let tag = blocks.variant(block) as u8;
        let real = self.realm.child(&real_parent, self.real_view(view), (justify, timeout), tag);
        let (real, id) = (Arc::new(real.clone()), real.id());
        self.blocks.insert(block, (Arc::clone(&real), id));
        real
    }
}
