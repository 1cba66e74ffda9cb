//! The encodings of what nodes ask and answer do not change unnoticed.
//!
//! Each value has a file `tests/vectors/NAME.hex`. A change of a format shows here; if it is meant, write the files
//! anew with `NEURA_WRITE_VECTORS=1` and raise the network's protocol version.

use std::{fmt::Debug, path::PathBuf};

use neura_types::{ExecutedRoot, keys::Signature};

use super::*;
use crate::node::batches::Frame;

/// The bytes must be those of the file.
fn frozen(name: &str, bytes: &[u8]) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let path = folder.join(format!("{name}.hex"));
    let hex = hex::encode(bytes);
    if std::env::var_os("NEURA_WRITE_VECTORS").is_some() {
        std::fs::write(&path, format!("{hex}\n")).unwrap();
    }
    let kept = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}: the vector is missing", path.display()));
    assert_eq!(kept.trim(), hex, "the encoding of {name} has changed");
}

/// Encodes to the file's bytes, and is read back from them whole, and from no part of them.
fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, value: &T) {
    let bytes = encode(value);
    frozen(name, &bytes);
    let read: T = decode(&bytes, bytes.len()).unwrap();
    assert_eq!(&read, value, "{name} is not read back");
    for cut in 0..bytes.len() {
        assert!(decode::<T>(&bytes[..cut], cut).is_err(), "{name} is read from {cut} bytes");
    }
}

fn block() -> Block {
    Block::genesis(B256::repeat_byte(7), 1_700_000_000_000, ExecutedRoot::default())
}

#[test]
fn every_request() {
    let hash = B256::repeat_byte(1);
    let committed = BlockRequest::Committed { from: 300, wait_ms: 2_000 };
    round_trip("request-committed", &Request::Blocks(committed));
    let ancestors = BlockRequest::Ancestors { of: hash, above: 7 };
    round_trip("request-ancestors", &Request::Blocks(ancestors));
    let blob = BlobRequest { hash, offset: 1 << 22 };
    round_trip("request-blob", &Request::Blob(blob));
    round_trip("request-batches", &Request::Batches(vec![hash, B256::repeat_byte(2)]));
    round_trip("request-notes", &Request::Notes(NotesRequest { task: 3, after: 1 << 40 }));
    for (name, request) in [
        ("epochs", SnapshotRequest::Epochs { from: 3 }),
        ("newest", SnapshotRequest::Newest),
        ("base", SnapshotRequest::Base { height: 300 }),
        ("chunk", SnapshotRequest::Chunk { height: 300, path: hash }),
    ] {
        round_trip(&format!("request-snapshot-{name}"), &Request::Snapshot(request));
    }
}

#[test]
fn every_answer() {
    let proof = Some(Bytes::from_static(b"proof"));
    let answer = BlockResponse { blocks: vec![block()], proof, committed: 300 };
    round_trip("answer-blocks", &answer);
    round_trip("answer-no-blocks", &BlockResponse::default());
    let part = BlobAnswer { size: 1 << 23, bytes: Bytes::from_static(b"part") };
    round_trip("answer-blob", &Some(part));
    round_trip("answer-no-blob", &None::<BlobAnswer>);
    round_trip("answer-batches", &BatchAnswer(vec![frame().bytes, Bytes::new()]));
    let (sealed, signature) = (Bytes::from_static(b"sealed"), Signature([1; 64]));
    let note = TaskNote { task: 3, number: 9, sealed, signature };
    round_trip("answer-notes", &NotesAnswer(vec![note]));
    round_trip("answer-epochs", &vec![Bytes::from_static(b"record"), Bytes::new()]);
    round_trip("answer-chunk", &Some(Bytes::from_static(b"chunk")));
}

fn frame() -> Frame {
    Frame::seal(2, 77, vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")])
}

#[test]
fn what_is_pushed_unasked() {
    round_trip("bundle", &Bundle(vec![Bytes::from_static(b"transaction"), Bytes::new()]));
    frozen("batch-frame", &frame().bytes);
    assert_eq!(Frame::parse(frame().bytes).unwrap().reference, frame().reference);
}
