//! What consensus keeps: blocks, the committed chain, the proofs of its commits.

use neura_types::{Block, BlockId, Height, codec};
use rocksdb::WriteBatch;

use crate::{
    batches::name_batches,
    columns::{COMMITTED_TIP, Column, block_index_key, height_key, height_of, join_digests},
    error::StorageError,
    store::{Store, missing},
};

/// A block that has become final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Its id; its body is stored already.
    pub id: BlockId,
    /// Its height.
    pub height: Height,
    /// Encoded proof that it is final, if this block is the one that the proof names.
    pub proof: Option<Vec<u8>>,
}

impl Store {
    /// Stores a block. With `sync` it is durable on return, and so is everything written before.
    ///
    /// # Errors
    /// If the write fails.
    pub fn put_block(&self, block: &Block, id: BlockId, sync: bool) -> Result<(), StorageError> {
        self.put_blocks(&[(id, block)], sync)
    }

    /// Stores blocks in one write. The batches that they name, held or not, do not expire until their heights are
    /// decided.
    ///
    /// # Errors
    /// If the write fails.
    pub fn put_blocks(&self, blocks: &[(BlockId, &Block)], sync: bool) -> Result<(), StorageError> {
        let inner = &*self.inner;
        let (bodies, index) = (inner.cf(Column::Blocks)?, inner.cf(Column::BlockIndex)?);
        let mut batch = WriteBatch::default();
        for (id, block) in blocks {
            let height = block.header.height;
            let digests = || block.batches.iter().map(|named| named.digest);
            batch.put_cf(bodies, id, codec::encode(*block));
            batch.put_cf(index, block_index_key(height, *id), join_digests(digests()));
            if !block.batches.is_empty() {
                inner.lock_batches()?.hold_all(digests(), height);
            }
        }
        inner.write(batch, sync)
    }

    /// A stored block.
    ///
    /// # Errors
    /// If the read fails.
    pub fn block(&self, id: BlockId) -> Result<Option<Block>, StorageError> {
        self.inner.read(Column::Blocks, id.as_slice())
    }

    /// The canonical encoding of a stored block.
    ///
    /// # Errors
    /// If the read fails.
    pub fn block_bytes(&self, id: BlockId) -> Result<Option<Vec<u8>>, StorageError> {
        self.inner.get(Column::Blocks, id.as_slice())
    }

    /// Whether a block is stored.
    ///
    /// # Errors
    /// If the read fails.
    pub fn has_block(&self, id: BlockId) -> Result<bool, StorageError> {
        self.inner.contains(Column::Blocks, id.as_slice())
    }

    /// All stored blocks above a height, forks included, lowest first: the uncommitted tree after a restart.
    ///
    /// # Errors
    /// If a read fails or a body is missing.
    pub fn blocks_above(&self, height: Height) -> Result<Vec<(BlockId, Block)>, StorageError> {
        let Some(from) = height.checked_add(1) else { return Ok(Vec::new()) };
        let mut blocks = Vec::new();
        for id in self.known_ids(from, Height::MAX)? {
            let (_, id) = id?;
            let block =
                self.block(id)?.ok_or_else(|| missing(format!("the body of block {id}")))?;
            blocks.push((id, block));
        }
        Ok(blocks)
    }

    /// Marks blocks final, lowest first, in one batch. Not synced: consensus can always commit them again.
    ///
    /// # Errors
    /// If they do not follow the committed tip without gaps, a body is not stored, or the write fails.
    pub fn commit(&self, blocks: &[Committed]) -> Result<(), StorageError> {
        let inner = &*self.inner;
        let _chain = inner.lock_chain()?;
        let mut waiting = inner.lock_batches()?;
        let mut tip = self.committed_tip()?;
        let mut batch = WriteBatch::default();
        let mut named = Vec::new();
        for Committed { id, height, proof } in blocks {
            if tip.0.checked_add(1) != Some(*height) {
                return Err(StorageError::HeightGap {
                    what: "committed",
                    tip: tip.0,
                    got: *height,
                });
            }
            let digests = inner
                .get(Column::BlockIndex, &block_index_key(*height, *id))?
                .ok_or(StorageError::UnknownBlock { id: *id, height: *height })?;
            named.extend(name_batches(inner, &mut batch, *height, &digests)?);
            batch.put_cf(inner.cf(Column::Heights)?, height_key(*height), codec::encode(id));
            if let Some(proof) = proof {
                batch.put_cf(inner.cf(Column::CommitProofs)?, height_key(*height), proof);
            }
            tip = (*height, *id);
        }
        inner.put_meta(&mut batch, COMMITTED_TIP, &tip)?;
        inner.write(batch, false)?;
        waiting.decide(&named, tip.0);
        Ok(())
    }

    /// Id of the final block at a height, if it is kept.
    ///
    /// # Errors
    /// If the read fails.
    pub fn block_id_at(&self, height: Height) -> Result<Option<BlockId>, StorageError> {
        self.inner.read(Column::Heights, &height_key(height))
    }

    /// The lowest stored commit proof with `height <= its height <= max`.
    ///
    /// # Errors
    /// If the read fails.
    pub fn commit_proof_at_or_after(
        &self,
        height: Height,
        max: Height,
    ) -> Result<Option<(Height, Vec<u8>)>, StorageError> {
        let above = height_key(max.saturating_add(1));
        let mut rows = self.inner.range(Column::CommitProofs, &height_key(height), &above)?;
        let Some(row) = rows.next() else { return Ok(None) };
        let (key, proof) = row?;
        let height = height_of(&key).ok_or_else(|| missing("the height of a commit proof"))?;
        Ok(Some((height, proof.into_vec())))
    }

    /// Removes blocks below a height that did not become final, at most `limit` index rows; returns how many blocks went.
    ///
    /// # Errors
    /// If `below` is above the height after the committed tip, or the store fails.
    pub fn prune_forks(&self, below: Height, limit: usize) -> Result<usize, StorageError> {
        let inner = &*self.inner;
        let _chain = inner.lock_chain()?;
        let (tip, _) = self.committed_tip()?;
        if below > tip.saturating_add(1) {
            return Err(StorageError::HeightGap { what: "committed", tip, got: below });
        }
        let mut batch = WriteBatch::default();
        let mut removed = 0;
        for row in self.known_ids(0, below)?.take(limit) {
            let (height, id) = row?;
            if self.block_id_at(height)? != Some(id) {
                batch.delete_cf(inner.cf(Column::Blocks)?, id);
                removed += 1;
            }
            batch.delete_cf(inner.cf(Column::BlockIndex)?, block_index_key(height, id));
        }
        if !batch.is_empty() {
            inner.write(batch, false)?;
        }
        Ok(removed)
    }

    /// Heights and ids of known blocks with `from <= height < to`.
    pub(crate) fn known_ids(
        &self,
        from: Height,
        to: Height,
    ) -> Result<impl Iterator<Item = Result<(Height, BlockId), StorageError>> + '_, StorageError>
    {
        let rows = self.inner.range(Column::BlockIndex, &height_key(from), &height_key(to))?;
        Ok(rows.map(|row| {
            let (key, _) = row?;
            let id = key.get(8..).and_then(|bytes| BlockId::try_from(bytes).ok());
            height_of(&key).zip(id).ok_or_else(|| missing("an id in the block index"))
        }))
    }
}
