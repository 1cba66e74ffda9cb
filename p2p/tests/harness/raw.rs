//! A peer that speaks libp2p and keeps none of our rules.

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, Swarm, SwarmBuilder, identity::Keypair, noise,
    swarm::SwarmEvent, tcp, yamux,
};
use libp2p_stream::{IncomingStreams, OpenStreamError};
use neura_p2p::{Class, PROTOCOL_VERSION};

use super::{TAG, seed, within};

/// The parts of the network that have a protocol.
pub(crate) const PARTS: [&str; 6] = ["consensus", "proposal", "batch", "gossip", "request", "kad"];

/// The name of a protocol.
pub(crate) fn name(tag: &str, part: &str, version: u16) -> StreamProtocol {
    StreamProtocol::try_from_owned(format!("/neura/{tag}/{part}/{version}")).unwrap()
}

/// A bare libp2p peer with one of the test identities.
pub(crate) struct Raw {
    control: libp2p_stream::Control,
    /// Streams that the node opens. It knows the protocols, or the node would take it for a peer
    /// of another chain.
    pub(crate) accepted: Vec<IncomingStreams>,
    task: tokio::task::JoinHandle<()>,
}

impl Raw {
    pub(crate) async fn connect(number: u8, address: Multiaddr) -> Self {
        within(Self::try_connect(number, address)).await.expect("the node refuses the connection")
    }

    /// `None` if the node closes the connection at once.
    pub(crate) async fn try_connect(number: u8, address: Multiaddr) -> Option<Self> {
        Self::start(Keypair::ed25519_from_bytes(seed(number)).unwrap(), address).await
    }

    /// A peer with an identity of no number.
    pub(crate) async fn anonymous(address: Multiaddr) -> Option<Self> {
        Self::start(Keypair::generate_ed25519(), address).await
    }

    async fn start(keypair: Keypair, address: Multiaddr) -> Option<Self> {
        let mut swarm: Swarm<libp2p_stream::Behaviour> =
            SwarmBuilder::with_existing_identity(keypair)
                .with_tokio()
                .with_tcp(tcp::Config::new(), noise::Config::new, yamux::Config::default)
                .unwrap()
                .with_behaviour(|_| libp2p_stream::Behaviour::new())
                .unwrap()
                .with_swarm_config(|config| {
                    config.with_idle_connection_timeout(std::time::Duration::from_secs(60))
                })
                .build();
        let mut control = swarm.behaviour().new_control();
        let accepted = PARTS
            .iter()
            .map(|part| control.accept(name(TAG, part, PROTOCOL_VERSION)).unwrap())
            .collect();
        swarm.dial(address).unwrap();
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => break,
                SwarmEvent::OutgoingConnectionError { .. } => return None,
                _ => {}
            }
        }
        let task = tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        Some(Self { control, accepted, task })
    }

    /// Opens a stream of a direct class.
    pub(crate) async fn open(&mut self, peer: PeerId, class: Class) -> Stream {
        self.open_part(peer, class.name()).await
    }

    /// Opens a stream of a part of the network.
    pub(crate) async fn open_part(&mut self, peer: PeerId, part: &str) -> Stream {
        self.try_open(peer, name(TAG, part, PROTOCOL_VERSION)).await.unwrap()
    }

    pub(crate) async fn try_open(
        &mut self,
        peer: PeerId,
        name: StreamProtocol,
    ) -> Result<Stream, OpenStreamError> {
        within(self.control.open_stream(peer, name)).await
    }

    /// The next stream of a part that the node opens.
    pub(crate) async fn incoming(&mut self, part: &str) -> Stream {
        let position = PARTS.iter().position(|p| *p == part).unwrap();
        within(self.accepted[position].next()).await.unwrap().1
    }
}

impl Drop for Raw {
    /// Its connections break off.
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Writes, as far as the node takes it.
pub(crate) async fn pour(stream: &mut Stream, bytes: &[u8]) -> bool {
    within(async { stream.write_all(bytes).await.is_ok() && stream.flush().await.is_ok() }).await
}

/// Whether the node has closed the stream.
pub(crate) async fn is_closed(stream: &mut Stream) -> bool {
    matches!(within(stream.read(&mut [0; 1])).await, Ok(0) | Err(_))
}
