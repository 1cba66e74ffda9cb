//! Connections coming, going and coming back.

mod harness;

use std::time::Duration;

use bytes::Bytes;
use harness::{Node, Transport, config, eventually, id, pair, with};
use neura_p2p::{Class, Event, Limits, Network, NetworkConfig, StartError};

async fn restart(transport: Transport) {
    let (a, mut b) = pair(transport, [Limits::default(), Limits::default()]).await;
    let address = a.address();
    a.handle.shutdown().await;
    b.disconnected(id(1)).await;

    let again = NetworkConfig { listen: vec![address], ..with(1, transport, Limits::default()) };
    let mut a = Node::start(again).await;
    a.connected(b.id()).await;
    b.connected(a.id()).await;
    a.handle.send(b.id(), Class::Consensus, Bytes::from_static(b"back")).unwrap();
    b.handle.send(a.id(), Class::Consensus, Bytes::from_static(b"welcome")).unwrap();
    assert_eq!(b.frame(a.id(), Class::Consensus).await, "back");
    assert_eq!(a.frame(b.id(), Class::Consensus).await, "welcome");
}

#[tokio::test]
async fn a_peer_restarted_on_the_same_port_is_reached_again_over_tcp() {
    restart(Transport::Tcp).await;
}

#[tokio::test]
async fn a_peer_restarted_on_the_same_port_is_reached_again_over_quic() {
    restart(Transport::Quic).await;
}

/// A pair of which the first has died without a goodbye, as a process does, and what it needs to
/// come back. The process is a runtime of its own here, dropped with all its tasks.
async fn crashed(transport: Transport) -> (NetworkConfig, Node) {
    let process =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut config = with(1, transport, Limits::default());
    let mut a = process.spawn(Node::start(config.clone())).await.unwrap();
    let mut b = Node::dialling(with(2, transport, Limits::default()), &[&a]).await;
    a.connected(b.id()).await;
    b.connected(a.id()).await;
    config.listen = vec![a.address()];
    process.shutdown_background();
    (config, b)
}

async fn talk(a: &mut Node, b: &mut Node) {
    b.handle.send(a.id(), Class::Consensus, Bytes::from_static(b"to a")).unwrap();
    assert_eq!(a.frame(b.id(), Class::Consensus).await, "to a");
    a.handle.send(b.id(), Class::Consensus, Bytes::from_static(b"to b")).unwrap();
    assert_eq!(b.frame(a.id(), Class::Consensus).await, "to b");
}

async fn crash_and_be_dialled(transport: Transport) {
    let (config, mut b) = crashed(transport).await;
    let mut a = Node::start(config).await;
    b.disconnected(a.id()).await;
    b.connected(a.id()).await;
    a.connected(b.id()).await;
    talk(&mut a, &mut b).await;
}

async fn crash_and_dial(transport: Transport) {
    let (config, mut b) = crashed(transport).await;
    // The other may not have noticed yet: the new connection counts, not the dead one.
    let mut a = Node::dialling(config, &[&b]).await;
    a.connected(b.id()).await;
    talk(&mut a, &mut b).await;
}

#[tokio::test]
async fn a_peer_that_crashed_is_dialled_again_over_tcp() {
    crash_and_be_dialled(Transport::Tcp).await;
}

#[tokio::test]
async fn a_peer_that_crashed_is_dialled_again_over_quic() {
    crash_and_be_dialled(Transport::Quic).await;
}

#[tokio::test]
async fn a_peer_that_crashed_and_dials_is_heard_at_once_over_tcp() {
    crash_and_dial(Transport::Tcp).await;
}

#[tokio::test]
async fn a_peer_that_crashed_and_dials_is_heard_at_once_over_quic() {
    crash_and_dial(Transport::Quic).await;
}

#[tokio::test]
async fn two_nodes_that_dial_each_other_at_once_talk() {
    let mut configs = [config(1), config(2)];
    // Ports must be known before both start.
    let listeners = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = listeners
        .each_ref()
        .map(|l| format!("/ip4/127.0.0.1/tcp/{}", l.local_addr().unwrap().port()).parse().unwrap());
    drop(listeners);
    let [first, second]: [neura_p2p::Multiaddr; 2] = addresses;
    for config in &mut configs {
        config.bootstrap = vec![(id(1), first.clone()), (id(2), second.clone())];
    }
    let [mut one, mut two] = configs;
    (one.listen, two.listen) = (vec![first], vec![second]);
    let (mut a, mut b) = tokio::join!(Node::start(one), Node::start(two));
    a.connected(b.id()).await;
    b.connected(a.id()).await;
    for number in 0..200 {
        let frame = harness::numbered(number, 1000);
        a.handle.send(b.id(), Class::Consensus, frame.clone()).unwrap();
        b.handle.send(a.id(), Class::Consensus, frame.clone()).unwrap();
        assert_eq!(b.frame(a.id(), Class::Consensus).await, frame);
        assert_eq!(a.frame(b.id(), Class::Consensus).await, frame);
    }
}

#[tokio::test]
async fn peers_of_another_chain_do_not_talk() {
    let mut a = Node::start(config(1)).await;
    let foreign = NetworkConfig { protocol_tag: harness::TAG.replacen('7', "8", 1), ..config(2) };
    let b = Node::dialling(foreign, &[&a]).await;
    // They meet, part, and meet again; none of it is told.
    let mut c = Node::dialling(config(3), &[&a]).await;
    c.connected(a.id()).await;
    let first = a
        .wait_for(|event| match event {
            Event::Connected(peer) => Some(peer),
            other => panic!("{other:?}"),
        })
        .await;
    assert_eq!(first, c.id());
    assert_eq!(a.handle.peers(), [c.id()]);
    assert!(b.handle.peers().is_empty());
    assert!(b.handle.request(a.id(), Bytes::from_static(b"?")).await.is_err());
}

#[tokio::test]
async fn a_ban_by_the_application_ends_with_its_time() {
    let (mut a, mut b) = pair(Transport::Tcp, [Limits::default(), Limits::default()]).await;
    a.handle.ban(b.id(), Duration::from_millis(300)).await;
    a.banned(b.id()).await;
    b.disconnected(a.id()).await;
    b.connected(a.id()).await;
    a.connected(b.id()).await;
}

#[tokio::test]
async fn a_second_address_serves_when_the_first_is_dead() {
    let a = Node::start(config(1)).await;
    let mut second = config(2);
    let dead = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
    second.bootstrap = vec![(a.id(), dead), (a.id(), a.address())];
    let mut b = Node::start(second).await;
    b.connected(a.id()).await;
}

#[tokio::test]
async fn a_node_listens_on_both_transports_and_is_reached_on_either() {
    let mut both = config(1);
    both.listen = vec![Transport::Tcp.address(), Transport::Quic.address()];
    let mut a = Node::start(both).await;
    let addresses = a.handle.listen_addrs();
    assert_eq!(addresses.len(), 2);
    for (number, address) in [2, 3].into_iter().zip(addresses) {
        let mut config = config(number);
        config.bootstrap = vec![(a.id(), address)];
        let mut node = Node::start(config).await;
        node.connected(a.id()).await;
        a.connected(node.id()).await;
        a.handle.send(node.id(), Class::Batch, Bytes::from_static(b"hi")).unwrap();
        assert_eq!(node.frame(a.id(), Class::Batch).await, "hi");
    }
}

#[tokio::test]
async fn a_port_in_use_and_a_bad_tag_are_said_at_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut busy = config(1);
    busy.listen = vec![format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()];
    let refused = Network::start(busy).await.err().unwrap();
    assert!(matches!(refused, StartError::Listen { .. }));
    assert!(refused.to_string().contains(&format!("port {port} is in use")), "{refused}");
    for tag in ["", "a b", "ü", &"x".repeat(200)] {
        let config = NetworkConfig { protocol_tag: tag.to_owned(), ..config(1) };
        assert!(matches!(Network::start(config).await, Err(StartError::Tag { .. })), "{tag:?}");
    }
}

/// Both listened on it, and each got some of the connections.
#[tokio::test]
async fn two_nodes_do_not_share_a_port() {
    for transport in [Transport::Tcp, Transport::Quic] {
        let mut config_of_first = config(1);
        config_of_first.listen = vec![transport.address()];
        let first = Node::start(config_of_first).await;
        let mut second = config(2);
        second.listen = vec![first.address()];
        let refused = Network::start(second).await.err().unwrap();
        assert!(matches!(refused, StartError::Listen { .. }), "{refused}");
        first.handle.shutdown().await;
        let mut third = config(3);
        third.listen = vec![first.address()];
        Node::start(third).await;
    }
}

#[tokio::test]
async fn events_end_when_the_network_is_shut_down() {
    let (mut a, b) = pair(Transport::Tcp, [Limits::default(), Limits::default()]).await;
    a.handle.shutdown().await;
    harness::within(async { while a.events.next().await.is_some() {} }).await;
    assert!(a.handle.send(b.id(), Class::Batch, Bytes::from_static(b"x")).is_err());
    eventually(|| b.handle.peers().is_empty().then_some(())).await;
}
