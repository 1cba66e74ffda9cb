//! A state with what a simulation changed on it. It is thrown away afterwards.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256};
use neura_types::{
    Account, StateRead,
    simulation::{AccountOverride, StateOverrides},
    state::StateError,
};
use revm::{
    DatabaseRef,
    bytecode::Bytecode,
    database::{AccountState, CacheDB},
    primitives::hardfork::SpecId,
    state::AccountInfo,
};

use super::CallError;
use crate::{error::RuntimeError, evm::DatabaseError};

/// A state, for reading.
#[derive(Debug)]
pub(super) struct StateReader<'s, S>(&'s S);

/// A state with changes on top.
pub(super) type Layered<'s, S> = CacheDB<StateReader<'s, S>>;

/// Lays an empty layer on a state.
pub(super) fn layered<S>(state: &S) -> Layered<'_, S> {
    CacheDB::new(StateReader(state))
}

impl<S: StateRead> DatabaseRef for StateReader<'_, S> {
    type Error = DatabaseError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, DatabaseError> {
        let account = self.0.account(address)?;
        Ok(account.map(|account| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash,
            account_id: None,
            code: None,
        }))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, DatabaseError> {
        let code = self.0.code(code_hash)?;
        let code = code.ok_or_else(|| StateError(format!("no code with hash {code_hash}")))?;
        Ok(bytecode(code))
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, DatabaseError> {
        Ok(self.0.storage(address, slot)?)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, DatabaseError> {
        Ok(self.0.block_id(number)?.unwrap_or_default())
    }
}

/// Code that begins like a delegation (EIP-7702) and is none runs into INVALID.
fn bytecode(code: Bytes) -> Bytecode {
    Bytecode::new_raw_checked(code.clone()).unwrap_or_else(|_| Bytecode::new_legacy(code))
}

/// Makes accounts different, before anything runs.
pub(super) fn override_accounts<S: StateRead>(
    database: &mut Layered<'_, S>,
    overrides: &StateOverrides,
) -> Result<(), CallError> {
    for (address, changed) in overrides {
        override_account(database, *address, changed)?;
    }
    Ok(())
}

fn override_account<S: StateRead>(
    database: &mut Layered<'_, S>,
    address: Address,
    changed: &AccountOverride,
) -> Result<(), CallError> {
    let read = |error: DatabaseError| RuntimeError::from(error.0);
    if changed.state.is_some() && changed.state_diff.is_some() {
        return Err(CallError::Override(format!(
            "account {address} has both 'state' and 'stateDiff'"
        )));
    }
    let is_same = changed.balance.is_none() && changed.nonce.is_none() && changed.code.is_none();
    if !is_same {
        let mut info = database.load_account(address).map_err(read)?.info.clone();
        info.balance = changed.balance.unwrap_or(info.balance);
        info.nonce = changed.nonce.unwrap_or(info.nonce);
        if let Some(code) = &changed.code {
            let code = bytecode(code.clone());
            info.code_hash = code.hash_slow();
            info.code = Some(code);
        }
        database.insert_account_info(address, info);
    }
    if let Some(words) = &changed.state {
        let words = words.iter().map(|(slot, word)| (*slot, *word)).collect();
        database.replace_account_storage(address, words).map_err(read)?;
    }
    for (slot, word) in changed.state_diff.iter().flatten() {
        database.insert_account_storage(address, *slot, *word).map_err(read)?;
    }
    Ok(())
}

/// An account that a simulation read or changed, as it stands afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountAfter {
    /// The account; none if there is none.
    pub account: Option<Account>,
    /// Whether only `words` are its storage, whatever the state holds.
    pub is_replaced: bool,
    /// Words of its storage that were read or written; those that are zero are none.
    pub words: BTreeMap<U256, U256>,
}

/// The accounts that a simulation read or changed. Empty ones are none since EIP-161.
pub(super) fn accounts_after<S>(
    database: &Layered<'_, S>,
    spec: SpecId,
) -> BTreeMap<Address, AccountAfter> {
    let keeps_empty = !spec.is_enabled_in(SpecId::SPURIOUS_DRAGON);
    let after = |(address, kept): (&Address, &revm::database::DbAccount)| {
        let is_gone = kept.account_state == AccountState::NotExisting;
        let info = &kept.info;
        let is_kept = !is_gone && (keeps_empty || !info.is_empty());
        let account = is_kept.then_some(Account {
            nonce: info.nonce,
            balance: info.balance,
            code_hash: info.code_hash,
        });
        let is_replaced = is_gone || kept.account_state == AccountState::StorageCleared;
        let words = kept.storage.iter().map(|(slot, word)| (*slot, *word)).collect();
        (*address, AccountAfter { account, is_replaced, words })
    };
    database.cache.accounts.iter().map(after).collect()
}
