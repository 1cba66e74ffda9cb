//! Certificates: statements signed by a quorum of one validator set.
//!
//! Each carries a bitmap over the set's indices and the signatures of the members set in it, in index order.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use crate::{
    Epoch, View,
    block::BlockId,
    hash::{Domain, hash_value},
    keys::Signature,
    validator::{ValidatorIndex, ValidatorSet},
    vote::{ChainContext, Statement},
};

/// Why a certificate proves nothing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CertificateError {
    /// Another epoch's set signed it.
    #[error("certificate of epoch {got}, but the set is of epoch {expected}")]
    Epoch {
        /// Epoch of the set.
        expected: Epoch,
        /// Epoch in the certificate.
        got: Epoch,
    },
    /// The bitmap has not exactly one bit per member, or not one signature per bit.
    #[error("the certificate's bitmap or signature list does not fit the validator set")]
    Shape,
    /// The signers do not hold more than two thirds of the power.
    #[error("the signers hold {power} of {total}: no quorum")]
    NoQuorum {
        /// Power of the signers.
        power: u64,
        /// Power of the set.
        total: u64,
    },
    /// A member's signature does not verify.
    #[error("the signature of validator {0} does not verify")]
    Signature(ValidatorIndex),
    /// The highest certificate in a timeout certificate is not the highest reported.
    #[error("the timeout certificate does not carry the highest certificate that it reports")]
    HighCertificate,
    /// A certificate of the anchor's view or an earlier one that is not the anchor's.
    #[error("only the block that the epoch starts from is certified in its view")]
    Anchor,
}

/// The final block that an epoch starts from: genesis, or the last block of the epoch before. It needs no certificate
/// of the epoch's own set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// View of the block.
    pub view: View,
    /// The block.
    pub block: BlockId,
}

impl Anchor {
    /// The anchor of epoch 0.
    pub fn genesis(block: BlockId) -> Self {
        Self { view: 0, block }
    }
}

/// Distinct signers of a set, by index, with their signatures in index order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Signers {
    bitmap: Vec<u8>,
    signatures: Vec<Signature>,
}

impl Signers {
    /// Collects signatures; a later one of the same member is ignored.
    pub fn collect(
        set: &ValidatorSet,
        signatures: impl IntoIterator<Item = (ValidatorIndex, Signature)>,
    ) -> Self {
        let ordered: std::collections::BTreeMap<ValidatorIndex, Signature> =
            signatures.into_iter().filter(|(index, _)| set.get(*index).is_some()).collect();
        let mut bitmap = vec![0u8; set.len().div_ceil(8)];
        for index in ordered.keys() {
            if let Some(byte) = bitmap.get_mut(usize::from(index >> 3)) {
                *byte |= 1 << (index & 7);
            }
        }
        Self { bitmap, signatures: ordered.into_values().collect() }
    }

    /// The signers' indices with their signatures, or an error if the shape does not fit the set.
    ///
    /// # Errors
    /// [`CertificateError::Shape`].
    pub fn members(
        &self,
        set: &ValidatorSet,
    ) -> Result<Vec<(ValidatorIndex, Signature)>, CertificateError> {
        if self.bitmap.len() != set.len().div_ceil(8) {
            return Err(CertificateError::Shape);
        }
        let mut indices = Vec::with_capacity(self.signatures.len());
        for (byte, base) in self.bitmap.iter().zip((0u16..).step_by(8)) {
            for bit in 0..8u16 {
                if byte & (1 << bit) != 0 {
                    indices.push(base.saturating_add(bit));
                }
            }
        }
        let fits = indices.len() == self.signatures.len()
            && indices.iter().all(|index| set.get(*index).is_some());
        if !fits {
            return Err(CertificateError::Shape);
        }
        Ok(indices.into_iter().zip(self.signatures.iter().copied()).collect())
    }

    /// Checks that the signers are a quorum and that each signed the statement given for it.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn verify(
        &self,
        set: &ValidatorSet,
        chain: &ChainContext,
        statement: impl Fn(ValidatorIndex) -> Statement,
    ) -> Result<(), CertificateError> {
        self.verify_unknown(set, chain, statement, |_, _| false)
    }

    /// As [`Self::verify`], but skips the signatures that `known` vouches for: those that the caller verified
    /// before, over the same statement.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn verify_unknown(
        &self,
        set: &ValidatorSet,
        chain: &ChainContext,
        statement: impl Fn(ValidatorIndex) -> Statement,
        known: impl Fn(ValidatorIndex, &Signature) -> bool,
    ) -> Result<(), CertificateError> {
        let members = self.members(set)?;
        let power: u64 =
            members.iter().filter_map(|(index, _)| set.get(*index)).map(|m| m.power).sum();
        if !set.is_quorum(power) {
            return Err(CertificateError::NoQuorum { power, total: set.total_power() });
        }
        for (index, signature) in members {
            if known(index, &signature) {
                continue;
            }
            let digest = statement(index).digest(chain, set.epoch());
            set.get(index)
                .and_then(|member| member.public_key.verify(digest.as_slice(), &signature).ok())
                .ok_or(CertificateError::Signature(index))?;
        }
        Ok(())
    }
}

fn same_epoch(set: &ValidatorSet, got: Epoch) -> Result<(), CertificateError> {
    if set.epoch() == got {
        Ok(())
    } else {
        Err(CertificateError::Epoch { expected: set.epoch(), got })
    }
}

/// A quorum voted for a block: it may be extended, and no other block of its view can be certified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumCertificate {
    /// Epoch of the signers.
    pub epoch: Epoch,
    /// View of the block.
    pub view: View,
    /// The certified block.
    pub block: BlockId,
    /// View of the block's parent.
    pub parent_view: View,
    /// Who signed [`Statement::Vote`].
    pub signers: Signers,
}

impl QuorumCertificate {
    /// The certificate of genesis: view 0, no signatures.
    pub fn genesis(block: BlockId) -> Self {
        Self::anchor(0, Anchor::genesis(block))
    }

    /// The certificate of the block that an epoch starts from: no signatures.
    pub fn anchor(epoch: Epoch, Anchor { view, block }: Anchor) -> Self {
        Self { epoch, view, block, parent_view: view, signers: Signers::default() }
    }

    /// Checks it against the set of its epoch, that of the anchor's view against the anchor.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn verify(
        &self,
        set: &ValidatorSet,
        chain: &ChainContext,
        anchor: Anchor,
    ) -> Result<(), CertificateError> {
        if self.view <= anchor.view {
            return if *self == Self::anchor(set.epoch(), anchor) {
                Ok(())
            } else {
                Err(CertificateError::Anchor)
            };
        }
        same_epoch(set, self.epoch)?;
        self.signers.verify(set, chain, |_| Statement::Vote {
            view: self.view,
            block: self.block,
            parent_view: self.parent_view,
        })
    }

    /// Digest, for caches and block ids.
    pub fn digest(&self) -> B256 {
        hash_value(Domain::Certificate, &(0u8, self))
    }
}

/// A quorum committed a block: it and its ancestors are final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitCertificate {
    /// Epoch of the signers.
    pub epoch: Epoch,
    /// View of the block.
    pub view: View,
    /// The final block.
    pub block: BlockId,
    /// Who signed [`Statement::Commit`].
    pub signers: Signers,
}

impl CommitCertificate {
    /// Checks it against the set of its epoch.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn verify(&self, set: &ValidatorSet, chain: &ChainContext) -> Result<(), CertificateError> {
        same_epoch(set, self.epoch)?;
        self.signers
            .verify(set, chain, |_| Statement::Commit { view: self.view, block: self.block })
    }

    /// Digest, for caches.
    pub fn digest(&self) -> B256 {
        hash_value(Domain::Certificate, &(1u8, self))
    }
}

/// A quorum gave up on a view. `reported` holds each signer's highest certificate view, in index order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeoutCertificate {
    /// Epoch of the signers.
    pub epoch: Epoch,
    /// The view given up.
    pub view: View,
    /// Highest certificate view that each signer reported, one per signature.
    pub reported: Vec<View>,
    /// The certificate of the highest view reported.
    pub high_qc: QuorumCertificate,
    /// Who signed [`Statement::Timeout`].
    pub signers: Signers,
}

impl TimeoutCertificate {
    /// Checks signatures, quorum, and that `high_qc` is valid and the highest reported.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn verify(
        &self,
        set: &ValidatorSet,
        chain: &ChainContext,
        anchor: Anchor,
    ) -> Result<(), CertificateError> {
        same_epoch(set, self.epoch)?;
        let members = self.signers.members(set)?;
        if members.len() != self.reported.len() {
            return Err(CertificateError::Shape);
        }
        if self.reported.iter().max() != Some(&self.high_qc.view) {
            return Err(CertificateError::HighCertificate);
        }
        self.high_qc.verify(set, chain, anchor)?;
        let reported: std::collections::BTreeMap<ValidatorIndex, View> =
            members.iter().map(|(index, _)| *index).zip(self.reported.iter().copied()).collect();
        self.signers.verify(set, chain, |index| Statement::Timeout {
            view: self.view,
            high_qc_view: reported.get(&index).copied().unwrap_or(0),
        })
    }

    /// Digest, for caches and block ids.
    pub fn digest(&self) -> B256 {
        hash_value(Domain::Certificate, &(2u8, self))
    }
}
