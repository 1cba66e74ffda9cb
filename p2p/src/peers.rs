//! The connected peers and their connections.

use std::time::{Duration, Instant};

use libp2p::swarm::ConnectionId;
use tokio::task::AbortHandle;

use crate::{Class, link::Link};

/// Connections made within this time of each other come from both sides dialling at once.
const SIMULTANEOUS: Duration = Duration::from_secs(1);
/// A surplus connection is closed when none newer has come for so long: streams have moved by then.
const SURPLUS_AFTER: Duration = Duration::from_secs(3);
/// Inbound streams of one class: the one in use, and one being replaced that still holds frames.
const MAX_READERS: usize = 2;

/// One connection with a peer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    /// Whether the side with the smaller peer id dialled; both sides see the same.
    pub(crate) dialled_by_smaller: bool,
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
    /// The newest, because an older one may be dead without our knowing: a peer that lost power
    /// and came back has forgotten it. But of connections made at the same time both sides take
    /// the one dialled by the smaller id, so that they agree.
    pub(crate) fn preferred(&self) -> Option<ConnectionId> {
        let newest = self.connections.last()?;
        let agreed = self
            .connections
            .iter()
            .rev()
            .take_while(|c| newest.since.duration_since(c.since) < SIMULTANEOUS)
            .find(|c| c.dialled_by_smaller);
        Some(agreed.unwrap_or(newest).id)
    }

    /// Connections that are not needed any more. One side only, the smaller id, closes them.
    pub(crate) fn surplus(&self, now: Instant) -> Vec<ConnectionId> {
        let Some(newest) = self.connections.last() else { return Vec::new() };
        if self.connections.len() < 2 || now.duration_since(newest.since) < SURPLUS_AFTER {
            return Vec::new();
        }
        let preferred = self.preferred();
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
                since: start + Duration::from_millis(*after),
            });
        }
        peer
    }

    #[test]
    fn the_preferred_connection_is_the_newest_unless_both_sides_dialled_at_once() {
        let cases: [(&[(u64, bool)], Option<usize>); 7] = [
            (&[], None),
            (&[(0, false)], Some(0)),
            (&[(0, true), (5, false)], Some(0)),
            (&[(0, false), (5, true)], Some(1)),
            (&[(0, true), (5000, false)], Some(1)),
            (&[(0, true), (5000, true), (5001, false)], Some(1)),
            (&[(0, false), (5, false)], Some(1)),
        ];
        for (connections, expected) in cases {
            let preferred = peer(Instant::now(), connections).preferred();
            assert_eq!(preferred, expected.map(ConnectionId::new_unchecked), "{connections:?}");
        }
    }

    #[test]
    fn surplus_connections_are_closed_after_a_while_but_never_the_preferred_one() {
        let start = Instant::now();
        let peer = peer(start, &[(0, true), (5, false)]);
        assert!(peer.surplus(start + Duration::from_secs(1)).is_empty());
        let surplus = peer.surplus(start + Duration::from_secs(4));
        assert_eq!(surplus, [ConnectionId::new_unchecked(1)]);
    }

    #[test]
    fn a_single_connection_is_never_surplus() {
        let start = Instant::now();
        let peer = peer(start, &[(0, false)]);
        assert!(peer.surplus(start + Duration::from_secs(60)).is_empty());
    }
}
