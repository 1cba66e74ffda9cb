//! Snapshots: the state after one block, in pieces that are each checked alone, so that a new node need not execute the past.
//!
//! A [`Manifest`] carries a chain of headers around the block and the proof that the last of them is final; one of them
//! certifies the state after the block. Who verifies that proof trusts all of it. The state is cut into spans of tree paths
//! of at most about 1 MiB; a chunk is a span's keys, values and code with the hashes beside the way from the root to it.
//!
//! The way from the root to a span has two leaves or more under each of its nodes, so each of its hashes is that of an
//! inner node, and a chunk leads to the root only if it is whole: no key can be left out, added or changed. So a chunk needs
//! nothing but the root to be checked, and nobody's word for how the state is cut: who imports asks for the chunk around a
//! path, and takes chunks of different cuts, which lie in each other or apart.

mod chunk;
mod coverage;
mod cut;
mod export;
mod folder;
mod import;
mod manifest;
mod span;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use neura_types::{Epoch, Height};

pub use chunk::MAX_CHUNK_BYTES;
pub(crate) use chunk::check_chunk;
pub use folder::{ChunkInfo, SnapshotFolder};
pub use import::{SnapshotImport, TakenChunk};
pub use manifest::{MAX_MANIFEST_BYTES, Manifest};
pub use span::Span;

use crate::error::StorageError;

/// Why a snapshot could not be made, read or taken over.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StorageError),
    /// A file of the snapshot could not be used.
    #[error("the snapshot's file {path} could not be {action}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder to write to holds something.
    #[error("{0} is not empty: choose a new folder for the snapshot")]
    NotEmpty(PathBuf),
    /// No final header with a proof names the state after this height.
    #[error(
        "no proved header certifies the state after height {0}: choose another height, or wait"
    )]
    NotCertified(Height),
    /// The manifest contradicts itself.
    #[error("the snapshot's manifest is refused: {0}")]
    Manifest(&'static str),
    /// The list of a folder's chunks contradicts itself.
    #[error("the snapshot's list of chunks is refused: {0}")]
    Chunks(&'static str),
    /// A chunk does not belong to the certified state. Nothing of it was stored.
    #[error("a chunk of the snapshot is refused: {0}")]
    Chunk(&'static str),
    /// The store holds a chain already.
    #[error("the data directory holds a chain already: a snapshot is imported into a new one")]
    Initialised,
    /// Not all chunks are there.
    #[error("chunks of the snapshot are missing")]
    Incomplete,
    /// A block that completes the import is another one.
    #[error("the {0} block is not the one of the snapshot")]
    Block(&'static str),
    /// The epoch of the block after which the state stands is not among those given, or lacks its proposer.
    #[error("nothing is known of epoch {0}, in which the snapshot was made")]
    Epoch(Epoch),
}
