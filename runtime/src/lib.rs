//! Compute what a block does to the state: state in, changes and receipts out, nothing else touched.
//!
//! # Design
//! - [`execute`] is a pure function of a state ([`StateRead`](neura_types::StateRead)) and a block. Whoever calls it
//!   writes the [`StateChanges`](neura_types::StateChanges); until then nothing has happened.
//! - **One journal.** Transactions run on revm over one journal per block ([`evm`]). The native modules ([`modules`])
//!   are called at system addresses inside the EVM's frames and write through the same journal, so that a revert in
//!   any frame takes back balances, storage, records and events together.
//! - **Order first, execute after.** A block's transactions are ordered before anyone knows whether they can be paid
//!   for. One that cannot be included is skipped with a typed reason ([`InvalidTransaction`]) and leaves no trace.
//! - [`call`] and [`estimate_gas`] run the same machine over a state that is thrown away.
//!
//! # Invariants
//! - Two runs over equal states and blocks give equal results, on every machine: no clock, no randomness, no floats,
//!   no iteration order of a hash map in any result.
//! - A receipt exists if and only if the sender's nonce moved; a skipped transaction changes nothing.
//! - Balances and what was burned add up to the supply of genesis, after every block ([`check_supply`]).
//! - A failed call of a module leaves no balance, word or event behind, and has paid for its work.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::float_arithmetic
    )
)]

mod admission;
mod block;
pub mod chain;
mod error;
pub mod ethereum;
pub mod evm;
mod fees;
mod genesis;
mod invalid;
pub mod modules;
mod native;
mod revert;
mod simulation;
#[cfg(test)]
mod testing;
mod wasm;

pub use admission::{PoolError, is_delegated, validate_for_pool};
pub use block::{BlockInput, Execution, MAX_REVERT_BYTES, execute, execute_on};
pub use chain::{SupplyMismatch, check_supply};
pub use error::RuntimeError;
pub use fees::{MAX_BASE_FEE, next_base_fee};
pub use genesis::genesis_changes;
pub use invalid::InvalidTransaction;
pub use modules::host::{Attendance, BlockContext, Call, Fault, Host, ReadHost, Refusal};
pub use modules::staking::{epoch_config, is_convicted};
pub use native::check_invariants;
pub use revert::{RevertReason, revert_reason};
pub use simulation::{
    AccountAfter, BlockStart, CallError, CallOutcome, MAX_CALL_GAS, MAX_SIMULATED_BLOCKS,
    MAX_TRACE_BYTES, Replay, Rules, Scene, SimulationError, SimulationParent, StateRoot,
    TraceError, TraceOptions, call, create_access_list, estimate_gas, replay, simulate,
    trace_block, trace_call,
};
