//! What nodes ask each other about snapshots.

use neura_types::{B256, Bytes, Epoch, Height};
use serde::{Deserialize, Serialize};

/// Epochs in one answer: some ten kilobytes each at most.
pub const MAX_EPOCHS: usize = 64;

/// A request. Every answer is an optional byte string, or a list of epoch records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SnapshotRequest {
    /// The records of epochs from one on, at most [`MAX_EPOCHS`]: answered by [`Epochs`].
    Epochs {
        /// The first.
        from: Epoch,
    },
    /// The manifest of the newest snapshot.
    Newest,
    /// The block that a snapshot's state follows.
    Base {
        /// Its height.
        height: Height,
    },
    /// A chunk of the snapshot of a height. It says itself which paths it covers, so nobody need know how the asked node
    /// cuts the state.
    Chunk {
        /// Height of the snapshot.
        height: Height,
        /// A path that the chunk covers.
        path: B256,
    },
}

/// Encoded epoch records in order.
pub(super) type Epochs = Vec<Bytes>;
