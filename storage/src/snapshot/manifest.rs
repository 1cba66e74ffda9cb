//! Manifests: what a snapshot is of, and why to believe it.

use alloy_primitives::B256;
use neura_types::{BlockId, ChainId, ExecutedRoot, Header, Height, codec};
use serde::{Deserialize, Serialize};

use super::SnapshotError;
use crate::epochs::ProvenHeader;

/// Longest encoded manifest, in bytes: room for the headers of some thousand blocks and a proof by 256 validators.
pub const MAX_MANIFEST_BYTES: usize = 1 << 20;

/// Version of the encoding of manifest and chunks.
pub(super) const FORMAT: u16 = 3;
/// Blocks whose ids the BLOCKHASH instruction reaches.
pub(super) const BLOCK_HASHES: Height = 256;

/// What a snapshot is of, and what proves it.
///
/// [`Manifest::decode`] checks that its parts fit each other. It is to be believed if the proof of [`Manifest::proved`]
/// verifies against the validator set of that header's epoch, which the reader knows from elsewhere: the headers follow
/// from that one, and the root stands in one of them. It says nothing else, so that nothing in it can be false then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub(super) format: u16,
    /// Chain that it belongs to.
    pub chain_id: ChainId,
    /// Hash of the chain's genesis file.
    pub genesis_hash: B256,
    /// Result of the block after which the state stands, the base.
    pub root: ExecutedRoot,
    /// Consecutive headers: those before the base that BLOCKHASH reaches, the base's, and those after it up to one that
    /// is proved final, among them one that certifies the base's result.
    pub headers: Vec<ProvenHeader>,
    /// Encoded `CommitProof` of the last header.
    pub proof: Vec<u8>,
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

    /// Height after which the state stands.
    pub const fn height(&self) -> Height {
        self.root.height
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

    /// Base fee of the base, in wei per gas, as the last header says that certifies the block before; 0 if none does, as
    /// can be where a vote changed after how many blocks results are certified.
    pub(super) fn base_fee(&self) -> u64 {
        let before = self.height().saturating_sub(1);
        let results = self.headers.iter().rev().map(|block| block.header.executed);
        results.into_iter().find(|root| root.height == before).map_or(0, |root| root.next_base_fee)
    }

    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.format != FORMAT {
            return Err("it has another format: use the program that wrote it");
        }
        self.check_headers()
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
        if !above.map(|block| block.header.executed).any(|root| root == self.root) {
            return Err("no header certifies the state");
        }
        Ok(())
    }
}

/// Height of the first header: its parent is the lowest block that BLOCKHASH reaches from above the base.
pub(super) const fn first_header(base: Height) -> Height {
    let first = base.saturating_add(2).saturating_sub(BLOCK_HASHES);
    if first == 0 { 1 } else { first }
}
