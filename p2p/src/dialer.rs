//! When peers that are to stay connected are dialled: static ones, and validators and reserved
//! peers whose addresses have become known.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId};

use crate::Limits;

/// Peers to stay connected with and when each is to be dialled next.
#[derive(Debug)]
pub(crate) struct Dialer {
    peers: BTreeMap<PeerId, Target>,
    min: Duration,
    max: Duration,
}

#[derive(Debug)]
struct Target {
    /// From the configuration: kept for good, with the addresses given there.
    fixed: bool,
    addresses: Vec<Multiaddr>,
    /// The address to try next.
    next: usize,
    /// The pause after the next failure.
    pause: Duration,
    /// When to dial; `None` while connected or dialling.
    at: Option<Instant>,
}

impl Dialer {
    /// All peers but `local` are due at once.
    pub(crate) fn new(
        local: PeerId,
        addresses: &[(PeerId, Multiaddr)],
        limits: &Limits,
        now: Instant,
    ) -> Self {
        let (min, max) = (limits.redial_min, limits.redial_max.max(limits.redial_min));
        let mut peers = BTreeMap::new();
        for (peer, address) in addresses.iter().filter(|(peer, _)| *peer != local) {
            let entry = peers.entry(*peer).or_insert_with(|| Target::new(Vec::new(), min, now));
            entry.fixed = true;
            entry.addresses.push(address.clone());
        }
        Self { peers, min, max }
    }

    /// The static peers.
    pub(crate) fn fixed(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.peers.iter().filter(|(_, target)| target.fixed).map(|(peer, _)| *peer)
    }

    /// Whether the peer is dialled while disconnected.
    pub(crate) fn knows(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    /// Adds a disconnected peer, of which at least one address is known. It is due at once.
    pub(crate) fn want(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, now: Instant) {
        if !addresses.is_empty() {
            let min = self.min;
            self.peers.entry(peer).or_insert_with(|| Target::new(addresses, min, now));
        }
    }

    /// A peer has told new addresses. Those of a static peer are the operator's choice.
    pub(crate) fn readdress(&mut self, peer: PeerId, addresses: &[Multiaddr]) {
        if let Some(target) = self.peers.get_mut(&peer)
            && !target.fixed
            && !addresses.is_empty()
        {
            (target.addresses, target.next) = (addresses.to_vec(), 0);
        }
    }

    /// Forgets peers that are neither static nor wanted.
    pub(crate) fn keep_only(&mut self, wanted: &BTreeSet<PeerId>) {
        self.peers.retain(|peer, target| target.fixed || wanted.contains(peer));
    }

    /// Peers to dial now, with the address to try. Each is then dialling until told otherwise.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<(PeerId, Multiaddr)> {
        let mut due = Vec::new();
        for (peer, entry) in &mut self.peers {
            if entry.at.is_some_and(|at| at <= now) {
                entry.at = None;
                due.push((*peer, entry.addresses[entry.next].clone()));
            }
        }
        due
    }

    /// A dial failed: the next address is tried after a pause, which grows.
    pub(crate) fn failed(&mut self, peer: PeerId, now: Instant) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.next = (entry.next + 1) % entry.addresses.len();
            entry.retry(now, self.max);
        }
    }

    /// A connection is there, whoever dialled.
    pub(crate) fn connected(&mut self, peer: PeerId) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.at = None;
        }
    }

    /// The connected peer has shown itself to be of this chain: its next pause is short again.
    pub(crate) fn proved(&mut self, peer: PeerId) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.pause = self.min;
        }
    }

    /// The last connection is gone.
    pub(crate) fn disconnected(&mut self, peer: PeerId, now: Instant) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.retry(now, self.max);
        }
    }

    /// The connected peer is of another chain: the next pause is the longest.
    pub(crate) fn foreign(&mut self, peer: PeerId) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.pause = self.max;
        }
    }
}

impl Target {
    fn new(addresses: Vec<Multiaddr>, pause: Duration, now: Instant) -> Self {
        Self { fixed: false, addresses, next: 0, pause, at: Some(now) }
    }

    fn retry(&mut self, now: Instant, max: Duration) {
        // Some randomness, so that nodes that lost each other do not dial in step.
        let pause = self.pause.mul_f64(rand::random_range(0.75..1.25));
        self.at = Some(now + pause);
        self.pause = (2 * self.pause).min(max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()
    }

    fn dialer(peer: PeerId, ports: &[u16], now: Instant) -> Dialer {
        let list: Vec<_> = ports.iter().map(|port| (peer, address(*port))).collect();
        Dialer::new(PeerId::random(), &list, &Limits::default(), now)
    }

    #[test]
    fn a_peer_is_due_at_once_and_then_only_after_a_failure() {
        let (peer, now) = (PeerId::random(), Instant::now());
        let mut dialer = dialer(peer, &[1], now);
        assert_eq!(dialer.due(now), [(peer, address(1))]);
        let later = now + Duration::from_secs(3600);
        assert!(dialer.due(later).is_empty());
        dialer.failed(peer, now);
        assert!(dialer.due(now).is_empty());
        assert_eq!(dialer.due(now + Duration::from_millis(125)).len(), 1);
    }

    #[test]
    fn pauses_grow_to_the_longest_and_shrink_after_success() {
        let (peer, mut now) = (PeerId::random(), Instant::now());
        let mut dialer = dialer(peer, &[1], now);
        for _ in 0..20 {
            dialer.failed(peer, now);
            now += Duration::from_millis(6250);
            assert_eq!(dialer.due(now).len(), 1, "the longest pause is 5 s and a quarter");
        }
        dialer.failed(peer, now);
        assert!(dialer.due(now + Duration::from_secs(3)).is_empty());
        dialer.connected(peer);
        dialer.proved(peer);
        dialer.disconnected(peer, now);
        assert_eq!(dialer.due(now + Duration::from_millis(125)).len(), 1);
    }

    #[test]
    fn addresses_of_a_peer_are_tried_in_turn() {
        let (peer, mut now) = (PeerId::random(), Instant::now());
        let mut dialer = dialer(peer, &[1, 2], now);
        for port in [1, 2, 1, 2] {
            assert_eq!(dialer.due(now), [(peer, address(port))]);
            dialer.failed(peer, now);
            now += Duration::from_secs(10);
        }
    }

    #[test]
    fn a_wanted_peer_is_dialled_until_it_is_wanted_no_more() {
        let (fixed, wanted, now) = (PeerId::random(), PeerId::random(), Instant::now());
        let mut dialer = dialer(fixed, &[1], now);
        dialer.want(wanted, vec![address(2)], now);
        dialer.want(fixed, vec![address(3)], now);
        let mut due = dialer.due(now);
        due.sort_by_key(|(_, address)| address.to_string());
        assert_eq!(due, [(fixed, address(1)), (wanted, address(2))]);
        dialer.readdress(wanted, &[address(4)]);
        dialer.readdress(fixed, &[address(4)]);
        dialer.failed(wanted, now);
        dialer.failed(fixed, now);
        let later = now + Duration::from_secs(1);
        let mut due = dialer.due(later);
        due.sort_by_key(|(_, address)| address.to_string());
        assert_eq!(due, [(fixed, address(1)), (wanted, address(4))]);
        dialer.keep_only(&BTreeSet::new());
        assert!(dialer.knows(&fixed) && !dialer.knows(&wanted));
    }

    #[test]
    fn a_node_does_not_dial_itself() {
        let (local, now) = (PeerId::random(), Instant::now());
        let mut dialer = Dialer::new(local, &[(local, address(1))], &Limits::default(), now);
        assert!(dialer.due(now).is_empty());
    }
}
