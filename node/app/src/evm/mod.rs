//! Check the chain's EVM against Ethereum's own tests.
//!
//! # Design
//! - `fixture`: the JSON of state tests, old (`GeneralStateTests`) and new (execution-spec `state_test`) alike.
//! - `fork`: names of hardforks, and what each sets.
//! - `transaction`, `exception`, `case`: one transaction of a test, run and judged.
//! - [`rpc_compat`]: the suite of JSON-RPC.
//! - `files`: many files on all cores, one file in memory per core.
//!
//! # Invariants
//! - A file that cannot be read or understood is a failure, never a pass.
//! - A case is passed only if the post state's root and the logs' hash are those expected, or the transaction is
//!   rejected as expected and, where the test lists the accounts, the state is as before.

mod case;
mod exception;
mod files;
mod fixture;
mod fork;
pub mod rpc_compat;
#[cfg(test)]
mod tests;
mod transaction;

pub use files::{Failure, Summary, find, run};
pub use fork::{Fork, UnknownFork};
