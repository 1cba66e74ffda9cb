//! All accounts of a small world, with the root of their Merkle-Patricia trie.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use alloy_trie::{
    TrieAccount,
    root::{state_root_unhashed, storage_root_unhashed},
};
use neura_types::{Account, Height, StateRead, state::StateError};
use revm::state::EvmState;

/// An account with its storage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorldAccount {
    /// Nonce, balance and hash of the code.
    pub account: Account,
    /// Words that are not zero.
    pub storage: BTreeMap<U256, U256>,
}

impl WorldAccount {
    fn was_created(&self) -> bool {
        self.account.nonce != 0 || self.account.code_hash != KECCAK256_EMPTY
    }
}

/// All accounts of a test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    accounts: BTreeMap<Address, WorldAccount>,
    code: BTreeMap<B256, Bytes>,
}

impl World {
    /// Adds an account, or takes another one's place.
    pub fn insert(
        &mut self,
        address: Address,
        (nonce, balance): (u64, U256),
        code: Bytes,
        mut storage: BTreeMap<U256, U256>,
    ) {
        let code_hash = if code.is_empty() { KECCAK256_EMPTY } else { keccak256(&code) };
        if !code.is_empty() {
            self.code.insert(code_hash, code);
        }
        storage.retain(|_, value| !value.is_zero());
        let account = Account { nonce, balance, code_hash };
        self.accounts.insert(address, WorldAccount { account, storage });
    }

    /// All accounts, by address.
    pub fn accounts(&self) -> &BTreeMap<Address, WorldAccount> {
        &self.accounts
    }

    /// Root of the state trie.
    pub fn root(&self) -> B256 {
        state_root_unhashed(self.accounts.iter().map(|(address, kept)| {
            let words = kept.storage.iter().map(|(slot, value)| (B256::from(*slot), *value));
            let storage_root = storage_root_unhashed(words);
            let Account { nonce, balance, code_hash } = kept.account;
            (*address, TrieAccount { nonce, balance, storage_root, code_hash })
        }))
    }

    /// Addresses at which nothing can be created although nothing was: they have storage (EIP-7610).
    pub(super) fn taken(&self) -> BTreeSet<Address> {
        let odd =
            |(_, kept): &(&Address, &WorldAccount)| !kept.storage.is_empty() && !kept.was_created();
        self.accounts.iter().filter(odd).map(|(address, _)| *address).collect()
    }

    /// Applies what one transaction left in the journal, as Ethereum does since EIP-161: what was touched and is
    /// empty goes. Before it, the journal marks such accounts as created.
    pub(super) fn apply(&mut self, state: EvmState) {
        for (address, account) in state {
            if !account.is_touched() {
                continue;
            }
            if account.is_selfdestructed() {
                self.accounts.remove(&address);
                continue;
            }
            if account.is_empty() && !account.is_created() {
                self.accounts.remove(&address);
                continue;
            }
            let kept = self.accounts.entry(address).or_default();
            if account.is_created() {
                kept.storage.clear();
            }
            kept.account = Account {
                nonce: account.info.nonce,
                balance: account.info.balance,
                code_hash: account.info.code_hash,
            };
            if let Some(code) = account.info.code.as_ref().filter(|code| !code.is_empty()) {
                self.code.insert(account.info.code_hash, code.original_bytes());
            }
            for (slot, word) in account.storage {
                if word.present_value.is_zero() {
                    kept.storage.remove(&slot);
                } else {
                    kept.storage.insert(slot, word.present_value);
                }
            }
        }
    }
}

impl StateRead for World {
    fn account(&self, address: Address) -> Result<Option<Account>, StateError> {
        Ok(self.accounts.get(&address).map(|kept| kept.account.clone()))
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        let word = self.accounts.get(&address).and_then(|kept| kept.storage.get(&slot));
        Ok(word.copied().unwrap_or_default())
    }

    fn code(&self, hash: B256) -> Result<Option<Bytes>, StateError> {
        Ok(self.code.get(&hash).cloned())
    }

    /// What Ethereum's tests agree on: keccak256 of the number in decimal.
    fn block_id(&self, height: Height) -> Result<Option<B256>, StateError> {
        Ok(Some(keccak256(height.to_string())))
    }
}
