//! Finding peers and keeping the outbound connections that this node chose itself.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, identify, swarm::dial_opts::DialOpts};

use super::Driver;
use crate::{
    Discovery,
    address::{Group, Scope, group_of, ip_of, is_public},
    book::{Book, MAX_ADDRESSES},
    discovery,
    gate::Direction,
};

/// How often the state of the search is looked at.
const STEP: Duration = Duration::from_millis(500);
/// Pause between walks through the network at first and while peers are missing, with growth.
const WALK_MIN: Duration = Duration::from_secs(1);
const WALK_MAX_MISSING: Duration = Duration::from_secs(30);
/// Pause between walks when all places are taken: they keep the routing table fresh.
const WALK_SETTLED: Duration = Duration::from_secs(300);
/// Pause between lookups of validators whose address is not known, one at a time.
const SEARCH_PAUSE: Duration = Duration::from_secs(2);
/// Lookups under way at a time.
const MAX_LOOKUPS: usize = 4;
/// Candidates dialled at a time.
const MAX_DIALLING: usize = 8;
/// Chosen outbound peers of one public network: whoever has many addresses there has few places.
const MAX_OUTBOUND_PER_GROUP: usize = 2;
/// How long an outbound connection without a place lasts: a lookup uses it no longer.
const LINGER: Duration = Duration::from_secs(6);
/// A peer that has not said in this time of which chain it is, is disconnected.
const IDENTIFY_TIMEOUT: Duration = Duration::from_secs(30);

/// What is known of peers that nobody configured.
pub(super) struct Scout {
    config: Discovery,
    /// Addresses that the configuration says others can reach.
    external: Vec<Multiaddr>,
    announce: bool,
    reserved_only: bool,
    scope: Scope,
    /// The listeners are ready, so the scope is known.
    started: bool,
    pub(super) book: Book,
    dialling: HashSet<PeerId>,
    next_step: Instant,
    next_walk: Instant,
    walk_pause: Duration,
    walks: u32,
    next_search: Instant,
    searches: usize,
}

impl Scout {
    pub(super) fn new(config: &crate::NetworkConfig, now: Instant) -> Self {
        Self {
            config: config.discovery,
            external: config.external.clone(),
            announce: config.announce,
            reserved_only: config.reserved_only,
            scope: Scope::Public,
            started: false,
            book: Book::default(),
            dialling: HashSet::new(),
            next_step: now,
            next_walk: now,
            walk_pause: WALK_MIN,
            walks: 0,
            next_search: now,
            searches: 0,
        }
    }

    /// A dial has ended, well or badly.
    pub(super) fn dialled(&mut self, peer: &PeerId) {
        self.dialling.remove(peer);
    }
}

impl Driver {
    /// The listeners are ready: settles which addresses count and tells others where this node is.
    pub(super) fn start_discovery(&mut self, bootstrap: &[(PeerId, Multiaddr)]) {
        let listen = self.shared.listen.read().clone();
        let public = bootstrap
            .iter()
            .map(|(_, address)| address)
            .chain(&self.scout.external)
            .chain(&listen)
            .any(|address| ip_of(address).is_some_and(is_public));
        let private = self.scout.config.private_addresses.unwrap_or(!public);
        self.scout.scope = if private { Scope::Any } else { Scope::Public };
        self.scout.started = true;
        self.announce();
    }

    /// Tells peers the addresses of this node, those that can be reached by others.
    pub(super) fn announce(&mut self) {
        if !self.scout.started {
            return;
        }
        let (scope, local) = (self.scout.scope, self.shared.local);
        let told: BTreeSet<_> = {
            let listen = self.shared.listen.read();
            let all = self.scout.external.iter().chain(listen.iter());
            all.filter(|_| self.scout.announce)
                .filter_map(|address| scope.dialable(local, address))
                .collect()
        };
        let serves = !told.is_empty() && !self.scout.reserved_only;
        self.swarm.behaviour_mut().discovery.set_part(scope, serves);
        let before: Vec<_> = self.swarm.external_addresses().cloned().collect();
        for gone in before.iter().filter(|address| !told.contains(*address)) {
            self.swarm.remove_external_address(gone);
        }
        for new in told.into_iter().filter(|address| !before.contains(address)) {
            tracing::info!(address = %new, "announced");
            self.swarm.add_external_address(new);
        }
    }

    /// A peer of this chain has told its addresses.
    pub(super) fn on_addresses(&mut self, peer: PeerId, info: &identify::Info) {
        let scope = self.scout.scope;
        let addresses: Vec<_> = info
            .listen_addrs
            .iter()
            .filter_map(|address| scope.dialable(peer, address))
            .take(MAX_ADDRESSES)
            .collect();
        let kad = crate::config::protocol_name(&self.tag, "kad");
        let serves = info.protocols.iter().any(|name| name.as_ref() == kad);
        if serves && !addresses.is_empty() {
            self.swarm.behaviour_mut().discovery.learn(peer, &addresses);
        } else {
            self.swarm.behaviour_mut().discovery.forget(&peer);
        }
        self.dialer.readdress(peer, &addresses);
        self.scout.book.note(peer, addresses, true, Instant::now());
    }

    pub(super) fn on_discovery(&mut self, event: discovery::Event) {
        match event {
            discovery::Event::Found(peers) => {
                let now = Instant::now();
                for (peer, addresses) in peers {
                    let is_new = peer != self.shared.local && !self.peers.contains_key(&peer);
                    if is_new && !self.swarm.behaviour().gate.is_banned(&peer, now) {
                        self.scout.book.note(peer, addresses, false, now);
                    }
                }
            }
            discovery::Event::Abuse(peer) => {
                self.punish(peer, crate::Violation::Flood { of: "discovery" });
            }
        }
    }

    /// Does what is due of the search for peers.
    pub(super) fn discover(&mut self, now: Instant) {
        if now < self.scout.next_step {
            return;
        }
        self.scout.next_step = now + STEP;
        self.drop_unknown(now);
        self.seek_validators(now);
        if self.swarm.behaviour().discovery.is_on() && !self.scout.reserved_only {
            self.walk(now);
            self.close_passing(now);
            self.dial_candidates(now);
        }
    }

    /// Looks around in the network: near this node, where its neighbours are, and anywhere.
    fn walk(&mut self, now: Instant) {
        let gate = &self.swarm.behaviour().gate;
        let missing = gate.ordinary(Direction::Outbound) < self.scout.config.outbound_peers;
        if now < self.scout.next_walk || self.peers.is_empty() {
            return;
        }
        let scout = &mut self.scout;
        scout.walks = scout.walks.wrapping_add(1);
        let target =
            if scout.walks.is_multiple_of(2) { PeerId::random() } else { self.shared.local };
        let pause = if missing { scout.walk_pause } else { WALK_SETTLED };
        scout.walk_pause = (scout.walk_pause * 2).min(WALK_MAX_MISSING);
        scout.next_walk = now + pause.mul_f64(rand::random_range(0.75..1.25));
        self.look_up(target);
    }

    fn look_up(&mut self, target: PeerId) {
        let discovery = &mut self.swarm.behaviour_mut().discovery;
        if discovery.lookups() < MAX_LOOKUPS {
            discovery.look_up(target);
        }
    }

    /// Fills free outbound places with peers chosen at random, not many of one network.
    fn dial_candidates(&mut self, now: Instant) {
        loop {
            let gate = &self.swarm.behaviour().gate;
            let taken = gate.ordinary(Direction::Outbound) + self.scout.dialling.len();
            let full = taken >= self.scout.config.outbound_peers
                || self.scout.dialling.len() >= MAX_DIALLING;
            if full {
                return;
            }
            let peers = &self.peers;
            let suits = |peer: &PeerId, group: Option<Group>| {
                let crowded =
                    group.is_some_and(|group| gate.outbound_in(group) >= MAX_OUTBOUND_PER_GROUP);
                !crowded && !peers.contains_key(peer) && !gate.is_reserved(peer)
            };
            let Some((peer, addresses)) = self.scout.book.choose(now, suits) else { return };
            let opts = DialOpts::peer_id(peer).addresses(addresses).allocate_new_port().build();
            // A refusal is reported as a failed dial, which is noted in the book.
            if self.swarm.dial(opts).is_ok() {
                self.scout.dialling.insert(peer);
            } else {
                self.scout.book.failed(&peer, now);
            }
        }
    }

    /// Closes outbound connections that have no place: lookups have opened them.
    fn close_passing(&mut self, now: Instant) {
        let gate = &self.swarm.behaviour().gate;
        let mut outbound: Vec<_> = self
            .peers
            .iter()
            .filter(|(peer, entry)| entry.verified && !gate.is_reserved(peer))
            .filter_map(|(peer, entry)| Some((entry.dialled()?, *peer)))
            .collect();
        outbound.sort_by_key(|(connection, _)| connection.since);
        let (mut kept, mut groups) = (0, HashMap::<Group, usize>::new());
        let mut passing = Vec::new();
        for (connection, peer) in outbound {
            let group = connection.ip.and_then(group_of);
            let near = group.map_or(0, |group| *groups.entry(group).or_default());
            if kept < self.scout.config.outbound_peers && near < MAX_OUTBOUND_PER_GROUP {
                kept += 1;
                if let Some(near) = group.and_then(|group| groups.get_mut(&group)) {
                    *near += 1;
                }
            } else if now.duration_since(connection.since) >= LINGER {
                passing.push((peer, connection.id));
            }
        }
        for (peer, connection) in passing {
            tracing::debug!(%peer, "no place for this outbound connection");
            self.swarm.close_connection(connection);
        }
    }

    /// Makes sure that a validator dials the other validators, and every node its reserved peers,
    /// as soon as their addresses are known.
    fn seek_validators(&mut self, now: Instant) {
        let local = self.shared.local;
        let validates = self.current.contains(&local);
        let others = self.current.iter().filter(|_| validates).chain(&self.reserved);
        let wanted: BTreeSet<_> = others.copied().filter(|peer| *peer != local).collect();
        self.dialer.keep_only(&wanted);
        let mut unknown = Vec::new();
        for peer in wanted {
            let connected = self.peers.contains_key(&peer);
            if self.dialer.knows(&peer) || connected {
                continue;
            }
            match self.scout.book.addresses(&peer) {
                Some(addresses) => self.dialer.want(peer, addresses.to_vec(), now),
                None => unknown.push(peer),
            }
        }
        if !unknown.is_empty() && now >= self.scout.next_search && !self.peers.is_empty() {
            self.scout.next_search = now + SEARCH_PAUSE;
            self.scout.searches = self.scout.searches.wrapping_add(1);
            self.look_up(unknown[self.scout.searches % unknown.len()]);
        }
    }

    /// Disconnects ordinary peers that do not say of which chain they are.
    fn drop_unknown(&mut self, now: Instant) {
        let gate = &self.swarm.behaviour().gate;
        let is_mute = |peer: &PeerId, entry: &crate::peers::Peer| {
            !entry.verified
                && !gate.is_reserved(peer)
                && entry.since().is_some_and(|since| now.duration_since(since) >= IDENTIFY_TIMEOUT)
        };
        let mute: Vec<_> =
            self.peers.iter().filter(|(peer, e)| is_mute(peer, e)).map(|(peer, _)| *peer).collect();
        for peer in mute {
            tracing::debug!(%peer, "the peer does not say of which chain it is");
            // Fails only if the peer has gone by itself.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }
}
