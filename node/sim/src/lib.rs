//! Run the real consensus core and the real runtime under virtual time with faults, and check what they do.
//!
//! # Design
//! One thread, one queue ordered by time and sequence number, one seeded generator: a [`Plan`] drawn from a seed fixes
//! everything, and the same seed gives the same [`Outcome::hash`]. Messages are lost, delayed, duplicated and
//! overtaken; links are cut in one direction or both; nodes crash between any two outputs, lose what was not durable
//! and find torn or damaged records; processors stall, writes fail, clocks go wrong; a third of the validators lies.
//! Epochs end and validators change meanwhile. Then the network heals and everyone must make progress.
//! [`twins`] runs keys twice under scripted partitions and leaders, all of them for small cases.
//!
//! The judge (`checker`) stands apart from the nodes and sees only what they send, commit, execute and store.
//!
//! # Invariants checked
//! - No honest key makes two statements that exclude each other, across crashes too; none is accused or convicted.
//! - Nothing is sent before the record that remembers it is durable, nor executed before its commit is.
//! - One block per height, with a proof that verifies; commits come oldest first, each once, without gaps.
//! - Results of execution agree, headers certify them, the supply is conserved.
//! - Blocks stand in the epoch that their height belongs to; epochs follow from the state.
//! - After healing, blocks become final again, every node reaches the head, and epochs go on.

mod byzantine;
mod chain;
mod checker;
mod clients;
mod disk;
mod ledger;
mod network;
mod node;
mod plan;
mod record_file;
mod run;
mod trace;
pub mod twins;
mod world;
pub mod zoo;

pub use plan::{Behaviour, DriverBug, Identity, Plan, Weather};
pub use run::{Outcome, Summary, run_seed, run_seeds, run_traced, run_with};
