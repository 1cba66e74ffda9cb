//! Floods: what a hostile peer sends without end is bounded, and honest peers are served.

mod harness;

use bytes::Bytes;
use futures::AsyncReadExt;
use harness::{
    Node, TAG, config, eventually, full_node, id,
    protobuf::{gossip, kad, packet, varint},
    raw::{Raw, is_closed, pour},
    within,
};
use neura_p2p::{
    Acceptance, Class, Event, EventKind, GossipId, Limits, NetworkConfig, PROTOCOL_VERSION,
    RequestError,
};

fn topic() -> String {
    format!("/neura/{TAG}/transactions/{PROTOCOL_VERSION}")
}

/// A message of its own for each number.
fn message(number: u32) -> Vec<u8> {
    gossip::publish(&topic(), &number.to_le_bytes())
}

fn ids(from: u32, count: u32) -> Vec<Vec<u8>> {
    (from..from + count).map(|number| [&[9; 16][..], &number.to_le_bytes()].concat()).collect()
}

/// Two nodes that gossip, the first of which has answered a hostile peer's stream.
async fn pair_and_enemy() -> (Node, Node, Raw, libp2p::Stream) {
    let mut a = Node::start(config(1)).await;
    let mut b = Node::dialling(config(2), &[&a]).await;
    a.connected(b.id()).await;
    b.connected(a.id()).await;
    let mut raw = Raw::connect(12, a.address()).await;
    let stream = raw.open_part(a.id(), "gossip").await;
    (a, b, raw, stream)
}

/// Gossip and direct frames pass between two nodes.
async fn honest_peers_are_served(a: &mut Node, b: &mut Node, word: &'static [u8]) {
    b.handle.send(a.id(), Class::Consensus, Bytes::from_static(word)).unwrap();
    assert_eq!(a.frame(b.id(), Class::Consensus).await, word);
    let publisher = b.handle.clone();
    let publishing = tokio::spawn(async move {
        loop {
            publisher.publish(Bytes::from_static(word)).unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    a.wait_for(|event| matches!(event, Event::Gossip { bytes, .. } if bytes == word).then_some(()))
        .await;
    publishing.abort();
}

#[tokio::test]
async fn invalid_gossip_costs_score_until_its_sender_is_banned() {
    let (mut a, mut b, _raw, mut stream) = pair_and_enemy().await;
    let mut rejected = 0;
    for number in 0..100 {
        pour(&mut stream, &packet(&[message(number)])).await;
        let end = a
            .wait_for(|event| match event {
                Event::Gossip { from, id, .. } => Some(Some((from, id))),
                Event::Banned { peer, .. } if peer == id(12) => Some(None),
                _ => None,
            })
            .await;
        let Some((from, name)) = end else { break };
        a.handle.report(name, from, Acceptance::Reject);
        rejected += 1;
    }
    assert!((5..100).contains(&rejected), "{rejected}");
    assert!(is_closed(&mut stream).await);
    honest_peers_are_served(&mut a, &mut b, b"after").await;
}

#[tokio::test]
async fn a_flood_of_messages_fills_a_bounded_queue_and_bans_its_sender() {
    let limits =
        Limits { gossip_queue_messages: 100, gossip_messages_per_second: 500, ..Limits::default() };
    let mut a = Node::start(NetworkConfig { limits, ..config(1) }).await;
    let mut b = Node::dialling(config(2), &[&a]).await;
    a.connected(b.id()).await;
    let mut unread = a.events.split_off(&[EventKind::Gossip]);
    let mut raw = Raw::connect(12, a.address()).await;
    let mut stream = raw.open_part(a.id(), "gossip").await;
    let flood = tokio::spawn(async move {
        for round in 0.. {
            let messages: Vec<_> = (0..100).map(|n| message(round * 100 + n)).collect();
            if !pour(&mut stream, &packet(&messages)).await {
                return round;
            }
        }
        unreachable!("a node that bans the sender closes the stream")
    });
    a.banned(id(12)).await;
    assert!(within(flood).await.unwrap() > 0);
    eventually(|| (a.handle.usage().queued_gossip == 100).then_some(())).await;
    while unread.try_next().is_some() {}
    let mut c = Node::dialling(config(3), &[&a]).await;
    a.connected(c.id()).await;
    b.connected(a.id()).await;
    c.connected(a.id()).await;
    b.handle.send(a.id(), Class::Consensus, Bytes::from_static(b"vote")).unwrap();
    assert_eq!(a.frame(b.id(), Class::Consensus).await, "vote");
}

#[tokio::test]
async fn grafts_against_the_rules_silence_their_sender() {
    let (mut a, mut b, _raw, mut stream) = pair_and_enemy().await;
    let graft = packet(&[gossip::graft(&topic())]);
    pour(&mut stream, &packet(&[gossip::subscribe(&topic(), true), gossip::prune(&topic())])).await;
    let flood = tokio::spawn(async move { while pour(&mut stream, &graft.repeat(50)).await {} });
    a.banned(id(12)).await;
    within(flood).await.unwrap();
    honest_peers_are_served(&mut a, &mut b, b"after").await;
}

#[tokio::test]
async fn floods_of_gossip_control_leave_honest_peers_served_and_tables_small() {
    let topic = topic();
    let (mut a, mut b, _raw, mut stream) = pair_and_enemy().await;
    let strange = |number: u32| gossip::subscribe(&format!("/strange/{number}"), true);
    for round in 0..200u32 {
        let told = ids(100 * round, 100);
        let parts = [
            gossip::subscribe(&topic, round % 2 == 0),
            gossip::ihave(&topic, &told),
            gossip::ihave("/strange", &told),
            gossip::iwant(&told),
            gossip::idontwant(&told),
            gossip::prune(&topic),
            gossip::graft("/strange"),
            strange(round),
        ];
        let sent = pour(&mut stream, &packet(&parts)).await;
        if !sent {
            break;
        }
    }
    honest_peers_are_served(&mut a, &mut b, b"after").await;
    let usage = a.handle.usage();
    assert_eq!((usage.queued_gossip, usage.queued_frames), (0, 0));
    assert!(usage.peers <= 2 && usage.allowances < 20, "{usage:?}");
}

#[tokio::test]
async fn a_packet_that_announces_too_much_ends_its_stream() {
    let (mut a, mut b, mut raw, mut stream) = pair_and_enemy().await;
    // Nothing is set aside for what is announced; of what comes, not more than a packet may have.
    let announced = [&varint(1 << 40)[..], &vec![0; 2 * a.handle.limits().max_gossip_bytes]];
    pour(&mut stream, &announced.concat()).await;
    assert!(is_closed(&mut stream).await);
    for rubbish in [&[0xff; 64][..], &packet(&[vec![0xff; 500]])[..], &[0x80; 20][..]] {
        let mut stream = raw.open_part(a.id(), "gossip").await;
        pour(&mut stream, rubbish).await;
    }
    honest_peers_are_served(&mut a, &mut b, b"after").await;
}

#[tokio::test]
async fn neighbours_are_told_that_a_large_message_need_not_be_sent_again() {
    let (mut a, b, mut raw, mut stream) = pair_and_enemy().await;
    pour(&mut stream, &packet(&[gossip::subscribe(&topic(), true), gossip::graft(&topic())])).await;
    let mut from_node = raw.incoming("gossip").await;
    let large = Bytes::from(vec![5; 10_000]);
    let (publisher, sent) = (b.handle.clone(), large.clone());
    let publishing = tokio::spawn(async move {
        loop {
            publisher.publish(sent.clone()).unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    let seen = a
        .wait_for(|event| match event {
            Event::Gossip { bytes, .. } => Some(bytes),
            _ => None,
        })
        .await;
    assert_eq!(seen, large);
    publishing.abort();
    // The message has not been judged, so nothing but IDONTWANT can name it.
    let name = blake3::hash(&large).as_bytes()[..20].to_vec();
    let mut received = Vec::new();
    within(async {
        while !received.windows(name.len()).any(|window| window == name) {
            let mut buffer = [0; 4096];
            let length = from_node.read(&mut buffer).await.unwrap();
            assert!(length > 0, "the node closed the stream");
            received.extend_from_slice(&buffer[..length]);
        }
    })
    .await;
    assert!(received.len() < large.len(), "the message itself is not forwarded unjudged");
    assert_eq!(GossipId::of(&seen), GossipId::of(&large));
}

#[tokio::test]
async fn a_flood_of_requests_is_refused_and_its_sender_banned_while_others_are_answered() {
    let limits =
        Limits { serve_tokens_per_second: 10, serve_tokens_burst: 20, ..Limits::default() };
    let mut a = Node::start(NetworkConfig { limits, ..config(1) }).await;
    let mut serving = a.events.split_off(&[EventKind::Request]);
    tokio::spawn(async move {
        while let Some(Event::Request { reply, .. }) = serving.next().await {
            let _ = reply.send(Bytes::from_static(b"answer"));
        }
    });
    let mut flooder = Node::dialling(full_node(12), &[&a]).await;
    let mut honest = Node::dialling(full_node(13), &[&a]).await;
    flooder.connected(a.id()).await;
    honest.connected(a.id()).await;
    let (handle, target) = (flooder.handle.clone(), a.id());
    let flood = tokio::spawn(async move {
        let mut busy = 0;
        loop {
            let ask = || handle.request(target, Bytes::from_static(b"?"));
            let answers = futures::future::join_all((0..32).map(|_| ask())).await;
            busy += answers.iter().filter(|a| **a == Err(RequestError::Busy)).count();
            if answers.iter().any(|a| matches!(a, Err(RequestError::NotConnected { .. }))) {
                return busy;
            }
        }
    });
    a.banned(flooder.id()).await;
    assert!(within(flood).await.unwrap() > 100);
    let answer = honest.handle.request(a.id(), Bytes::from_static(b"?")).await;
    assert_eq!(answer, Ok(Bytes::from_static(b"answer")));
    eventually(|| (a.handle.usage().requests_served == 0).then_some(())).await;
}

#[tokio::test]
async fn nothing_is_stored_for_others() {
    let mut a = Node::start(harness::explorer(11)).await;
    let mut raw = Raw::connect(12, a.address()).await;
    let target = a.id();
    let flood = tokio::spawn(async move {
        for number in 0u32.. {
            let Ok(mut stream) =
                raw.try_open(target, harness::raw::name(TAG, "kad", PROTOCOL_VERSION)).await
            else {
                return;
            };
            pour(&mut stream, &kad::put_value(&number.to_le_bytes())).await;
        }
    });
    a.banned(id(12)).await;
    within(flood).await.unwrap();
    assert_eq!(a.handle.usage().known_peers, 0);
}

#[tokio::test]
async fn a_flood_of_questions_about_peers_leaves_tables_small_and_honest_peers_found() {
    let a = Node::start(harness::explorer(11)).await;
    let mut raw = Raw::connect(12, a.address()).await;
    for number in 0..200u32 {
        let name = harness::raw::name(TAG, "kad", PROTOCOL_VERSION);
        let Ok(mut stream) = raw.try_open(a.id(), name).await else { break };
        let key = number.to_le_bytes();
        pour(&mut stream, &[kad::find_node(&key), kad::find_node(&[0; 4000])].concat()).await;
    }
    let b = Node::dialling(harness::explorer(13), &[&a]).await;
    let c = Node::dialling(harness::explorer(14), &[&a]).await;
    b.peers_are(&[a.id(), c.id()]).await;
    c.peers_are(&[a.id(), b.id()]).await;
    let usage = a.handle.usage();
    assert!(usage.known_peers <= 2 && usage.routing_table <= 2, "{usage:?}");
}

#[tokio::test]
async fn connections_opened_without_end_take_a_bounded_number_of_places() {
    let limits = Limits { max_inbound_connections: 8, ..Limits::default() };
    let mut a = Node::start(NetworkConfig { limits, ..config(1) }).await;
    let mut held = Vec::new();
    for _ in 0..60 {
        held.extend(Raw::anonymous(a.address()).await);
        let usage = a.handle.usage();
        assert!(usage.inbound <= 8 && usage.pending <= 64, "{usage:?}");
    }
    let b = Node::dialling(config(2), &[&a]).await;
    a.connected(b.id()).await;
    drop(held);
    eventually(|| (a.handle.usage().peers == 1).then_some(())).await;
    let usage = a.handle.usage();
    assert_eq!((usage.inbound, usage.pending, usage.readers), (0, 0, 3));
}
