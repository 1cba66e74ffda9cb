//! Verify proofs of finality apart from the code that the nodes use.

use std::collections::BTreeSet;

use neura_consensus::CommittedBlock;
use neura_types::{
    CommitProof, EpochConfig, QuorumCertificate,
    block::block_id,
    certificate::Signers,
    vote::{ChainContext, Signed, Statement},
};

/// Whether a signature is its author's.
pub(super) fn signature_holds(
    signed: &Signed,
    config: &EpochConfig,
    context: &ChainContext,
) -> bool {
    let digest = signed.statement.digest(context, signed.epoch);
    signed.epoch == config.epoch
        && config.set.get(signed.author).is_some_and(|member| {
            member.public_key.verify(digest.as_slice(), &signed.signature).is_ok()
        })
}

/// Whether members with more than two thirds of the power made a statement.
fn quorum_said(
    signers: &Signers,
    statement: Statement,
    config: &EpochConfig,
    context: &ChainContext,
) -> bool {
    let Ok(members) = signers.members(&config.set) else { return false };
    let distinct: BTreeSet<u16> = members.iter().map(|(index, _)| *index).collect();
    let power = |index: &u16| config.set.get(*index).map_or(0, |member| u128::from(member.power));
    let total: u128 = config.set.iter().map(|(_, member)| u128::from(member.power)).sum();
    let signed: u128 = distinct.iter().map(power).sum();
    distinct.len() == members.len()
        && 3 * signed > 2 * total
        && members.into_iter().all(|(author, signature)| {
            let signed = Signed { epoch: config.epoch, author, statement, signature };
            signature_holds(&signed, config, context)
        })
}

pub(super) fn certified(
    qc: &QuorumCertificate,
    config: &EpochConfig,
    context: &ChainContext,
) -> bool {
    let QuorumCertificate { epoch, view, block, parent_view, ref signers } = *qc;
    let statement = Statement::Vote { view, block, parent_view };
    epoch == config.epoch && quorum_said(signers, statement, config, context)
}

/// Whether a proof shows that a block is final.
pub(super) fn proof_holds(
    proof: &CommitProof,
    committed: &CommittedBlock,
    config: &EpochConfig,
    context: &ChainContext,
) -> bool {
    let (id, header) = (committed.id, &committed.block.header);
    match proof {
        CommitProof::Certificate(certificate) => {
            let (view, block) = (certificate.view, certificate.block);
            // Only of an epoch's last block may the certificate be of a later view.
            let own = view == header.view || view > header.view && header.next_epoch.is_some();
            let statement = Statement::Commit { view, block };
            block == id
                && own
                && certificate.epoch == config.epoch
                && quorum_said(&certificate.signers, statement, config, context)
        }
        CommitProof::TwoChain(pair) => {
            let child = block_id(&pair.header, &pair.justify, None);
            pair.justify.block == id
                && pair.justify.view == header.view
                && pair.header.parent == id
                && pair.header.view == header.view + 1
                && pair.certificate.view == pair.header.view
                && pair.certificate.block == child
                && certified(&pair.justify, config, context)
                && certified(&pair.certificate, config, context)
        }
    }
}
