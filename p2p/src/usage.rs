//! How full the network's tables and queues are.

/// Sizes of a network's tables and queues. Each has a bound that no peer can push it over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Connected peers, of this chain or not yet known to be.
    pub peers: usize,
    /// Inbound connections with ordinary peers.
    pub inbound: usize,
    /// Outbound connections with ordinary peers.
    pub outbound: usize,
    /// Handshakes under way.
    pub pending: usize,
    /// Bans in force, of peers and of hosts.
    pub bans: usize,
    /// Peers and hosts whose offences are remembered.
    pub offenders: usize,
    /// Entries in the tables of allowances.
    pub allowances: usize,
    /// Peers in the address book.
    pub known_peers: usize,
    /// Peers in the routing table.
    pub routing_table: usize,
    /// Lookups under way.
    pub lookups: usize,
    /// Requests of others being served.
    pub requests_served: usize,
    /// Bytes of answers on their way to others.
    pub answer_bytes: usize,
    /// Requests of this node under way.
    pub requests_asked: usize,
    /// Direct streams being read.
    pub readers: usize,
    /// Peer events that wait for the application.
    pub queued_events: usize,
    /// Direct frames that wait for the application.
    pub queued_frames: usize,
    /// Requests that wait for the application.
    pub queued_requests: usize,
    /// Gossip messages that wait for the application.
    pub queued_gossip: usize,
    /// Bytes of those.
    pub queued_gossip_bytes: usize,
}
