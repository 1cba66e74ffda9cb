//! Who is let in: bans, reserved slots, limits per host, per group and in all.

mod behaviour;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    time::Instant,
};

use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};
use prometheus_client::metrics::counter::Counter;

use crate::{
    Limits,
    address::{Group, group_of, host_of, ip_of},
    bucket::Buckets,
    offences::Bans,
};

/// Connections of an ordinary peer: one, and one more while it is being replaced.
const MAX_PER_ORDINARY_PEER: usize = 2;
/// Outbound connections to ordinary peers whose handshake has not ended.
const MAX_PENDING_OUTBOUND: usize = 32;
/// Connection attempts of one host per second, and how many it can save up: each costs a handshake.
const KNOCKS_PER_SECOND: u32 = 4;
const KNOCKS_BURST: u32 = 32;

/// Why a connection was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("the peer is banned")]
    BannedPeer,
    #[error("too many peers of {0} were banned")]
    BannedHost(IpAddr),
    #[error("too many connections from {0}")]
    CrowdedHost(IpAddr),
    #[error("too many connection attempts from {0}")]
    HastyHost(IpAddr),
    #[error("too many connections from the network {0:?}")]
    CrowdedGroup(Group),
    #[error("too many connections with this peer")]
    CrowdedPeer,
    #[error("too many handshakes under way")]
    TooManyPending,
    #[error("all places for {0} connections are taken")]
    NoPlace(Direction),
    #[error("only reserved peers are connected to")]
    NotReserved,
}

/// Who dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Inbound,
    Outbound,
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        })
    }
}

/// A connection whose handshake has not ended.
#[derive(Debug)]
struct Pending {
    direction: Direction,
    host: Option<IpAddr>,
}

/// A connection.
#[derive(Debug)]
struct Open {
    peer: PeerId,
    direction: Direction,
    ip: Option<IpAddr>,
}

/// Refuses connections.
///
/// Reserved peers (validators, static and reserved ones of the configuration) are held only to
/// their own number of connections: however many others come, their places are free. All limits
/// per host spare loopback addresses: the processes of one machine are many.
#[derive(Debug)]
pub(crate) struct Gate {
    reserved: HashSet<PeerId>,
    reserved_only: bool,
    /// Where reserved peers were met: their hosts may knock while others are made to wait.
    trusted: HashMap<PeerId, IpAddr>,
    banned: Bans<PeerId>,
    banned_hosts: Bans<IpAddr>,
    knocks: Buckets<IpAddr>,
    pending: HashMap<ConnectionId, Pending>,
    open: HashMap<ConnectionId, Open>,
    max_pending_inbound: usize,
    max_inbound: usize,
    max_outbound: usize,
    max_per_host: usize,
    max_per_group: usize,
    max_per_reserved_peer: usize,
    refused: Counter,
}

impl Gate {
    /// A gate that lets only reserved peers pass if `reserved_only`, and counts refusals.
    pub(crate) fn new(limits: &Limits, reserved_only: bool, refused: Counter) -> Self {
        Self {
            reserved: HashSet::new(),
            reserved_only,
            trusted: HashMap::new(),
            banned: Bans::default(),
            banned_hosts: Bans::default(),
            knocks: Buckets::new(KNOCKS_PER_SECOND, KNOCKS_BURST),
            pending: HashMap::new(),
            open: HashMap::new(),
            max_pending_inbound: limits.max_pending_inbound as usize,
            max_inbound: limits.max_inbound_connections as usize,
            max_outbound: limits.max_outbound_connections as usize,
            max_per_host: limits.max_connections_per_ip,
            max_per_group: limits.max_connections_per_group,
            max_per_reserved_peer: limits.max_connections_per_peer,
            refused,
        }
    }

    /// Replaces the set of reserved peers. Connections that exist are counted anew.
    pub(crate) fn set_reserved(&mut self, reserved: HashSet<PeerId>) {
        self.trusted.retain(|peer, _| reserved.contains(peer));
        self.reserved = reserved;
    }

    /// Notes where a reserved peer is said to be.
    pub(crate) fn trust(&mut self, peer: PeerId, address: &Multiaddr) {
        if let Some(ip) = ip_of(address)
            && self.is_reserved(&peer)
        {
            self.trusted.insert(peer, host_of(ip));
        }
    }

    pub(crate) fn is_reserved(&self, peer: &PeerId) -> bool {
        self.reserved.contains(peer)
    }

    /// Refuses a peer until `until`, or longer if it was banned for longer.
    pub(crate) fn ban(&mut self, peer: PeerId, until: Instant) {
        self.banned.add(peer, until);
    }

    /// Refuses all ordinary peers of a host until `until`.
    pub(crate) fn ban_host(&mut self, host: IpAddr, until: Instant) {
        self.banned_hosts.add(host, until);
    }

    /// Whether the peer is kept out now.
    pub(crate) fn is_banned(&self, peer: &PeerId, now: Instant) -> bool {
        self.banned.holds(peer, now)
    }

    /// Forgets what is over.
    pub(crate) fn prune(&mut self, now: Instant) {
        self.banned.prune(now);
        self.banned_hosts.prune(now);
        self.knocks.prune(now);
    }

    /// Bans in force.
    pub(crate) fn bans(&self) -> usize {
        self.banned.len() + self.banned_hosts.len()
    }

    /// Handshakes under way.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Connections with ordinary peers.
    pub(crate) fn ordinary(&self, direction: Direction) -> usize {
        self.ordinary_where(direction, |_| true)
    }

    /// Outbound connections with ordinary peers of a group.
    pub(crate) fn outbound_in(&self, group: Group) -> usize {
        self.ordinary_where(Direction::Outbound, |open| open.ip.and_then(group_of) == Some(group))
    }

    fn ordinary_where(&self, direction: Direction, is_counted: impl Fn(&Open) -> bool) -> usize {
        let ordinary = |open: &&Open| open.direction == direction && !self.is_reserved(&open.peer);
        self.open.values().filter(ordinary).filter(|open| is_counted(open)).count()
    }

    fn handshakes(&self, direction: Direction) -> usize {
        self.pending.values().filter(|pending| pending.direction == direction).count()
    }

    /// Somebody knocks; who it is will be known after the handshake.
    fn knock(&mut self, ip: Option<IpAddr>, now: Instant) -> Result<(), Refusal> {
        let host = ip.map(host_of);
        let is_trusted = ip.is_some_and(|ip| ip.is_loopback())
            || host.is_some_and(|host| self.trusted.values().any(|trusted| *trusted == host));
        if let Some(host) = host
            && !is_trusted
        {
            if self.banned_hosts.holds(&host, now) {
                return Err(Refusal::BannedHost(host));
            }
            if !self.knocks.take(host, now) {
                return Err(Refusal::HastyHost(host));
            }
            let knocking = self.pending.values().filter(|p| p.host == Some(host)).count();
            if knocking + self.inbound_of(host) >= self.max_per_host {
                return Err(Refusal::CrowdedHost(host));
            }
        }
        // As many places again are kept for hosts of reserved peers.
        let places = self.max_pending_inbound * if is_trusted { 2 } else { 1 };
        if self.handshakes(Direction::Inbound) >= places {
            return Err(Refusal::TooManyPending);
        }
        Ok(())
    }

    fn inbound_of(&self, host: IpAddr) -> usize {
        self.ordinary_where(Direction::Inbound, |open| open.ip.map(host_of) == Some(host))
    }

    /// What holds for every connection with a peer.
    fn admit(&self, peer: PeerId, now: Instant) -> Result<(), Refusal> {
        if self.is_banned(&peer, now) {
            return Err(Refusal::BannedPeer);
        }
        let reserved = self.is_reserved(&peer);
        if self.reserved_only && !reserved {
            return Err(Refusal::NotReserved);
        }
        let max = if reserved { self.max_per_reserved_peer } else { MAX_PER_ORDINARY_PEER };
        if self.open.values().filter(|open| open.peer == peer).count() >= max {
            return Err(Refusal::CrowdedPeer);
        }
        Ok(())
    }

    fn admit_inbound(&self, peer: PeerId, ip: Option<IpAddr>, now: Instant) -> Result<(), Refusal> {
        self.admit(peer, now)?;
        if self.is_reserved(&peer) {
            return Ok(());
        }
        if self.ordinary(Direction::Inbound) >= self.max_inbound {
            return Err(Refusal::NoPlace(Direction::Inbound));
        }
        let Some(ip) = ip.filter(|ip| !ip.is_loopback()) else { return Ok(()) };
        let host = host_of(ip);
        if self.banned_hosts.holds(&host, now) {
            return Err(Refusal::BannedHost(host));
        }
        if self.inbound_of(host) >= self.max_per_host {
            return Err(Refusal::CrowdedHost(host));
        }
        let Some(group) = group_of(ip) else { return Ok(()) };
        let is_near = |open: &Open| open.ip.and_then(group_of) == Some(group);
        if self.ordinary_where(Direction::Inbound, is_near) >= self.max_per_group {
            return Err(Refusal::CrowdedGroup(group));
        }
        Ok(())
    }

    /// A connection is about to be dialled.
    fn admit_dial(&self, peer: PeerId, now: Instant) -> Result<(), Refusal> {
        self.admit(peer, now)?;
        if self.is_reserved(&peer) {
            return Ok(());
        }
        if self.handshakes(Direction::Outbound) >= MAX_PENDING_OUTBOUND {
            return Err(Refusal::TooManyPending);
        }
        if self.ordinary(Direction::Outbound) >= self.max_outbound {
            return Err(Refusal::NoPlace(Direction::Outbound));
        }
        Ok(())
    }
}
