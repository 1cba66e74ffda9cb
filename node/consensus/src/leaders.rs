//! Who leads a view: the table of the set, less those whom the parent's header passes over.
//!
//! The list of those passed over is part of the chain, so that all who hold a block's certificate agree on the leader
//! of the next view. It depends on nothing else than the chain: on views without a block, which only a quorum of
//! timeouts can leave, and on the signers of certificates.

use neura_types::{Absence, Block, Epoch, Header, Height, ValidatorIndex, ValidatorSet, View};

use crate::bugs::scripted_leader;

/// Blocks per validator after which one that votes again may lead again.
const RETURN_BLOCKS: Height = 10;
/// Blocks per validator after which any may: the slowest voter may never stand in a certificate.
const RETRY_BLOCKS: Height = 1_000;

/// Those passed over in the views after a block: none after the last block of the epoch before, whose indices are
/// those of another set.
pub fn passed_over(parent: &Header, epoch: Epoch) -> &[Absence] {
    if parent.epoch == epoch { &parent.absent } else { &[] }
}

/// The leader of a view in which a block extends `parent`.
pub fn leader_after(set: &ValidatorSet, view: View, parent: &Header) -> ValidatorIndex {
    leader_of(set, view, passed_over(parent, set.epoch()))
}

/// The leader of a view, without those passed over.
pub(crate) fn leader_of(set: &ValidatorSet, view: View, absent: &[Absence]) -> ValidatorIndex {
    scripted_leader(view).unwrap_or_else(|| set.leader(view, absent))
}

/// The list that a block must carry: that of its parent, without those who may lead again, with those who led the
/// views between parent and block. Those passed over never hold more than a third of the power: the oldest entries
/// make room.
pub fn absences(set: &ValidatorSet, block: &Block, parent: &Header) -> Vec<Absence> {
    let (height, view) = (block.header.height, block.header.view);
    if scripted_leader(1).is_some() {
        return Vec::new();
    }
    let known = passed_over(parent, set.epoch());
    let size = Height::try_from(set.len()).unwrap_or(Height::MAX);
    let signers = block.justify.signers.members(set).unwrap_or_default();
    let voted = |index| signers.iter().any(|(signer, _)| *signer == index);
    let stays = |absence: &&Absence| {
        let age = height.saturating_sub(absence.since);
        let returned = voted(absence.validator) && age >= RETURN_BLOCKS.saturating_mul(size);
        !returned && age < RETRY_BLOCKS.saturating_mul(size)
    };
    let mut absent: Vec<Absence> = known.iter().filter(stays).copied().collect();
    let first = parent.view.saturating_add(1);
    // More views than members say nothing more about any of them.
    for failed in (first..view).take(set.len()) {
        let validator = set.leader(failed, known);
        absent.retain(|absence| absence.validator != validator);
        absent.push(Absence { validator, since: height });
    }
    while set.includes_honest(power(set, &absent)) {
        absent.remove(0);
    }
    absent
}

fn power(set: &ValidatorSet, absent: &[Absence]) -> u64 {
    let powers = absent.iter().filter_map(|a| set.get(a.validator)).map(|member| member.power);
    powers.fold(0, u64::saturating_add)
}
