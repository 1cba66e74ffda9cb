//! Check signatures and certificates, each certificate once.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use neura_types::{
    Anchor, B256, CommitProof, Header, QuorumCertificate, TimeoutCertificate, ValidatorSet, View,
    certificate::CertificateError,
    hash::{Domain, hash_value},
    vote::{ChainContext, Signed, Statement},
};

use crate::{
    aggregator::Aggregator,
    bugs::{Bug, broken, remembered},
    invariants::{HeaderFault, check_beacon},
};

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
    anchor: Anchor,
    set: Arc<ValidatorSet>,
    verified: Verified,
}

impl Verifier {
    /// A verifier that has seen nothing.
    pub(crate) fn new(chain: ChainContext, anchor: Anchor, set: Arc<ValidatorSet>) -> Self {
        Self { chain, anchor, set, verified: Verified::default() }
    }

    /// One signature.
    pub(crate) fn signed(&self, signed: &Signed) -> bool {
        let key = || {
            let member = self.set.get(signed.author).map(|member| member.public_key);
            hash_value(Domain::Message, &(self.chain, member, signed))
        };
        remembered(key, || signed.verify(&self.set, &self.chain)) || broken(Bug::SignatureUnchecked)
    }

    /// A quorum certificate; signatures that `votes` verified before are not verified again.
    pub(crate) fn quorum(&mut self, qc: &QuorumCertificate, votes: &Aggregator) -> bool {
        if qc.view <= self.anchor.view {
            return qc.verify(&self.set, &self.chain, self.anchor).is_ok()
                || broken(Bug::AnchorUnchecked);
        }
        let QuorumCertificate { epoch, view, block, parent_view, ref signers } = *qc;
        let statement = Statement::Vote { view, block, parent_view };
        self.once(epoch, qc.digest(), |set, chain| {
            let checked = signers.verify_unknown(
                set,
                chain,
                |_| statement,
                |author, signature| votes.verified(author, &statement, signature),
            );
            accepted(checked) || broken(Bug::QuorumUnchecked)
        })
    }

    /// A timeout certificate.
    pub(crate) fn timeout(&mut self, tc: &TimeoutCertificate) -> bool {
        let anchor = self.anchor;
        if tc.epoch != self.set.epoch() && broken(Bug::TimeoutOfOtherEpoch) {
            return true;
        }
        self.once(tc.epoch, tc.digest(), |set, chain| {
            accepted(tc.verify(set, chain, anchor)) || broken(Bug::TimeoutUnchecked)
        })
    }

    /// A proof of finality. The anchor needs none.
    pub(crate) fn proof(&mut self, proof: &CommitProof) -> bool {
        let anchor = self.anchor;
        if broken(Bug::ProofUnchecked) {
            return true;
        }
        match proof {
            CommitProof::Certificate(cc) => {
                self.once(cc.epoch, cc.digest(), |set, chain| accepted(cc.verify(set, chain)))
            }
            CommitProof::TwoChain(_) => proof.verify(&self.set, &self.chain, anchor).is_ok(),
        }
    }

    /// The link of the beacon that a block adds to its parent's.
    pub(crate) fn beacon(&self, header: &Header, parent: &Header) -> Result<(), HeaderFault> {
        let member = self.set.get(header.proposer).map(|member| member.public_key);
        let place = (header.epoch, parent.height, parent.beacon.value);
        let key = || hash_value(Domain::BeaconInput, &(self.chain, member, place, header.beacon));
        remembered(key, || check_beacon(header, parent, (&self.chain, &self.set)))
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
        let good = if broken(Bug::EpochUnchecked) && epoch != self.set.epoch() {
            true
        } else {
            let key = || hash_value(Domain::Certificate, &(self.chain, self.anchor, epoch, digest));
            epoch == self.set.epoch() && remembered(key, || check(&self.set, &self.chain))
        };
        if good {
            self.verified.insert(digest);
        }
        good
    }
}

/// Whether a certificate's check was passed.
fn accepted(check: Result<(), CertificateError>) -> bool {
    match check {
        Ok(()) => true,
        Err(CertificateError::NoQuorum { power, total }) => {
            power.saturating_mul(2) >= total
                && (broken(Bug::QuorumOfHalf) || broken(Bug::StakeTwice))
        }
        Err(CertificateError::Shape) => broken(Bug::SignersNotDistinct),
        Err(CertificateError::HighCertificate) => broken(Bug::TimeoutHighUnchecked),
        Err(_) => false,
    }
}

/// Whether a view lies so far ahead that no honest replica can be there: the last views of the number's range, on
/// which arithmetic would stop.
pub(crate) fn out_of_range(view: View) -> bool {
    view > View::MAX >> 1
}
