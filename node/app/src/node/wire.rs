//! What nodes say to each other, apart from consensus: transactions, and blocks on request.
//!
//! Every message is bounded before it is decoded: by the network layer's frame limits, and here by the limits of
//! each kind.

use neura_types::{
    B256, Block, Bytes, Height,
    block::BlockId,
    codec::{self, CodecError},
    note::TaskNote,
    task::TaskId,
    transaction::MAX_TRANSACTION_BYTES,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::snapshots::SnapshotRequest;

/// Most bytes of one consensus message: a proposal with the largest body and both certificates.
pub const MAX_CONSENSUS_MESSAGE: usize = 20 << 20;
/// Most bytes of one bundle of transactions: two of the largest.
pub const MAX_BUNDLE_BYTES: usize = 2 * MAX_TRANSACTION_BYTES;
/// Most bytes of one request: one for batches is the largest.
pub const MAX_REQUEST_BYTES: usize = 4 << 10;
/// Most batches in one request: their digests.
pub const MAX_BATCHES_ASKED: usize = 64;
/// Most blocks in one answer.
pub const MAX_RANGE_BLOCKS: u64 = 64;
/// An answer is closed once it holds this many bytes of blocks, or of batches.
pub const MAX_RANGE_BYTES: usize = 4 << 20;
/// Bytes of a blob in one answer.
pub const MAX_BLOB_PART: usize = 4 << 20;
/// Most bytes of an answer of notes: as many as a node keeps of a task, and more.
pub const MAX_NOTES_BYTES: usize = 256 << 10;
/// Longest time that a request may wait for a block that does not exist yet, in milliseconds.
pub const MAX_WAIT_MS: u64 = 5_000;

/// Encoded transactions on their way to other pools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle(pub Vec<Bytes>);

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// For blocks: answered by a [`BlockResponse`].
    Blocks(BlockRequest),
    /// For part of a blob: answered by an optional [`BlobAnswer`].
    Blob(BlobRequest),
    /// For the state of an earlier block, and the chain of epochs that proves it.
    Snapshot(SnapshotRequest),
    /// For batches by digest, at most [`MAX_BATCHES_ASKED`]: answered by a [`BatchAnswer`].
    Batches(Vec<B256>),
    /// For what a task's provider said: answered by a [`NotesAnswer`].
    Notes(NotesRequest),
}

/// A request for the notes of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotesRequest {
    /// The task.
    pub task: TaskId,
    /// Only notes with numbers above this one.
    pub after: u64,
}

/// The notes that the answering node has of those asked for, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NotesAnswer(pub Vec<TaskNote>);

/// The encoded batches that the answering node has of those asked for, as many as fit into [`MAX_RANGE_BYTES`], at least
/// one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BatchAnswer(pub Vec<Bytes>);

/// A request for part of a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRequest {
    /// BLAKE3 of the blob.
    pub hash: B256,
    /// First byte wanted.
    pub offset: u64,
}

/// Part of a blob, up to [`MAX_BLOB_PART`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobAnswer {
    /// Size of the whole blob.
    pub size: u64,
    /// The bytes from the offset asked for on.
    pub bytes: Bytes,
}

/// A request for blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlockRequest {
    /// Final blocks from a height on, oldest first. If there is none yet, the answer waits up to `wait_ms`.
    Committed {
        /// First height wanted.
        from: Height,
        /// How long the answer may wait for it.
        wait_ms: u64,
    },
    /// A block and its ancestors above a height, newest first.
    Ancestors {
        /// The newest block wanted.
        of: BlockId,
        /// Blocks at or below this height are not wanted.
        above: Height,
    },
}

/// An answer; empty if the answering node has nothing of what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BlockResponse {
    /// The blocks, in the order that the request states.
    pub blocks: Vec<Block>,
    /// For `Committed`: encoded proof that the last of the blocks is final.
    pub proof: Option<Bytes>,
    /// Height of the answering node's newest final block.
    pub committed: Height,
}

/// Encodes a message.
pub fn encode<T: Serialize>(message: &T) -> Bytes {
    codec::encode(message).into()
}

/// Decodes a message of at most `limit` bytes.
///
/// # Errors
/// See [`CodecError`].
pub fn decode<T>(bytes: &[u8], limit: usize) -> Result<T, CodecError>
where
    T: DeserializeOwned + Serialize,
{
    codec::decode_limited(bytes, limit)
}

#[cfg(test)]
mod tests;
