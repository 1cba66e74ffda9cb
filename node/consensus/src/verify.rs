//! Check signatures and certificates, each certificate once.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use neura_types::{
    B256, BlockId, CommitProof, QuorumCertificate, TimeoutCertificate, ValidatorSet, View,
    vote::{ChainContext, Signed, Statement},
};

use crate::aggregator::Aggregator;

/// Verified certificates remembered: those of some hundred views, at 32 bytes each.
const MAX_VERIFIED: usize = 1_024;

/// The digests verified last.
#[derive(Debug, Default)]
struct Verified {
    digests: BTreeSet<B256>,
    order: VecDeque<B256>,
}

impl Verified {
    fn contains(&self, digest: &B256) -> bool {
        self.digests.contains(digest)
    }

    fn insert(&mut self, digest: B256) {
        if !self.digests.insert(digest) {
            return;
        }
        self.order.push_back(digest);
        if self.order.len() > MAX_VERIFIED
            && let Some(oldest) = self.order.pop_front()
        {
            self.digests.remove(&oldest);
        }
    }
}

/// Checks against one validator set.
#[derive(Debug)]
pub(crate) struct Verifier {
    chain: ChainContext,
    genesis_id: BlockId,
    set: Arc<ValidatorSet>,
    verified: Verified,
}

impl Verifier {
    /// A verifier that has seen nothing.
    pub(crate) fn new(chain: ChainContext, genesis_id: BlockId, set: Arc<ValidatorSet>) -> Self {
        Self { chain, genesis_id, set, verified: Verified::default() }
    }

    /// One signature.
    pub(crate) fn signed(&self, signed: &Signed) -> bool {
        signed.verify(&self.set, &self.chain)
    }

    /// A quorum certificate; signatures that `votes` verified before are not verified again.
    pub(crate) fn quorum(&mut self, qc: &QuorumCertificate, votes: &Aggregator) -> bool {
        if qc.view == 0 {
            return qc.verify(&self.set, &self.chain, self.genesis_id).is_ok();
        }
        let QuorumCertificate { epoch, view, block, parent_view, ref signers } = *qc;
        let statement = Statement::Vote { view, block, parent_view };
        self.once(epoch, qc.digest(), |set, chain| {
            signers
                .verify_unknown(
                    set,
                    chain,
                    |_| statement,
                    |author, signature| votes.verified(author, &statement, signature),
                )
                .is_ok()
        })
    }

    /// A timeout certificate.
    pub(crate) fn timeout(&mut self, tc: &TimeoutCertificate) -> bool {
        let genesis = self.genesis_id;
        self.once(tc.epoch, tc.digest(), |set, chain| tc.verify(set, chain, genesis).is_ok())
    }

    /// A proof of finality. Genesis needs none and has none.
    pub(crate) fn proof(&mut self, proof: &CommitProof) -> bool {
        let genesis = self.genesis_id;
        match proof {
            CommitProof::Certificate(cc) => {
                self.once(cc.epoch, cc.digest(), |set, chain| cc.verify(set, chain).is_ok())
            }
            CommitProof::TwoChain(_) => proof.verify(&self.set, &self.chain, genesis).is_ok(),
        }
    }

    /// Remembers a certificate that was assembled here, from verified parts.
    pub(crate) fn trust(&mut self, digest: B256) {
        self.verified.insert(digest);
    }

    fn once(
        &mut self,
        epoch: neura_types::Epoch,
        digest: B256,
        check: impl FnOnce(&ValidatorSet, &ChainContext) -> bool,
    ) -> bool {
        if self.verified.contains(&digest) {
            return true;
        }
        let good = epoch == self.set.epoch() && check(&self.set, &self.chain);
        if good {
            self.verified.insert(digest);
        }
        good
    }
}

/// Whether a view lies so far ahead that no honest replica can be there: the last views of the number's range, on
/// which arithmetic would stop.
pub(crate) fn out_of_range(view: View) -> bool {
    view > View::MAX >> 1
}
