//! The libp2p behaviour that keeps banned peers and crowds out.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::IpAddr,
    task::{Context, Poll},
    time::Instant,
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    multiaddr::Protocol,
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, ListenFailure,
        NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        behaviour::ConnectionEstablished, dummy,
    },
};

/// Why a connection was refused.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the peer is banned")]
    Banned,
    #[error("too many connections from {0}")]
    CrowdedAddress(IpAddr),
    #[error("too many connections with this peer")]
    CrowdedPeer,
}

/// Refuses banned peers, and connections above a number per IP address and per peer.
#[derive(Debug)]
pub(crate) struct Gate {
    banned: HashMap<PeerId, Instant>,
    inbound: HashMap<ConnectionId, IpAddr>,
    by_address: HashMap<IpAddr, usize>,
    by_peer: HashMap<PeerId, usize>,
    max_per_address: usize,
    max_per_peer: usize,
}

impl Gate {
    pub(crate) fn new(max_per_address: usize, max_per_peer: usize) -> Self {
        Self {
            banned: HashMap::new(),
            inbound: HashMap::new(),
            by_address: HashMap::new(),
            by_peer: HashMap::new(),
            max_per_address,
            max_per_peer,
        }
    }

    /// Refuses a peer until `until`, or longer if it was banned for longer.
    pub(crate) fn ban(&mut self, peer: PeerId, until: Instant) {
        let end = self.banned.entry(peer).or_insert(until);
        *end = until.max(*end);
    }

    /// Forgets bans that are over.
    pub(crate) fn prune(&mut self, now: Instant) {
        self.banned.retain(|_, until| *until > now);
    }

    fn admit(&self, peer: PeerId) -> Result<(), Refusal> {
        if self.banned.get(&peer).is_some_and(|until| *until > Instant::now()) {
            return Err(Refusal::Banned);
        }
        if self.by_peer.get(&peer).is_some_and(|open| *open >= self.max_per_peer) {
            return Err(Refusal::CrowdedPeer);
        }
        Ok(())
    }

    fn enter(&mut self, connection: ConnectionId, address: IpAddr) -> Result<(), Refusal> {
        let open = self.by_address.entry(address).or_default();
        if *open >= self.max_per_address {
            return Err(Refusal::CrowdedAddress(address));
        }
        *open += 1;
        self.inbound.insert(connection, address);
        Ok(())
    }

    fn leave(&mut self, connection: ConnectionId) {
        let Some(address) = self.inbound.remove(&connection) else { return };
        if let Some(open) = self.by_address.get_mut(&address) {
            *open -= 1;
            if *open == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip)),
        _ => None,
    })
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        match ip_of(remote) {
            Some(address) => self.enter(connection, address).map_err(ConnectionDenied::new),
            None => Ok(()),
        }
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.admit(peer).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if let Some(peer) = peer {
            self.admit(peer).map_err(ConnectionDenied::new)?;
        }
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.admit(peer).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, .. }) => {
                *self.by_peer.entry(peer_id).or_default() += 1;
            }
            FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id,
                connection_id,
                remaining_established,
                ..
            }) => {
                self.leave(connection_id);
                match remaining_established {
                    0 => self.by_peer.remove(&peer_id),
                    open => self.by_peer.insert(peer_id, open),
                };
            }
            FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => {
                self.leave(connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn remote(last: u8) -> Multiaddr {
        format!("/ip4/10.0.0.{last}/tcp/4001").parse().unwrap()
    }

    fn knock(gate: &mut Gate, connection: usize, remote: &Multiaddr) -> bool {
        let connection = ConnectionId::new_unchecked(connection);
        gate.handle_pending_inbound_connection(connection, remote, remote).is_ok()
    }

    #[test]
    fn connections_per_address_are_bounded_and_counted_back() {
        let mut gate = Gate::new(2, 4);
        assert!(knock(&mut gate, 1, &remote(1)));
        assert!(knock(&mut gate, 2, &remote(1)));
        assert!(!knock(&mut gate, 3, &remote(1)));
        assert!(knock(&mut gate, 4, &remote(2)));
        gate.leave(ConnectionId::new_unchecked(3));
        assert!(!knock(&mut gate, 5, &remote(1)));
        gate.leave(ConnectionId::new_unchecked(1));
        assert!(knock(&mut gate, 6, &remote(1)));
    }

    #[test]
    fn a_ban_ends_and_a_shorter_one_does_not_shorten_it() {
        let mut gate = Gate::new(2, 4);
        let (peer, now) = (PeerId::random(), Instant::now());
        gate.ban(peer, now + Duration::from_secs(3600));
        gate.ban(peer, now + Duration::from_secs(1));
        gate.prune(now + Duration::from_secs(60));
        assert!(gate.admit(peer).is_err());
        gate.prune(now + Duration::from_secs(3601));
        assert!(gate.admit(peer).is_ok());
    }
}
