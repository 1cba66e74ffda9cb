//! Order blocks by two-chain HotStuff with commit votes, as a pure state machine.
//!
//! # Design
//! [`Replica::step`] takes one [`Input`] and returns [`Output`]s in the order in which they are to be carried out.
//! There is no clock, network, disk or randomness here: the driver brings time and messages, and carries out what
//! is returned. Leaders propose in turn; votes go to everyone; a quorum certificate of view *r* lets everyone enter
//! *r + 1* and send a commit vote; a quorum of commit votes, or a certified child of the next view, makes a block
//! and its ancestors final. A quorum of timeouts, which report the highest certificate of each signer, ends a view
//! that does not get there. The rules PROPOSE, VOTE, COMMIT-VOTE, TIMEOUT, ENTER and COMMIT stand in the modules
//! named after them, the conditions for signing in `safety` and `invariants`. One replica serves one epoch: it is
//! done when the epoch's last block is final, and the driver starts the next one.
//!
//! # Invariants
//! - A signature is made only from a permit whose [`SafetyRecord`] stands before it in the outputs of the same step:
//!   a driver that carries outputs out in order never sends what a crash could make it forget.
//! - One vote, one commit vote, one timeout and one proposal of a key per view; after a restart the same bytes.
//! - Commits leave oldest first, each once, without gaps.
//! - Every collection is bounded by a named constant, by the validator set, or by the certified blocks not yet final.
//! - Input from peers never panics: it is used, ignored, or answered by [`Output::PeerFault`].
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::float_arithmetic
    )
)]

mod aggregator;
#[doc(hidden)]
pub mod bugs;
mod commit;
mod config;
mod epoch;
mod evidence;
mod input;
pub mod invariants;
pub mod leaders;
mod output;
mod pacemaker;
mod propose;
mod record;
mod replica;
mod safety;
mod sync;
mod timeout;
mod tree;
mod verify;
mod vote;

#[cfg(test)]
mod tests;

pub use config::{Config, Recovered, StartError, Status};
pub use input::{Body, Input, Peer};
pub use output::{CommittedBlock, Fault, FetchRequest, Output};
pub use record::{MAX_RECORD_BYTES, RecordError, SafetyRecord};
pub use replica::Replica;
pub use sync::{MAX_RANGE_BLOCKS, MAX_RANGE_BYTES};
