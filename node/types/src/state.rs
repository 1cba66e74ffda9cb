//! The state that execution reads and changes: accounts, storage words, code; and the one table of its keys.
//!
//! Native modules keep their records in storage words of their system addresses ([`crate::system`]), so that one
//! journal, one tree and one proof format serve everything.

pub mod proof;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use serde::{Deserialize, Serialize};

/// The store could not be read. Whoever executes stops: a result without the state would be wrong.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the state cannot be read: {0}")]
pub struct StateError(pub String);

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Transactions sent (or contracts created).
    pub nonce: u64,
    /// Balance in wei.
    pub balance: U256,
    /// keccak256 of its code; that of no bytes for an account without code.
    pub code_hash: B256,
}

impl Default for Account {
    fn default() -> Self {
        Self { nonce: 0, balance: U256::ZERO, code_hash: KECCAK256_EMPTY }
    }
}

/// Reads one version of the state.
pub trait StateRead {
    /// An account, or none if it was never touched.
    ///
    /// # Errors
    /// If the store fails.
    fn account(&self, address: Address) -> Result<Option<Account>, StateError>;

    /// A storage word; zero if never written.
    ///
    /// # Errors
    /// If the store fails.
    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError>;

    /// Code by its keccak256.
    ///
    /// # Errors
    /// If the store fails.
    fn code(&self, hash: B256) -> Result<Option<Bytes>, StateError>;

    /// Id of the block at a height, for BLOCKHASH; none if out of reach.
    ///
    /// # Errors
    /// If the store fails.
    fn block_id(&self, height: crate::Height) -> Result<Option<B256>, StateError>;
}

/// What a block changes, ordered, so that all nodes apply it alike.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StateChanges {
    /// New values of accounts; none removes one.
    pub accounts: BTreeMap<Address, Option<Account>>,
    /// Accounts whose whole storage is removed before `storage` is applied.
    pub wiped: BTreeSet<Address>,
    /// New values of storage words; zero removes one.
    pub storage: BTreeMap<(Address, U256), U256>,
    /// New code by its keccak256.
    pub code: BTreeMap<B256, Bytes>,
}

/// A key of the authenticated tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum StateKey {
    /// An account: value is the canonical encoding of [`Account`].
    Account(Address),
    /// A storage word: value is 32 bytes, big-endian.
    Storage(Address, U256),
}

impl StateKey {
    /// Flat key in the store: tag, address, and the slot for a word. Sorted by account.
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Account(address) => [&[0u8], address.as_slice()].concat(),
            Self::Storage(address, slot) => {
                [&[1u8], address.as_slice(), &slot.to_be_bytes::<32>()].concat()
            }
        }
    }
}

/// A state with the changes of a block on top, which the state itself does not show yet.
#[derive(Debug, Clone, Copy)]
pub struct Changed<'a, S> {
    /// The state before the block.
    pub state: &'a S,
    /// What the block changed; none changes nothing.
    pub changes: Option<&'a StateChanges>,
}

impl<S: StateRead> StateRead for Changed<'_, S> {
    fn account(&self, address: Address) -> Result<Option<Account>, StateError> {
        match self.changes.and_then(|changes| changes.accounts.get(&address)) {
            Some(account) => Ok(account.clone()),
            None => self.state.account(address),
        }
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        let Some(changes) = self.changes else { return self.state.storage(address, slot) };
        match changes.storage.get(&(address, slot)) {
            Some(word) => Ok(*word),
            None if changes.wiped.contains(&address) => Ok(U256::ZERO),
            None => self.state.storage(address, slot),
        }
    }

    fn code(&self, hash: B256) -> Result<Option<Bytes>, StateError> {
        match self.changes.and_then(|changes| changes.code.get(&hash)) {
            Some(code) => Ok(Some(code.clone())),
            None => self.state.code(hash),
        }
    }

    fn block_id(&self, height: crate::Height) -> Result<Option<B256>, StateError> {
        self.state.block_id(height)
    }
}

/// A [`StateRead`] in memory: for tests, simulation and the state that genesis builds.
#[derive(Debug, Clone, Default)]
pub struct MemoryState {
    accounts: BTreeMap<Address, Account>,
    storage: BTreeMap<(Address, U256), U256>,
    code: BTreeMap<B256, Bytes>,
    block_ids: BTreeMap<crate::Height, B256>,
}

impl MemoryState {
    /// Applies a block's changes.
    pub fn apply(&mut self, changes: &StateChanges) {
        for address in &changes.wiped {
            self.storage.retain(|(owner, _), _| owner != address);
        }
        for (address, account) in &changes.accounts {
            match account {
                Some(account) => self.accounts.insert(*address, account.clone()),
                None => self.accounts.remove(address),
            };
        }
        for (key, value) in &changes.storage {
            if value.is_zero() {
                self.storage.remove(key);
            } else {
                self.storage.insert(*key, *value);
            }
        }
        self.code.extend(changes.code.iter().map(|(hash, code)| (*hash, code.clone())));
    }

    /// Remembers the id of a block, for BLOCKHASH.
    pub fn set_block_id(&mut self, height: crate::Height, id: B256) {
        self.block_ids.insert(height, id);
    }

    /// All accounts, in order: for supply checks.
    pub fn accounts(&self) -> impl Iterator<Item = (&Address, &Account)> {
        self.accounts.iter()
    }
}

impl StateRead for MemoryState {
    fn account(&self, address: Address) -> Result<Option<Account>, StateError> {
        Ok(self.accounts.get(&address).cloned())
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        Ok(self.storage.get(&(address, slot)).copied().unwrap_or_default())
    }

    fn code(&self, hash: B256) -> Result<Option<Bytes>, StateError> {
        Ok(self.code.get(&hash).cloned())
    }

    fn block_id(&self, height: crate::Height) -> Result<Option<B256>, StateError> {
        Ok(self.block_ids.get(&height).copied())
    }
}
