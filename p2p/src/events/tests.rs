use futures::FutureExt;
use tokio::sync::Semaphore;

use super::*;

fn queue() -> Arc<EventQueue> {
    EventQueue::new(&Limits {
        gossip_queue_messages: 4,
        gossip_queue_bytes: 10,
        ..Limits::default()
    })
}

fn permit() -> OwnedSemaphorePermit {
    Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap()
}

fn push(queue: &EventQueue, from: PeerId, class: Class, tag: u8) {
    queue.push_direct(from, class, Bytes::from(vec![tag]), permit());
}

fn gossip(from: PeerId, length: usize) -> Event {
    Event::Gossip { from, id: GossipId::of(&[]), bytes: Bytes::from(vec![0; length]) }
}

fn sender(event: Option<Event>) -> PeerId {
    match event {
        Some(Event::Message { from, .. }) => from,
        other => panic!("a message was expected, not {other:?}"),
    }
}

#[test]
fn urgent_classes_come_first() {
    let queue = queue();
    let mut events = queue.receiver();
    let peer = PeerId::random();
    for class in Class::ALL.into_iter().rev() {
        push(&queue, peer, class, 0);
    }
    queue.push_peer(Event::Connected(peer));
    assert!(matches!(events.try_next(), Some(Event::Connected(_))));
    for expected in Class::ALL {
        match events.try_next() {
            Some(Event::Message { class, .. }) => assert_eq!(class, expected),
            other => panic!("{other:?}"),
        }
    }
    assert!(events.try_next().is_none());
}

#[test]
fn peers_of_a_class_take_turns() {
    let queue = queue();
    let mut events = queue.receiver();
    let (loud, quiet) = (PeerId::random(), PeerId::random());
    (0..5).for_each(|tag| push(&queue, loud, Class::Consensus, tag));
    push(&queue, quiet, Class::Consensus, 0);
    assert_eq!(sender(events.try_next()), loud);
    assert_eq!(sender(events.try_next()), quiet);
    (0..4).for_each(|_| assert_eq!(sender(events.try_next()), loud));
}

#[test]
fn a_flood_of_urgent_events_does_not_silence_the_others() {
    let queue = queue();
    let mut events = queue.receiver();
    let peer = PeerId::random();
    (0..100).for_each(|tag| push(&queue, peer, Class::Consensus, tag));
    queue.push_gossip(gossip(peer, 1), 1).unwrap();
    let position = (0..).find(|_| matches!(events.try_next(), Some(Event::Gossip { .. })));
    assert!(position < Some(LEAST_URGENT_TURN));
}

#[test]
fn gossip_is_bounded_by_messages_and_by_bytes() {
    let queue = queue();
    let mut events = queue.receiver();
    let peer = PeerId::random();
    assert!(queue.push_gossip(gossip(peer, 11), 11).is_err());
    (0..4).for_each(|_| queue.push_gossip(gossip(peer, 1), 1).unwrap());
    assert!(queue.push_gossip(gossip(peer, 1), 1).is_err());
    assert!(events.try_next().is_some());
    assert!(queue.push_gossip(gossip(peer, 7), 7).is_ok());
}

#[test]
fn taking_a_frame_frees_its_senders_budget() {
    let queue = queue();
    let mut events = queue.receiver();
    let budget = Arc::new(Semaphore::new(1));
    let permit = budget.clone().try_acquire_owned().unwrap();
    queue.push_direct(PeerId::random(), Class::Batch, Bytes::from_static(b"x"), permit);
    assert_eq!(budget.available_permits(), 0);
    assert!(events.try_next().is_some());
    assert_eq!(budget.available_permits(), 1);
}

#[tokio::test]
async fn a_split_receiver_gets_its_kinds_and_only_those() {
    let queue = queue();
    let mut events = queue.receiver();
    let peer = PeerId::random();
    push(&queue, peer, Class::Batch, 1);
    let mut batches = events.split_off(&[EventKind::Batch]);
    push(&queue, peer, Class::Consensus, 2);
    assert!(matches!(batches.next().await, Some(Event::Message { class: Class::Batch, .. })));
    assert!(batches.next().now_or_never().is_none());
    assert!(matches!(events.next().await, Some(Event::Message { class: Class::Consensus, .. })));
}

#[tokio::test]
async fn receivers_end_after_the_network_has_closed() {
    let queue = queue();
    let mut events = queue.receiver();
    queue.push_peer(Event::Connected(PeerId::random()));
    queue.close();
    assert!(events.next().await.is_some());
    assert!(events.next().await.is_none());
}
