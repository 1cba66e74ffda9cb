//! Why the store could not do what it was asked.

use std::path::PathBuf;

use alloy_primitives::B256;
use neura_types::{ChainId, Epoch, Height};

use crate::config::MIN_RETAINED_BLOCKS;

/// Failure of a store. [`StorageError::is_fatal`] tells a broken store from a request that it rightly refuses.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// Another process has the directory open.
    #[error(
        "the data in {path} is in use by another process: stop it, or choose another data directory"
    )]
    Locked {
        /// The store's directory.
        path: PathBuf,
    },
    /// The directory or the database in it could not be opened.
    #[error("the data in {path} cannot be opened: {reason}")]
    Open {
        /// The store's directory.
        path: PathBuf,
        /// What the system or RocksDB said.
        reason: String,
    },
    /// Changes that were durable are gone.
    #[error(
        "the database in {path} has lost its end: change {durable} was durable, and only those up to {found} are there. A \
         log was cut or removed, or an old copy put in its place. Remove {path}, keep safety.dat and identity.key where \
         they are, and start the node again: it fetches the chain anew"
    )]
    LostEnd {
        /// The store's directory.
        path: PathBuf,
        /// Newest change that was durable.
        durable: u64,
        /// Newest change found.
        found: u64,
    },
    /// Written by another version of this software.
    #[error(
        "the data has schema {found}, this program reads schema {expected}: use the program that wrote it, or sync anew"
    )]
    Schema {
        /// Schema of the data.
        found: u32,
        /// Schema of this program.
        expected: u32,
    },
    /// The data of another chain.
    #[error(
        "the data belongs to chain {found_chain} with genesis {found_genesis}, not to chain {chain} with genesis {genesis}: \
         choose another data directory or the right genesis file"
    )]
    WrongChain {
        /// Chain id of the data.
        found_chain: ChainId,
        /// Genesis hash of the data.
        found_genesis: B256,
        /// Chain id asked for.
        chain: ChainId,
        /// Genesis hash asked for.
        genesis: B256,
    },
    /// A retention below the minimum.
    #[error("{0} blocks are too few to keep: at least {MIN_RETAINED_BLOCKS} are needed")]
    Retention(u64),
    /// Nothing is stored yet.
    #[error("the store holds no genesis yet")]
    NotInitialised,
    /// The genesis block given is not that of these changes, or not the one stored.
    #[error("the genesis block does not fit: {0}")]
    Genesis(String),
    /// Blocks come in order of height, without gaps.
    #[error("the {what} tip is at height {tip}: block {got} does not follow it")]
    HeightGap {
        /// `committed` or `executed`.
        what: &'static str,
        /// Height of that tip.
        tip: Height,
        /// Height given.
        got: Height,
    },
    /// The block itself was never stored.
    #[error("block {id} at height {height} is to be committed, but its body is not stored")]
    UnknownBlock {
        /// Its id.
        id: B256,
        /// Its height.
        height: Height,
    },
    /// Results of a block that is not final.
    #[error("block {id} is not the committed block of height {height}")]
    NotCommitted {
        /// Its id.
        id: B256,
        /// Its height.
        height: Height,
    },
    /// The parts of a block's result contradict each other.
    #[error("the result of block {height} is inconsistent: {reason}")]
    Result {
        /// Its height.
        height: Height,
        /// Which parts.
        reason: &'static str,
    },
    /// State above the executed tip.
    #[error("block {height} is not executed yet: the executed tip is {tip}")]
    NotExecuted {
        /// Height asked for.
        height: Height,
        /// Executed tip.
        tip: Height,
    },
    /// State, body or receipts that are no longer kept.
    #[error("height {height} is pruned: the oldest kept is {oldest}")]
    Pruned {
        /// Height asked for.
        height: Height,
        /// Oldest height kept.
        oldest: Height,
    },
    /// Batches that nobody asked for have filled their space.
    #[error(
        "batches that no block names take {held} of at most {limit} bytes: take no more from their author until \
         blocks name them or they expire"
    )]
    BatchSpace {
        /// Bytes that they take.
        held: u64,
        /// Bytes that they may take.
        limit: u64,
    },
    /// An epoch's record does not fit the one that is stored.
    #[error("the record of epoch {epoch} is refused: {reason}")]
    Epoch {
        /// The epoch.
        epoch: Epoch,
        /// Why.
        reason: &'static str,
    },
    /// The import of a snapshot was begun here and not finished.
    #[error(
        "the data is a snapshot of which parts are missing: finish its import, or choose another data directory"
    )]
    ImportUnfinished,
    /// A log query over too many blocks.
    #[error("a query spans at most {limit} blocks, not {blocks}: ask for a smaller range")]
    RangeTooWide {
        /// Blocks asked for.
        blocks: u64,
        /// Blocks allowed.
        limit: u64,
    },
    /// A log query for which too many blocks must be read in full.
    #[error("more than {limit} blocks must be read: ask for heights up to {searched}")]
    RangeTooDense {
        /// Blocks allowed.
        limit: u64,
        /// The height up to which they sufficed.
        searched: Height,
    },
    /// A log query with too many results.
    #[error("more than {limit} logs match: ask for a smaller range or a narrower filter")]
    TooManyLogs {
        /// Results allowed.
        limit: usize,
    },
    /// Stored bytes do not mean what they should. The node stops: nothing is repaired in silence.
    #[error("the stored data is damaged ({column}): {reason}; restore a backup or sync anew")]
    Corrupt {
        /// Column family, or part of the store.
        column: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A read failed; the store takes no more writes.
    #[error("reading from the store failed: {0}; the node has to stop: {advice}", advice = advice(.0))]
    Read(String),
    /// A write failed; the store takes no more.
    #[error("writing to the store failed: {0}; the node has to stop: {advice}", advice = advice(.0))]
    Write(String),
    /// An earlier write failed.
    #[error(
        "the store takes no writes since one failed ({0}): stop, look at the disk, start again"
    )]
    Poisoned(String),
}

impl StorageError {
    /// Whether the store is broken, so that the node has to stop, rather than asked for what it does not have.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Read(_) | Self::Write(_) | Self::Poisoned(_))
    }
}

/// What to do about a failure, from the text of RocksDB, which carries that of the system.
fn advice(cause: &str) -> &'static str {
    const ADVICE: [(&str, &str); 5] = [
        ("No space left", "free space on its disk, then start it again"),
        ("quota exceeded", "raise the quota of its user, then start it again"),
        ("File too large", "raise the limit on the size of its files, then start it again"),
        (
            "Read-only file system",
            "its disk was taken away or failed: examine it before starting again",
        ),
        ("Corruption", "the data is damaged: examine the disk, then restore a backup or sync anew"),
    ];
    ADVICE
        .iter()
        .find(|(text, _)| cause.contains(text))
        .map_or("examine the disk before starting it again", |(_, advice)| advice)
}

impl From<StorageError> for neura_types::state::StateError {
    fn from(error: StorageError) -> Self {
        Self(error.to_string())
    }
}
