//! The connected peers and their connections.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use libp2p::swarm::ConnectionId;
use tokio::task::AbortHandle;

use crate::{Class, link::Link};

/// When no newer connection has come for so long, those that are still there are alive: a dead one
/// would have been given up by then.
const SETTLED_AFTER: Duration = Duration::from_secs(30);
/// When the surplus connections are closed: both sides have moved their streams by then.
const SURPLUS_AFTER: Duration = Duration::from_secs(40);
/// Inbound streams of one class: the one in use, and one being replaced that still holds frames.
const MAX_READERS: usize = 2;

/// One connection with a peer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    /// Whether the side with the smaller peer id dialled; both sides see the same.
    pub(crate) dialled_by_smaller: bool,
    /// Whether this side dialled.
    pub(crate) dialled: bool,
    /// Where the peer is.
    pub(crate) ip: Option<IpAddr>,
    pub(crate) since: Instant,
}

/// A peer with at least one connection.
#[derive(Default)]
pub(crate) struct Peer {
    /// Oldest first.
    connections: Vec<Connection>,
    /// The peer has shown that it is of this chain, and has been announced.
    pub(crate) verified: bool,
    /// Present while both sides are validators.
    pub(crate) link: Option<Link>,
    readers: [Vec<AbortHandle>; Class::COUNT],
}

impl Peer {
    pub(crate) fn add(&mut self, connection: Connection) {
        self.connections.push(connection);
    }

    /// Returns whether connections remain.
    pub(crate) fn remove(&mut self, connection: ConnectionId) -> bool {
        self.connections.retain(|c| c.id != connection);
        !self.connections.is_empty()
    }

    /// The connection for our streams.
    ///
    /// The newest, because an older one may be dead without our knowing: a peer that crashed and
    /// came back has forgotten it. Later, when those that are left are known to be alive, the one
    /// dialled by the smaller id, so that two sides that dialled at once come to the same.
    pub(crate) fn preferred(&self, now: Instant) -> Option<ConnectionId> {
        let newest = self.connections.last()?;
        if now.duration_since(newest.since) < SETTLED_AFTER {
            return Some(newest.id);
        }
        let agreed = self.connections.iter().rev().find(|c| c.dialled_by_smaller);
        Some(agreed.unwrap_or(newest).id)
    }

    /// The oldest connection that this side dialled.
    pub(crate) fn dialled(&self) -> Option<Connection> {
        self.connections.iter().find(|c| c.dialled).copied()
    }

    /// Since when the peer is connected.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.connections.first().map(|c| c.since)
    }

    /// Where the peer is, as its newest connection shows.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        self.connections.last().and_then(|c| c.ip)
    }

    /// Whether there is more than one connection.
    pub(crate) fn has_several(&self) -> bool {
        self.connections.len() > 1
    }

    /// Connections that are not needed any more. One side only, the smaller id, closes them.
    pub(crate) fn surplus(&self, now: Instant) -> Vec<ConnectionId> {
        let newest = self.connections.last().map(|newest| now.duration_since(newest.since));
        if newest.is_none_or(|age| age < SURPLUS_AFTER) {
            return Vec::new();
        }
        let preferred = self.preferred(now);
        self.connections.iter().map(|c| c.id).filter(|id| Some(*id) != preferred).collect()
    }

    /// Adds a reader of an inbound stream; the oldest of too many is stopped.
    pub(crate) fn add_reader(&mut self, class: Class, reader: AbortHandle) {
        let readers = &mut self.readers[class.index()];
        readers.retain(|reader| !reader.is_finished());
        if readers.len() >= MAX_READERS {
            readers.remove(0).abort();
        }
        readers.push(reader);
    }

    /// Inbound streams being read.
    pub(crate) fn readers(&self) -> usize {
        self.readers.iter().map(Vec::len).sum()
    }

    /// Stops all readers.
    pub(crate) fn stop_readers(&mut self) {
        self.readers.iter_mut().flat_map(|readers| readers.drain(..)).for_each(|r| r.abort());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer whose connections came so many milliseconds after the start, dialled by the smaller
    /// id or not.
    fn peer(start: Instant, connections: &[(u64, bool)]) -> Peer {
        let mut peer = Peer::default();
        for (id, (after, dialled_by_smaller)) in connections.iter().enumerate() {
            peer.add(Connection {
                id: ConnectionId::new_unchecked(id),
                dialled_by_smaller: *dialled_by_smaller,
                dialled: false,
                ip: None,
                since: start + Duration::from_millis(*after),
            });
        }
        peer
    }

    /// The preferred connection so many seconds after the newest came.
    fn preferred(connections: &[(u64, bool)], seconds: u64) -> Option<ConnectionId> {
        let start = Instant::now();
        let newest = connections.last().map_or(0, |(after, _)| *after);
        let now = start + Duration::from_millis(newest) + Duration::from_secs(seconds);
        peer(start, connections).preferred(now)
    }

    /// Connections (when, dialled by us), the one preferred at first, and later.
    type Case = (&'static [(u64, bool)], Option<usize>, Option<usize>);

    #[test]
    fn the_newest_connection_counts_and_later_the_one_that_the_smaller_id_dialled() {
        let cases: [Case; 6] = [
            (&[], None, None),
            (&[(0, false)], Some(0), Some(0)),
            (&[(0, true), (5, false)], Some(1), Some(0)),
            (&[(0, false), (5, true)], Some(1), Some(1)),
            (&[(0, true), (5, true), (9, false)], Some(2), Some(1)),
            (&[(0, false), (5, false)], Some(1), Some(1)),
        ];
        for (connections, at_first, later) in cases {
            let id = |position: Option<usize>| position.map(ConnectionId::new_unchecked);
            assert_eq!(preferred(connections, 1), id(at_first), "{connections:?}");
            assert_eq!(preferred(connections, 31), id(later), "{connections:?}");
        }
    }

    #[test]
    fn surplus_connections_are_closed_after_a_while_but_never_the_preferred_one() {
        let start = Instant::now();
        let peer = peer(start, &[(0, true), (5, false)]);
        assert!(peer.surplus(start + Duration::from_secs(35)).is_empty());
        let surplus = peer.surplus(start + Duration::from_secs(41));
        assert_eq!(surplus, [ConnectionId::new_unchecked(1)]);
    }

    #[test]
    fn a_single_connection_is_never_surplus() {
        let start = Instant::now();
        let peer = peer(start, &[(0, false)]);
        assert!(peer.surplus(start + Duration::from_secs(60)).is_empty());
    }
}
