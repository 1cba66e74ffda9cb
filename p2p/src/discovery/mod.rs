//! The libp2p behaviour that finds peers: Kademlia for routing only, held to our own rules.
//!
//! Kademlia dials by itself whom others tell of. Here it gets only addresses in scope, never
//! stores a record or a provider, takes into its table only peers that the driver vouches for,
//! not many of one network, and answers each peer so often only.

mod store;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::{Endpoint, transport::PortUse},
    kad::{self, BucketInserts, Caching, Mode, QueryResult, StoreInserts},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm,
        behaviour::toggle::Toggle,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use self::store::NoStore;
use crate::{
    address::{Scope, group_of, ip_of},
    book::MAX_ADDRESSES,
    bucket::Buckets,
};

/// Most peers of one public network in the routing table.
const MAX_TABLE_PER_GROUP: usize = 4;
/// Messages of one peer per second, questions and answers, and how many it can save up. A lookup
/// asks a peer once.
const MESSAGES_PER_SECOND: u32 = 20;
const MESSAGES_BURST: u32 = 200;
/// A lookup ends after this, whoever has not answered.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(20);
/// One question to one peer takes no longer.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);
/// Peers asked at a time in a lookup, along disjoint paths: so many liars do not spoil it.
const PARALLELISM: NonZeroUsize = NonZeroUsize::new(3).unwrap();

type Kad = Toggle<kad::Behaviour<NoStore>>;

/// What discovery tells the driver.
#[derive(Debug)]
pub(crate) enum Event {
    /// A lookup has ended with these peers and addresses, all hearsay.
    Found(Vec<(PeerId, Vec<Multiaddr>)>),
    /// The peer sends more than any use of the protocol explains, or asks to store something.
    Abuse(PeerId),
}

/// Finds peers, if it is on.
pub(crate) struct Behaviour {
    kad: Kad,
    scope: Scope,
    messages: Buckets<PeerId>,
    abuse: VecDeque<PeerId>,
}

impl Behaviour {
    /// Discovery under a protocol name, or none. Until told otherwise, it is in no one's table.
    pub(crate) fn new(local: PeerId, name: Option<StreamProtocol>) -> Self {
        let kad = name.map(|name| {
            let mut config = kad::Config::new(name);
            config
                .set_kbucket_inserts(BucketInserts::Manual)
                .set_record_filtering(StoreInserts::FilterBoth)
                .set_caching(Caching::Disabled)
                .set_replication_interval(None)
                .set_publication_interval(None)
                .set_provider_publication_interval(None)
                .set_periodic_bootstrap_interval(None)
                .set_query_timeout(LOOKUP_TIMEOUT)
                .set_substreams_timeout(QUESTION_TIMEOUT)
                .set_parallelism(PARALLELISM)
                .disjoint_query_paths(true);
            let mut kad = kad::Behaviour::with_config(local, NoStore, config);
            kad.set_mode(Some(Mode::Client));
            kad
        });
        Self {
            kad: kad.into(),
            scope: Scope::Public,
            messages: Buckets::new(MESSAGES_PER_SECOND, MESSAGES_BURST),
            abuse: VecDeque::new(),
        }
    }

    /// Whether discovery is on.
    pub(crate) fn is_on(&self) -> bool {
        self.kad.is_enabled()
    }

    /// Whose addresses are dialled, and whether this node answers and may be in others' tables.
    pub(crate) fn set_part(&mut self, scope: Scope, serves: bool) {
        self.scope = scope;
        if let Some(kad) = self.kad.as_mut() {
            kad.set_mode(Some(if serves { Mode::Server } else { Mode::Client }));
        }
    }

    /// Takes a peer that answers into the routing table, if there is room for its kind.
    pub(crate) fn learn(&mut self, peer: PeerId, addresses: &[Multiaddr]) {
        let Some(kad) = self.kad.as_mut() else { return };
        // What it said before does not count any more.
        kad.remove_peer(&peer);
        let group = addresses.first().and_then(ip_of).and_then(group_of);
        if let Some(group) = group {
            let is_near = |address: &Multiaddr| ip_of(address).and_then(group_of) == Some(group);
            let mut near = 0;
            for bucket in kad.kbuckets() {
                near += bucket.iter().filter(|entry| is_near(entry.node.value.first())).count();
            }
            if near >= MAX_TABLE_PER_GROUP {
                return;
            }
        }
        for address in addresses.iter().take(MAX_ADDRESSES) {
            kad.add_address(&peer, address.clone());
        }
    }

    /// Removes a peer from the routing table.
    pub(crate) fn forget(&mut self, peer: &PeerId) {
        if let Some(kad) = self.kad.as_mut() {
            kad.remove_peer(peer);
        }
    }

    /// Starts a lookup of the peers closest to an id; [`Event::Found`] tells the result.
    pub(crate) fn look_up(&mut self, target: PeerId) {
        if let Some(kad) = self.kad.as_mut() {
            kad.get_closest_peers(target);
        }
    }

    /// Lookups under way.
    pub(crate) fn lookups(&self) -> usize {
        self.kad.as_ref().map_or(0, |kad| kad.iter_queries().count())
    }

    /// Peers in the routing table.
    pub(crate) fn table_len(&mut self) -> usize {
        self.kad.as_mut().map_or(0, |kad| kad.kbuckets().map(|bucket| bucket.num_entries()).sum())
    }

    /// Forgets what peers at rest have sent.
    pub(crate) fn prune(&mut self, now: Instant) {
        self.messages.prune(now);
    }

    /// What the driver is to know of an event.
    fn translate(&self, event: kad::Event) -> Option<Event> {
        match event {
            kad::Event::OutboundQueryProgressed {
                result: QueryResult::GetClosestPeers(result),
                ..
            } => {
                let peers = match result {
                    Ok(found) => found.peers,
                    Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
                };
                let peers = peers.into_iter().map(|kad::PeerInfo { peer_id, addrs }| {
                    (peer_id, self.in_scope(peer_id, addrs))
                });
                Some(Event::Found(peers.collect()))
            }
            kad::Event::InboundRequest {
                request: kad::InboundRequest::PutRecord { source, .. },
            } => Some(Event::Abuse(source)),
            kad::Event::InboundRequest {
                request: kad::InboundRequest::AddProvider { record: Some(record) },
            } => Some(Event::Abuse(record.provider)),
            _ => None,
        }
    }

    fn in_scope(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
        addresses.iter().filter_map(|address| self.scope.dialable(peer, address)).collect()
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = <Kad as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.kad.handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        let known =
            self.kad.handle_pending_outbound_connection(connection, peer, addresses, role)?;
        let mut known = peer.map_or_else(Vec::new, |peer| self.in_scope(peer, known));
        known.truncate(MAX_ADDRESSES);
        Ok(known)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.kad.handle_established_outbound_connection(connection, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.kad.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        if self.messages.take(peer, Instant::now()) {
            self.kad.on_connection_handler_event(peer, connection, event);
        } else if self.abuse.back() != Some(&peer) {
            // Unanswered; its stream stays occupied, of which a connection has a bounded number.
            self.abuse.push_back(peer);
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some(peer) = self.abuse.pop_front() {
            return Poll::Ready(ToSwarm::GenerateEvent(Event::Abuse(peer)));
        }
        loop {
            let Poll::Ready(action) = self.kad.poll(cx) else { return Poll::Pending };
            match action {
                ToSwarm::GenerateEvent(event) => {
                    if let Some(event) = self.translate(event) {
                        return Poll::Ready(ToSwarm::GenerateEvent(event));
                    }
                }
                ToSwarm::Dial { opts } => {
                    // From a port of its own, as all our dials.
                    let Some(peer) = opts.get_peer_id() else { continue };
                    let opts = DialOpts::peer_id(peer)
                        .condition(PeerCondition::DisconnectedAndNotDialing)
                        .allocate_new_port()
                        .build();
                    return Poll::Ready(ToSwarm::Dial { opts });
                }
                ToSwarm::NotifyHandler { peer_id, handler, event } => {
                    return Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler, event });
                }
                ToSwarm::CloseConnection { peer_id, connection } => {
                    return Poll::Ready(ToSwarm::CloseConnection { peer_id, connection });
                }
                // Kademlia neither listens nor knows addresses of its own.
                _ => {}
            }
        }
    }
}
