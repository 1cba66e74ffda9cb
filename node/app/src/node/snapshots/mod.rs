//! Make snapshots of the state, serve them, and start from one.
//!
//! A node that serves snapshots exports one at the end of every so many epochs and keeps the newest two. A fresh node
//! follows the chain of epochs from genesis, checks the snapshot's newest header against the set that the chain leads
//! to, and takes chunks from several peers; each is checked against the certified state root before it is kept.

mod fetch;
mod make;
mod trust;
mod wire;

pub use fetch::import;
pub use make::Snapshots;
pub(crate) use trust::Trust;
pub use wire::{MAX_EPOCHS, SnapshotRequest};
