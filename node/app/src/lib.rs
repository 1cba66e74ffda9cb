//! Compose a Neura node, a devnet and the command line out of the other crates.
//!
//! # Design
//! - [`node`]: one node: threads, channels, the API's backend. Holds no protocol rule.
//! - [`mempool`]: transactions that wait.
//! - [`job`]: the owner's side of a task.
//! - [`devnet`]: a local network of validators and a provider.
//! - [`bench`]: measurements of whole nodes.
//! - [`evm`]: Ethereum's tests, run on this chain's EVM.
//! - [`bounded`]: files read up to a limit.
//! - [`plain`]: what strangers wrote, harmless on a screen.
//! - [`cli`]: commands, screen, exit codes.
//!
//! # Invariants
//! - What must be durable before a message leaves is synced in one place, [`node::driver`].
//! - A part that fails stops its node with the reason; nothing is carried on without it.

pub mod bench;
pub mod bounded;
pub mod cli;
pub mod config;
pub mod devnet;
pub mod evm;
pub mod job;
pub mod keyfile;
pub mod mempool;
pub mod node;
pub mod plain;
