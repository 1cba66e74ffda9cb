//! Make snapshots of the state, serve them, and start from one.
//!
//! A node that serves snapshots exports one at the end of every so many epochs and keeps the newest two. A fresh node
//! follows the chain of epochs from genesis, checks the snapshot's newest header against the set that the chain leads
//! to, and takes chunks from several peers; each is checked against the certified state root before it is kept.
//!
//! # Invariants
//! - Nothing that a peer says is believed: what it sends is checked by itself, so that a false answer is the fault of who
//!   gave it, and of nobody else.
//! - No peer is waited for while another one may have the answer, and no snapshot that its peers give up or hand out
//!   drop by drop.
//! - The chain begins in the store all at once, with every epoch that it needs to go on.

mod chunks;
mod complete;
mod fetch;
mod make;
mod sources;
mod trust;
mod wire;

pub(crate) use complete::complete;
pub use fetch::import;
pub use make::Snapshots;
pub(crate) use trust::Trust;
pub use wire::{MAX_EPOCHS, SnapshotRequest};
