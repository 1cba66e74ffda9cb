//! Peers that speak libp2p but not our rules.

mod harness;

use futures::{AsyncReadExt, AsyncWriteExt};
use harness::{
    Node, TAG, config, eventually, id, number_of, numbered,
    raw::{PARTS, Raw, is_closed, name, pour},
    within,
};
use libp2p_stream::OpenStreamError;
use neura_p2p::{Class, Event, Limits, NetworkConfig, PROTOCOL_VERSION, Penalty};

#[tokio::test]
async fn garbage_on_a_direct_stream_bans_its_sender() {
    for garbage in [&[0xff; 64][..], &[0; 64][..], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut a = Node::start(config(1)).await;
        let mut raw = Raw::connect(2, a.address()).await;
        let mut stream = raw.open(a.id(), Class::Batch).await;
        // The node may close the stream at any byte.
        let _ = stream.write_all(garbage).await;
        let _ = stream.flush().await;
        a.banned(id(2)).await;
        let rest = within(stream.read(&mut [0; 1])).await;
        assert!(matches!(rest, Ok(0) | Err(_)));
    }
}

#[tokio::test]
async fn a_stream_cut_within_a_frame_is_no_offence() {
    let mut a = Node::start(config(1)).await;
    let mut raw = Raw::connect(2, a.address()).await;
    let mut stream = raw.open(a.id(), Class::Consensus).await;
    stream.write_all(&[100, 0, 0, 0, 1, 2, 3]).await.unwrap();
    stream.close().await.unwrap();
    let mut stream = raw.open(a.id(), Class::Consensus).await;
    stream.write_all(&[2, 0, 0, 0, 8, 9]).await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(a.frame(id(2), Class::Consensus).await[..], [8, 9]);
    assert_eq!(a.handle.metrics().bans(), 0);
}

#[tokio::test]
async fn a_direct_stream_of_a_peer_that_is_no_validator_is_dropped_unread() {
    let set = harness::validators(&[1, 2]);
    let mut a = Node::start(NetworkConfig { validators: set, ..config(1) }).await;
    let mut stranger = Raw::connect(3, a.address()).await;
    for class in Class::ALL {
        let mut stream = stranger.open(a.id(), class).await;
        let _ = stream.write_all(&[2, 0, 0, 0, 8, 9]).await;
        let _ = stream.flush().await;
        let rest = within(stream.read(&mut [0; 1])).await;
        assert!(matches!(rest, Ok(0) | Err(_)));
    }
    assert_eq!(a.handle.metrics().refused_streams(), 3);

    let mut validator = Raw::connect(2, a.address()).await;
    let mut stream = validator.open(a.id(), Class::Batch).await;
    stream.write_all(&[1, 0, 0, 0, 7]).await.unwrap();
    stream.flush().await.unwrap();
    let first = a
        .wait_for(|event| match event {
            Event::Message { from, bytes, .. } => Some((from, bytes)),
            _ => None,
        })
        .await;
    assert_eq!((first.0, &first.1[..]), (id(2), &[7][..]));
}

#[tokio::test]
async fn opening_streams_again_and_again_gives_a_peer_no_more_room() {
    let mut a = Node::start(config(1)).await;
    let mut raw = Raw::connect(2, a.address()).await;
    for number in 0..20u8 {
        let mut stream = raw.open(a.id(), Class::Proposal).await;
        stream.write_all(&[1, 0, 0, 0, number]).await.unwrap();
        stream.flush().await.unwrap();
        // Kept open: each new stream replaces one of those before.
        std::mem::forget(stream);
        assert_eq!(a.frame(id(2), Class::Proposal).await[..], [number]);
    }
}

#[tokio::test]
async fn a_peer_of_another_chain_or_version_has_no_protocol_in_common() {
    let a = Node::start(NetworkConfig { ..harness::explorer(11) }).await;
    let mut raw = Raw::connect(12, a.address()).await;
    let other_hash = TAG.replace("cdef0123", "cdef0124");
    let other_chain = TAG.replacen('7', "8", 1);
    for part in PARTS {
        for foreign in [
            name(&other_hash, part, PROTOCOL_VERSION),
            name(&other_chain, part, PROTOCOL_VERSION),
            name(&TAG[..10], part, PROTOCOL_VERSION),
            name(TAG, part, PROTOCOL_VERSION + 1),
        ] {
            let opened = raw.try_open(a.id(), foreign.clone()).await;
            let refused = matches!(opened, Err(OpenStreamError::UnsupportedProtocol(_)));
            assert!(refused, "{foreign}");
        }
        let ours = raw.try_open(a.id(), name(TAG, part, PROTOCOL_VERSION)).await;
        assert!(ours.is_ok(), "{part}");
    }
    for standard in ["/meshsub/1.2.0", "/meshsub/1.1.0", "/meshsub/1.0.0", "/ipfs/kad/1.0.0"] {
        let opened = raw.try_open(a.id(), libp2p::StreamProtocol::new(standard)).await;
        assert!(matches!(opened, Err(OpenStreamError::UnsupportedProtocol(_))), "{standard}");
    }
}

#[tokio::test]
async fn small_offences_ban_an_ordinary_peer_and_a_ban_outlasts_its_connections() {
    let mut a = Node::start(config(1)).await;
    let raw = Raw::connect(12, a.address()).await;
    eventually(|| (a.handle.usage().inbound == 1).then_some(())).await;
    for _ in 0..50 {
        a.handle.penalise(id(12), Penalty::Low);
    }
    a.banned(id(12)).await;
    drop(raw);
    let before = a.handle.metrics().refused_connections();
    for attempt in 1..=3 {
        let mut again = Raw::try_connect(12, a.address()).await;
        // The client has connected before the node has judged it.
        if let Some(again) = &mut again {
            let opened = again.try_open(a.id(), name(TAG, "request", PROTOCOL_VERSION)).await;
            assert!(opened.is_err());
        }
        let refused = || a.handle.metrics().refused_connections() - before;
        eventually(|| (refused() >= attempt).then_some(())).await;
    }
    eventually(|| (a.handle.usage().bans == 1).then_some(())).await;
}

#[tokio::test]
async fn a_validator_is_not_banned_for_small_offences() {
    let mut a = Node::start(config(1)).await;
    let mut b = Node::dialling(config(2), &[&a]).await;
    a.connected(b.id()).await;
    b.connected(a.id()).await;
    for _ in 0..100 {
        a.handle.penalise(b.id(), Penalty::High);
    }
    eventually(|| (a.handle.metrics().penalties() == 100).then_some(())).await;
    a.handle.send(b.id(), Class::Consensus, numbered(5, 10)).unwrap();
    assert_eq!(number_of(&b.frame(a.id(), Class::Consensus).await), 5);
    assert_eq!(a.handle.metrics().bans(), 0);
}

#[tokio::test]
async fn crowds_do_not_take_the_places_of_validators() {
    let limits = Limits { max_inbound_connections: 5, ..Limits::default() };
    let mut a = Node::start(NetworkConfig { limits, ..config(1) }).await;
    let mut crowd = Vec::new();
    for _ in 0..20 {
        crowd.extend(Raw::anonymous(a.address()).await);
    }
    eventually(|| (a.handle.metrics().refused_connections() >= 15).then_some(())).await;
    eventually(|| (a.handle.usage().inbound == 5).then_some(())).await;

    let mut b = Node::dialling(config(2), &[&a]).await;
    a.connected(b.id()).await;
    b.connected(a.id()).await;
    b.handle.send(a.id(), Class::Consensus, numbered(1, 10)).unwrap();
    assert_eq!(number_of(&a.frame(b.id(), Class::Consensus).await), 1);
    assert_eq!(a.handle.usage().inbound, 5);
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_disconnected() {
    let limits = Limits { stall_timeout: std::time::Duration::from_secs(1), ..Limits::default() };
    let a = Node::start(NetworkConfig { limits, ..config(1) }).await;
    let mut raw = Raw::connect(2, a.address()).await;
    // It opens streams and accepts them, as a validator does, and reads nothing.
    let _open = raw.open(a.id(), Class::Batch).await;
    let _unread = raw.incoming("batch").await;
    let mut honest = Node::dialling(config(3), &[&a]).await;
    honest.connected(a.id()).await;
    let mut sent = 0;
    within(async {
        while a.handle.send(id(2), Class::Batch, numbered(sent, 1 << 20)).is_ok() {
            sent += 1;
        }
    })
    .await;
    let bound = a.handle.limits().batch.outbound_bytes >> 20;
    assert!((sent as usize) < bound + 8, "what waits is bounded");
    eventually(|| (a.handle.metrics().stalled_links() == 1).then_some(())).await;
    eventually(|| (a.handle.linked_validators() == [id(3)]).then_some(())).await;
    a.handle.send(id(3), Class::Batch, numbered(7, 10)).unwrap();
    assert_eq!(number_of(&honest.frame(a.id(), Class::Batch).await), 7);
}

#[tokio::test]
async fn lengths_that_are_never_followed_by_bytes_take_no_memory_of_others() {
    let mut a = Node::start(config(1)).await;
    let mut raw = Raw::connect(2, a.address()).await;
    let mut streams = Vec::new();
    for class in Class::ALL {
        let max = a.handle.limits().class(class).max_frame_bytes as u32;
        for _ in 0..10 {
            let mut stream = raw.open(a.id(), class).await;
            assert!(pour(&mut stream, &max.to_le_bytes()).await);
            streams.push(stream);
        }
    }
    // Of each class two streams at most are read; the others are dropped.
    eventually(|| (a.handle.usage().readers == 2 * Class::ALL.len()).then_some(())).await;
    assert!(is_closed(&mut streams[0]).await);
    let honest = Node::dialling(config(3), &[&a]).await;
    a.connected(honest.id()).await;
    honest.handle.send(a.id(), Class::Proposal, numbered(3, 100)).unwrap();
    assert_eq!(number_of(&a.frame(honest.id(), Class::Proposal).await), 3);
}
