//! Commit what a block's execution changed: state, tree, receipts and indices in one batch.

use std::collections::BTreeMap;

use alloy_primitives::{Address, Bloom};
use neura_types::{
    BlockId, ExecutedRoot, Height, Log, Receipt, StateChanges,
    block::receipts_root,
    codec,
    state::{
        StateKey,
        proof::{account_value, path_of, value_hash, word_value},
    },
};
use rocksdb::WriteBatch;

use crate::{
    columns::{Column, EXECUTED_TIP, height_key, history_key, pack, receipt_key},
    error::StorageError,
    record::{ExecutedRecord, TxLocation},
    store::{Inner, Store, missing},
    tree::{NodeCache, PathChange, StoredNodes, TreeUpdate, next_tree},
};

/// Flat key of the first storage word of an account, and the key above its last.
fn storage_range(address: Address) -> (Vec<u8>, Vec<u8>) {
    let first = [&[1u8], address.as_slice(), &[0; 32]].concat();
    let above = [&[1u8], address.as_slice(), &[0xff; 33]].concat();
    (first, above)
}

/// Result of executing one block.
#[derive(Debug, Clone, Copy)]
pub struct ExecutedBlock<'a> {
    /// Its id.
    pub id: BlockId,
    /// Its height.
    pub height: Height,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// Gas that it used.
    pub gas_used: u64,
    /// Its base fee, in wei per gas.
    pub base_fee: u64,
    /// Base fee of the next block, in wei per gas.
    pub next_base_fee: u64,
    /// Account that received the tips.
    pub proposer: Address,
    /// Receipts of the included transactions, in order.
    pub receipts: &'a [Receipt],
    /// Position in the payload of each receipt's transaction.
    pub included: &'a [u32],
    /// Logs of the block's end, which belong to no transaction.
    pub block_logs: &'a [Log],
    /// What it changed.
    pub changes: &'a StateChanges,
}

/// A flat key with what it held before a block and what it holds after.
struct Change {
    key: Vec<u8>,
    before: Option<Vec<u8>>,
    after: Option<Vec<u8>>,
}

impl Store {
    /// Computes the state root that follows a committed block and writes everything about its execution in one atomic
    /// batch. The batch is in the log but not synced: after a power failure the block is executed again.
    ///
    /// # Errors
    /// If the block is not committed or not the one after the executed tip, its parts contradict each other, or the
    /// store fails.
    pub fn commit_executed(&self, block: &ExecutedBlock<'_>) -> Result<ExecutedRoot, StorageError> {
        let inner = &*self.inner;
        let mut cache = inner.lock_tree()?;
        self.check_next(block)?;
        let parent: ExecutedRecord = inner
            .read(Column::Executed, &height_key(block.height.saturating_sub(1)))?
            .ok_or_else(|| missing("the executed record of the parent"))?;

        let changes = changed_values(inner, block.changes)?;
        let tree = grow_tree(inner, &mut cache, &parent, &changes)?;
        let record = ExecutedRecord {
            id: block.id,
            root: ExecutedRoot {
                height: block.height,
                state_root: tree.root,
                receipts_root: receipts_root(block.receipts),
                gas_used: block.gas_used,
                next_base_fee: block.next_base_fee,
            },
            tree_version: tree.version,
            timestamp_ms: block.timestamp_ms,
            base_fee: block.base_fee,
            proposer: block.proposer,
            included: block.included.to_vec(),
            block_logs: block.block_logs.to_vec(),
            bloom: bloom_of(block),
        };

        let mut batch = WriteBatch::default();
        write_state(inner, &mut batch, block, &changes)?;
        write_tree(inner, &mut batch, &tree)?;
        write_receipts(inner, &mut batch, block)?;
        batch.put_cf(inner.cf(Column::Executed)?, height_key(block.height), codec::encode(&record));
        inner.put_meta(&mut batch, EXECUTED_TIP, &(block.height, block.id))?;
        inner.write(batch, false)?;

        tree.stale.iter().for_each(|row| cache.remove(row));
        tree.nodes.into_iter().for_each(|(row, node)| cache.insert(row, node));
        Ok(record.root)
    }

    /// Roots and gas of an executed block, if it is kept.
    ///
    /// # Errors
    /// If the read fails.
    pub fn executed_root(&self, height: Height) -> Result<Option<ExecutedRoot>, StorageError> {
        Ok(self.executed(height)?.map(|record| record.root))
    }

    /// Result of an executed block, if it is kept.
    ///
    /// # Errors
    /// If the read fails.
    pub fn executed(&self, height: Height) -> Result<Option<ExecutedRecord>, StorageError> {
        self.inner.read(Column::Executed, &height_key(height))
    }

    fn check_next(&self, block: &ExecutedBlock<'_>) -> Result<(), StorageError> {
        let (tip, _) = self.executed_tip()?;
        if tip.checked_add(1) != Some(block.height) {
            return Err(StorageError::HeightGap { what: "executed", tip, got: block.height });
        }
        if self.block_id_at(block.height)? != Some(block.id) {
            return Err(StorageError::NotCommitted { id: block.id, height: block.height });
        }
        if block.receipts.len() != block.included.len() {
            return Err(StorageError::Result {
                height: block.height,
                reason: "there is not one included position per receipt",
            });
        }
        Ok(())
    }
}

/// Values of all keys that the changes name, none for deleted ones, without the wiped storage.
pub(crate) fn final_values(changes: &StateChanges) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
    let accounts = changes.accounts.iter().map(|(address, account)| {
        (StateKey::Account(*address).to_bytes(), account.as_ref().map(account_value))
    });
    let words = changes.storage.iter().map(|((address, slot), word)| {
        (StateKey::Storage(*address, *slot).to_bytes(), word_value(*word).map(|w| w.to_vec()))
    });
    accounts.chain(words).collect()
}

/// Keys whose value really differs, in order, the wiped storage resolved to its words.
fn changed_values(inner: &Inner, changes: &StateChanges) -> Result<Vec<Change>, StorageError> {
    let mut values = BTreeMap::new();
    for address in &changes.wiped {
        let (first, above) = storage_range(*address);
        for row in inner.range(Column::State, &first, &above)? {
            values.insert(row?.0.into_vec(), None);
        }
    }
    values.extend(final_values(changes));
    let state = inner.cf(Column::State)?;
    let before = inner.db().batched_multi_get_cf(state, values.keys(), true);
    let mut changed = Vec::with_capacity(values.len());
    for (before, (key, after)) in before.into_iter().zip(&values) {
        let before = before.map_err(|e| inner.read_failed(Column::State, e))?;
        if before.as_deref() != after.as_deref() {
            let before = before.map(|bytes| bytes.to_vec());
            changed.push(Change { key: key.clone(), before, after: after.clone() });
        }
    }
    Ok(changed)
}

fn grow_tree(
    inner: &Inner,
    cache: &mut NodeCache,
    parent: &ExecutedRecord,
    changes: &[Change],
) -> Result<TreeUpdate, StorageError> {
    if changes.is_empty() {
        let (root, version) = (parent.root.state_root, parent.tree_version);
        return Ok(TreeUpdate { root, version, nodes: Vec::new(), stale: Vec::new() });
    }
    let changes = changes.iter().map(|Change { key, after, .. }| PathChange {
        path: path_of(key),
        value: after.as_deref().map(value_hash),
    });
    next_tree(&StoredNodes::new(inner, cache), Some(parent.tree_version), changes.collect())
}

fn write_state(
    inner: &Inner,
    batch: &mut WriteBatch,
    block: &ExecutedBlock<'_>,
    changes: &[Change],
) -> Result<(), StorageError> {
    let (state, history) = (inner.cf(Column::State)?, inner.cf(Column::History)?);
    for Change { key, before, after } in changes {
        match after {
            Some(value) => batch.put_cf(state, key, value),
            None => batch.delete_cf(state, key),
        }
        let before = before.as_ref().map_or_else(|| vec![0], |value| [&[1], &value[..]].concat());
        batch.put_cf(history, history_key(key, block.height), before);
    }
    let keys = pack(changes.iter().map(|change| change.key.as_slice()));
    batch.put_cf(inner.cf(Column::Changed)?, height_key(block.height), keys);
    let code = inner.cf(Column::Code)?;
    block.changes.code.iter().for_each(|(hash, bytes)| batch.put_cf(code, hash, bytes));
    Ok(())
}

/// Writes new nodes, and the list of those that they replace for pruning.
pub(crate) fn write_tree(
    inner: &Inner,
    batch: &mut WriteBatch,
    tree: &TreeUpdate,
) -> Result<(), StorageError> {
    let nodes = inner.cf(Column::TreeNodes)?;
    for (row, node) in &tree.nodes {
        batch.put_cf(nodes, row, node.encode());
    }
    if !tree.stale.is_empty() {
        let rows = pack(tree.stale.iter().map(Vec::as_slice));
        batch.put_cf(inner.cf(Column::StaleNodes)?, tree.version.to_be_bytes(), rows);
    }
    Ok(())
}

fn write_receipts(
    inner: &Inner,
    batch: &mut WriteBatch,
    block: &ExecutedBlock<'_>,
) -> Result<(), StorageError> {
    let (receipts, index) = (inner.cf(Column::Receipts)?, inner.cf(Column::TxIndex)?);
    let mut location = TxLocation {
        height: block.height,
        block: block.id,
        index: 0,
        payload_index: 0,
        first_log_index: 0,
    };
    for (receipt, payload_index) in block.receipts.iter().zip(block.included) {
        location.payload_index = *payload_index;
        batch.put_cf(receipts, receipt_key(block.height, location.index), codec::encode(receipt));
        batch.put_cf(index, receipt.tx_hash, codec::encode(&location));
        location.index = location.index.saturating_add(1);
        let logs = u32::try_from(receipt.logs.len()).unwrap_or(u32::MAX);
        location.first_log_index = location.first_log_index.saturating_add(logs);
    }
    Ok(())
}

fn bloom_of(block: &ExecutedBlock<'_>) -> Bloom {
    let mut bloom = Bloom::ZERO;
    let of_transactions = block.receipts.iter().flat_map(|receipt| &receipt.logs);
    for log in of_transactions.chain(block.block_logs) {
        bloom.accrue_raw_log(log.address, &log.topics);
    }
    bloom
}
