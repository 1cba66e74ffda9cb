//! Keep a node's chain, state and safety record on disk, so that a restart continues exactly where it stopped.
//!
//! # Design
//! [`Store`] is one RocksDB database whose column families stand in one table ([`columns`]). Consensus writes blocks and
//! marks them final; the executor commits each block's results in one atomic batch: changed values, receipts, indices, and
//! the executed tip. What the newest blocks changed, and the authenticated tree over it, are in memory; now and then, with
//! the batch of a block, the flat values and the nodes of the tree go to their places, each once for all changes since.
//! The two sides share nothing but the database. [`SafetyFile`] is apart from RocksDB: one small preallocated file that holds
//! what a validator must not forget before its signature leaves.
//!
//! # Invariants
//! - The executed tip is never above the committed tip, and the committed chain has no gaps.
//! - Changes, root, receipts and indices of a block appear together or not at all.
//! - The state and the tree on disk are those of one height, and the changes of every later block are there.
//! - A failed write poisons the handle: nothing is written after it, and nothing is repaired silently.
//! - A safety record is returned only if no newer one can have been acknowledged.

mod batches;
mod bodies;
mod chain;
mod changes;
pub mod columns;
mod config;
mod database;
#[doc(hidden)]
pub mod decoders;
mod durable;
mod epochs;
mod error;
mod execute;
mod generations;
mod genesis;
mod index;
mod prune;
mod receipts;
mod recent;
mod record;
mod safety;
mod sections;
mod short;
mod snapshot;
mod store;
mod tree;
#[cfg(test)]
mod vectors;
mod view;
mod window;

pub use batches::{Demand, UnnamedBatches};
pub use chain::Committed;
pub use config::{DEFAULT_CACHE_MIB, MIN_RETAINED_BLOCKS, Retention, StoreConfig};
pub use durable::Mark;
pub use epochs::{EpochEnd, EpochRecord, ProvenHeader};
pub use error::StorageError;
pub use execute::ExecutedBlock;
pub use genesis::genesis_root;
pub use index::{FoundLog, LogFilter, MAX_LOG_BLOCKS, MAX_LOG_RANGE};
pub use record::{ExecutedRecord, TxLocation};
pub use safety::{Damage, MAX_RECORD_BYTES, Recovered, SafetyError, SafetyFile};
pub use snapshot::{
    ChunkInfo, MAX_CHUNK_BYTES, MAX_MANIFEST_BYTES, Manifest, SnapshotError, SnapshotFolder,
    SnapshotImport, Span, TakenChunk,
};
pub use store::{Availability, Store};
pub use view::{StateProof, StateView};
