//! Say what WASM contracts and their host agree on: the code's prefix, the hooks, the limits, the selectors.
//!
//! # Design
//! - An account runs WASM if its code is [`CODE_PREFIX`] followed by a module. No EVM contract can have such code
//!   (EIP-3541 refuses 0xEF), and Ethereum's delegations begin otherwise (0xEF0100).
//! - A module imports [`HOOKS`] from [`HOOK_MODULE`], with the names and types of Arbitrum Stylus, and exports
//!   [`ENTRYPOINT`], [`MEMORY`] and, if it wants one, [`CONSTRUCTOR`].
//! - `no_std` and without allocation, because contracts link it.
#![no_std]

mod hooks;
mod init_code;
mod keccak;
pub mod limits;
#[cfg(test)]
mod tests;

pub use hooks::{HOOKS, Hook, Type};
pub use init_code::{InitCode, InitCodeError, header};
pub use keccak::{keccak256, selector};

/// First bytes of a WASM contract's code: `0xEF`, `NW`, version 1.
pub const CODE_PREFIX: [u8; 4] = [0xef, b'N', b'W', 1];
/// Name of the module that hooks are imported from.
pub const HOOK_MODULE: &str = "vm_hooks";
/// Exported function that runs a call: takes the length of the arguments, returns 0 for success, else reverts.
pub const ENTRYPOINT: &str = "user_entrypoint";
/// Exported function that runs once, when the contract is created; same form as [`ENTRYPOINT`].
pub const CONSTRUCTOR: &str = "user_constructor";
/// Exported linear memory.
pub const MEMORY: &str = "memory";
