//! Write WASM contracts in Rust: entry points, storage, ABI, calls, events.
//!
//! # Design
//! - `no_std` with `alloc` from a bump allocator: a call is short, and its memory is thrown away after it.
//! - One type of the chain, [`Word`], 32 bytes; amounts are `u128` wei, as in the native modules.
//! - Storage lies where Solidity would put it ([`storage`]), so that known tools read it.
//! - `unsafe` stands in [`mod@hooks`] and [`memory`] alone: the imports, the allocator, the exports of
//!   [`entrypoint!`].
//!
//! # Example
//! ```ignore
//! #![no_std]
//! use neura_wasm_sdk::{Reader, Refusal, Writer, entrypoint, selector, storage::Slot};
//!
//! const COUNT: Slot = Slot::at(0);
//!
//! fn call(selector: [u8; 4], _: Reader<'_>) -> Result<Vec<u8>, Refusal> {
//!     match selector {
//!         INCREMENT => COUNT.set(COUNT.u128()? + 1),
//!         _ => return Err(Refusal::new("unknown_function", "there is no such function")),
//!     }
//!     Ok(Writer::new().number(COUNT.u128()?).done())
//! }
//! const INCREMENT: [u8; 4] = selector("increment()");
//! entrypoint!(call);
//! ```
#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

mod abi;
mod calls;
mod context;
mod entry;
mod hooks;
mod memory;
pub mod storage;
mod word;

pub use abi::{Malformed, Reader, Writer};
pub use alloc::vec::Vec;
pub use calls::{Failed, call, pay, view};
pub use context::{block, log, message, own_address};
pub use entry::{Refusal, run, split};
pub use neura_wasm_abi::{keccak256 as constant_hash, selector};
pub use word::{Address, Word, hash};
