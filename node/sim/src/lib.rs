//! Run the consensus core under virtual time with faults, and check what it does.
//!
//! # Design
//! One thread, one queue ordered by time and sequence number, one seeded generator: a [`Plan`] drawn from a seed fixes
//! everything, and the same seed gives the same [`Outcome::hash`]. Messages are lost, delayed, duplicated and
//! overtaken; the network splits; nodes crash between any two outputs and lose what was not durable. Then the network
//! heals and everyone must make progress. The judge (`checker`) stands apart from the nodes and shares no code with the core's rules.
//!
//! # Invariants checked
//! - No key makes two different statements of one kind in a view, across crashes too.
//! - One certified block per view; committed sequences are prefixes of one another.
//! - Commits come oldest first, each once, without gaps, with proofs that verify; executed roots agree.
//! - Honest replicas are never accused.
//! - After healing every replica commits again.

mod checker;
mod disk;
mod executor;
mod network;
mod node;
mod plan;
mod run;
mod trace;
mod world;

pub use plan::{Faults, Plan};
pub use run::{Outcome, Summary, run_seed, run_seeds, run_traced, run_with};
