//! Commit what a block's execution changed: state, tree, receipts and indices in one batch.

use std::{collections::BTreeSet, thread};

use alloy_primitives::{Address, B256, U256};
use neura_types::{
    Account, BlockId, ExecutedRoot, Height, Log, Receipt, StateChanges, codec,
    state::{
        StateKey,
        proof::{account_value, path_of, value_hash, word_value},
    },
};
use rocksdb::WriteBatch;

use crate::{
    changes::pack_changes,
    columns::{Column, EXECUTED_TIP, height_key, pack, receipt_place},
    error::StorageError,
    receipts::encode_receipts,
    record::ExecutedRecord,
    sections::{LogKeys, section_of},
    short::{FlatKey, FlatValue},
    store::{Inner, Store, missing},
    tree::{PathChange, Saving, Tree},
    view::StateView,
    window::{Change, Window},
};

/// Fewest receipts whose block's rows are made beside the growth of the tree: below, a thread costs more than it saves.
const SHARED_RECEIPTS: usize = 128;

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

impl Store {
    /// Computes the state root that follows a committed block and writes everything about its execution in one atomic
    /// batch. The batch is in the log but not synced: after a power failure the block is executed again.
    ///
    /// # Errors
    /// If the block is not committed or not the one after the executed tip, its parts contradict each other, or the
    /// store fails.
    pub fn commit_executed(&self, block: &ExecutedBlock<'_>) -> Result<ExecutedRoot, StorageError> {
        let inner = &*self.inner;
        let mut held = inner.lock_tree()?;
        self.check_next(block)?;
        let parent: ExecutedRecord = inner
            .read(Column::Executed, &height_key(block.height.saturating_sub(1)))?
            .ok_or_else(|| missing("the executed record of the parent"))?;

        let view = self.state()?;
        let changes = changed_values(&view, block.changes)?;
        let (grown, rows) = side_by_side(
            block.receipts.len() >= SHARED_RECEIPTS,
            // It is put back when all has gone well: what failed half way is no tree.
            || grow(&view, held.take(), &parent, &changes),
            || BlockRows::of(inner, block, &changes),
        )?;
        let (mut tree, state_root) = grown?;
        let BlockRows { mut batch, receipts_root, keys } = rows?;
        let window = inner.window();
        window.add(block.height, &changes);
        let (mut tree_version, mut tree_height) = (parent.tree_version, parent.tree_height);
        let blocks = block.height.saturating_sub(tree_height);
        let saves = tree.is_due(blocks, inner.config().save_after_blocks);
        if saves {
            let write = || window.write(inner, &mut batch, block.height);
            let (saving, written) = side_by_side(true, || tree.saving(), write)?;
            written?;
            tree_version = write_tree(inner, &mut batch, saving)?;
            tree_height = block.height;
        }
        if let Some(row) = inner.lock_section()?.add(block.height, &keys) {
            let section = height_key(section_of(block.height));
            batch.put_cf(inner.cf(Column::LogSections)?, section, row);
        }
        let record = ExecutedRecord {
            id: block.id,
            root: ExecutedRoot {
                height: block.height,
                state_root,
                receipts_root,
                gas_used: block.gas_used,
                next_base_fee: block.next_base_fee,
            },
            tree_version,
            tree_height,
            timestamp_ms: block.timestamp_ms,
            base_fee: block.base_fee,
            proposer: block.proposer,
            included: block.included.to_vec(),
            block_logs: block.block_logs.to_vec(),
            bloom: keys.bloom,
        };
        batch.put_cf(inner.cf(Column::Executed)?, height_key(block.height), codec::encode(&record));
        inner.put_meta(&mut batch, EXECUTED_TIP, &(block.height, block.id))?;
        inner.recent().advance(block.height, block.changes);
        inner.write(batch, false)?;
        if saves {
            inner.set_window(Window::new(block.height));
            tree.saved(inner.config().tree_cache_nodes);
        }
        *held = Some(tree);
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
            let key = StateKey::Account(*address).into();
            let held = |account: Option<&Account>| account.map(account_value);
            let (before, after) = (held(before.as_ref()), held(after.as_ref()));
            changed.push(change(key, before.as_deref(), after.as_deref())?);
        }
    }
    for ((address, slot), after) in &changes.storage {
        let before = view.recent_word(*address, *slot)?;
        if before != *after {
            let key = StateKey::Storage(*address, *slot).into();
            let (before, after) = (word_value(before), word_value(*after));
            changed.push(change(
                key,
                before.as_ref().map(<[u8; 32]>::as_slice),
                after.as_ref().map(<[u8; 32]>::as_slice),
            )?);
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
        for (key, before) in view.storage_of(*address)? {
            if !set.contains(&key) {
                changed.push(change(FlatKey::new(&key)?, Some(&before), None)?);
            }
        }
    }
    changed.sort_unstable_by(|a, b| a.key.cmp(&*b.key));
    Ok(())
}

fn change(
    key: FlatKey,
    before: Option<&[u8]>,
    after: Option<&[u8]>,
) -> Result<Change, StorageError> {
    let held = |bytes: Option<&[u8]>| bytes.map(FlatValue::new).transpose();
    Ok(Change { key, before: held(before)?, after: held(after)? })
}

/// Grows the tree of the parent by what a block changed, and gives its root; without it, it is made of the saved one
/// first.
fn grow(
    view: &StateView<'_>,
    parent_tree: Option<Tree>,
    parent: &ExecutedRecord,
    changes: &[Change],
) -> Result<(Tree, B256), StorageError> {
    let mut tree = parent_tree.map_or_else(|| view.grow_tree(parent), Ok)?;
    let path_change = |Change { key, after, .. }: &Change| PathChange {
        path: path_of(key),
        value: after.as_deref().map(value_hash),
    };
    let state_root = tree.change(view, changes.iter().map(path_change).collect())?;
    Ok((tree, state_root))
}

/// Does two things, at the same time if that pays.
fn side_by_side<A, B: Send>(
    pays: bool,
    one: impl FnOnce() -> A,
    other: impl FnOnce() -> B + Send,
) -> Result<(A, B), StorageError> {
    if !pays {
        return Ok((one(), other()));
    }
    thread::scope(|scope| {
        let other = scope.spawn(other);
        let one = one();
        let panicked =
            |_| StorageError::Poisoned("a thread that committed a block panicked".into());
        Ok((one, other.join().map_err(panicked)?))
    })
}

/// Writes down what a block changed; the window has it until it is written to its place.
fn write_changes(
    inner: &Inner,
    batch: &mut WriteBatch,
    block: &ExecutedBlock<'_>,
    changes: &[Change],
) -> Result<(), StorageError> {
    let row = pack_changes(changes.iter().map(|change| (&*change.key, change.after.as_deref())));
    batch.put_cf(inner.cf(Column::Changed)?, height_key(block.height), row);
    let code = inner.cf(Column::Code)?;
    block.changes.code.iter().for_each(|(hash, bytes)| batch.put_cf(code, hash, bytes));
    Ok(())
}

/// Writes the nodes of a new version of the tree, and the list of those that they replace for pruning.
fn write_tree(
    inner: &Inner,
    batch: &mut WriteBatch,
    Saving { version, nodes, stale }: Saving,
) -> Result<u64, StorageError> {
    let column = inner.cf(Column::TreeNodes)?;
    nodes.iter().for_each(|(row, node)| batch.put_cf(column, row, node));
    let rows = pack(stale.iter().map(Vec::as_slice));
    batch.put_cf(inner.cf(Column::StaleNodes)?, version.to_be_bytes(), rows);
    Ok(version)
}

/// What is written of a block whatever the root that follows it.
struct BlockRows {
    batch: WriteBatch,
    receipts_root: B256,
    /// Of its logs.
    keys: LogKeys,
}

impl BlockRows {
    fn of(
        inner: &Inner,
        block: &ExecutedBlock<'_>,
        changes: &[Change],
    ) -> Result<Self, StorageError> {
        let mut batch = WriteBatch::default();
        let (row, receipts_root) = encode_receipts(block.receipts, block.included);
        let of_transactions = block.receipts.iter().flat_map(|receipt| &receipt.logs);
        let keys = LogKeys::of(of_transactions.chain(block.block_logs));
        write_changes(inner, &mut batch, block, changes)?;
        write_receipts(inner, &mut batch, block, &row)?;
        Ok(Self { batch, receipts_root, keys })
    }
}

/// Writes the receipts and the index of their transactions.
fn write_receipts(
    inner: &Inner,
    batch: &mut WriteBatch,
    block: &ExecutedBlock<'_>,
    row: &[u8],
) -> Result<(), StorageError> {
    if block.receipts.is_empty() {
        return Ok(());
    }
    batch.put_cf(inner.cf(Column::Receipts)?, height_key(block.height), row);
    let index = inner.cf(Column::TxIndex)?;
    for (receipt, at) in block.receipts.iter().zip(0u32..) {
        batch.put_cf(index, receipt.tx_hash, receipt_place(block.height, at));
    }
    Ok(())
}
