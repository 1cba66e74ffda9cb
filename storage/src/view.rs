//! Read the state at one height, consistently, and prove what it holds.

mod walk;

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{Address, B256, Bytes, U256};
use neura_types::{
    Account, Height, StateRead,
    state::{
        StateError, StateKey,
        proof::{path_of, value_hash},
    },
};
use rocksdb::{DB, ReadOptions, SnapshotWithThreadMode};

use crate::{
    changes::{before_next, unpack_changes},
    columns::{Column, EXECUTED_TIP, OLDEST, height_key, history_key},
    error::StorageError,
    record::{ExecutedRecord, Tip},
    store::{Inner, Store, decode, missing},
    tree::{Node, Nodes, PathChange, Tree, prove, read_node},
    window::Window,
};

/// The state after one executed block, from a snapshot: later commits and pruning do not show in it.
///
/// It holds back the removal of what it sees, so it should live for a request, not for hours.
pub struct StateView<'a> {
    inner: &'a Inner,
    snapshot: SnapshotWithThreadMode<'a, DB>,
    height: Height,
    /// What blocks changed above the last save of the state, or above the one before: see [`Window`].
    window: Arc<Window>,
}

impl std::fmt::Debug for StateView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateView").field("height", &self.height).finish_non_exhaustive()
    }
}

/// A key's value under a state root, with the proof of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateProof {
    /// The key.
    pub key: StateKey,
    /// Height after which the value stands.
    pub height: Height,
    /// State root after that height.
    pub state_root: B256,
    /// Encoded account or big-endian word; none if the key holds nothing.
    pub value: Option<Vec<u8>>,
    /// For `neura_types::state::proof::verify_proof`.
    pub proof: Vec<u8>,
}

impl Store {
    /// The state after the executed tip.
    ///
    /// # Errors
    /// If there is no genesis or the read fails.
    pub fn state(&self) -> Result<StateView<'_>, StorageError> {
        StateView::open(&self.inner, None)
    }

    /// The state after an executed block that is still kept. Reads of an older state cost a search each.
    ///
    /// # Errors
    /// If the height is not executed yet, or pruned, or the read fails.
    pub fn state_at(&self, height: Height) -> Result<StateView<'_>, StorageError> {
        StateView::open(&self.inner, Some(height))
    }

    /// What a key held after an executed block, or that it held nothing, with the proof.
    ///
    /// # Errors
    /// As [`Store::state_at`].
    pub fn prove(&self, height: Height, key: &StateKey) -> Result<StateProof, StorageError> {
        self.state_at(height)?.prove(key)
    }
}

impl<'a> StateView<'a> {
    fn open(inner: &'a Inner, height: Option<Height>) -> Result<Self, StorageError> {
        let mut view = Self::over(inner, Height::MAX);
        let (tip, _): Tip = view.meta(EXECUTED_TIP)?.ok_or(StorageError::NotInitialised)?;
        let oldest: Height = view.meta(OLDEST)?.ok_or(StorageError::NotInitialised)?;
        let height = height.unwrap_or(tip);
        if height > tip {
            return Err(StorageError::NotExecuted { height, tip });
        }
        if height < oldest {
            return Err(StorageError::Pruned { height, oldest });
        }
        view.height = height;
        Ok(view)
    }

    /// The state of an import that is whole but not completed; it cannot prove anything yet.
    pub(crate) fn imported(inner: &'a Inner, height: Height) -> Self {
        Self::over(inner, height)
    }

    fn over(inner: &'a Inner, height: Height) -> Self {
        // The window first: it may be older than the snapshot, not newer.
        let window = inner.window();
        Self { inner, snapshot: inner.db().snapshot(), height, window }
    }

    /// Height after which this state stands.
    pub const fn height(&self) -> Height {
        self.height
    }

    /// Value of a key, or that there is none, with the proof of it.
    ///
    /// # Errors
    /// If a read fails or the tree contradicts the flat values.
    pub fn prove(&self, key: &StateKey) -> Result<StateProof, StorageError> {
        let record = self.record()?;
        let value = self.value(key)?;
        let path = path_of(&key.to_bytes());
        let proof = prove(self, &*self.tree_of(&record)?, &path)?;
        let found = proof.leaf.filter(|leaf| leaf.path == path).map(|leaf| leaf.value);
        if found != value.as_deref().map(value_hash) {
            return Err(StorageError::Corrupt {
                column: Column::TreeNodes.name(),
                reason: format!("the tree and the flat value of {key:?} differ"),
            });
        }
        Ok(StateProof {
            key: *key,
            height: self.height,
            state_root: record.root.state_root,
            value,
            proof: proof.encode(),
        })
    }

    /// The tree of this state.
    pub(crate) fn tree(&self) -> Result<Arc<Tree>, StorageError> {
        self.tree_of(&self.record()?)
    }

    fn tree_of(&self, record: &ExecutedRecord) -> Result<Arc<Tree>, StorageError> {
        let proved = self.inner.lock_proved().as_ref().map(|(id, tree)| (*id, Arc::clone(tree)));
        if let Some((_, tree)) = proved.filter(|(id, _)| *id == record.id) {
            return Ok(tree);
        }
        let tree = Arc::new(self.grow_tree(record)?);
        *self.inner.lock_proved() = Some((record.id, Arc::clone(&tree)));
        Ok(tree)
    }

    /// Makes the tree of this state, whose block's record is given: the saved one with the changes since.
    pub(crate) fn grow_tree(&self, record: &ExecutedRecord) -> Result<Tree, StorageError> {
        let mut tree = Tree::open(self, record.tree_version)?;
        let mut values = BTreeMap::new();
        for height in record.tree_height.saturating_add(1)..=self.height {
            let row = self.get(Column::Changed, &height_key(height))?;
            let row = row.ok_or_else(|| missing(format!("what block {height} changed")))?;
            for (key, value) in unpack_changes(&row)? {
                values.insert(path_of(key), value.map(value_hash));
            }
        }
        let changes = values.into_iter().map(|(path, value)| PathChange { path, value });
        let root = tree.change(self, changes.collect())?;
        if root == record.root.state_root {
            return Ok(tree);
        }
        Err(StorageError::Corrupt {
            column: Column::TreeNodes.name(),
            reason: format!("the tree has the root {root}, not {}", record.root.state_root),
        })
    }

    /// What is kept about the block of this height.
    pub(crate) fn record(&self) -> Result<ExecutedRecord, StorageError> {
        self.get(Column::Executed, &height_key(self.height))?
            .map(|bytes| decode(Column::Executed, &bytes))
            .transpose()?
            .ok_or_else(|| missing("an executed record"))
    }

    /// Code by its hash.
    pub(crate) fn stored_code(&self, hash: B256) -> Result<Option<Vec<u8>>, StorageError> {
        self.get(Column::Code, hash.as_slice())
    }

    /// Bytes that a key holds at this height.
    fn value(&self, key: &StateKey) -> Result<Option<Vec<u8>>, StorageError> {
        self.flat_value(&key.to_bytes())
    }

    fn flat_value(&self, flat: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        let other = if self.height >= self.window.base() {
            self.window.get(flat, self.height).map(|held| held.map(|value| value.to_vec()))
        } else {
            self.before_next_change(flat)?
        };
        other.map_or_else(|| self.get(Column::State, flat), Ok)
    }

    /// What the first block above this height that changed a key found there, if there is such a block below the last save.
    fn before_next_change(&self, flat: &[u8]) -> Result<Option<Option<Vec<u8>>>, StorageError> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(history_key(flat, self.height.saturating_add(1)));
        options.set_iterate_upper_bound(history_key(flat, Height::MAX));
        let history = self.inner.cf(Column::History)?;
        let start = rocksdb::IteratorMode::Start;
        // A row has the changes up to a save: those of the first may all lie below.
        for row in self.snapshot.iterator_cf_opt(history, options, start) {
            let (_, row) = row.map_err(|e| self.inner.read_failed(Column::History, e))?;
            if let Some(before) = before_next(&row, self.height)? {
                return Ok(Some(before.map(<[u8]>::to_vec)));
            }
        }
        Ok(None)
    }

    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.snapshot
            .get_cf(self.inner.cf(column)?, key)
            .map_err(|e| self.inner.read_failed(column, e))
    }

    fn meta<T: serde::de::DeserializeOwned + serde::Serialize>(
        &self,
        key: &str,
    ) -> Result<Option<T>, StorageError> {
        self.get(Column::Meta, key.as_bytes())?
            .map(|bytes| decode(Column::Meta, &bytes))
            .transpose()
    }

    /// An account, from memory if it was used lately.
    pub(crate) fn recent_account(&self, address: Address) -> Result<Option<Account>, StorageError> {
        let recent = self.inner.recent();
        if let Some(account) = recent.account(address, self.height) {
            return Ok(account);
        }
        let account = self.read_account(address)?;
        recent.keep_account(address, account.clone(), self.height);
        Ok(account)
    }

    /// A word, from memory if it was used lately.
    pub(crate) fn recent_word(&self, address: Address, slot: U256) -> Result<U256, StorageError> {
        let recent = self.inner.recent();
        if let Some(word) = recent.word(address, slot, self.height) {
            return Ok(word);
        }
        let word = self.read_word(address, slot)?;
        recent.keep_word(address, slot, word, self.height);
        Ok(word)
    }

    fn read_account(&self, address: Address) -> Result<Option<Account>, StorageError> {
        self.value(&StateKey::Account(address))?
            .map(|bytes| decode(Column::State, &bytes))
            .transpose()
    }

    fn read_word(&self, address: Address, slot: U256) -> Result<U256, StorageError> {
        let Some(bytes) = self.value(&StateKey::Storage(address, slot))? else {
            return Ok(U256::ZERO);
        };
        let word: [u8; 32] = bytes.try_into().map_err(|_| missing("a word of 32 bytes"))?;
        Ok(U256::from_be_bytes(word))
    }
}

impl Nodes for StateView<'_> {
    fn node(&self, row: &[u8]) -> Result<Node, StorageError> {
        read_node(row, self.get(Column::TreeNodes, row)?.as_deref())
    }
}

impl StateRead for StateView<'_> {
    fn account(&self, address: Address) -> Result<Option<Account>, StateError> {
        Ok(self.recent_account(address)?)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        Ok(self.recent_word(address, slot)?)
    }

    fn code(&self, hash: B256) -> Result<Option<Bytes>, StateError> {
        Ok(self.get(Column::Code, hash.as_slice())?.map(Bytes::from))
    }

    fn block_id(&self, height: Height) -> Result<Option<B256>, StateError> {
        let id = self.get(Column::Heights, &height_key(height))?;
        Ok(id.map(|bytes| decode(Column::Heights, &bytes)).transpose()?)
    }
}
