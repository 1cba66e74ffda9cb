//! Let revm read a state.

use alloy_primitives::{Address, B256, U256};
use neura_types::{StateRead, state::StateError};
use revm::{Database, bytecode::Bytecode, database_interface::DBErrorMarker, state::AccountInfo};

/// The state could not be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub(crate) struct DatabaseError(#[from] pub(crate) StateError);

impl DBErrorMarker for DatabaseError {}

/// A state as revm's database. It holds nothing: the journal above it keeps what was read.
#[derive(Debug)]
pub(crate) struct StateDatabase<'s, S> {
    state: &'s S,
    /// Whether code may be a delegation (EIP-7702).
    delegates: bool,
}

impl<'s, S> StateDatabase<'s, S> {
    pub(crate) fn new(state: &'s S) -> Self {
        Self { state, delegates: true }
    }

    /// With the code of before EIP-7702, where bytes that look like a delegation are instructions.
    pub(crate) fn before_delegations(state: &'s S) -> Self {
        Self { state, delegates: false }
    }
}

impl<S: StateRead> Database for StateDatabase<'_, S> {
    type Error = DatabaseError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, DatabaseError> {
        let account = self.state.account(address)?;
        Ok(account.map(|account| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash,
            account_id: None,
            code: None,
        }))
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, DatabaseError> {
        let code = self.state.code(code_hash)?;
        let code = code.ok_or_else(|| StateError(format!("no code with hash {code_hash}")))?;
        if !self.delegates {
            return Ok(Bytecode::new_legacy(code));
        }
        // Code that begins like a delegation (EIP-7702) and is none can stand in genesis alone: it runs into INVALID.
        Ok(Bytecode::new_raw_checked(code.clone()).unwrap_or_else(|_| Bytecode::new_legacy(code)))
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, DatabaseError> {
        Ok(self.state.storage(address, slot)?)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, DatabaseError> {
        Ok(self.state.block_id(number)?.unwrap_or_default())
    }
}
