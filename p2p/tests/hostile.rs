//! Peers that speak libp2p but not our rules.

mod harness;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use harness::{Node, TAG, config, id, seed, within};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, Swarm, SwarmBuilder, identity::Keypair, noise,
    swarm::SwarmEvent, tcp, yamux,
};
use neura_p2p::{Class, Event, NetworkConfig};

/// A bare libp2p peer with one of the test identities.
struct Raw {
    control: libp2p_stream::Control,
    /// It knows the protocols, or the node would take it for a peer of another chain.
    _accepted: Vec<libp2p_stream::IncomingStreams>,
}

fn name(class: Class) -> StreamProtocol {
    StreamProtocol::try_from_owned(format!("/neura/{TAG}/{}/1", class.name())).unwrap()
}

impl Raw {
    async fn connect(number: u8, address: Multiaddr) -> Self {
        let keypair = Keypair::ed25519_from_bytes(seed(number)).unwrap();
        let mut swarm: Swarm<libp2p_stream::Behaviour> =
            SwarmBuilder::with_existing_identity(keypair)
                .with_tokio()
                .with_tcp(tcp::Config::new(), noise::Config::new, yamux::Config::default)
                .unwrap()
                .with_behaviour(|_| libp2p_stream::Behaviour::new())
                .unwrap()
                .build();
        let mut control = swarm.behaviour().new_control();
        let accepted = Class::ALL.map(|class| control.accept(name(class)).unwrap()).into();
        swarm.dial(address).unwrap();
        within(async {
            while !matches!(
                swarm.select_next_some().await,
                SwarmEvent::ConnectionEstablished { .. }
            ) {}
        })
        .await;
        tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        Self { control, _accepted: accepted }
    }

    async fn open(&mut self, peer: PeerId, class: Class) -> Stream {
        within(self.control.open_stream(peer, name(class))).await.unwrap()
    }
}

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
