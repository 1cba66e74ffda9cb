//! Blocks: a header under the proposer's signature, the certificates that justify it, and a body of transactions.

use alloy_primitives::{B256, Bytes};
use serde::{Deserialize, Serialize};

use crate::{
    Epoch, Height, View,
    batch::BatchRef,
    beacon::Beacon,
    certificate::{QuorumCertificate, TimeoutCertificate},
    hash::{Domain, hash, hash_value},
    validator::{Absence, ValidatorIndex},
};

/// Identity of a block: covers header, body and both certificates.
pub type BlockId = B256;

/// Result of executing an ancestor, as a header certifies it: the state that follows block `height`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ExecutedRoot {
    /// Height of the executed block.
    pub height: Height,
    /// Root of the state tree after it.
    pub state_root: B256,
    /// Digest of its receipts.
    pub receipts_root: B256,
    /// Gas that it used.
    pub gas_used: u64,
    /// Base fee of the block after it, in wei per gas: stands in no state key, as it follows from the whole history.
    pub next_base_fee: u64,
}

/// What a proposer signs, with the digests of everything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Epoch of the proposer's set.
    pub epoch: Epoch,
    /// View in which it was proposed.
    pub view: View,
    /// Height: the parent's plus one.
    pub height: Height,
    /// The parent block.
    pub parent: BlockId,
    /// Index of the proposer.
    pub proposer: ValidatorIndex,
    /// Milliseconds since the Unix epoch; above the parent's.
    pub timestamp_ms: u64,
    /// The proposer's link of the beacon.
    pub beacon: Beacon,
    /// Digest of the body.
    pub payload_digest: B256,
    /// State after a block at least `execution_lag` heights below this one.
    pub executed: ExecutedRoot,
    /// Leaders passed over in the views that follow: the parent's, those who failed between the parent and this block,
    /// less those who may lead again.
    pub absent: Vec<Absence>,
    /// In the last block of an epoch, and only there: digest of the next [`EpochConfig`](crate::epoch::EpochConfig).
    pub next_epoch: Option<B256>,
}

/// A block with its justification and body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// Certificate of the parent.
    pub justify: QuorumCertificate,
    /// Certificate that the view before this one timed out, if the parent is not of that view.
    pub timeout: Option<TimeoutCertificate>,
    /// Batches whose transactions are executed first, in this order.
    pub batches: Vec<BatchRef>,
    /// Encoded transactions that stand in no batch, executed after the batches.
    pub payload: Vec<Bytes>,
}

impl Block {
    /// The block of genesis: height 0, view 0, certified by itself.
    pub fn genesis(genesis_hash: B256, timestamp_ms: u64, executed: ExecutedRoot) -> Self {
        let header = Header {
            epoch: 0,
            view: 0,
            height: 0,
            parent: genesis_hash,
            proposer: 0,
            timestamp_ms,
            beacon: Beacon::genesis(genesis_hash),
            payload_digest: payload_digest(&[], &[]),
            executed,
            absent: Vec::new(),
            next_epoch: None,
        };
        let justify = QuorumCertificate::genesis(genesis_hash);
        Self { header, justify, timeout: None, batches: Vec::new(), payload: Vec::new() }
    }

    /// Its identity. Hashes both certificates: compute once per block received.
    pub fn id(&self) -> BlockId {
        block_id(&self.header, &self.justify, self.timeout.as_ref())
    }

    /// Whether the body is the one that the header names.
    pub fn payload_matches(&self) -> bool {
        payload_digest(&self.batches, &self.payload) == self.header.payload_digest
    }

    /// Whether it carries no transactions.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.payload.is_empty()
    }
}

/// Identity of a block from its header and certificates; the header names the body.
pub fn block_id(
    header: &Header,
    justify: &QuorumCertificate,
    timeout: Option<&TimeoutCertificate>,
) -> BlockId {
    hash_value(Domain::Block, &(header, justify.digest(), timeout.map(TimeoutCertificate::digest)))
}

/// Digest of a body: a hash over its batches, and over the lengths and bytes of its own transactions.
pub fn payload_digest(batches: &[BatchRef], payload: &[Bytes]) -> B256 {
    let mut hasher = blake3::Hasher::new_derive_key(Domain::Payload.tag());
    hasher.update(&crate::codec::encode(&batches));
    for item in payload {
        hasher.update(&u64::try_from(item.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(item);
    }
    B256::new(*hasher.finalize().as_bytes())
}

/// Digest of a block's receipts.
pub fn receipts_root(receipts: &[crate::Receipt]) -> B256 {
    encoded_receipts_root(&crate::codec::encode(&receipts))
}

/// [`receipts_root`] of receipts that are encoded, as a list.
pub fn encoded_receipts_root(encoded: &[u8]) -> B256 {
    hash(Domain::Receipts, encoded)
}
