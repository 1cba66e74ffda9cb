//! Nodes on 127.0.0.1 for the tests, all in one process.

// Each test binary uses its own part of this module.
#![allow(dead_code)]

pub(crate) mod protobuf;
pub(crate) mod raw;

use std::{collections::BTreeSet, future::Future, time::Duration};

use bytes::Bytes;
use neura_p2p::{
    Class, Discovery, Event, Events, Limits, Multiaddr, Network, NetworkConfig, NetworkHandle,
    PeerId, peer_id_from_seed,
};

/// Chain id and genesis hash.
pub(crate) const TAG: &str = "7/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A guard against hanging, not a measurement.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Transport {
    Tcp,
    Quic,
}

impl Transport {
    pub(crate) fn address(self) -> Multiaddr {
        let address = match self {
            Self::Tcp => "/ip4/127.0.0.1/tcp/0",
            Self::Quic => "/ip4/127.0.0.1/udp/0/quic-v1",
        };
        address.parse().unwrap()
    }
}

pub(crate) fn seed(number: u8) -> [u8; 32] {
    [number; 32]
}

pub(crate) fn id(number: u8) -> PeerId {
    peer_id_from_seed(&seed(number)).unwrap()
}

pub(crate) fn validators(numbers: &[u8]) -> BTreeSet<PeerId> {
    numbers.iter().map(|number| id(*number)).collect()
}

/// A node over TCP, with nodes 1 to 9 as validators and no peers, that looks for none.
pub(crate) fn config(number: u8) -> NetworkConfig {
    let mut config = NetworkConfig::new(seed(number), TAG);
    config.listen = vec![Transport::Tcp.address()];
    config.validators = validators(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    config.discovery.enabled = false;
    config
}

/// A node over TCP that is no validator.
pub(crate) fn full_node(number: u8) -> NetworkConfig {
    NetworkConfig { validators: BTreeSet::new(), ..config(number) }
}

/// A full node that finds others.
pub(crate) fn explorer(number: u8) -> NetworkConfig {
    let discovery = Discovery { enabled: true, ..Discovery::default() };
    NetworkConfig { discovery, ..full_node(number) }
}

pub(crate) struct Node {
    pub(crate) handle: NetworkHandle,
    pub(crate) events: Events,
}

impl Node {
    pub(crate) async fn start(config: NetworkConfig) -> Self {
        let Network { handle, events } = Network::start(config).await.unwrap();
        Self { handle, events }
    }

    /// A node that dials the others.
    pub(crate) async fn dialling(mut config: NetworkConfig, others: &[&Self]) -> Self {
        config.bootstrap = others.iter().map(|other| (other.id(), other.address())).collect();
        Self::start(config).await
    }

    pub(crate) fn id(&self) -> PeerId {
        self.handle.local_peer_id()
    }

    pub(crate) fn address(&self) -> Multiaddr {
        self.handle.listen_addrs()[0].clone()
    }

    /// The first event of which `pick` makes something.
    pub(crate) async fn wait_for<T>(&mut self, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        within(async {
            loop {
                let event = self.events.next().await.expect("the network has ended");
                if let Some(picked) = pick(event) {
                    return picked;
                }
            }
        })
        .await
    }

    pub(crate) async fn connected(&mut self, peer: PeerId) {
        self.wait_for(|event| matches!(event, Event::Connected(p) if p == peer).then_some(()))
            .await;
    }

    pub(crate) async fn disconnected(&mut self, peer: PeerId) {
        self.wait_for(|event| matches!(event, Event::Disconnected(p) if p == peer).then_some(()))
            .await;
    }

    pub(crate) async fn banned(&mut self, peer: PeerId) {
        self.wait_for(|event| {
            matches!(event, Event::Banned { peer: p, .. } if p == peer).then_some(())
        })
        .await;
    }

    /// Waits until exactly these peers are connected.
    pub(crate) async fn peers_are(&self, peers: &[PeerId]) {
        let mut wanted = peers.to_vec();
        wanted.sort();
        eventually(|| (self.handle.peers() == wanted).then_some(())).await;
    }

    /// The next direct frame of a class from a peer.
    pub(crate) async fn frame(&mut self, peer: PeerId, wanted: Class) -> Bytes {
        self.wait_for(|event| match event {
            Event::Message { from, class, bytes } if from == peer && class == wanted => Some(bytes),
            _ => None,
        })
        .await
    }
}

/// A pair of validators, the second of which has dialled the first; both are connected.
pub(crate) async fn pair(transport: Transport, limits: [Limits; 2]) -> (Node, Node) {
    let [first, second] = limits;
    let mut a = Node::start(with(1, transport, first)).await;
    let mut b = Node::dialling(with(2, transport, second), &[&a]).await;
    a.connected(b.id()).await;
    b.connected(a.id()).await;
    (a, b)
}

pub(crate) fn with(number: u8, transport: Transport, limits: Limits) -> NetworkConfig {
    NetworkConfig { listen: vec![transport.address()], limits, ..config(number) }
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing happened for a long time")
}

/// Repeats `attempt` until it gives something: for what no event announces.
pub(crate) async fn eventually<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    within(async {
        loop {
            if let Some(result) = attempt() {
                return result;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

/// A frame that tells its number.
pub(crate) fn numbered(number: u32, length: usize) -> Bytes {
    let mut bytes = vec![0; length.max(4)];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    bytes.into()
}

pub(crate) fn number_of(bytes: &Bytes) -> u32 {
    u32::from_le_bytes(bytes[..4].try_into().unwrap())
}
