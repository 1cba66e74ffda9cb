//! A node: the composition of consensus, execution, network, pool, stores and interfaces.
//!
//! Nothing here decides what is valid; that is the business of `neura-consensus` and `neura-runtime`.
//!
//! # Threads
//! - `consensus`: drives the core; blocks on the disk before anything is sent ([`driver`]).
//! - `executor`: runs final blocks and commits their results ([`executor`]).
//! - `batches`: verifies and stores batches ([`batches::keeper`]).
//! - the async runtime: network, pool, REST and JSON-RPC.

pub mod backend;
pub mod batches;
pub mod catchup;
pub mod chain;
pub mod driver;
pub mod epochs;
pub mod evidence;
pub mod executor;
pub mod follow;
pub mod intake;
pub mod metrics;
pub mod notes;
pub mod peers;
pub mod serve;
pub mod snapshots;
pub mod start;
pub mod traffic;
pub mod views;
pub mod wire;
pub mod workload;

pub use start::{Node, StartOptions};
