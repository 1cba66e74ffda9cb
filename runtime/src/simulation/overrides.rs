//! Read a state with some accounts replaced: the state overrides of `eth_call`.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256};
use neura_types::{Account, Height, StateRead, hash::keccak, state::StateError};

/// What is different about an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountOverride {
    /// Its balance, in wei.
    pub balance: Option<U256>,
    /// Its nonce.
    pub nonce: Option<u64>,
    /// Its code.
    pub code: Option<Bytes>,
    /// Its whole storage: what is not named is zero.
    pub state: Option<BTreeMap<U256, U256>>,
    /// Single words of its storage.
    pub state_diff: BTreeMap<U256, U256>,
}

/// A state in which some accounts are different. Native modules see the difference too.
#[derive(Debug)]
pub struct OverriddenState<'a, S> {
    state: &'a S,
    overrides: BTreeMap<Address, AccountOverride>,
    code: BTreeMap<B256, Bytes>,
}

impl<'a, S> OverriddenState<'a, S> {
    /// Lays `overrides` over `state`.
    pub fn new(state: &'a S, overrides: BTreeMap<Address, AccountOverride>) -> Self {
        let code = overrides
            .values()
            .filter_map(|account| account.code.clone())
            .map(|code| (keccak(&code), code))
            .collect();
        Self { state, overrides, code }
    }
}

impl<S: StateRead> StateRead for OverriddenState<'_, S> {
    fn account(&self, address: Address) -> Result<Option<Account>, StateError> {
        let account = self.state.account(address)?;
        let Some(changed) = self.overrides.get(&address) else { return Ok(account) };
        let mut account = account.unwrap_or_default();
        if let Some(balance) = changed.balance {
            account.balance = balance;
        }
        if let Some(nonce) = changed.nonce {
            account.nonce = nonce;
        }
        if let Some(code) = &changed.code {
            account.code_hash = keccak(code);
        }
        Ok(Some(account))
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        let Some(changed) = self.overrides.get(&address) else {
            return self.state.storage(address, slot);
        };
        if let Some(word) = changed.state_diff.get(&slot) {
            return Ok(*word);
        }
        match &changed.state {
            Some(words) => Ok(words.get(&slot).copied().unwrap_or_default()),
            None => self.state.storage(address, slot),
        }
    }

    fn code(&self, hash: B256) -> Result<Option<Bytes>, StateError> {
        match self.code.get(&hash) {
            Some(code) => Ok(Some(code.clone())),
            None => self.state.code(hash),
        }
    }

    fn block_id(&self, height: Height) -> Result<Option<B256>, StateError> {
        self.state.block_id(height)
    }
}
