//! The one table of what lies where in the database.
//!
//! | column | key | value |
//! |---|---|---|
//! | `meta` | name | see [`META_KEYS`] |
//! | `blocks` | block id | encoded `Block` |
//! | `block_index` | height ‖ block id | digests of its batches, 32 bytes each; every block known above the pruned forks |
//! | `heights` | height | id of the committed block |
//! | `commit_proofs` | height | encoded commit proof, opaque here |
//! | `batches` | batch digest | where its encoding lies in the segment files beside the database: segment, offset, length |
//! | `batch_waits` | batch digest | encoded height of its arrival and number of its bytes: no final block names it yet |
//! | `batch_names` | batch digest | encoded height of the last final block that names it |
//! | `batch_lists` | height | digests of the batches of the final block, 32 bytes each; no row for none |
//! | `epochs` | epoch | encoded [`EpochRecord`](crate::EpochRecord) |
//! | `executed` | height | encoded [`ExecutedRecord`](crate::ExecutedRecord) |
//! | `receipts` | height | the receipts of the block with a table of where each begins, see below; no row for none |
//! | `log_sections` | number of 128 blocks, by height | fingerprints of the addresses and topics of their logs, 4 bytes each, in order; no row where not all were seen |
//! | `tx_index` | transaction hash | height ‖ position of its receipt in the block (4 bytes) |
//! | `state` | flat state key | account or word at the last save of the state |
//! | `history` | flat state key ‖ height of a save | what the key held before each block that changed it since the save before, see below |
//! | `changed` | height | the flat keys that the block changed with what they hold after it, see below; kept as long as a state between the same two saves |
//! | `code` | keccak256 | code |
//! | `tree_nodes` | version ‖ number of nibbles (1 byte) ‖ nibbles, two to a byte | node of the state tree, see below |
//! | `stale_nodes` | version | the `tree_nodes` keys that this version replaced, packed |
//! | `import` | `manifest`, or `c` ‖ first path (32 bytes) ‖ bits of the span (2 bytes) | of a snapshot being imported: the encoded manifest, or the encoded roots of the chunk's subtrees |
//!
//! Numbers in keys are big-endian, 8 bytes unless said otherwise, so that keys sort by them. "Encoded" is
//! `neura_types::codec`. A flat state key is `StateKey::to_bytes`: tag, address, slot. Packed keys stand one after the
//! other, each after its length in one byte.
//!
//! A row of `changed` has a key and a value after the other, each after its length in one byte; nothing has length 0. A row
//! of `history` has for each block in order its height, and the value before it after its length.
//!
//! A node of the state tree has two little-endian bitmaps of two bytes: which nibbles have a child, and which of these
//! children are leaves. The children follow in order: path and value hash of a leaf, 64 bytes; hash and big-endian version
//! of a node, 40 bytes.
//!
//! A row of `receipts` has the number of receipts, 4 bytes; for each where its encoding begins in the list, the position of
//! its transaction in the payload and the number of logs before its own, 4 bytes each, all little-endian; and the encoded
//! list of `Receipt`s, whose hash is the receipts root.

use alloy_primitives::B256;
use neura_types::Height;

use crate::error::StorageError;

/// Keys of the `meta` column: schema (encoded `u32`), chain (encoded id and genesis hash), the two tips (encoded height
/// and block id), the lowest height kept, the height that came with a snapshot (encoded heights), and the number of a
/// safety record that was made durable (encoded `u64`).
pub const META_KEYS: [&str; 7] =
    [SCHEMA, CHAIN, COMMITTED_TIP, EXECUTED_TIP, OLDEST, IMPORTED, SAFETY_SEQUENCE];

pub(crate) const SCHEMA: &str = "schema";
pub(crate) const CHAIN: &str = "chain";
pub(crate) const COMMITTED_TIP: &str = "committed_tip";
pub(crate) const EXECUTED_TIP: &str = "executed_tip";
pub(crate) const OLDEST: &str = "oldest";
pub(crate) const IMPORTED: &str = "imported";
pub(crate) const SAFETY_SEQUENCE: &str = "safety_sequence";

/// Key of the manifest in `import`.
pub(crate) const MANIFEST: &[u8] = b"manifest";

/// Version of this table and of every encoding in it.
pub const SCHEMA_VERSION: u32 = 5;

/// A column family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Facts about the store itself.
    Meta,
    /// Blocks by id.
    Blocks,
    /// Ids of known blocks by height.
    BlockIndex,
    /// The committed chain.
    Heights,
    /// Proofs of commits.
    CommitProofs,
    /// Batches by digest.
    Batches,
    /// Batches that no final block names.
    BatchWaits,
    /// Batches that a final block names.
    BatchNames,
    /// Batches of the committed chain.
    BatchLists,
    /// Configurations and ends of epochs.
    Epochs,
    /// Results of executed blocks.
    Executed,
    /// Receipts.
    Receipts,
    /// What logs there are in many blocks.
    LogSections,
    /// Where a transaction was included.
    TxIndex,
    /// The latest state.
    State,
    /// Earlier values of the state.
    History,
    /// Keys that a block changed.
    Changed,
    /// Contract code.
    Code,
    /// Nodes of the state tree.
    TreeNodes,
    /// Tree nodes that a later version replaced.
    StaleNodes,
    /// Progress of the import of a snapshot.
    Import,
}

impl Column {
    /// Every column.
    pub const ALL: [Self; 21] = [
        Self::Meta,
        Self::Blocks,
        Self::BlockIndex,
        Self::Heights,
        Self::CommitProofs,
        Self::Batches,
        Self::BatchWaits,
        Self::BatchNames,
        Self::BatchLists,
        Self::Epochs,
        Self::Executed,
        Self::Receipts,
        Self::LogSections,
        Self::TxIndex,
        Self::State,
        Self::History,
        Self::Changed,
        Self::Code,
        Self::TreeNodes,
        Self::StaleNodes,
        Self::Import,
    ];

    /// Name of the column family.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Blocks => "blocks",
            Self::BlockIndex => "block_index",
            Self::Heights => "heights",
            Self::CommitProofs => "commit_proofs",
            Self::Batches => "batches",
            Self::BatchWaits => "batch_waits",
            Self::BatchNames => "batch_names",
            Self::BatchLists => "batch_lists",
            Self::Epochs => "epochs",
            Self::Executed => "executed",
            Self::Receipts => "receipts",
            Self::LogSections => "log_sections",
            Self::TxIndex => "tx_index",
            Self::State => "state",
            Self::History => "history",
            Self::Changed => "changed",
            Self::Code => "code",
            Self::TreeNodes => "tree_nodes",
            Self::StaleNodes => "stale_nodes",
            Self::Import => "import",
        }
    }

    /// Whether its keys are looked up one by one, many of them absent, so that a bloom filter pays.
    pub(crate) const fn point_lookups(self) -> bool {
        matches!(
            self,
            Self::Blocks
                | Self::Batches
                | Self::BatchNames
                | Self::TxIndex
                | Self::State
                | Self::Code
                | Self::TreeNodes
        )
    }
}

/// Height as a key.
pub(crate) const fn height_key(height: Height) -> [u8; 8] {
    height.to_be_bytes()
}

/// The height at the start of a key.
pub(crate) fn height_of(key: &[u8]) -> Option<Height> {
    key.first_chunk().map(|bytes| Height::from_be_bytes(*bytes))
}

/// Key of `block_index`.
pub(crate) fn block_index_key(height: Height, id: B256) -> [u8; 40] {
    let mut key = [0; 40];
    key[..8].copy_from_slice(&height_key(height));
    key[8..].copy_from_slice(id.as_slice());
    key
}

/// Value of `tx_index`.
pub(crate) fn receipt_place(height: Height, index: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&height_key(height));
    key[8..].copy_from_slice(&index.to_be_bytes());
    key
}

/// Height and index in a value of `tx_index`.
pub(crate) fn split_receipt_place(place: &[u8]) -> Result<(Height, u32), StorageError> {
    let split = || {
        let (height, index) = place.split_first_chunk::<8>()?;
        Some((Height::from_be_bytes(*height), u32::from_be_bytes(*index.as_array()?)))
    };
    split().ok_or_else(|| StorageError::Corrupt {
        column: Column::TxIndex.name(),
        reason: "a place has not 12 bytes".into(),
    })
}

/// Key of `history`.
pub(crate) fn history_key(flat: &[u8], height: Height) -> Vec<u8> {
    [flat, &height_key(height)].concat()
}

/// Digests, one after the other, as one value.
pub(crate) fn join_digests(digests: impl Iterator<Item = B256>) -> Vec<u8> {
    digests.flat_map(|digest| digest.0).collect()
}

/// The digests in a value.
pub(crate) fn split_digests(column: Column, bytes: &[u8]) -> Result<Vec<B256>, StorageError> {
    let (digests, rest) = bytes.as_chunks::<32>();
    if rest.is_empty() {
        Ok(digests.iter().map(B256::from).collect())
    } else {
        Err(StorageError::Corrupt { column: column.name(), reason: "a digest is cut".into() })
    }
}

/// Puts keys, each shorter than 256 bytes, into one value.
pub(crate) fn pack<'a>(keys: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut packed = Vec::new();
    for key in keys {
        // The longest key, of a storage word, has 53 bytes.
        packed.push(key.len() as u8);
        packed.extend_from_slice(key);
    }
    packed
}

/// The keys in a value.
pub(crate) fn unpack(column: Column, mut packed: &[u8]) -> Result<Vec<&[u8]>, StorageError> {
    let mut keys = Vec::new();
    while let Some((length, rest)) = packed.split_first() {
        let (key, rest) = rest.split_at_checked(usize::from(*length)).ok_or_else(|| {
            StorageError::Corrupt { column: column.name(), reason: "a packed key is cut".into() }
        })?;
        keys.push(key);
        packed = rest;
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn column_names_are_unique() {
        let names: std::collections::BTreeSet<_> = Column::ALL.iter().map(|c| c.name()).collect();
        assert_eq!(names.len(), Column::ALL.len());
    }

    #[test]
    fn keys_sort_by_height_then_by_what_follows() {
        assert!(block_index_key(1, B256::repeat_byte(0xff)) < block_index_key(256, B256::ZERO));
        assert_eq!(split_receipt_place(&receipt_place(3, 9)).expect("a place"), (3, 9));
        assert!(split_receipt_place(&[0; 11]).is_err() && split_receipt_place(&[0; 13]).is_err());
        assert!(history_key(b"k", 255) < history_key(b"k", 256));
        assert_eq!(height_of(&block_index_key(77, B256::ZERO)), Some(77));
    }

    #[test]
    fn packed_keys_come_back_and_a_cut_list_is_damage() {
        let keys: [&[u8]; 3] = [b"a", b"", &[7; 53]];
        let packed = pack(keys.into_iter());
        assert_eq!(unpack(Column::Changed, &packed).expect("whole"), keys);
        let cut = unpack(Column::Changed, &packed[..packed.len() - 1]);
        assert!(matches!(cut, Err(StorageError::Corrupt { .. })));
    }
}
