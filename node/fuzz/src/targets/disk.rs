//! What the store and snapshots hold. The formats of the store are fed here because a damaged disk is no reason to panic.

use neura_storage::{
    EpochRecord, ExecutedRecord, MAX_MANIFEST_BYTES, MAX_RECORD_BYTES, Manifest, decoders,
};
use neura_types::{B256, codec::MAX_DECODED_BYTES};

use crate::{
    Target,
    check::{one_encoding, same, unhex},
};

/// Rows of a small store, frozen.
const ROWS: &str = include_str!("../../../../storage/tests/vectors/rows.txt");
/// Files of a small snapshot, frozen.
const SNAPSHOT: &str = include_str!("../../../../storage/tests/vectors/snapshot.txt");

pub(super) const TARGETS: &[Target] = &[
    Target::new("stored-epoch", epoch, || rows("epochs")),
    Target::new("stored-execution", execution, || rows("executed")),
    Target::new("stored-receipts", receipts, || rows("receipts")),
    Target::new("tree-node", tree_node, || rows("tree_nodes")),
    Target::new("packed-rows", packed, || [rows("changed"), rows("block_index")].concat()),
    Target::new("body-place", place, || rows("batches")),
    Target::new("manifest", manifest, || snapshot("manifest")),
    Target::new("snapshot-chunk", chunk, || snapshot("chunk-")),
    Target::new("safety-file", safety_file, safety_files),
];

/// The values of a column.
fn rows(column: &str) -> Vec<Vec<u8>> {
    let words = ROWS.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    words.filter(|words| words[0] == column).map(|words| unhex(words[2])).collect()
}

/// The files whose names begin so.
fn snapshot(name: &str) -> Vec<Vec<u8>> {
    let lines = SNAPSHOT.lines().filter_map(|line| line.split_once(' '));
    lines.filter(|(file, _)| file.starts_with(name)).map(|(_, hex)| unhex(hex)).collect()
}

fn epoch(bytes: &[u8]) {
    one_encoding::<EpochRecord>(bytes, MAX_DECODED_BYTES);
}

fn execution(bytes: &[u8]) {
    one_encoding::<ExecutedRecord>(bytes, MAX_DECODED_BYTES);
}

fn receipts(bytes: &[u8]) {
    let (each, all) = decoders::receipts(bytes);
    assert!(all.is_none_or(|all| all >= each), "receipts appear from nowhere");
}

fn tree_node(bytes: &[u8]) {
    if let Some(again) = decoders::tree_node(bytes) {
        same(bytes, &again);
    }
}

fn packed(bytes: &[u8]) {
    for again in [decoders::packed_keys(bytes), decoders::digests(bytes)].into_iter().flatten() {
        same(bytes, &again);
    }
}

fn place(bytes: &[u8]) {
    if let Some(again) = decoders::body_place(bytes) {
        same(bytes, &again);
    }
}

fn manifest(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::decode(bytes) {
        assert!(bytes.len() <= MAX_MANIFEST_BYTES);
        same(bytes, &manifest.encode());
        assert!(manifest.block().is_some() && manifest.proved().is_some());
    }
}

/// No chunk leads to a root that nothing hashes to.
fn chunk(bytes: &[u8]) {
    assert!(!decoders::chunk(bytes, B256::ZERO), "a root was forged");
}

/// What is read is a record that was written: its digest says so.
fn safety_file(bytes: &[u8]) {
    if let Some(record) = decoders::safety_file(bytes) {
        assert!(record.len() <= MAX_RECORD_BYTES);
    }
}

fn safety_files() -> Vec<Vec<u8>> {
    let long = vec![7; 9_000];
    vec![
        decoders::safety_sectors([(8, &[1; 600]), (9, &[2; 700])]),
        decoders::safety_sectors([(8, &long), (9, b"")]),
    ]
}
