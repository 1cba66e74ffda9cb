//! Builds the libp2p swarm.

use std::{collections::HashSet, time::Duration};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, connection_limits,
    connection_limits::ConnectionLimits,
    identify,
    identity::Keypair,
    multiaddr::Protocol,
    noise, ping,
    swarm::{self, NetworkBehaviour},
    tcp, yamux,
};

use crate::{Class, Limits, NetworkConfig, StartError, direct, gate::Gate, gossip, requests};

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
/// Streams in a connection: 6 direct, gossip, requests both ways, and room.
const MAX_STREAMS: u32 = 160;
/// Inbound streams whose protocol is not yet known.
const MAX_NEGOTIATING_STREAMS: usize = 32;

/// All behaviours of a node.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) gate: Gate,
    pub(crate) limits: connection_limits::Behaviour,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) direct: direct::Behaviour,
    pub(crate) gossip: gossip::Behaviour,
    pub(crate) requests: requests::Behaviour,
}

/// What a peer of this chain says of itself.
pub(crate) fn protocol_version(tag: &str) -> String {
    format!("/neura/{tag}/1")
}

fn protocol_name(tag: &str, part: &str) -> Result<StreamProtocol, StartError> {
    StreamProtocol::try_from_owned(format!("/neura/{tag}/{part}/1"))
        .map_err(|e| StartError::Stack { part: "protocol names", reason: e.to_string() })
}

/// Builds the swarm of a validated configuration; `kept` are the peers that no limit keeps out.
pub(crate) fn build(
    config: &NetworkConfig,
    keypair: &Keypair,
    kept: &HashSet<PeerId>,
) -> Result<Swarm<Behaviour>, StartError> {
    let behaviour = behaviour(config, keypair, kept)?;
    let refused = |reason: String| StartError::Stack { part: "transport", reason };
    let builder = SwarmBuilder::with_existing_identity(keypair.clone())
        .with_tokio()
        .with_tcp(tcp::Config::new().nodelay(true), noise::Config::new, yamux_config)
        .map_err(|e| refused(e.to_string()))?
        .with_quic_config(|mut quic| {
            quic.handshake_timeout = HANDSHAKE_TIMEOUT;
            quic.keep_alive_interval = QUIC_KEEP_ALIVE;
            quic.max_idle_timeout = QUIC_IDLE_TIMEOUT_MS;
            quic.max_concurrent_stream_limit = MAX_STREAMS;
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
    kept: &HashSet<PeerId>,
) -> Result<Behaviour, StartError> {
    let (tag, limits) = (&config.protocol_tag, &config.limits);
    let identify = identify::Config::new(protocol_version(tag), keypair.public())
        .with_agent_version(concat!("neura/", env!("CARGO_PKG_VERSION")).to_owned())
        .with_cache_size(0);
    let ping = ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT);
    let [consensus, proposal, batch] = Class::ALL.map(|class| protocol_name(tag, class.name()));
    let static_peers = config.bootstrap.iter().map(|(peer, _)| *peer).collect();
    Ok(Behaviour {
        gate: Gate::new(limits.max_connections_per_ip, limits.max_connections_per_peer),
        limits: connection_limits(limits, kept),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping),
        direct: direct::Behaviour::new([consensus?, proposal?, batch?], static_peers),
        gossip: gossip::behaviour(tag, limits)?,
        requests: requests::behaviour(protocol_name(tag, "request")?, limits),
    })
}

fn connection_limits(limits: &Limits, kept: &HashSet<PeerId>) -> connection_limits::Behaviour {
    let mut behaviour = connection_limits::Behaviour::new(
        ConnectionLimits::default()
            .with_max_pending_incoming(Some(limits.max_pending_inbound))
            .with_max_established_incoming(Some(limits.max_inbound_connections)),
    );
    kept.iter().for_each(|peer| behaviour.bypass_peer_id(peer));
    behaviour
}
