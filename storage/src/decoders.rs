//! Read what stands on the disk and in snapshots, without a store: what fuzzing feeds.

use alloy_primitives::B256;
use neura_types::codec;

use crate::{
    columns::{Column, join_digests, pack, split_digests, unpack},
    receipts::ReceiptRow,
    safety::{resealed_record, sectors},
    snapshot::check_chunk,
    tree::Node,
};

/// The record that a safety file proves to be the newest. The halves of `bytes` are the beginnings of its slots;
/// checksums are put right, so that what the sectors say is looked at.
pub fn safety_file(bytes: &[u8]) -> Option<Vec<u8>> {
    resealed_record(bytes)
}

/// What [`safety_file`] reads, of two records with their sequences.
pub fn safety_sectors(records: [(u64, &[u8]); 2]) -> Vec<u8> {
    sectors(records)
}

/// Whether a chunk of a snapshot leads to a state root.
pub fn chunk(bytes: &[u8], root: B256) -> bool {
    check_chunk(bytes, root)
}

/// A node of the state tree, encoded again.
pub fn tree_node(bytes: &[u8]) -> Option<Vec<u8>> {
    Node::decode(bytes).map(|node| node.encode())
}

/// Packed keys, packed again.
pub fn packed_keys(bytes: &[u8]) -> Option<Vec<u8>> {
    unpack(Column::Changed, bytes).ok().map(|keys| pack(keys.into_iter()))
}

/// How many of a block's receipts can be read alone, and how many at once; none if they cannot.
pub fn receipts(bytes: &[u8]) -> (usize, Option<usize>) {
    let Some(row) = ReceiptRow::parse(bytes) else { return (0, None) };
    let each = (0..row.len()).filter(|index| row.get(*index).is_some()).count();
    (each, row.all().map(|all| all.len()))
}

/// A list of digests, written again.
pub fn digests(bytes: &[u8]) -> Option<Vec<u8>> {
    split_digests(Column::BatchLists, bytes).ok().map(|list| join_digests(list.into_iter()))
}

/// The place of a body of a batch, encoded again.
pub fn body_place(bytes: &[u8]) -> Option<Vec<u8>> {
    codec::decode::<crate::bodies::Place>(bytes).ok().map(|place| codec::encode(&place))
}
