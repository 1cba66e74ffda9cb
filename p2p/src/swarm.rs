//! Builds the libp2p swarm.

use std::time::Duration;

use libp2p::{
    Multiaddr, StreamProtocol, Swarm, SwarmBuilder, identify,
    identity::Keypair,
    multiaddr::Protocol,
    noise, ping,
    swarm::{self, NetworkBehaviour},
    tcp, yamux,
};

use prometheus_client::metrics::counter::Counter;

use crate::{
    Class, NetworkConfig, StartError, config, direct, discovery, gate::Gate, gossip, requests,
};

/// A connection with nothing to do is closed after this: it was a passing full node. Validators
/// and static peers are kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// A handshake takes a few round trips.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a peer is asked whether it lives.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// A peer that is silent for so long is gone. Long, for machines that are overloaded for seconds.
const PING_TIMEOUT: Duration = Duration::from_secs(15);
/// QUIC sends something so often.
const QUIC_KEEP_ALIVE: Duration = Duration::from_secs(1);
/// QUIC's own limit of silence, in milliseconds. Short, because a peer that crashed does not close
/// its connections (over TCP the system does that), and a connection given up wrongly costs little.
const QUIC_IDLE_TIMEOUT_MS: u32 = 4_000;
/// Bytes that a peer may have sent and this node not yet read: of a stream, enough for 40 MB/s over
/// 100 ms, and of a connection. TCP streams begin with 256 KiB and grow while they are read.
const QUIC_STREAM_WINDOW: u32 = 4 * 1024 * 1024;
const QUIC_CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;
/// Streams in a connection: 6 direct, gossip, requests both ways, and room.
const MAX_STREAMS: u32 = 160;
/// Inbound streams whose protocol is not yet known.
const MAX_NEGOTIATING_STREAMS: usize = 32;

/// All behaviours of a node.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) gate: Gate,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) discovery: discovery::Behaviour,
    pub(crate) direct: direct::Behaviour,
    pub(crate) gossip: gossip::Behaviour,
    pub(crate) requests: requests::Behaviour,
}

/// What a peer of this chain says of itself.
pub(crate) fn protocol_version(tag: &str) -> String {
    config::protocol_name(tag, "node")
}

fn protocol_name(tag: &str, part: &str) -> Result<StreamProtocol, StartError> {
    StreamProtocol::try_from_owned(config::protocol_name(tag, part))
        .map_err(|e| StartError::Stack { part: "protocol names", reason: e.to_string() })
}

/// Builds the swarm of a validated configuration, which counts the connections that it refuses.
pub(crate) fn build(
    config: &NetworkConfig,
    keypair: &Keypair,
    refused: Counter,
) -> Result<Swarm<Behaviour>, StartError> {
    let behaviour = behaviour(config, keypair, refused)?;
    let failed = |reason: String| StartError::Stack { part: "transport", reason };
    let builder = SwarmBuilder::with_existing_identity(keypair.clone())
        .with_tokio()
        .with_tcp(tcp::Config::new().nodelay(true), noise::Config::new, yamux_config)
        .map_err(|e| failed(e.to_string()))?
        .with_quic_config(|mut quic| {
            quic.handshake_timeout = HANDSHAKE_TIMEOUT;
            quic.keep_alive_interval = QUIC_KEEP_ALIVE;
            quic.max_idle_timeout = QUIC_IDLE_TIMEOUT_MS;
            quic.max_concurrent_stream_limit = MAX_STREAMS;
            quic.max_stream_data = QUIC_STREAM_WINDOW;
            quic.max_connection_data = QUIC_CONNECTION_WINDOW;
            quic
        });
    // The resolver is only asked for, and only needed, where a peer is given by name.
    if config.bootstrap.iter().any(|(_, address)| has_name(address)) {
        let builder = builder.with_dns().map_err(StartError::Dns)?;
        let Ok(builder) = builder.with_behaviour(|_| behaviour);
        Ok(builder.with_swarm_config(swarm_config).build())
    } else {
        let Ok(builder) = builder.with_behaviour(|_| behaviour);
        Ok(builder.with_swarm_config(swarm_config).build())
    }
}

fn swarm_config(config: swarm::Config) -> swarm::Config {
    config
        .with_idle_connection_timeout(IDLE_TIMEOUT)
        .with_max_negotiating_inbound_streams(MAX_NEGOTIATING_STREAMS)
}

fn yamux_config() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(MAX_STREAMS as usize);
    config
}

fn has_name(address: &Multiaddr) -> bool {
    address.iter().any(|part| {
        matches!(
            part,
            Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_)
        )
    })
}

fn behaviour(
    config: &NetworkConfig,
    keypair: &Keypair,
    refused: Counter,
) -> Result<Behaviour, StartError> {
    let (tag, limits) = (&config.protocol_tag, &config.limits);
    // Only announced addresses are told, never those that the node happens to listen on.
    let identify = identify::Config::new(protocol_version(tag), keypair.public())
        .with_agent_version(concat!("neura/", env!("CARGO_PKG_VERSION")).to_owned())
        .with_hide_listen_addrs(true)
        .with_push_listen_addr_updates(true)
        .with_cache_size(0);
    let ping = ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT);
    let [consensus, proposal, batch] = Class::ALL.map(|class| protocol_name(tag, class.name()));
    let discovers = config.discovery.enabled && !config.reserved_only;
    let kad = discovers.then(|| protocol_name(tag, "kad")).transpose()?;
    Ok(Behaviour {
        gate: Gate::new(limits, config.reserved_only, refused),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping),
        discovery: discovery::Behaviour::new(keypair.public().to_peer_id(), kad),
        direct: direct::Behaviour::new([consensus?, proposal?, batch?]),
        gossip: gossip::behaviour(tag, protocol_name(tag, "gossip")?, limits)?,
        requests: requests::behaviour(protocol_name(tag, "request")?, limits),
    })
}
