//! Gossip in the open network.

mod harness;

use std::time::Duration;

use bytes::Bytes;
use harness::{Node, full_node, within};
use neura_p2p::{Acceptance, Event, GossipId, NetworkHandle, PeerId, PublishError};

/// Publishes until stopped: a message published before a neighbour has subscribed reaches nobody.
fn keep_publishing(handle: &NetworkHandle, messages: &'static [&'static [u8]]) -> Publisher {
    let handle = handle.clone();
    Publisher(tokio::spawn(async move {
        loop {
            for message in messages {
                handle.publish(Bytes::from_static(message)).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }))
}

struct Publisher(tokio::task::JoinHandle<()>);

impl Drop for Publisher {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn gossip_at(node: &mut Node) -> (PeerId, GossipId, Bytes) {
    node.wait_for(|event| match event {
        Event::Gossip { from, id, bytes } => Some((from, id, bytes)),
        _ => None,
    })
    .await
}

/// Three nodes in a line: a - b - c.
async fn line() -> [Node; 3] {
    let a = Node::start(full_node(11)).await;
    let b = Node::dialling(full_node(12), &[&a]).await;
    let c = Node::dialling(full_node(13), &[&b]).await;
    [a, b, c]
}

#[tokio::test]
async fn an_accepted_message_goes_on_and_a_rejected_one_does_not() {
    let [a, mut b, mut c] = line().await;
    let (b_id, judge) = (b.id(), b.handle.clone());
    let judging = tokio::spawn(async move {
        let mut rejected = 0;
        loop {
            let (from, id, bytes) = gossip_at(&mut b).await;
            assert_eq!(id, GossipId::of(&bytes));
            let acceptance = match &bytes[..] {
                b"bad" => Acceptance::Reject,
                _ => Acceptance::Accept,
            };
            rejected += usize::from(acceptance == Acceptance::Reject);
            judge.report(id, from, acceptance);
            if &bytes[..] == b"last" {
                return rejected;
            }
        }
    });
    let publishing = keep_publishing(&a.handle, &[b"bad", b"good"]);
    let (from, _, bytes) = gossip_at(&mut c).await;
    assert_eq!((from, &bytes[..]), (b_id, &b"good"[..]));
    drop(publishing);
    let _publishing = keep_publishing(&a.handle, &[b"last"]);
    // Had the bad message been passed on, it would have come before this one.
    assert_eq!(gossip_at(&mut c).await.2, "last");
    assert_eq!(within(judging).await.unwrap(), 1, "the bad message was seen, once");
}

#[tokio::test]
async fn a_message_not_yet_judged_is_not_forwarded() {
    let [a, mut b, mut c] = line().await;
    let publishing = keep_publishing(&a.handle, &[b"unjudged"]);
    assert_eq!(gossip_at(&mut b).await.2, "unjudged");
    drop(publishing);
    let _publishing = keep_publishing(&a.handle, &[b"judged"]);
    let (from, id, bytes) = gossip_at(&mut b).await;
    assert_eq!(bytes, "judged");
    b.handle.report(id, from, Acceptance::Accept);
    assert_eq!(gossip_at(&mut c).await.2, "judged");
}

#[tokio::test]
async fn publishing_without_peers_is_no_error_and_sizes_are_checked() {
    let a = Node::start(full_node(11)).await;
    a.handle.publish(Bytes::from_static(b"alone")).unwrap();
    let max = a.handle.limits().max_gossip_bytes;
    for length in [0, max + 1] {
        let refused = a.handle.publish(Bytes::from(vec![0; length]));
        assert_eq!(refused, Err(PublishError::Length { length, max }));
    }
}

#[tokio::test]
async fn a_message_of_the_largest_size_arrives() {
    let mut a = Node::start(full_node(11)).await;
    let b = Node::dialling(full_node(12), &[&a]).await;
    let message = Bytes::from(vec![3; a.handle.limits().max_gossip_bytes]);
    let (handle, sent) = (b.handle.clone(), message.clone());
    let publishing = tokio::spawn(async move {
        loop {
            handle.publish(sent.clone()).unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert_eq!(gossip_at(&mut a).await.2, message);
    publishing.abort();
}
