//! What nodes send each other, apart from consensus.

use neura::node::{
    batches::{Frame, MAX_FRAME_BYTES},
    wire::{
        BatchAnswer, BlobAnswer, BlockResponse, Bundle, MAX_BUNDLE_BYTES, MAX_NOTES_BYTES,
        MAX_REQUEST_BYTES, NotesAnswer, Request,
    },
};
use neura_p2p::{PeerId, decoders};
use neura_types::{
    Batch, Bytes,
    codec::{self, MAX_DECODED_BYTES},
};

use crate::{
    Target,
    check::{one_encoding, same, vectors},
};

/// Longest frame, request and answer of the streams that are fed.
const MAX_FRAME: usize = 4 << 10;

pub(super) const TARGETS: &[Target] = &[
    Target::new(
        "request",
        request,
        vectors!("node/app": "request-committed", "request-ancestors", "request-blob", "request-batches",
            "request-snapshot-epochs", "request-snapshot-newest", "request-snapshot-base",
            "request-snapshot-chunk", "request-notes"),
    ),
    Target::new("block-answer", blocks, vectors!("node/app": "answer-blocks", "answer-no-blocks")),
    Target::new("blob-answer", blob, vectors!("node/app": "answer-blob", "answer-no-blob")),
    Target::new("batch-answer", batches, vectors!("node/app": "answer-batches", "answer-epochs")),
    Target::new("notes-answer", notes, vectors!("node/app": "answer-notes")),
    Target::new("chunk-answer", chunk, vectors!("node/app": "answer-chunk")),
    Target::new("bundle", bundle, vectors!("node/app": "bundle")),
    Target::new("batch-frame", frame, vectors!("node/app": "batch-frame")),
    Target::new("stream-frames", frames, || {
        vec![decoders::write_frames(&[b"one".to_vec(), vec![2; 300], vec![3]])]
    }),
    Target::new("stream-exchange", exchange, || {
        vec![decoders::write_frames(&[b"request".to_vec()]), b"\0\x05\0\0\0bytes".to_vec()]
    }),
    Target::new("peer-address", address, addresses),
];

fn request(bytes: &[u8]) {
    one_encoding::<Request>(bytes, MAX_REQUEST_BYTES);
}

fn blocks(bytes: &[u8]) {
    one_encoding::<BlockResponse>(bytes, MAX_DECODED_BYTES);
}

fn blob(bytes: &[u8]) {
    one_encoding::<Option<BlobAnswer>>(bytes, MAX_DECODED_BYTES);
}

fn batches(bytes: &[u8]) {
    one_encoding::<BatchAnswer>(bytes, MAX_DECODED_BYTES);
}

fn notes(bytes: &[u8]) {
    one_encoding::<NotesAnswer>(bytes, MAX_NOTES_BYTES);
}

fn chunk(bytes: &[u8]) {
    one_encoding::<Option<Bytes>>(bytes, MAX_DECODED_BYTES);
}

fn bundle(bytes: &[u8]) {
    one_encoding::<Bundle>(bytes, MAX_BUNDLE_BYTES);
}

/// A frame is the one encoding of a batch, and says of it what the batch says of itself.
fn frame(bytes: &[u8]) {
    let Ok(frame) = Frame::parse(Bytes::copy_from_slice(bytes)) else { return };
    let batch: Batch = codec::decode_limited(bytes, MAX_FRAME_BYTES).expect("a frame is a batch");
    same(bytes, &codec::encode(&batch));
    assert_eq!(frame.reference, batch.reference());
    assert_eq!(frame.items(), batch.items);
}

fn frames(bytes: &[u8]) {
    let (frames, end) = decoders::frames(bytes, MAX_FRAME);
    assert!(frames.iter().all(|frame| (1..=MAX_FRAME).contains(&frame.len())));
    same(&bytes[..end], &decoders::write_frames(&frames));
}

fn exchange(bytes: &[u8]) {
    let (request, answer) = decoders::exchange(bytes, MAX_FRAME);
    assert!(request.is_none_or(|bytes| (1..=MAX_FRAME).contains(&bytes.len())));
    assert!(answer.is_none_or(|bytes| bytes.len() <= MAX_FRAME));
}

fn address(bytes: &[u8]) {
    let peer = PeerId::from_multihash(Default::default()).expect("the identity of nothing");
    assert_ne!(decoders::address(peer, bytes), Some(false), "a private address is dialled");
}

fn addresses() -> Vec<Vec<u8>> {
    [
        "/ip4/1.2.3.4/tcp/4001",
        "/ip6/2a01:4f8::1/udp/1/quic-v1",
        "/ip4/127.0.0.1/tcp/1",
        "/dns4/a/tcp/1",
    ]
    .iter()
    .map(|text| text.parse::<neura_p2p::Multiaddr>().expect("an address").to_vec())
    .collect()
}
