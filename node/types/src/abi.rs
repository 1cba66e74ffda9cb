//! Encode and decode calls, views and events of the native modules, as their Solidity interfaces declare them.
//!
//! The types are generated from the files in `runtime/contracts/`, which contracts, wallets and the runtime's own
//! dispatch use too, so that none can drift from the others. Conversions to and from the values of this crate stand in
//! [`tasks`] and [`providers`].
//!
//! ```
//! use neura_types::abi::{ITasks, SolCall};
//!
//! let input = ITasks::acceptCall { taskId: 7 }.abi_encode();
//! assert_eq!(ITasks::acceptCall::abi_decode(&input).map(|call| call.taskId).ok(), Some(7));
//! ```

pub mod providers;
pub mod tasks;

pub use alloy_sol_types::{Revert, SolCall, SolError, SolEvent, SolEventInterface, SolInterface};
pub use bindings::{IGovernance, IProviders, IRequesters, IRewards, IStaking, ITasks};

/// A word that stands for no value of its field, such as an enumeration past its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the ABI field {field} holds no valid value")]
pub struct AbiError {
    /// Name of the field.
    pub field: &'static str,
}

/// What `sol!` generates; its documentation is that of the Solidity files.
#[allow(missing_docs, unreachable_pub, missing_debug_implementations, clippy::all)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_arguments
)]
mod bindings {
    alloy_sol_types::sol! {
        #![sol(extra_derives(Debug, PartialEq, Eq))]
        "../../runtime/contracts/IProviders.sol"
    }
    alloy_sol_types::sol! {
        #![sol(extra_derives(Debug, PartialEq, Eq))]
        "../../runtime/contracts/IRequesters.sol"
    }
    alloy_sol_types::sol! {
        #![sol(extra_derives(Debug, PartialEq, Eq))]
        "../../runtime/contracts/ITasks.sol"
    }
    alloy_sol_types::sol! {
        #![sol(extra_derives(Debug, PartialEq, Eq))]
        "../../runtime/contracts/IRewards.sol"
    }
    alloy_sol_types::sol! {
        #![sol(extra_derives(Debug, PartialEq, Eq))]
        "../../runtime/contracts/IStaking.sol"
    }
    alloy_sol_types::sol! {
        #![sol(extra_derives(Debug, PartialEq, Eq))]
        "../../runtime/contracts/IGovernance.sol"
    }
}
