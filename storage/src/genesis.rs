//! Height 0: the state that the genesis file describes, and the block that names it.

use alloy_primitives::{Address, B256, Bloom};
use neura_types::{
    Block, BlockId, ExecutedRoot, StateChanges,
    block::receipts_root,
    codec,
    state::proof::{path_of, value_hash},
};
use rocksdb::WriteBatch;

use crate::{
    columns::{COMMITTED_TIP, Column, EXECUTED_TIP, MANIFEST, OLDEST, height_key},
    error::StorageError,
    execute::{Value, final_values},
    record::ExecutedRecord,
    store::{Inner, Store},
    tree::{NoNodes, PathChange, Tree},
};

/// Bytes of genesis that are written at once: a large state does not stand in memory once more.
const PIECE_BYTES: usize = 8 << 20;

/// What executing genesis gives: the root that the genesis block's header carries, with the base fee of the first block.
///
/// # Errors
/// If the tree cannot be built.
pub fn genesis_root(
    changes: &StateChanges,
    next_base_fee: u64,
) -> Result<ExecutedRoot, StorageError> {
    genesis_tree(changes).map(|(_, root)| root_of(root, next_base_fee))
}

/// Puts rows into a batch; what is too much for one batch is written before it. Genesis is there when the tips are: after a
/// crash the same rows are written again.
fn write_ahead(
    inner: &Inner,
    batch: &mut WriteBatch,
    column: Column,
    rows: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
) -> Result<(), StorageError> {
    for (key, value) in rows {
        if batch.size_in_bytes() > PIECE_BYTES {
            inner.write(std::mem::take(batch), false)?;
        }
        batch.put_cf(inner.cf(column)?, key, value);
    }
    Ok(())
}

fn genesis_tree(changes: &StateChanges) -> Result<(Tree, B256), StorageError> {
    let set = final_values(changes).filter_map(|Value { key, bytes }| {
        bytes.map(|bytes| PathChange { path: path_of(&key), value: Some(value_hash(&bytes)) })
    });
    let mut tree = Tree::empty();
    let root = tree.change(&NoNodes, set.collect())?;
    Ok((tree, root))
}

fn root_of(state_root: B256, next_base_fee: u64) -> ExecutedRoot {
    ExecutedRoot {
        height: 0,
        state_root,
        receipts_root: receipts_root(&[]),
        gas_used: 0,
        next_base_fee,
    }
}

impl Store {
    /// Stores genesis, durably. Does nothing if it is already stored.
    ///
    /// # Errors
    /// If `block` is not of height 0 or does not carry the root of `changes`, another genesis is stored, or the write
    /// fails.
    pub fn init_genesis(
        &self,
        block: &Block,
        id: BlockId,
        changes: &StateChanges,
    ) -> Result<ExecutedRoot, StorageError> {
        let inner = &*self.inner;
        let _chain = inner.lock_chain()?;
        let mut held = inner.lock_tree()?;
        if inner.contains(Column::Import, MANIFEST)? {
            return Err(StorageError::ImportUnfinished);
        }
        let (mut tree, state_root) = genesis_tree(changes)?;
        let root = root_of(state_root, block.header.executed.next_base_fee);
        if block.header.height != 0 || block.header.executed != root {
            return Err(StorageError::Genesis(format!(
                "its header has height {} and state root {}, the genesis state has root {}",
                block.header.height, block.header.executed.state_root, root.state_root
            )));
        }
        if let Some(stored) = inner.read::<BlockId>(Column::Heights, &height_key(0))? {
            return if stored == id {
                Ok(root)
            } else {
                Err(StorageError::Genesis(format!("block {stored} is stored as genesis, not {id}")))
            };
        }
        let saving = tree.saving();
        let record = ExecutedRecord {
            id,
            root,
            tree_version: saving.version,
            tree_height: 0,
            timestamp_ms: block.header.timestamp_ms,
            base_fee: root.next_base_fee,
            proposer: Address::ZERO,
            included: Vec::new(),
            block_logs: Vec::new(),
            bloom: Bloom::ZERO,
        };
        let mut batch = WriteBatch::default();
        let state = final_values(changes).filter_map(|value| Some((value.key, value.bytes?)));
        write_ahead(inner, &mut batch, Column::State, state)?;
        write_ahead(inner, &mut batch, Column::TreeNodes, saving.nodes.into_iter())?;
        batch.put_cf(inner.cf(Column::Blocks)?, id, codec::encode(block));
        batch.put_cf(inner.cf(Column::Heights)?, height_key(0), codec::encode(&id));
        batch.put_cf(inner.cf(Column::Executed)?, height_key(0), codec::encode(&record));
        let code = inner.cf(Column::Code)?;
        changes.code.iter().for_each(|(hash, bytes)| batch.put_cf(code, hash, bytes));
        inner.put_meta(&mut batch, COMMITTED_TIP, &(0u64, id))?;
        inner.put_meta(&mut batch, EXECUTED_TIP, &(0u64, id))?;
        inner.put_meta(&mut batch, OLDEST, &0u64)?;
        inner.write(batch, true)?;
        tree.saved(inner.config().tree_cache_nodes);
        *held = Some(tree);
        Ok(root)
    }
}
