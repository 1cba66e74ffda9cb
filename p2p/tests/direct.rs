//! Direct classes between validators, over real sockets.

mod harness;

use bytes::Bytes;
use harness::{Node, Transport, config, id, number_of, numbered, pair, validators, within};
use neura_p2p::{Class, ClassLimits, Event, EventKind, Limits, SendError};

async fn classes_are_delivered(transport: Transport) {
    let (mut a, mut b) = pair(transport, [Limits::default(), Limits::default()]).await;
    for class in Class::ALL {
        let largest = a.handle.limits().class(class).max_frame_bytes;
        for (number, length) in [4, 100, 5000, largest, 7].into_iter().enumerate() {
            let frame = numbered(number as u32, length);
            a.handle.send(b.id(), class, frame.clone()).unwrap();
            b.handle.send(a.id(), class, frame.clone()).unwrap();
            assert_eq!(b.frame(a.id(), class).await, frame);
            assert_eq!(a.frame(b.id(), class).await, frame);
        }
    }
}

#[tokio::test]
async fn each_class_is_delivered_both_ways_over_tcp() {
    classes_are_delivered(Transport::Tcp).await;
}

#[tokio::test]
async fn each_class_is_delivered_both_ways_over_quic() {
    classes_are_delivered(Transport::Quic).await;
}

#[tokio::test]
async fn frames_of_a_class_arrive_in_the_order_sent() {
    let (a, mut b) = pair(Transport::Tcp, [Limits::default(), Limits::default()]).await;
    for number in 0..1000 {
        a.handle.send(b.id(), Class::Consensus, numbered(number, 200)).unwrap();
    }
    for number in 0..1000 {
        assert_eq!(number_of(&b.frame(a.id(), Class::Consensus).await), number);
    }
}

#[tokio::test]
async fn a_broadcast_reaches_all_validators() {
    let mut a = Node::start(config(1)).await;
    let mut others = Vec::new();
    for number in 2..=4 {
        others.push(Node::dialling(config(number), &[&a]).await);
        a.connected(id(number)).await;
    }
    let frame = Bytes::from_static(b"vote");
    let broadcast = a.handle.broadcast(Class::Consensus, frame.clone()).unwrap();
    assert_eq!(broadcast.queued, 3);
    assert!(broadcast.refused.is_empty());
    for other in &mut others {
        assert_eq!(other.frame(a.id(), Class::Consensus).await, frame);
    }
}

#[tokio::test]
async fn frames_of_a_wrong_length_and_unknown_addressees_are_refused_at_once() {
    let a = Node::start(config(1)).await;
    let max = a.handle.limits().consensus.max_frame_bytes;
    for length in [0, max + 1] {
        let refused = a.handle.broadcast(Class::Consensus, Bytes::from(vec![0; length]));
        assert_eq!(refused, Err(SendError::Length { class: Class::Consensus, length, max }));
    }
    let refused = a.handle.send(id(2), Class::Consensus, Bytes::from_static(b"x"));
    assert_eq!(refused, Err(SendError::NotConnected { peer: id(2) }));
}

#[tokio::test]
async fn an_oversized_frame_bans_its_sender_while_others_keep_talking() {
    let defaults = Limits::default();
    let larger = ClassLimits { max_frame_bytes: 1 << 20, ..defaults.consensus };
    let lax = Limits { consensus: larger, ..defaults.clone() };
    let (mut a, mut b) = pair(Transport::Tcp, [defaults, lax]).await;
    let mut c = Node::dialling(config(3), &[&a]).await;
    a.connected(c.id()).await;

    let oversized = Bytes::from(vec![1; larger.max_frame_bytes]);
    b.handle.send(a.id(), Class::Consensus, oversized).unwrap();
    a.banned(b.id()).await;
    b.disconnected(a.id()).await;
    assert_eq!(a.handle.metrics().bans(), 1);

    a.handle.send(c.id(), Class::Consensus, Bytes::from_static(b"to c")).unwrap();
    c.handle.send(a.id(), Class::Consensus, Bytes::from_static(b"to a")).unwrap();
    assert_eq!(c.frame(a.id(), Class::Consensus).await, "to c");
    assert_eq!(a.frame(c.id(), Class::Consensus).await, "to a");
    assert_eq!(a.handle.peers(), [c.id()]);
}

#[tokio::test]
async fn a_new_validator_may_talk_when_the_set_changes_and_a_former_one_may_not() {
    let set = validators(&[1, 2]);
    let mut a =
        Node::start(neura_p2p::NetworkConfig { validators: set.clone(), ..config(1) }).await;
    let b_config = neura_p2p::NetworkConfig { validators: set, ..config(3) };
    let mut b = Node::dialling(b_config, &[&a]).await;
    a.connected(b.id()).await;
    b.connected(a.id()).await;
    let frame = Bytes::from_static(b"hello");
    let not_connected = |peer| Err(SendError::NotConnected { peer });
    assert_eq!(a.handle.send(b.id(), Class::Batch, frame.clone()), not_connected(b.id()));
    assert_eq!(b.handle.send(a.id(), Class::Batch, frame.clone()), not_connected(a.id()));

    for node in [&a, &b] {
        node.handle.set_validators(validators(&[1, 3]));
    }
    for node in [&a, &b] {
        harness::eventually(|| node.handle.linked_validators().pop()).await;
    }
    a.handle.send(b.id(), Class::Batch, frame.clone()).unwrap();
    assert_eq!(b.frame(a.id(), Class::Batch).await, frame);

    a.handle.set_validators(validators(&[1, 2]));
    harness::eventually(|| a.handle.linked_validators().is_empty().then_some(())).await;
    assert_eq!(a.handle.send(b.id(), Class::Batch, frame), not_connected(b.id()));
    assert_eq!(a.handle.peers(), [b.id()], "a former validator stays a peer");
}

#[tokio::test]
async fn a_flood_of_unread_batches_stops_its_sender_and_nothing_else() {
    let (mut a, b) = pair(Transport::Tcp, [Limits::default(), Limits::default()]).await;
    let mut c = Node::dialling(config(3), &[&a]).await;
    a.connected(c.id()).await;
    c.connected(a.id()).await;
    let mut batches = a.events.split_off(&[EventKind::Batch]);

    // Until everything between the two applications is full.
    let mut flooded = 0;
    let mut refusals = 0;
    within(async {
        while refusals < 50 {
            match b.handle.send(a.id(), Class::Batch, numbered(flooded, 1 << 20)) {
                Ok(()) => flooded += 1,
                Err(SendError::Full { .. }) => {
                    refusals += 1;
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
                Err(other) => panic!("{other}"),
            }
        }
    })
    .await;

    for node in [&b, &c] {
        node.handle.send(a.id(), Class::Consensus, Bytes::from_static(b"vote")).unwrap();
        assert_eq!(a.frame(node.id(), Class::Consensus).await, "vote");
        node.handle.send(a.id(), Class::Proposal, Bytes::from_static(b"block")).unwrap();
        assert_eq!(a.frame(node.id(), Class::Proposal).await, "block");
    }
    c.handle.send(a.id(), Class::Batch, numbered(77, 8)).unwrap();

    // The other peer's batch comes in its turn, and of the flood nothing that was taken is lost.
    let (mut from_b, mut from_c) = (0, 0);
    within(async {
        while from_b < flooded || from_c < 1 {
            let Some(Event::Message { from, bytes, .. }) = batches.next().await else { panic!() };
            if from == c.id() {
                from_c += 1;
                assert!(from_b < flooded, "a quiet peer does not wait for a flood to end");
            } else {
                assert_eq!(number_of(&bytes), from_b);
                from_b += 1;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_peer_flooding_consensus_does_not_starve_another() {
    let (mut a, b) = pair(Transport::Tcp, [Limits::default(), Limits::default()]).await;
    let c = Node::dialling(config(3), &[&a]).await;
    a.connected(c.id()).await;
    let (flooder, target) = (b.handle.clone(), a.id());
    let flood = tokio::spawn(async move {
        for number in 0.. {
            if flooder.send(target, Class::Consensus, numbered(number, 1000)).is_err() {
                return;
            }
            if number % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
    });
    for number in 0..100 {
        c.handle.send(a.id(), Class::Consensus, numbered(number, 100)).unwrap();
        assert_eq!(number_of(&a.frame(c.id(), Class::Consensus).await), number);
    }
    flood.abort();
}
