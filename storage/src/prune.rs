//! Remove what the retention no longer asks for, a bounded piece at a time.

use neura_types::{BlockId, Height};
use rocksdb::WriteBatch;

use crate::{
    batches::forget_batches,
    changes::unpack_changes,
    columns::{Column, OLDEST, block_index_key, height_key, history_key, unpack},
    config::Retention,
    error::StorageError,
    record::ExecutedRecord,
    sections::{section_end, section_of},
    store::{Store, missing},
};

impl Store {
    /// Removes the oldest heights beyond the retention, at most `limit` of them: bodies, batches, proofs, receipts, indices,
    /// and the states that only they had. Returns how many heights went; call it again while it returns `limit`.
    ///
    /// The genesis block stays. Nothing above the executed tip less the retention is touched.
    ///
    /// # Errors
    /// If the store fails.
    pub fn prune(&self, limit: usize) -> Result<usize, StorageError> {
        let Retention::Blocks(kept) = self.inner.config().retention else { return Ok(0) };
        let _chain = self.inner.lock_chain()?;
        let _tree = self.inner.lock_tree()?;
        let (tip, _) = self.executed_tip()?;
        let oldest = self.oldest_height()?;
        let target = tip.saturating_sub(kept);
        let heights =
            usize::try_from(target.saturating_sub(oldest)).unwrap_or(usize::MAX).min(limit);
        if heights == 0 {
            return Ok(0);
        }
        let mut batch = WriteBatch::default();
        let mut height = oldest;
        for _ in 0..heights {
            self.remove_block(&mut batch, height)?;
            self.remove_state(&mut batch, height)?;
            height = height.saturating_add(1);
        }
        self.inner.put_meta(&mut batch, OLDEST, &height)?;
        self.inner.write(batch, false)?;
        Ok(heights)
    }

    /// Removes what belongs to one block; of genesis only its record.
    fn remove_block(&self, batch: &mut WriteBatch, height: Height) -> Result<(), StorageError> {
        let inner = &*self.inner;
        let key = height_key(height);
        batch.delete_cf(inner.cf(Column::Executed)?, key);
        if height == 0 {
            return Ok(());
        }
        let above = height.saturating_add(1);
        if height == section_end(height) {
            let section = height_key(section_of(height));
            batch.delete_cf(inner.cf(Column::LogSections)?, section);
        }
        let committed =
            self.block_id_at(height)?.ok_or_else(|| missing("a committed block's id"))?;
        let (bodies, index) = (inner.cf(Column::Blocks)?, inner.cf(Column::BlockIndex)?);
        batch.delete_cf(bodies, committed);
        let known: Vec<(Height, BlockId)> =
            self.known_ids(height, above)?.collect::<Result<_, _>>()?;
        for (height, id) in known {
            batch.delete_cf(bodies, id);
            batch.delete_cf(index, block_index_key(height, id));
        }
        let transactions = inner.cf(Column::TxIndex)?;
        for receipt in self.stored_receipts(height)? {
            batch.delete_cf(transactions, receipt.tx_hash);
        }
        batch.delete_cf(inner.cf(Column::Receipts)?, key);
        batch.delete_cf(inner.cf(Column::CommitProofs)?, key);
        forget_batches(inner, batch, height)?;
        // An import brings ids below its height, for BLOCKHASH.
        let first = if self.imported_height()? == Some(height) { height_key(1) } else { key };
        batch.delete_range_cf(inner.cf(Column::Heights)?, first, height_key(above));
        Ok(())
    }

    /// Removes what only the state after `height` needed, if the next was saved: the values and nodes that were replaced
    /// then. All states from one save to the next need the same.
    fn remove_state(&self, batch: &mut WriteBatch, height: Height) -> Result<(), StorageError> {
        let inner = &*self.inner;
        let next = height.saturating_add(1);
        let record = |height: Height| {
            let record: Option<ExecutedRecord> = self.executed(height)?;
            record.ok_or_else(|| missing("an executed record"))
        };
        let (before, after) = (record(height)?, record(next)?);
        if after.tree_height != next {
            return Ok(());
        }
        let (history, changed) = (inner.cf(Column::History)?, inner.cf(Column::Changed)?);
        for block in before.tree_height.saturating_add(1)..=next {
            let row = inner.get(Column::Changed, &height_key(block))?;
            let row = row.ok_or_else(|| missing(format!("what block {block} changed")))?;
            for (key, _) in unpack_changes(&row)? {
                batch.delete_cf(history, history_key(key, next));
            }
            batch.delete_cf(changed, height_key(block));
        }
        let (nodes, stale) = (inner.cf(Column::TreeNodes)?, inner.cf(Column::StaleNodes)?);
        let version = after.tree_version.to_be_bytes();
        let replaced = inner.get(Column::StaleNodes, &version)?.unwrap_or_default();
        for row in unpack(Column::StaleNodes, &replaced)? {
            batch.delete_cf(nodes, row);
        }
        batch.delete_cf(stale, version);
        Ok(())
    }
}
