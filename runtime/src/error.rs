//! What stops execution altogether, as opposed to a transaction that fails.

use neura_types::state::StateError;

use crate::{chain::SupplyMismatch, modules::host::Fault};

/// A block could not be executed. It says nothing about the block: the node that meets it must stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// The state could not be read.
    #[error("the state cannot be read: {0}")]
    State(String),
    /// A module failed outside of any transaction.
    #[error("the native modules failed at {stage}: {fault}")]
    Module {
        /// `block start`, `block end`, `genesis`.
        stage: &'static str,
        /// Why.
        fault: Fault,
    },
    /// The machine broke one of its own rules.
    #[error("the EVM failed: {0}")]
    Evm(String),
    /// Balances do not add up.
    #[error(transparent)]
    Supply(#[from] SupplyMismatch),
    /// The genesis file describes no chain.
    #[error("the genesis file is not valid: {0}")]
    Genesis(String),
}

impl From<StateError> for RuntimeError {
    fn from(error: StateError) -> Self {
        Self::State(error.0)
    }
}
