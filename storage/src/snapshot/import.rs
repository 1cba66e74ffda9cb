//! Take over a snapshot chunk by chunk, in any order, over any number of restarts.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use alloy_primitives::{Address, B256, Bloom};
use neura_types::{Block, codec, state::proof::Leaf};
use rocksdb::WriteBatch;
use serde::{Deserialize, Serialize};

use super::{
    Manifest, SnapshotError, Span,
    chunk::{Checked, Chunk},
    coverage::Coverage,
};
use crate::{
    columns::{COMMITTED_TIP, Column, EXECUTED_TIP, IMPORTED, MANIFEST, OLDEST, height_key},
    epochs::EpochRecord,
    error::StorageError,
    record::ExecutedRecord,
    store::{Inner, Store, decode},
    tree::{Child, NoNodes, NodeRow, Part, PathChange, Tree, join, share, subtree},
    view::StateView,
    window::Window,
};

/// Columns that an unfinished import fills.
const FILLED: [Column; 4] = [Column::State, Column::Code, Column::TreeNodes, Column::Import];

/// The import of a snapshot into a store that holds no chain.
///
/// A chunk says itself what it covers and is checked against the certified root alone, so chunks may be of any cut of the
/// state, and of different ones.
#[derive(Debug)]
pub struct SnapshotImport {
    store: Store,
    manifest: Manifest,
    held: Mutex<Coverage>,
}

/// A chunk that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenChunk {
    /// The paths that it covers.
    pub span: Span,
    /// Bytes of the state that it brought; 0 if they were there.
    pub new_bytes: u64,
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
    /// Begins an import, or goes on with that of the same state, whatever proves it; what one of another state left is
    /// removed. The caller has verified the proof that the manifest carries.
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
        let begun = Self::resume(store)?.filter(|begun| begun.manifest.root == manifest.root);
        let mut batch = WriteBatch::default();
        if begun.is_none() {
            wipe(inner, &mut batch, &FILLED)?;
        }
        batch.put_cf(inner.cf(Column::Import)?, MANIFEST, manifest.encode());
        inner.write(batch, true)?;
        let held = begun.map(|begun| begun.held).unwrap_or_default();
        Ok(Self { store: store.clone(), manifest, held })
    }

    /// The import that was begun in this store; none if none is unfinished, or one that a program of another format began.
    ///
    /// # Errors
    /// If the store fails.
    pub fn resume(store: &Store) -> Result<Option<Self>, SnapshotError> {
        let inner = &*store.inner;
        let Some(bytes) = inner.get(Column::Import, MANIFEST)? else { return Ok(None) };
        let Ok(manifest) = Manifest::decode(&bytes) else { return Ok(None) };
        let mut held = Coverage::default();
        for row in inner.range(Column::Import, b"c", b"d")? {
            held.add(span_of(&row?.0).ok_or_else(|| StorageError::Corrupt {
                column: Column::Import.name(),
                reason: "a key names no span".into(),
            })?);
        }
        Ok(Some(Self { store: store.clone(), manifest, held: Mutex::new(held) }))
    }

    /// What is imported.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether the state is whole.
    pub fn is_whole(&self) -> bool {
        self.lock().is_whole()
    }

    /// How many chunks are stored.
    pub fn chunks(&self) -> usize {
        self.lock().len()
    }

    /// A path that no stored chunk covers, apart from those `asked` for already, which may yet come; none if that makes
    /// no sense any more.
    pub fn wanted(&self, asked: &BTreeSet<B256>) -> Option<B256> {
        self.lock().wanted(asked)
    }

    /// Whether a path lies in a stored chunk.
    pub fn holds(&self, path: &B256) -> bool {
        self.lock().at(path).is_some()
    }

    /// Checks a chunk against the certified state root and stores it. What is stored already changes nothing.
    ///
    /// # Errors
    /// [`SnapshotError::Chunk`] if it is no part of the state: nothing is stored then. Or if the store fails.
    pub fn put_chunk(&self, bytes: &[u8]) -> Result<TakenChunk, SnapshotError> {
        let root = self.manifest.root.state_root;
        let checked = Chunk::check(bytes, root).map_err(SnapshotError::Chunk)?;
        let span = checked.span;
        let (nodes, parts) = subtrees(span.depth(), &checked.leaves)?;
        let mut held = self.lock();
        // Once it is whole the chain may have gone on from it.
        if held.is_whole() || held.holds(&span) {
            return Ok(TakenChunk { span, new_bytes: 0 });
        }
        self.store_chunk(&held.within(&span), &checked, nodes, &parts)?;
        held.add(span);
        Ok(TakenChunk { span, new_bytes: checked.state_bytes() })
    }

    /// Stores a chunk in the place of those that lie in it: their rows of the state and the tree are among its own.
    fn store_chunk(
        &self,
        replaced: &[Span],
        chunk: &Checked,
        nodes: Vec<NodeRow>,
        parts: &Vec<StoredPart>,
    ) -> Result<(), StorageError> {
        let inner = &*self.store.inner;
        let mut batch = WriteBatch::default();
        let (state, code) = (inner.cf(Column::State)?, inner.cf(Column::Code)?);
        chunk.entries.iter().for_each(|(key, value)| batch.put_cf(state, key, value));
        chunk.code.iter().for_each(|(hash, bytes)| batch.put_cf(code, hash, bytes));
        write_nodes(inner, &mut batch, nodes)?;
        let import = inner.cf(Column::Import)?;
        replaced.iter().for_each(|span| batch.delete_cf(import, chunk_key(span)));
        batch.put_cf(import, chunk_key(&chunk.span), codec::encode(parts));
        inner.write(batch, false)
    }

    /// The whole state, before the store is completed: to compare with what else is known, and to read the epochs from.
    ///
    /// # Errors
    /// [`SnapshotError::Incomplete`] if parts of it are missing.
    pub fn state(&self) -> Result<StateView<'_>, SnapshotError> {
        if !self.is_whole() {
            return Err(SnapshotError::Incomplete);
        }
        Ok(StateView::imported(&self.store.inner, self.manifest.height()))
    }

    /// Completes the store, at once or not at all: it goes on as if it had executed the chain up to the base. `base` is
    /// the block that [`Manifest::block`] names, `epochs` what is known of epochs, its own among them.
    ///
    /// # Errors
    /// If chunks are missing, a block is not the chain's, the epoch of the base is missing, or the store fails; it can be
    /// called again then.
    pub fn finish(
        &self,
        genesis: &Block,
        base: &Block,
        epochs: &[EpochRecord],
    ) -> Result<(), SnapshotError> {
        if !self.is_whole() {
            return Err(SnapshotError::Incomplete);
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
        let (epoch, proposer) = (base.header.epoch, base.header.proposer);
        let own = epochs.iter().find(|record| record.config.epoch == epoch);
        let proposer = own.and_then(|record| record.config.set.get(proposer));
        let proposer = proposer.ok_or(SnapshotError::Epoch(epoch))?.account;
        let mut batch = WriteBatch::default();
        self.complete_tree(&mut batch)?;
        self.write_chain(&mut batch, genesis, (base, proposer))?;
        for record in epochs {
            let key = record.config.epoch.to_be_bytes();
            batch.put_cf(inner.cf(Column::Epochs)?, key, codec::encode(record));
        }
        wipe(inner, &mut batch, &[Column::Import])?;
        inner.recent().restart(self.manifest.height());
        inner.set_window(Window::new(self.manifest.height()));
        inner.write(batch, true)?;
        Ok(())
    }

    /// Writes the nodes above the chunks, and checks that they lead to the certified root.
    fn complete_tree(&self, batch: &mut WriteBatch) -> Result<(), StorageError> {
        if self.lock().holds(&Span::WHOLE) {
            return Ok(());
        }
        let inner = &*self.store.inner;
        let mut parts = Vec::new();
        for row in inner.range(Column::Import, b"c", b"d")? {
            let stored: Vec<StoredPart> = decode(Column::Import, &row?.1)?;
            parts.extend(stored.iter().map(StoredPart::part));
        }
        let (root, nodes) = join(&parts);
        if root != self.manifest.root.state_root.0 {
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
        genesis: &Block,
        (base, proposer): (&Block, Address),
    ) -> Result<(), StorageError> {
        let inner = &*self.store.inner;
        let (height, base_id) = (self.manifest.height(), base.id());
        let record = ExecutedRecord {
            id: base_id,
            root: self.manifest.root,
            tree_version: 0,
            tree_height: height,
            timestamp_ms: base.header.timestamp_ms,
            base_fee: self.manifest.base_fee(),
            proposer,
            included: Vec::new(),
            block_logs: Vec::new(),
            bloom: Bloom::ZERO,
        };
        for (block, id) in [(genesis, genesis.id()), (base, base_id)] {
            batch.put_cf(inner.cf(Column::Blocks)?, id, codec::encode(block));
            let key = height_key(block.header.height);
            batch.put_cf(inner.cf(Column::Heights)?, key, codec::encode(&id));
        }
        for (height, id) in self.manifest.recent_ids() {
            batch.put_cf(inner.cf(Column::Heights)?, height_key(height), codec::encode(&id));
        }
        batch.put_cf(inner.cf(Column::Executed)?, height_key(height), codec::encode(&record));
        inner.put_meta(batch, COMMITTED_TIP, &(height, base_id))?;
        inner.put_meta(batch, EXECUTED_TIP, &(height, base_id))?;
        inner.put_meta(batch, OLDEST, &height)?;
        inner.put_meta(batch, IMPORTED, &height)
    }

    fn lock(&self) -> MutexGuard<'_, Coverage> {
        // Whoever panicked added a span that is stored, or none; what lies in it may be counted still.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StoredPart {
    fn part(&self) -> Part {
        let child = if self.leaf {
            Child::leaf(Leaf { path: self.path.0, value: self.digest.0 })
        } else {
            Child::saved(self.digest.0, 0)
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
        let mut tree = Tree::empty();
        tree.change(&NoNodes, leaves.to_vec())?;
        return Ok((tree.saving().nodes, Vec::new()));
    }
    let (mut nodes, mut parts) = (Vec::new(), Vec::new());
    for leaves in leaves.chunk_by(|a, b| share(&a.path, &b.path, depth)) {
        let (child, new) = subtree(depth, leaves)?;
        nodes.extend(new);
        parts.extend(child.map(|child| stored_part(leaves[0].path, depth, &child)));
    }
    Ok((nodes, parts))
}

fn chunk_key(span: &Span) -> Vec<u8> {
    [&b"c"[..], span.start.as_slice(), &span.bits.to_be_bytes()].concat()
}

/// The span in a key.
fn span_of(key: &[u8]) -> Option<Span> {
    let (start, bits) = key.strip_prefix(b"c")?.split_last_chunk::<2>()?;
    let span = Span { start: start.try_into().ok()?, bits: u16::from_be_bytes(*bits) };
    span.is_sound().then_some(span)
}

fn write_nodes(
    inner: &Inner,
    batch: &mut WriteBatch,
    nodes: Vec<NodeRow>,
) -> Result<(), StorageError> {
    let column = inner.cf(Column::TreeNodes)?;
    nodes.iter().for_each(|(row, node)| batch.put_cf(column, row, node));
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
