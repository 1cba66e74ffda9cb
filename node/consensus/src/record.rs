//! The durable record: everything that a replica must not forget between two signatures.

use neura_types::{
    Epoch, QuorumCertificate, TimeoutCertificate, View,
    codec::{self, CodecError},
    keys::PublicKey,
    vote::{ChainContext, Statement},
};
use serde::{Deserialize, Serialize};

/// Longest record: three certificates of 256 signers (11 kB each) and their reports, with room to spare.
pub const MAX_RECORD_BYTES: usize = 64 << 10;

/// Version of the encoding.
const VERSION: u16 = 1;

/// Why bytes are no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not the encoding.
    #[error("the safety record is damaged: {0}")]
    Damaged(#[from] CodecError),
    /// Written by another version.
    #[error("the safety record has version {0}, this program reads version {VERSION}")]
    Version(u16),
}

/// The durable state of the signing rules. Written before a signature leaves; a later record includes an earlier one.
///
/// Statements are kept instead of signatures: ed25519 is deterministic, so the same statement gets the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SafetyRecord {
    version: u16,
    /// The chain signed for.
    pub chain: ChainContext,
    /// The epoch signed in.
    pub epoch: Epoch,
    /// The key that signs.
    pub key: PublicKey,
    /// Highest view in which a vote was cast or given away (`vr`).
    pub voted: View,
    /// Highest view given up (`tr`).
    pub timed_out: View,
    /// Highest view in which a commit vote was cast (`cr`).
    pub committed: View,
    /// Highest view proposed in (`pr`).
    pub proposed: View,
    /// Highest certificate known when something was last signed.
    pub high_qc: QuorumCertificate,
    /// The timeout certificate above `high_qc` that opened the view, if one did.
    pub high_tc: Option<TimeoutCertificate>,
    /// The last vote.
    pub last_vote: Option<Statement>,
    /// The last commit vote.
    pub last_commit: Option<Statement>,
    /// The last timeout with the certificate that it reports.
    pub last_timeout: Option<(Statement, QuorumCertificate)>,
    /// The last proposal; its block is stored apart.
    pub last_proposal: Option<Statement>,
}

impl SafetyRecord {
    /// The record of a key that has signed nothing.
    pub fn new(
        chain: ChainContext,
        epoch: Epoch,
        key: PublicKey,
        genesis: QuorumCertificate,
    ) -> Self {
        Self {
            version: VERSION,
            chain,
            epoch,
            key,
            voted: 0,
            timed_out: 0,
            committed: 0,
            proposed: 0,
            high_qc: genesis,
            high_tc: None,
            last_vote: None,
            last_commit: None,
            last_timeout: None,
            last_proposal: None,
        }
    }

    /// Its bytes, at most [`MAX_RECORD_BYTES`].
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// See [`RecordError`]. The node must then observe: it does not know what it signed.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let record: Self = codec::decode_limited(bytes, MAX_RECORD_BYTES)?;
        if record.version == VERSION {
            Ok(record)
        } else {
            Err(RecordError::Version(record.version))
        }
    }
}
