//! Finding peers that nobody configured.

mod harness;

use bytes::Bytes;
use harness::{Node, config, eventually, explorer, full_node, id, validators};
use neura_p2p::{Class, Discovery, Multiaddr, NetworkConfig, PeerId};

#[tokio::test]
async fn nodes_that_know_one_address_find_each_other() {
    let seed = Node::start(explorer(20)).await;
    let mut nodes = Vec::new();
    for number in 21..=25 {
        nodes.push(Node::dialling(explorer(number), &[&seed]).await);
    }
    let all: Vec<_> = (20..=25).map(id).collect();
    for node in nodes.iter().chain([&seed]) {
        let others: Vec<_> = all.iter().copied().filter(|peer| *peer != node.id()).collect();
        node.peers_are(&others).await;
    }
}

#[tokio::test]
async fn peers_are_found_over_ipv6_and_quic() {
    let listening = |number: u8, address: &str| NetworkConfig {
        listen: vec![address.parse().unwrap()],
        ..explorer(number)
    };
    let seed = Node::start(listening(20, "/ip6/::1/udp/0/quic-v1")).await;
    let a = Node::dialling(listening(21, "/ip6/::1/tcp/0"), &[&seed]).await;
    let b = Node::dialling(listening(22, "/ip6/::1/udp/0/quic-v1"), &[&seed]).await;
    a.peers_are(&[seed.id(), b.id()]).await;
    b.peers_are(&[seed.id(), a.id()]).await;
}

#[tokio::test]
async fn a_node_without_discovery_is_neither_found_nor_finds() {
    let seed = Node::start(explorer(20)).await;
    let quiet = Node::dialling(full_node(21), &[&seed]).await;
    quiet.peers_are(&[seed.id()]).await;
    let a = Node::dialling(explorer(22), &[&seed]).await;
    let b = Node::dialling(explorer(23), &[&seed]).await;
    a.peers_are(&[seed.id(), b.id()]).await;
    b.peers_are(&[seed.id(), a.id()]).await;
    assert_eq!(quiet.handle.peers(), [seed.id()]);
    assert_eq!(quiet.handle.usage().routing_table, 0);
}

#[tokio::test]
async fn a_node_that_is_not_announced_finds_others_and_nobody_learns_its_address() {
    let seed = Node::start(explorer(20)).await;
    let hidden = Node::dialling(NetworkConfig { announce: false, ..explorer(21) }, &[&seed]).await;
    let other = Node::dialling(explorer(22), &[&seed]).await;
    // It dials the others; none of them has an address for it.
    hidden.peers_are(&[seed.id(), other.id()]).await;
    for node in [&seed, &other] {
        eventually(|| (node.handle.usage().routing_table == 1).then_some(())).await;
        assert_eq!(node.handle.usage().known_peers, 1, "only the announced one");
    }
}

#[tokio::test]
async fn a_hidden_validator_is_connected_with_its_reserved_peers_only() {
    let mut sentry = NetworkConfig { reserved: [id(1)].into(), ..explorer(20) };
    sentry.limits.max_inbound_connections = 2;
    let sentry = Node::start(sentry).await;
    let crowd = [
        Node::dialling(explorer(21), &[&sentry]).await,
        Node::dialling(explorer(22), &[&sentry]).await,
    ];
    sentry.peers_are(&[id(21), id(22)]).await;

    let hidden = NetworkConfig {
        announce: false,
        reserved_only: true,
        validators: validators(&[1]),
        ..explorer(1)
    };
    let validator = Node::dialling(hidden, &[&sentry]).await;
    validator.peers_are(&[sentry.id()]).await;
    sentry.peers_are(&[id(1), id(21), id(22)]).await;

    // Who learns its address all the same is not let in.
    let curious = Node::dialling(full_node(23), &[&validator]).await;
    eventually(|| (validator.handle.metrics().refused_connections() > 0).then_some(())).await;
    assert!(curious.handle.peers().is_empty());
    assert_eq!(validator.handle.peers(), [sentry.id()]);
    drop(crowd);
}

#[tokio::test]
async fn validators_that_know_only_one_full_node_come_to_talk_directly() {
    let seed = Node::start(explorer(20)).await;
    let set = validators(&[1, 2, 3]);
    let mut nodes = Vec::new();
    for number in 1..=3 {
        let config = NetworkConfig { validators: set.clone(), ..explorer(number) };
        nodes.push(Node::dialling(config, &[&seed]).await);
    }
    for node in &nodes {
        eventually(|| (node.handle.linked_validators().len() == 2).then_some(())).await;
    }
    let (first, others) = nodes.split_first_mut().unwrap();
    for other in others {
        first.handle.send(other.id(), Class::Proposal, Bytes::from_static(b"block")).unwrap();
        assert_eq!(other.frame(id(1), Class::Proposal).await, "block");
    }
}

#[tokio::test]
async fn a_newcomer_to_the_validators_is_sought_and_dialled_by_the_others() {
    // Nobody but the seed has an address of the newcomer, and no place for ordinary peers is left.
    let few = Discovery { enabled: true, outbound_peers: 0, private_addresses: None };
    let seed = Node::start(explorer(20)).await;
    let knows_seed =
        |number| NetworkConfig { validators: validators(&[1]), discovery: few, ..explorer(number) };
    let first = Node::dialling(knows_seed(1), &[&seed]).await;
    let newcomer = Node::dialling(knows_seed(2), &[&seed]).await;
    first.peers_are(&[seed.id()]).await;
    newcomer.peers_are(&[seed.id()]).await;
    for node in [&first, &newcomer] {
        node.handle.set_validators(validators(&[1, 2]));
    }
    for (node, other) in [(&first, id(2)), (&newcomer, id(1))] {
        eventually(|| (node.handle.linked_validators() == [other]).then_some(())).await;
    }
}

#[tokio::test]
async fn an_address_told_by_the_application_is_dialled_for_a_validator() {
    let mut a = Node::start(config(1)).await;
    let b = Node::start(config(2)).await;
    b.handle.add_address(a.id(), a.address()).await;
    a.connected(b.id()).await;
    b.peers_are(&[a.id()]).await;
}

#[tokio::test]
async fn a_configured_external_address_is_told_instead_of_guesses() {
    // A port is forwarded: others reach the node where it does not listen.
    let inner = Node::start(full_node(20)).await;
    let Some(port) = inner.address().to_string().rsplit('/').next().map(str::to_owned) else {
        panic!("an address ends with a port");
    };
    inner.handle.shutdown().await;
    let outside: Multiaddr = format!("/ip4/127.0.0.2/tcp/{port}").parse().unwrap();
    let listen: Multiaddr = format!("/ip4/0.0.0.0/tcp/{port}").parse().unwrap();
    let public = Discovery { private_addresses: Some(true), ..explorer(20).discovery };
    let forwarded = NetworkConfig {
        listen: vec![listen],
        external: vec![outside.clone()],
        discovery: public,
        ..explorer(20)
    };
    let forwarded = Node::start(forwarded).await;
    let near: Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
    let seeds = vec![(forwarded.id(), near)];
    let seed = Node::start(NetworkConfig { bootstrap: seeds, ..explorer(21) }).await;
    seed.peers_are(&[forwarded.id()]).await;
    let third = Node::dialling(explorer(22), &[&seed]).await;
    third.peers_are(&[forwarded.id(), seed.id()]).await;
}

#[tokio::test]
async fn addresses_in_ones_own_network_are_not_used_in_the_internet() {
    let public = |number| {
        let discovery = Discovery { private_addresses: Some(false), ..explorer(20).discovery };
        NetworkConfig { discovery, ..explorer(number) }
    };
    let seed = Node::start(public(20)).await;
    let a = Node::dialling(public(21), &[&seed]).await;
    let b = Node::dialling(public(22), &[&seed]).await;
    seed.peers_are(&[a.id(), b.id()]).await;
    // All are here on loopback addresses, which no one tells or dials.
    let c = Node::dialling(public(23), &[&seed, &a]).await;
    c.peers_are(&[seed.id(), a.id()]).await;
    assert_eq!(b.handle.peers(), [seed.id()]);
    for node in [&seed, &a, &b, &c] {
        let usage = node.handle.usage();
        assert_eq!((usage.known_peers, usage.routing_table), (0, 0));
    }
}

#[tokio::test]
async fn no_more_outbound_connections_are_kept_than_asked_for() {
    let seed = Node::start(explorer(20)).await;
    let mut crowd = Vec::new();
    for number in 21..=26 {
        crowd.push(Node::dialling(explorer(number), &[&seed]).await);
    }
    let few = Discovery { outbound_peers: 2, ..explorer(20).discovery };
    let node =
        Node::dialling(NetworkConfig { discovery: few, announce: false, ..explorer(30) }, &[&seed])
            .await;
    eventually(|| (node.handle.usage().outbound >= 2).then_some(())).await;
    // Lookups pass others by and let them go.
    eventually(|| (node.handle.usage().outbound == 2).then_some(())).await;
    let peers: Vec<PeerId> = node.handle.peers();
    assert!(peers.contains(&seed.id()));
    drop(crowd);
}

#[tokio::test]
async fn a_node_listens_on_both_families_and_both_transports() {
    let mut many = config(1);
    many.listen = ["/ip4/127.0.0.1", "/ip6/::1"]
        .iter()
        .flat_map(|ip| [format!("{ip}/tcp/0"), format!("{ip}/udp/0/quic-v1")])
        .map(|address| address.parse().unwrap())
        .collect();
    let mut a = Node::start(many).await;
    let addresses = a.handle.listen_addrs();
    assert_eq!(addresses.len(), 4);
    for (number, address) in (2..).zip(addresses) {
        let mut config = config(number);
        config.bootstrap = vec![(a.id(), address)];
        let mut node = Node::start(config).await;
        node.connected(a.id()).await;
        a.connected(node.id()).await;
        node.handle.send(a.id(), Class::Batch, Bytes::from_static(b"hi")).unwrap();
        assert_eq!(a.frame(node.id(), Class::Batch).await, "hi");
    }
}
