//! Run WASM contracts as a state machine: a call goes in, requests to the chain come out, an end follows.
//!
//! # Design
//! - **No chain inside.** A [`Frame`] runs until it needs the chain (a word, a log, a call of another contract), says
//!   what it needs ([`Request`]) and is continued with the [`Answer`]. So whoever executes frames keeps one journal,
//!   one stack of calls and one meter for EVM and WASM, and a contract that calls another holds no stack of ours.
//! - **Gas is fuel.** One gas buys [`FUEL_PER_GAS`] instructions. What is left is handed in with every step and comes
//!   back with its outcome; requests are priced by whoever answers them.
//! - **Judged once.** [`Host::module`] refuses what could behave differently elsewhere, or unboundedly: floats, SIMD,
//!   threads, start functions, foreign imports, anything over [`neura_wasm_abi::limits`].
//!
//! # Invariants
//! - Equal modules, calls, gas and answers give equal steps, on every machine.
//! - A frame never uses more gas than it is given, and memory only within the limits.
//! - No module and no arguments make this crate panic.
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

mod engine;
mod frame;
mod hooks;
mod price;
mod request;
mod sections;
#[cfg(test)]
mod tests;
mod validate;

pub use engine::{Host, Module};
pub use frame::{Call, Frame, Outcome, Scene, Step};
pub use price::{
    ENTRY_GAS, FUEL_PER_GAS, HASH_GAS, HASH_WORD_GAS, LOAD_BYTE_GAS, PAGE_GAS, WORD_GAS,
};
pub use request::{Answer, CallKind, CallRequest, CreateRequest, Request};
pub use validate::Refused;
