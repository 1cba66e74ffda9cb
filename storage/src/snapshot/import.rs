//! Take over a snapshot chunk by chunk, in any order, over any number of restarts.

use std::{collections::BTreeSet, sync::Mutex};

use alloy_primitives::{B256, Bloom};
use neura_types::{Block, BlockId, codec, state::proof::Leaf};
use rocksdb::WriteBatch;
use serde::{Deserialize, Serialize};

use super::{
    Manifest, SnapshotError,
    chunk::{Checked, Chunk},
};
use crate::{
    columns::{COMMITTED_TIP, Column, EXECUTED_TIP, IMPORTED, MANIFEST, OLDEST, height_key},
    epochs::EpochRecord,
    error::StorageError,
    record::ExecutedRecord,
    store::{Inner, Store, decode},
    tree::{Child, NoNodes, NodeRow, Part, PathChange, join, next_tree, share, subtree},
};

/// Columns that an unfinished import fills.
const FILLED: [Column; 4] = [Column::State, Column::Code, Column::TreeNodes, Column::Import];

/// The import of a snapshot into a store that holds no chain.
#[derive(Debug)]
pub struct SnapshotImport {
    store: Store,
    manifest: Manifest,
    missing: Mutex<BTreeSet<u32>>,
}

/// The root of a chunk's subtree, as `import` holds it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct StoredPart {
    /// Path of the leaf, or a path below the node.
    path: B256,
    /// Nibbles that lead to it.
    depth: u8,
    /// Whether it is a leaf.
    leaf: bool,
    /// Value hash of the leaf, or hash of the node.
    digest: B256,
}

impl SnapshotImport {
    /// Begins an import, or goes on with that of the same manifest; what another one left is removed. The caller has
    /// verified the proof that the manifest carries.
    ///
    /// # Errors
    /// If the store holds a chain, the manifest is of another one or contradicts itself, or the store fails.
    pub fn begin(store: &Store, manifest: Manifest) -> Result<Self, SnapshotError> {
        manifest.check().map_err(SnapshotError::Manifest)?;
        let inner = &*store.inner;
        let config = inner.config();
        if (manifest.chain_id, manifest.genesis_hash) != (config.chain_id, config.genesis_hash) {
            return Err(SnapshotError::Manifest("it is of another chain"));
        }
        if store.is_initialised()? {
            return Err(SnapshotError::Initialised);
        }
        if let Some(begun) = Self::resume(store)?
            && begun.manifest == manifest
        {
            return Ok(begun);
        }
        let mut batch = WriteBatch::default();
        wipe(inner, &mut batch, &FILLED)?;
        batch.put_cf(inner.cf(Column::Import)?, MANIFEST, manifest.encode());
        inner.write(batch, true)?;
        let missing = Mutex::new((0u32..).take(manifest.chunks.len()).collect());
        Ok(Self { store: store.clone(), manifest, missing })
    }

    /// The import that was begun in this store; none if none is unfinished.
    ///
    /// # Errors
    /// If the store fails.
    pub fn resume(store: &Store) -> Result<Option<Self>, SnapshotError> {
        let inner = &*store.inner;
        let Some(bytes) = inner.get(Column::Import, MANIFEST)? else { return Ok(None) };
        let manifest = Manifest::decode(&bytes)?;
        let mut missing = BTreeSet::new();
        for index in (0u32..).take(manifest.chunks.len()) {
            if !inner.contains(Column::Import, &chunk_key(index))? {
                missing.insert(index);
            }
        }
        Ok(Some(Self { store: store.clone(), manifest, missing: Mutex::new(missing) }))
    }

    /// What is imported.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Chunks that are not stored yet, in order.
    pub fn missing(&self) -> Vec<u32> {
        self.lock_missing().iter().copied().collect()
    }

    /// Checks a chunk against the certified state root and stores it. One that is stored already changes nothing.
    ///
    /// # Errors
    /// [`SnapshotError::Chunk`] if it is not that chunk: nothing is stored then, and the right one is still taken. Or if
    /// the store fails.
    pub fn put_chunk(&self, index: u32, bytes: &[u8]) -> Result<(), SnapshotError> {
        let refuse = |reason| SnapshotError::Chunk { index, reason };
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        let info =
            self.manifest.chunks.get(place).ok_or_else(|| refuse("there is no such chunk"))?;
        let checked =
            Chunk::check(bytes, info, self.manifest.base.root.state_root).map_err(refuse)?;
        if self.lock_missing().contains(&index) {
            self.store_chunk(index, info.span.depth(), &checked)?;
            self.lock_missing().remove(&index);
        }
        Ok(())
    }

    fn store_chunk(&self, index: u32, depth: u8, chunk: &Checked) -> Result<(), StorageError> {
        let inner = &*self.store.inner;
        let mut batch = WriteBatch::default();
        let (state, code) = (inner.cf(Column::State)?, inner.cf(Column::Code)?);
        chunk.entries.iter().for_each(|(key, value)| batch.put_cf(state, key, value));
        chunk.code.iter().for_each(|(hash, bytes)| batch.put_cf(code, hash, bytes));
        let (nodes, parts) = subtrees(depth, &chunk.leaves)?;
        write_nodes(inner, &mut batch, nodes)?;
        batch.put_cf(inner.cf(Column::Import)?, chunk_key(index), codec::encode(&parts));
        inner.write(batch, false)
    }

    /// Completes the store: it goes on as if it had executed the chain up to the base. `base` is the block that
    /// [`Manifest::block`] names.
    ///
    /// # Errors
    /// If chunks are missing, a block is not the chain's, or the store fails; it can be called again then.
    pub fn finish(&self, genesis: &Block, base: &Block) -> Result<(), SnapshotError> {
        let missing = self.lock_missing().len();
        if missing > 0 {
            return Err(SnapshotError::Incomplete(missing));
        }
        let inner = &*self.store.inner;
        let _chain = inner.lock_chain()?;
        if self.store.is_initialised()? {
            return Err(SnapshotError::Initialised);
        }
        let id = base.id();
        if self.manifest.block().is_none_or(|(_, named)| named != id) || !base.payload_matches() {
            return Err(SnapshotError::Block("base"));
        }
        let header = &genesis.header;
        if (header.height, header.parent) != (0, self.manifest.genesis_hash) {
            return Err(SnapshotError::Block("genesis"));
        }
        let mut batch = WriteBatch::default();
        self.complete_tree(&mut batch)?;
        self.write_chain(&mut batch, (genesis, genesis.id()), (base, id))?;
        wipe(inner, &mut batch, &[Column::Import])?;
        inner.write(batch, true)?;
        Ok(())
    }

    /// Writes the nodes above the chunks, and checks that they lead to the certified root.
    fn complete_tree(&self, batch: &mut WriteBatch) -> Result<(), StorageError> {
        if self.manifest.chunks.len() == 1 {
            return Ok(());
        }
        let inner = &*self.store.inner;
        let mut parts = Vec::new();
        for row in inner.range(Column::Import, b"c", b"d")? {
            let stored: Vec<StoredPart> = decode(Column::Import, &row?.1)?;
            parts.extend(stored.iter().map(StoredPart::part));
        }
        let (root, nodes) = join(&parts);
        if root != self.manifest.base.root.state_root.0 {
            return Err(StorageError::Corrupt {
                column: Column::Import.name(),
                reason: "the chunks do not make the certified state root".into(),
            });
        }
        write_nodes(inner, batch, nodes)
    }

    fn write_chain(
        &self,
        batch: &mut WriteBatch,
        genesis: (&Block, BlockId),
        base: (&Block, BlockId),
    ) -> Result<(), StorageError> {
        let inner = &*self.store.inner;
        let height = self.manifest.height();
        let record = ExecutedRecord {
            id: base.1,
            root: self.manifest.base.root,
            tree_version: 0,
            timestamp_ms: base.0.header.timestamp_ms,
            base_fee: self.manifest.base.base_fee,
            proposer: self.manifest.base.proposer,
            included: Vec::new(),
            block_logs: Vec::new(),
            bloom: Bloom::ZERO,
        };
        for (block, id) in [genesis, base] {
            batch.put_cf(inner.cf(Column::Blocks)?, id, codec::encode(block));
            let key = height_key(block.header.height);
            batch.put_cf(inner.cf(Column::Heights)?, key, codec::encode(&id));
        }
        for (height, id) in self.manifest.recent_ids() {
            batch.put_cf(inner.cf(Column::Heights)?, height_key(height), codec::encode(&id));
        }
        batch.put_cf(inner.cf(Column::Executed)?, height_key(height), codec::encode(&record));
        for config in &self.manifest.epochs {
            if self.store.epoch(config.epoch)?.is_none() {
                let record = EpochRecord { config: config.clone(), end: None };
                let key = config.epoch.to_be_bytes();
                batch.put_cf(inner.cf(Column::Epochs)?, key, codec::encode(&record));
            }
        }
        inner.put_meta(batch, COMMITTED_TIP, &(height, base.1))?;
        inner.put_meta(batch, EXECUTED_TIP, &(height, base.1))?;
        inner.put_meta(batch, OLDEST, &height)?;
        inner.put_meta(batch, IMPORTED, &height)
    }

    fn lock_missing(&self) -> std::sync::MutexGuard<'_, BTreeSet<u32>> {
        // Whoever panicked removed one number or none.
        self.missing.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl StoredPart {
    fn part(&self) -> Part {
        let child = if self.leaf {
            Child::leaf(Leaf { path: self.path.0, value: self.digest.0 })
        } else {
            Child::Inner { hash: self.digest.0, version: 0 }
        };
        Part { path: self.path.0, depth: self.depth, child }
    }
}

fn stored_part(path: [u8; 32], depth: u8, child: &Child) -> StoredPart {
    match child {
        Child::Leaf { leaf, .. } => StoredPart {
            path: B256::new(leaf.path),
            depth,
            leaf: true,
            digest: B256::new(leaf.value),
        },
        Child::Inner { hash, .. } => {
            StoredPart { path: B256::new(path), depth, leaf: false, digest: B256::new(*hash) }
        }
    }
}

/// The nodes below a depth that some leaves make, and what stands at that depth; below the root, everything.
fn subtrees(
    depth: u8,
    leaves: &[PathChange],
) -> Result<(Vec<NodeRow>, Vec<StoredPart>), StorageError> {
    if depth == 0 {
        return Ok((next_tree(&NoNodes, None, leaves.to_vec())?.nodes, Vec::new()));
    }
    let (mut nodes, mut parts) = (Vec::new(), Vec::new());
    for leaves in leaves.chunk_by(|a, b| share(&a.path, &b.path, depth)) {
        let (child, new) = subtree(depth, leaves)?;
        nodes.extend(new);
        parts.extend(child.map(|child| stored_part(leaves[0].path, depth, &child)));
    }
    Ok((nodes, parts))
}

fn chunk_key(index: u32) -> [u8; 5] {
    let [a, b, c, d] = index.to_be_bytes();
    [b'c', a, b, c, d]
}

fn write_nodes(
    inner: &Inner,
    batch: &mut WriteBatch,
    nodes: Vec<NodeRow>,
) -> Result<(), StorageError> {
    let column = inner.cf(Column::TreeNodes)?;
    nodes.iter().for_each(|(row, node)| batch.put_cf(column, row, node.encode()));
    Ok(())
}

/// Removes everything that columns hold.
fn wipe(inner: &Inner, batch: &mut WriteBatch, columns: &[Column]) -> Result<(), StorageError> {
    for column in columns {
        // No key of these columns is longer, or begins with so many ones.
        batch.delete_range_cf(inner.cf(*column)?, &[][..], &[0xff; 64][..]);
    }
    Ok(())
}
