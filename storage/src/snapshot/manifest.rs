//! Manifests: what a snapshot is of, why to believe it, and into which chunks it is cut.

use alloy_primitives::{Address, B256};
use neura_types::{BlockId, ChainId, EpochConfig, ExecutedRoot, Header, Height, codec, hash};
use serde::{Deserialize, Serialize};

use super::{MAX_CHUNK_BYTES, SnapshotError, Span};
use crate::epochs::ProvenHeader;

/// Longest encoded manifest, in bytes: room for the headers of 300 blocks, three sets of 256 validators, and a cut of
/// the state into some 60,000 chunks.
pub const MAX_MANIFEST_BYTES: usize = 4 << 20;

/// Version of the encoding of manifest and chunks.
pub(super) const FORMAT: u16 = 1;
/// Blocks whose ids the BLOCKHASH instruction reaches.
pub(super) const BLOCK_HASHES: Height = 256;

/// What a snapshot is of, and into which chunks it is cut.
///
/// [`Manifest::decode`] checks that its parts fit each other. It is to be believed if the proof of [`Manifest::proved`]
/// verifies against the validator set of that header's epoch, which the reader knows from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub(super) format: u16,
    /// Chain that it belongs to.
    pub chain_id: ChainId,
    /// Hash of the chain's genesis file.
    pub genesis_hash: B256,
    /// The block after which the state stands.
    pub base: SnapshotBase,
    /// Consecutive headers: those before the base that BLOCKHASH reaches, the base's, and those after it up to one that
    /// is proved final, among them one that certifies the base's result.
    pub headers: Vec<ProvenHeader>,
    /// Encoded `CommitProof` of the last header.
    pub proof: Vec<u8>,
    /// Epochs that a node needs to go on from the base. The next one of an epoch that ends among the headers is certified
    /// by them; the others are for the reader to compare with what it knows.
    pub epochs: Vec<EpochConfig>,
    /// The chunks, which cover the state without gaps.
    pub chunks: Vec<ChunkInfo>,
}

/// The result of the block that a snapshot begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotBase {
    /// Roots, gas and next base fee, as a header certifies them.
    pub root: ExecutedRoot,
    /// Base fee of the block, in wei per gas. Shown to users; no header certifies it.
    pub base_fee: u64,
    /// Account that received the block's tips. Shown to users; no header certifies it.
    pub proposer: Address,
}

/// One chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkInfo {
    /// The paths that it covers.
    pub span: Span,
    /// Its length in bytes, at most [`MAX_CHUNK_BYTES`].
    pub bytes: u32,
}

impl Manifest {
    /// Reads a manifest whose parts fit each other.
    ///
    /// # Errors
    /// [`SnapshotError::Manifest`].
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let manifest: Self = codec::decode_limited(bytes, MAX_MANIFEST_BYTES)
            .map_err(|_| SnapshotError::Manifest("the bytes are no manifest"))?;
        manifest.check().map_err(SnapshotError::Manifest)?;
        Ok(manifest)
    }

    /// The encoding.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Names it. Nodes whose proofs of the last header differ give different manifests of the same chunks.
    pub fn id(&self) -> B256 {
        hash::content_hash(&self.encode())
    }

    /// Height after which the state stands.
    pub const fn height(&self) -> Height {
        self.base.root.height
    }

    /// Header and id of the block after which the state stands.
    pub fn block(&self) -> Option<(&Header, BlockId)> {
        let base = self.headers.iter().find(|block| block.header.height == self.height())?;
        Some((&base.header, base.id()))
    }

    /// The last header, its id and the encoded proof that it is final.
    pub fn proved(&self) -> Option<(&Header, BlockId, &[u8])> {
        self.headers.last().map(|last| (&last.header, last.id(), &self.proof[..]))
    }

    /// Heights and ids of the blocks that BLOCKHASH reaches from above the base, which is the last.
    pub(super) fn recent_ids(&self) -> Vec<(Height, BlockId)> {
        let parents = self
            .headers
            .iter()
            .map(|block| (block.header.height.saturating_sub(1), block.header.parent));
        parents.take_while(|(height, _)| *height <= self.height()).collect()
    }

    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.format != FORMAT {
            return Err("it has another format: use the program that wrote it");
        }
        self.check_headers()?;
        self.check_epochs()?;
        self.check_chunks()
    }

    fn check_headers(&self) -> Result<(), &'static str> {
        let first = first_header(self.height());
        let heights = self.headers.iter().map(|block| block.header.height);
        if self.height() == 0
            || !(first..).zip(heights).all(|(expected, height)| expected == height)
        {
            return Err("its headers do not begin where they should, or have gaps");
        }
        if !self.headers.windows(2).all(|pair| pair[0].id() == pair[1].header.parent) {
            return Err("its headers are no chain");
        }
        let above = self.headers.iter().filter(|block| block.header.height > self.height());
        if !above.map(|block| block.header.executed).any(|root| root == self.base.root) {
            return Err("no header certifies the state");
        }
        Ok(())
    }

    fn check_epochs(&self) -> Result<(), &'static str> {
        if !self.epochs.windows(2).all(|pair| pair[0].epoch.checked_add(1) == Some(pair[1].epoch)) {
            return Err("its epochs have gaps");
        }
        for header in self.headers.iter().map(|block| &block.header) {
            let next = self.epochs.iter().find(|e| header.epoch.checked_add(1) == Some(e.epoch));
            if let (Some(named), Some(next)) = (header.next_epoch, next)
                && next.digest() != named
            {
                return Err("an epoch is not the one that a header names");
            }
        }
        Ok(())
    }

    fn check_chunks(&self) -> Result<(), &'static str> {
        let mut next = Some(B256::ZERO);
        for ChunkInfo { span, bytes } in &self.chunks {
            if !span.is_sound() || next != Some(span.start) {
                return Err("its chunks have gaps or overlap");
            }
            if !usize::try_from(*bytes).is_ok_and(|bytes| bytes <= MAX_CHUNK_BYTES) {
                return Err("a chunk is too long");
            }
            next = span.above();
        }
        if next.is_some() { Err("its chunks end before the state does") } else { Ok(()) }
    }
}

/// Height of the first header: its parent is the lowest block that BLOCKHASH reaches from above the base.
pub(super) const fn first_header(base: Height) -> Height {
    let first = base.saturating_add(2).saturating_sub(BLOCK_HASHES);
    if first == 0 { 1 } else { first }
}
