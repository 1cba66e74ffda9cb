//! Feed arbitrary bytes to every decoder, and sequences of inputs to the ordering core, and check what must hold.
//!
//! # Design
//! A [`Target`] is a name, a function of bytes that panics if something is wrong, and seeds: real encoded values, made by
//! code. [`drill()`] runs a target on its seeds and on mutations of them that follow from a number; the tests do so with
//! each. `scripts/fuzz` runs the same targets under libFuzzer, which mutates towards code not reached yet. Targets in
//! [`targets`] that stand on RocksDB or libp2p are only drilled: see the feature `node`.
//!
//! # Invariants
//! - A target is deterministic: the bytes alone decide, so that a file replays what was found.
//! - Nothing is read but the bytes: no file, clock, network or environment.

mod check;
mod drill;
mod mutate;
mod target;
pub mod targets;

pub use drill::{Crash, MAX_ALLOCATED_BYTES, MAX_INPUT_BYTES, drill, replay};
pub use mutate::mutate;
pub use target::{Target, find};
