//! Read the state at one height, consistently, and prove what it holds.

use std::sync::Arc;

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
    columns::{Column, EXECUTED_TIP, OLDEST, height_key, history_key},
    error::StorageError,
    record::{ExecutedRecord, Tip},
    store::{Inner, Row, Store, decode, missing},
    tree::{Node, Nodes, prove, read_node},
};

/// The state after one executed block, from a snapshot: later commits and pruning do not show in it.
///
/// It holds back the removal of what it sees, so it should live for a request, not for hours.
pub struct StateView<'a> {
    inner: &'a Inner,
    snapshot: SnapshotWithThreadMode<'a, DB>,
    height: Height,
    /// Whether the flat values are those of this height.
    latest: bool,
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
        let mut view =
            Self { inner, snapshot: inner.db().snapshot(), height: Height::MAX, latest: false };
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
        view.latest = height == tip;
        Ok(view)
    }

    /// The state of an import that is whole but not completed; it cannot prove anything yet.
    pub(crate) fn imported(inner: &'a Inner, height: Height) -> Self {
        Self { inner, snapshot: inner.db().snapshot(), height, latest: true }
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
        let proof = prove(self, record.tree_version, &path)?;
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

    /// Visits every flat key with its value at this height, in order of the keys.
    pub(crate) fn for_each<E: From<StorageError>>(
        &self,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut latest = self.rows(Column::State)?;
        let mut earlier = self.earlier_values()?;
        let mut now = latest.next().transpose()?;
        let mut then = earlier.next().transpose()?;
        while now.is_some() || then.is_some() {
            let replaced = match (&now, &then) {
                (Some((key, _)), Some((changed, _))) if **key < **changed => None,
                (_, changed) => changed.as_ref(),
            };
            if let Some((key, value)) = replaced {
                if let Some(value) = value {
                    visit(key, value)?;
                }
                if now.as_ref().is_some_and(|(current, _)| **current == **key) {
                    now = latest.next().transpose()?;
                }
                then = earlier.next().transpose()?;
            } else if let Some((key, value)) = &now {
                visit(key, value)?;
                now = latest.next().transpose()?;
            }
        }
        Ok(())
    }

    /// The keys that blocks above this height changed, in order, with what they held before; none if nothing.
    fn earlier_values(
        &self,
    ) -> Result<impl Iterator<Item = Result<EarlierValue, StorageError>> + '_, StorageError> {
        let mut last = Vec::new();
        let rows = self.rows(Column::History)?.filter_map(move |row| {
            let (key, value) = match row {
                Ok(row) => row,
                Err(error) => return Some(Err(error)),
            };
            let Some((flat, height)) = key.split_last_chunk::<8>() else {
                return Some(Err(missing("the height of an earlier value")));
            };
            if Height::from_be_bytes(*height) <= self.height || last == flat {
                return None;
            }
            last = flat.to_vec();
            Some(earlier_value(&value).map(|value| (flat.to_vec(), value)))
        });
        Ok(rows.take(if self.latest { 0 } else { usize::MAX }))
    }

    /// All rows of a column, in order; they pass the cache by.
    fn rows(&self, column: Column) -> Result<impl Iterator<Item = Row> + '_, StorageError> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        options.set_total_order_seek(true);
        let start = rocksdb::IteratorMode::Start;
        let rows = self.snapshot.iterator_cf_opt(self.inner.cf(column)?, options, start);
        Ok(rows.map(move |row| row.map_err(|e| self.inner.read_failed(column, e))))
    }

    /// Bytes that a key holds at this height.
    fn value(&self, key: &StateKey) -> Result<Option<Vec<u8>>, StorageError> {
        let flat = key.to_bytes();
        if !self.latest
            && let Some(before) = self.before_next_change(&flat)?
        {
            return earlier_value(&before);
        }
        self.get(Column::State, &flat)
    }

    /// What the first block above this height that changed a key found there, if there is such a block.
    fn before_next_change(&self, flat: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(history_key(flat, self.height.saturating_add(1)));
        options.set_iterate_upper_bound(history_key(flat, Height::MAX));
        let history = self.inner.cf(Column::History)?;
        let start = rocksdb::IteratorMode::Start;
        let mut rows = self.snapshot.iterator_cf_opt(history, options, start);
        let failed = |e| self.inner.read_failed(Column::History, e);
        let row = rows.next().transpose().map_err(failed)?;
        Ok(row.map(|(_, before)| before.into_vec()))
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

    /// The database that it reads.
    pub(crate) const fn inner(&self) -> &Inner {
        self.inner
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

/// A flat key with what it held; none if nothing.
type EarlierValue = (Vec<u8>, Option<Vec<u8>>);

/// What a row of `history` says that a key held.
fn earlier_value(row: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
    match row.split_first() {
        Some((0, [])) => Ok(None),
        Some((1, value)) => Ok(Some(value.to_vec())),
        _ => Err(missing("the tag of an earlier value")),
    }
}

impl Nodes for StateView<'_> {
    fn node(&self, row: &[u8]) -> Result<Arc<Node>, StorageError> {
        read_node(row, self.get(Column::TreeNodes, row)?.as_deref()).map(Arc::new)
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
