//! Write the state after one height as a snapshot, while the chain goes on.

use std::{collections::BTreeMap, path::Path};

use alloy_primitives::{B256, Bytes};
use neura_types::{Block, Height, codec};

use super::{
    MAX_CHUNK_BYTES, SnapshotError, Span,
    chunk::{Chunk, code_of},
    cut::{Buckets, Entry, TARGET_BYTES},
    folder::{self, ChunkInfo, SnapshotFolder},
    manifest::{FORMAT, Manifest, first_header},
};
use crate::{
    columns::Column,
    epochs::ProvenHeader,
    error::StorageError,
    store::{Store, missing},
    tree::{Tree, siblings},
    view::StateView,
};

impl Store {
    /// The lowest height from one on whose state can be exported: it is executed, a proved header certifies it, and the
    /// headers before it that a snapshot carries are kept. None if there is no such height yet.
    ///
    /// # Errors
    /// If there is no genesis or a read fails.
    pub fn snapshot_height(&self, at_or_after: Height) -> Result<Option<Height>, StorageError> {
        let (tip, _) = self.committed_tip()?;
        let (executed, _) = self.executed_tip()?;
        let mut least = at_or_after.max(1);
        while first_header(least) < self.oldest_height()? {
            least = least.saturating_add(1);
        }
        for height in least.saturating_add(1)..=tip {
            let certified = self.final_block(height)?.header.executed.height;
            if certified >= least {
                let proved = self.commit_proof_at_or_after(height, tip)?.is_some();
                return Ok((proved && certified <= executed).then_some(certified));
            }
        }
        Ok(None)
    }

    /// Writes the state after a height to a new folder. It reads one consistent view, so blocks can be executed and
    /// pruned meanwhile; what the view sees keeps its space until it is done.
    ///
    /// # Errors
    /// If the height is not one that [`Store::snapshot_height`] gives, the folder is not empty, or the store or the disk
    /// fails.
    pub fn export_snapshot(
        &self,
        height: Height,
        path: &Path,
    ) -> Result<SnapshotFolder, SnapshotError> {
        self.export_cut(height, path, TARGET_BYTES)
    }

    /// As [`Store::export_snapshot`], with chunks of another size.
    pub(crate) fn export_cut(
        &self,
        height: Height,
        path: &Path,
        target: u64,
    ) -> Result<SnapshotFolder, SnapshotError> {
        let view = self.state_at(height)?;
        let record = view.record()?;
        let (headers, proof) = self.certifying_headers(height)?;
        let block = self.final_block(height)?;
        folder::create(path)?;

        let mut buckets = Buckets::new(path, target);
        let mut lengths = BTreeMap::new();
        view.for_each(|key, value| {
            let code = match code_of(key, value).map_err(damaged)? {
                Some(hash) => Some((hash, code_length(&view, &mut lengths, hash)?)),
                None => None,
            };
            buckets.add(key, value, code)
        })?;
        let tree = view.tree()?;
        let mut chunks = Vec::new();
        buckets.cut(Span::WHOLE, &mut |span, entries| {
            let bytes = chunk_bytes(&view, &tree, span, entries)?;
            folder::write_chunk(path, chunks.len(), &bytes)?;
            chunks.push(info(span, &bytes));
            Ok(())
        })?;

        let config = self.inner.config();
        let manifest = Manifest {
            format: FORMAT,
            chain_id: config.chain_id,
            genesis_hash: config.genesis_hash,
            root: record.root,
            headers,
            proof,
        };
        manifest.check().map_err(SnapshotError::Manifest)?;
        folder::complete(path, &codec::encode(&block), manifest, chunks)
    }

    /// The headers of a manifest, with the proof of the last.
    fn certifying_headers(
        &self,
        base: Height,
    ) -> Result<(Vec<ProvenHeader>, Vec<u8>), SnapshotError> {
        let (tip, _) = self.committed_tip()?;
        let oldest = self.oldest_height()?;
        let first = first_header(base);
        if first < oldest {
            return Err(StorageError::Pruned { height: first, oldest }.into());
        }
        let mut headers = Vec::new();
        let mut last = tip;
        let mut proof = None;
        let mut height = first;
        while height <= last {
            let header = ProvenHeader::of(&self.final_block(height)?);
            if proof.is_none() && height > base && header.header.executed.height == base {
                let found = self.commit_proof_at_or_after(height, tip)?;
                (last, proof) = found.map_or((tip, None), |(at, proof)| (at, Some(proof)));
            }
            headers.push(header);
            height = height.saturating_add(1);
        }
        Ok((headers, proof.ok_or(SnapshotError::NotCertified(base))?))
    }

    fn final_block(&self, height: Height) -> Result<Block, StorageError> {
        let id = self.block_id_at(height)?;
        let block = id.map(|id| self.block(id)).transpose()?.flatten();
        if let Some(block) = block {
            return Ok(block);
        }
        // Pruning may have passed it meanwhile.
        let oldest = self.oldest_height()?;
        if height < oldest {
            return Err(StorageError::Pruned { height, oldest });
        }
        Err(missing(format!("the final block of height {height}")))
    }
}

fn damaged(reason: &'static str) -> StorageError {
    StorageError::Corrupt { column: Column::State.name(), reason: reason.into() }
}

fn code_length(
    view: &StateView<'_>,
    lengths: &mut BTreeMap<B256, u32>,
    hash: B256,
) -> Result<u32, StorageError> {
    if let Some(length) = lengths.get(&hash) {
        return Ok(*length);
    }
    let code = view.stored_code(hash)?.ok_or_else(|| missing(format!("code {hash}")))?;
    let length = u32::try_from(code.len()).unwrap_or(u32::MAX);
    lengths.insert(hash, length);
    Ok(length)
}

fn info(span: Span, bytes: &[u8]) -> ChunkInfo {
    ChunkInfo { span, bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX) }
}

/// Encodes a chunk, and checks it as a reader would: a flat value that the tree contradicts must not leave the node.
fn chunk_bytes(
    view: &StateView<'_>,
    tree: &Tree,
    span: Span,
    entries: &[Entry],
) -> Result<Vec<u8>, SnapshotError> {
    let siblings = siblings(view, tree, &span.start.0, span.bits)?;
    let mut code = BTreeMap::new();
    for (hash, _) in entries.iter().filter_map(|entry| entry.code) {
        if let std::collections::btree_map::Entry::Vacant(place) = code.entry(hash) {
            let found = view.stored_code(hash)?.ok_or_else(|| missing(format!("code {hash}")))?;
            place.insert(Bytes::from(found));
        }
    }
    let chunk = Chunk {
        span,
        siblings: siblings.into_iter().map(B256::new).collect(),
        entries: entries.iter().map(|e| (e.key.clone(), e.value.clone())).collect(),
        code: code.into_values().collect(),
    };
    let bytes = codec::encode(&chunk);
    if bytes.len() > MAX_CHUNK_BYTES {
        return Err(damaged("an account has more code than a chunk holds").into());
    }
    Chunk::check(&bytes, tree.root_hash()).map_err(damaged)?;
    Ok(bytes)
}
