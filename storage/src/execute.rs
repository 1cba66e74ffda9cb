//! Commit what a block's execution changed: state, tree, receipts and indices in one batch.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256, Bloom, U256};
use neura_types::{
    Account, BlockId, ExecutedRoot, Height, Log, Receipt, StateChanges, codec,
    state::{
        StateKey,
        proof::{account_value, path_of, value_hash, word_value},
    },
};
use rocksdb::WriteBatch;

use crate::{
    columns::{Column, EXECUTED_TIP, height_key, history_key, pack, receipt_place},
    error::StorageError,
    receipts::encode_receipts,
    record::ExecutedRecord,
    store::{Inner, Store, missing},
    tree::{NodeCache, PathChange, StoredNodes, TreeUpdate, next_tree},
    view::StateView,
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

/// A flat key with the bytes that it holds; none if nothing.
pub(crate) struct Value {
    pub(crate) key: Vec<u8>,
    pub(crate) bytes: Option<Vec<u8>>,
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
        let cache = inner.lock_tree()?;
        self.check_next(block)?;
        let parent: ExecutedRecord = inner
            .read(Column::Executed, &height_key(block.height.saturating_sub(1)))?
            .ok_or_else(|| missing("the executed record of the parent"))?;

        let changes = changed_values(&self.state()?, block.changes)?;
        let tree = grow_tree(inner, &cache, &parent, &changes)?;
        let mut batch = WriteBatch::default();
        let receipts_root = write_receipts(inner, &mut batch, block)?;
        let record = ExecutedRecord {
            id: block.id,
            root: ExecutedRoot {
                height: block.height,
                state_root: tree.root,
                receipts_root,
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

        write_state(inner, &mut batch, block, &changes)?;
        write_tree(inner, &mut batch, &tree)?;
        batch.put_cf(inner.cf(Column::Executed)?, height_key(block.height), codec::encode(&record));
        inner.put_meta(&mut batch, EXECUTED_TIP, &(block.height, block.id))?;
        inner.recent().advance(block.height, block.changes);
        inner.write(batch, false)?;
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

fn account_change(address: Address, account: Option<&Account>) -> Value {
    Value { key: StateKey::Account(address).to_bytes(), bytes: account.map(account_value) }
}

fn word_change((address, slot): (Address, U256), word: U256) -> Value {
    let key = StateKey::Storage(address, slot).to_bytes();
    Value { key, bytes: word_value(word).map(|word| word.to_vec()) }
}

/// Values of all keys that the changes name, in order of the keys, without the wiped storage.
pub(crate) fn final_values(changes: &StateChanges) -> impl Iterator<Item = Value> + '_ {
    let account = |(address, account): (&Address, &Option<Account>)| {
        account_change(*address, account.as_ref())
    };
    let word = |(key, word): (&(Address, U256), &U256)| word_change(*key, *word);
    changes.accounts.iter().map(account).chain(changes.storage.iter().map(word))
}

/// Keys whose value really differs, in order, the wiped storage resolved to its words.
fn changed_values(
    view: &StateView<'_>,
    changes: &StateChanges,
) -> Result<Vec<Change>, StorageError> {
    let mut changed = Vec::with_capacity(changes.accounts.len() + changes.storage.len());
    for (address, after) in &changes.accounts {
        let before = view.recent_account(*address)?;
        if before != *after {
            let Value { key, bytes: after } = account_change(*address, after.as_ref());
            let before = before.as_ref().map(account_value);
            changed.push(Change { key, before, after });
        }
    }
    for ((address, slot), after) in &changes.storage {
        let before = view.recent_word(*address, *slot)?;
        if before != *after {
            let Value { key, bytes: after } = word_change((*address, *slot), *after);
            let before = word_value(before).map(|word| word.to_vec());
            changed.push(Change { key, before, after });
        }
    }
    if !changes.wiped.is_empty() {
        wipe(view, changes, &mut changed)?;
    }
    Ok(changed)
}

/// Adds the words that go with the storage of wiped accounts: those that get no new value.
fn wipe(
    view: &StateView<'_>,
    changes: &StateChanges,
    changed: &mut Vec<Change>,
) -> Result<(), StorageError> {
    let set: BTreeSet<Vec<u8>> = final_values(changes).map(|value| value.key).collect();
    for address in &changes.wiped {
        let (first, above) = storage_range(*address);
        for row in view.inner().range(Column::State, &first, &above)? {
            let (key, before) = row?;
            if !set.contains(&*key) {
                let (key, before) = (key.into_vec(), Some(before.into_vec()));
                changed.push(Change { key, before, after: None });
            }
        }
    }
    changed.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(())
}

fn grow_tree(
    inner: &Inner,
    cache: &NodeCache,
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
fn write_tree(
    inner: &Inner,
    batch: &mut WriteBatch,
    tree: &TreeUpdate,
) -> Result<(), StorageError> {
    let nodes = inner.cf(Column::TreeNodes)?;
    let mut bytes = Vec::new();
    for (row, node) in &tree.nodes {
        node.encode_to(&mut bytes);
        batch.put_cf(nodes, row, &bytes);
    }
    if !tree.stale.is_empty() {
        let rows = pack(tree.stale.iter().map(Vec::as_slice));
        batch.put_cf(inner.cf(Column::StaleNodes)?, tree.version.to_be_bytes(), rows);
    }
    Ok(())
}

/// Writes the receipts and the index of their transactions, and returns the receipts root.
fn write_receipts(
    inner: &Inner,
    batch: &mut WriteBatch,
    block: &ExecutedBlock<'_>,
) -> Result<B256, StorageError> {
    let (row, root) = encode_receipts(block.receipts, block.included);
    if block.receipts.is_empty() {
        return Ok(root);
    }
    batch.put_cf(inner.cf(Column::Receipts)?, height_key(block.height), row);
    let index = inner.cf(Column::TxIndex)?;
    for (receipt, at) in block.receipts.iter().zip(0u32..) {
        batch.put_cf(index, receipt.tx_hash, receipt_place(block.height, at));
    }
    Ok(root)
}

fn bloom_of(block: &ExecutedBlock<'_>) -> Bloom {
    let mut bloom = Bloom::ZERO;
    let of_transactions = block.receipts.iter().flat_map(|receipt| &receipt.logs);
    for log in of_transactions.chain(block.block_logs) {
        bloom.accrue_raw_log(log.address, &log.topics);
    }
    bloom
}
