//! Requests and responses.

mod harness;

use std::time::Duration;

use bytes::Bytes;
use harness::{Node, Transport, id, pair};
use neura_p2p::{Event, EventKind, Limits, ReplyError, ReplyHandle, RequestError};

fn limits() -> Limits {
    Limits { max_response_bytes: 1 << 20, ..Limits::default() }
}

async fn request_at(node: &mut Node) -> (Bytes, ReplyHandle) {
    node.wait_for(|event| match event {
        Event::Request { bytes, reply, .. } => Some((bytes, reply)),
        _ => None,
    })
    .await
}

async fn ask_and_answer(transport: Transport) {
    let (a, mut b) = pair(transport, [limits(), limits()]).await;
    for length in [0, 1, 1000, 1 << 20] {
        let answer = Bytes::from(vec![5; length]);
        let (asked, ()) = tokio::join!(a.handle.request(b.id(), Bytes::from_static(b"?")), async {
            let (request, reply) = request_at(&mut b).await;
            assert_eq!(request, "?");
            reply.send(answer.clone()).unwrap();
        });
        assert_eq!(asked, Ok(answer));
    }
}

#[tokio::test]
async fn a_request_gets_its_answer_over_tcp() {
    ask_and_answer(Transport::Tcp).await;
}

#[tokio::test]
async fn a_request_gets_its_answer_over_quic() {
    ask_and_answer(Transport::Quic).await;
}

#[tokio::test]
async fn requests_of_a_wrong_length_and_to_strangers_are_refused_at_once() {
    let (a, b) = pair(Transport::Tcp, [limits(), limits()]).await;
    let max = a.handle.limits().max_request_bytes;
    for length in [0, max + 1] {
        let refused = a.handle.request(b.id(), Bytes::from(vec![0; length])).await;
        assert_eq!(refused, Err(RequestError::Length { length, max }));
    }
    let refused = a.handle.request(id(9), Bytes::from_static(b"?")).await;
    assert_eq!(refused, Err(RequestError::NotConnected { peer: id(9) }));
}

#[tokio::test]
async fn an_unanswered_request_times_out() {
    let short = Limits { request_timeout: Duration::from_millis(300), ..limits() };
    let (a, mut b) = pair(Transport::Tcp, [short, limits()]).await;
    let asked = a.handle.request(b.id(), Bytes::from_static(b"?"));
    let (asked, (_, reply)) = tokio::join!(asked, request_at(&mut b));
    assert_eq!(asked, Err(RequestError::Timeout));
    drop(reply);
}

#[tokio::test]
async fn a_dropped_reply_refuses() {
    let (a, mut b) = pair(Transport::Tcp, [limits(), limits()]).await;
    let asked = a.handle.request(b.id(), Bytes::from_static(b"?"));
    let (asked, ()) = tokio::join!(asked, async { drop(request_at(&mut b).await) });
    assert_eq!(asked, Err(RequestError::Refused));
}

#[tokio::test]
async fn a_reply_above_ones_own_limit_is_refused_before_it_is_sent() {
    let (a, mut b) = pair(Transport::Tcp, [limits(), limits()]).await;
    let asked = a.handle.request(b.id(), Bytes::from_static(b"?"));
    let (asked, ()) = tokio::join!(asked, async {
        let (length, max) = ((1 << 20) + 1, 1 << 20);
        let sent = request_at(&mut b).await.1.send(Bytes::from(vec![0; length]));
        assert_eq!(sent, Err(ReplyError::Length { length, max }));
    });
    assert_eq!(asked, Err(RequestError::Refused));
}

#[tokio::test]
async fn a_response_above_the_askers_limit_bans_its_sender() {
    let (mut a, mut b) = pair(Transport::Tcp, [limits(), Limits::default()]).await;
    let asked = a.handle.request(b.id(), Bytes::from_static(b"?"));
    let (asked, ()) = tokio::join!(asked, async {
        request_at(&mut b).await.1.send(Bytes::from(vec![0; 2 << 20])).unwrap();
    });
    assert_eq!(asked, Err(RequestError::BadAnswer));
    a.banned(b.id()).await;
}

#[tokio::test]
async fn a_request_above_the_servers_limit_bans_its_sender() {
    let strict = Limits { max_request_bytes: 100, ..limits() };
    let (mut a, b) = pair(Transport::Tcp, [strict, limits()]).await;
    let asked = b.handle.request(a.id(), Bytes::from(vec![0; 1000])).await;
    assert!(asked.is_err());
    a.banned(b.id()).await;
}

#[tokio::test]
async fn a_peer_is_served_so_many_requests_at_once_and_so_many_in_a_row() {
    let few = Limits {
        max_inbound_requests_per_peer: 2,
        serve_tokens_per_second: 0,
        serve_tokens_burst: 4,
        ..limits()
    };
    let (mut a, b) = pair(Transport::Tcp, [few, limits()]).await;
    let mut requests = a.events.split_off(&[EventKind::Request]);
    let ask = || {
        let (handle, peer) = (b.handle.clone(), a.id());
        tokio::spawn(async move { handle.request(peer, Bytes::from_static(b"?")).await })
    };
    let mut next = async || match harness::within(requests.next()).await {
        Some(Event::Request { reply, .. }) => reply,
        other => panic!("{other:?}"),
    };
    // Two are served; a third is one too many while they last.
    let first = [ask(), ask()];
    let replies = [next().await, next().await];
    assert_eq!(ask().await.unwrap(), Err(RequestError::Busy));
    for reply in replies {
        reply.send(Bytes::new()).unwrap();
    }
    for asked in first {
        assert_eq!(asked.await.unwrap(), Ok(Bytes::new()));
    }
    // Two more use up the allowance.
    for _ in 0..2 {
        let asked = ask();
        next().await.send(Bytes::new()).unwrap();
        assert_eq!(asked.await.unwrap(), Ok(Bytes::new()));
    }
    assert_eq!(ask().await.unwrap(), Err(RequestError::Busy));
}

#[tokio::test]
async fn a_few_peers_that_wait_for_long_answers_do_not_keep_out_another() {
    let few = Limits { max_inbound_requests: 8, max_inbound_requests_per_peer: 4, ..limits() };
    let (mut a, b) = pair(Transport::Tcp, [few, limits()]).await;
    let mut requests = a.events.split_off(&[EventKind::Request]);
    let c = Node::dialling(harness::config(3), &[&a]).await;
    a.connected(c.id()).await;
    let ask = |node: &Node| {
        let (handle, peer) = (node.handle.clone(), a.id());
        tokio::spawn(async move { handle.request(peer, Bytes::from_static(b"?")).await })
    };
    let mut held = Vec::new();
    let waiting: Vec<_> = (0..4).map(|_| ask(&b)).collect();
    for _ in 0..4 {
        held.push(harness::within(requests.next()).await);
    }
    assert_eq!(ask(&b).await.unwrap(), Err(RequestError::Busy));
    // Half of the places are taken: the next peer gets one, and no second.
    let asked = ask(&c);
    let Some(Event::Request { from, reply, .. }) = harness::within(requests.next()).await else {
        panic!("a request was expected");
    };
    assert_eq!(from, c.id());
    assert_eq!(ask(&c).await.unwrap(), Err(RequestError::Busy));
    reply.send(Bytes::from_static(b"!")).unwrap();
    assert_eq!(asked.await.unwrap(), Ok(Bytes::from_static(b"!")));
    drop(held);
    for asked in waiting {
        assert_eq!(asked.await.unwrap(), Err(RequestError::Refused));
    }
}

#[tokio::test]
async fn answers_beyond_what_may_be_on_its_way_are_put_off() {
    let tight = Limits { max_response_bytes: 1 << 20, max_answer_bytes: 1 << 20, ..limits() };
    let (mut a, b) = pair(Transport::Tcp, [tight, limits()]).await;
    let mut requests = a.events.split_off(&[EventKind::Request]);
    let serving = tokio::spawn(async move {
        let mut replies = Vec::new();
        while let Some(Event::Request { reply, .. }) = requests.next().await {
            replies.push(reply);
            // Two at once, of which one fits.
            if replies.len() == 2 {
                for reply in replies.drain(..) {
                    reply.send(Bytes::from(vec![1; 700_000])).unwrap();
                }
            }
        }
    });
    let ask = || b.handle.request(a.id(), Bytes::from_static(b"?"));
    for _ in 0..3 {
        let (one, other) = tokio::join!(ask(), ask());
        let answers = [one, other];
        assert_eq!(answers.iter().filter(|a| a.is_ok()).count(), 1, "{:?}", answers[0].is_ok());
        assert_eq!(answers.iter().filter(|a| **a == Err(RequestError::Busy)).count(), 1);
        harness::eventually(|| (a.handle.usage().answer_bytes == 0).then_some(())).await;
    }
    serving.abort();
}
