//! Dialling, connections coming and going, identification, bans.

use std::time::{Duration, Instant};

use libp2p::{
    Multiaddr, PeerId,
    core::ConnectedPoint,
    identify,
    multiaddr::Protocol,
    ping,
    swarm::{
        ConnectionId, DialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use super::Driver;
use crate::{
    Event, Penalty, Violation,
    address::{host_of, ip_of},
    judge::Offender,
    peers::{Connection, Peer},
};

impl Driver {
    pub(super) fn dial(&mut self, now: Instant) {
        for (peer, address) in self.dialer.due(now) {
            if let Err(error) = self.swarm.dial(dial_opts(peer, address)) {
                tracing::debug!(%peer, %error, "did not dial");
                if self.swarm.is_connected(&peer) {
                    self.dialer.connected(peer);
                } else {
                    self.dialer.failed(peer, now);
                }
            }
        }
    }

    pub(super) fn on_dial_failure(&mut self, peer: Option<PeerId>, error: &DialError) {
        self.shared.metrics.dial_failures.inc();
        tracing::debug!(?peer, %error, "dial failed");
        let Some(peer) = peer else { return };
        // It is connected or being dialled already.
        if matches!(error, DialError::DialPeerConditionFalse(_)) {
            return;
        }
        self.scout.dialled(&peer);
        if self.swarm.is_connected(&peer) {
            return;
        }
        let now = Instant::now();
        self.dialer.failed(peer, now);
        match error {
            // Somebody else is there: the address was wrong, or a lie.
            DialError::WrongPeerId { .. } | DialError::LocalPeerId { .. } => {
                self.scout.book.forget(&peer);
            }
            // Our own limits are not the peer's fault.
            DialError::Denied { .. } => {}
            _ => self.scout.book.failed(&peer, now),
        }
    }

    pub(super) fn on_established(&mut self, peer: PeerId, id: ConnectionId, end: &ConnectedPoint) {
        let dialled = end.is_dialer();
        tracing::debug!(%peer, dialled, "connection established");
        let now = Instant::now();
        let dialled_by_smaller = dialled == (self.shared.local < peer);
        let ip = ip_of(end.get_remote_address());
        let connection = Connection { id, dialled_by_smaller, dialled, ip, since: now };
        self.peers.entry(peer).or_default().add(connection);
        self.shared.metrics.connections.inc();
        self.dialer.connected(peer);
        self.scout.dialled(&peer);
        self.update_link(peer, now);
    }

    pub(super) fn on_closed(&mut self, peer: PeerId, id: ConnectionId) {
        self.shared.metrics.connections.dec();
        let now = Instant::now();
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        if entry.remove(id) {
            self.update_link(peer, now);
            return;
        }
        self.drop_link(peer);
        // Its readers go on: they end by themselves after the frames that have arrived.
        let verified = self.peers.remove(&peer).is_some_and(|entry| entry.verified);
        self.dialer.disconnected(peer, now);
        if verified {
            self.shared.peers.write().remove(&peer);
            self.shared.metrics.peers.dec();
            self.events.push_peer(Event::Disconnected(peer));
        }
    }

    /// Brings peers back to one connection, after both sides dialled at once or one came back.
    pub(super) fn close_surplus(&mut self, now: Instant) {
        let several = |(peer, entry): (&PeerId, &Peer)| entry.has_several().then_some(*peer);
        let peers: Vec<_> = self.peers.iter().filter_map(several).collect();
        for peer in peers {
            self.update_link(peer, now);
            // One side closes, or both might close the other's choice.
            if self.shared.local < peer
                && let Some(entry) = self.peers.get(&peer)
            {
                for connection in entry.surplus(now) {
                    self.swarm.close_connection(connection);
                }
            }
        }
    }

    pub(super) fn on_identify(&mut self, event: identify::Event) {
        let identify::Event::Received { peer_id: peer, info, .. } = event else { return };
        if info.protocol_version != self.protocol_version {
            self.on_foreign(peer, &info.protocol_version);
            return;
        }
        if !self.identifications.take(peer, Instant::now()) {
            self.punish(peer, Violation::Flood { of: "identification" });
            return;
        }
        self.on_addresses(peer, &info);
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        if !entry.verified {
            entry.verified = true;
            self.dialer.proved(peer);
            self.shared.peers.write().insert(peer);
            self.shared.metrics.peers.inc();
            self.events.push_peer(Event::Connected(peer));
        }
    }

    /// The peer is of another chain.
    pub(super) fn on_foreign(&mut self, peer: PeerId, said: &str) {
        tracing::warn!(%peer, said, ours = %self.protocol_version, "peer of another chain");
        self.dialer.foreign(peer);
        self.scout.book.forget(&peer);
        self.swarm.behaviour_mut().discovery.forget(&peer);
        // Fails only if the peer has gone by itself.
        let _ = self.swarm.disconnect_peer_id(peer);
    }

    pub(super) fn on_ping(&mut self, event: &ping::Event) {
        match &event.result {
            Ok(_) | Err(ping::Failure::Unsupported) => {}
            Err(failure) => {
                tracing::debug!(peer = %event.peer, %failure, "peer does not answer");
                self.swarm.close_connection(event.connection);
            }
        }
    }

    /// Counts a breach of the protocol.
    pub(super) fn punish(&mut self, peer: PeerId, violation: Violation) {
        self.penalise(peer, violation.penalty(), violation);
    }

    /// Counts an offence, and bans the peer if it was one too many.
    pub(super) fn penalise(&mut self, peer: PeerId, penalty: Penalty, violation: Violation) {
        self.shared.metrics.penalties.inc();
        tracing::debug!(%peer, %violation, ?penalty, "offence");
        let now = Instant::now();
        let ip = self.peers.get(&peer).and_then(Peer::ip).filter(|ip| !ip.is_loopback());
        let reserved = self.swarm.behaviour().gate.is_reserved(&peer);
        let offender = Offender { peer, host: ip.map(host_of), reserved };
        let verdict = self.judge.judge(offender, penalty, now);
        if let (Some(host), Some(duration)) = (offender.host, verdict.host) {
            tracing::warn!(%host, ?duration, "host banned");
            self.swarm.behaviour_mut().gate.ban_host(host, now + duration);
        }
        if let Some(duration) = verdict.peer {
            self.ban(peer, violation, duration);
        }
    }

    pub(super) fn ban(&mut self, peer: PeerId, violation: Violation, duration: Duration) {
        let ip = self.peers.get(&peer).and_then(Peer::ip);
        tracing::warn!(%peer, ?ip, %violation, ?duration, "peer banned");
        let behaviour = self.swarm.behaviour_mut();
        behaviour.gate.ban(peer, Instant::now() + duration);
        behaviour.discovery.forget(&peer);
        self.scout.book.forget(&peer);
        self.shared.metrics.bans.inc();
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.stop_readers();
        }
        self.drop_link(peer);
        // Fails only if the peer has gone by itself.
        let _ = self.swarm.disconnect_peer_id(peer);
        self.events.push_peer(Event::Banned { peer, violation, duration });
    }
}

/// One address per dial, so that the addresses are tried in the order given.
fn dial_opts(peer: PeerId, address: Multiaddr) -> DialOpts {
    let over_tcp = address.iter().any(|part| matches!(part, Protocol::Tcp(_)));
    let opts = DialOpts::peer_id(peer)
        .condition(PeerCondition::DisconnectedAndNotDialing)
        .addresses(vec![address]);
    // From the listening port, two nodes dialling each other would meet in one TCP connection
    // that both think they have opened.
    if over_tcp { opts.allocate_new_port().build() } else { opts.build() }
}
