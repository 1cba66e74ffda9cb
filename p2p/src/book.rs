//! Peers that could be dialled, and where.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId};
use rand::seq::IteratorRandom;

use crate::address::{Group, group_of, ip_of};

/// Most peers in the book.
const MAX_PEERS: usize = 1024;
/// Most peers of one group in the book: addresses are cheap where there are many.
const MAX_PER_GROUP: usize = 8;
/// Most addresses of one peer: IPv4 and IPv6 over TCP and QUIC.
pub(crate) const MAX_ADDRESSES: usize = 4;
/// Pause after the first dial that failed; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// After so many failures in a row, about ten minutes in all, a peer is forgotten.
const MAX_FAILURES: u32 = 7;

/// Peers that others have told of or that have told of themselves. Nothing in it has been proved.
#[derive(Debug, Default)]
pub(crate) struct Book {
    peers: HashMap<PeerId, Entry>,
}

#[derive(Debug)]
struct Entry {
    addresses: Vec<Multiaddr>,
    failures: u32,
    /// Not to be dialled before.
    not_before: Instant,
}

impl Entry {
    fn group(&self) -> Option<Group> {
        self.addresses.first().and_then(ip_of).and_then(group_of)
    }
}

impl Book {
    /// Notes addresses of a peer. What the peer itself has said (`certain`) replaces what was
    /// there, hearsay does not. A full book forgets a peer that could not be reached, or takes
    /// nobody new.
    pub(crate) fn note(
        &mut self,
        peer: PeerId,
        mut addresses: Vec<Multiaddr>,
        certain: bool,
        now: Instant,
    ) {
        addresses.truncate(MAX_ADDRESSES);
        if addresses.is_empty() {
            return;
        }
        if let Some(entry) = self.peers.get_mut(&peer) {
            if certain {
                entry.addresses = addresses;
                entry.failures = 0;
            }
            return;
        }
        let entry = Entry { addresses, failures: 0, not_before: now };
        let group = entry.group();
        let near = self.peers.values().filter(|e| group.is_some() && e.group() == group).count();
        if near >= MAX_PER_GROUP || (self.peers.len() >= MAX_PEERS && !self.forget_unreachable()) {
            return;
        }
        self.peers.insert(peer, entry);
    }

    /// The addresses of a peer.
    pub(crate) fn addresses(&self, peer: &PeerId) -> Option<&[Multiaddr]> {
        self.peers.get(peer).map(|entry| &entry.addresses[..])
    }

    /// A peer to dial, chosen at random among those that are due and `suit`. It is not due again
    /// for a while.
    pub(crate) fn choose(
        &mut self,
        now: Instant,
        suits: impl Fn(&PeerId, Option<Group>) -> bool,
    ) -> Option<(PeerId, Vec<Multiaddr>)> {
        let due = |(peer, entry): &(&PeerId, &mut Entry)| {
            entry.not_before <= now && suits(peer, entry.group())
        };
        let (peer, entry) = self.peers.iter_mut().filter(due).choose(&mut rand::rng())?;
        entry.not_before = now + FIRST_PAUSE;
        Some((*peer, entry.addresses.clone()))
    }

    /// A dial failed.
    pub(crate) fn failed(&mut self, peer: &PeerId, now: Instant) {
        let Some(entry) = self.peers.get_mut(peer) else { return };
        entry.failures += 1;
        entry.not_before = now + FIRST_PAUSE * (1 << entry.failures.min(MAX_FAILURES));
        if entry.failures >= MAX_FAILURES {
            self.peers.remove(peer);
        }
    }

    /// The peer is not worth dialling.
    pub(crate) fn forget(&mut self, peer: &PeerId) {
        self.peers.remove(peer);
    }

    /// Peers in the book.
    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }

    fn forget_unreachable(&mut self) -> bool {
        let worst = self.peers.iter().max_by_key(|(_, entry)| entry.failures);
        match worst {
            Some((peer, entry)) if entry.failures > 0 => {
                let peer = *peer;
                self.peers.remove(&peer).is_some()
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ip: [u8; 4]) -> Vec<Multiaddr> {
        let [a, b, c, d] = ip;
        vec![format!("/ip4/{a}.{b}.{c}.{d}/tcp/4001").parse().unwrap()]
    }

    fn any(_: &PeerId, _: Option<Group>) -> bool {
        true
    }

    #[test]
    fn hearsay_does_not_replace_what_a_peer_says_of_itself() {
        let (mut book, peer, now) = (Book::default(), PeerId::random(), Instant::now());
        book.note(peer, at([1, 1, 1, 1]), false, now);
        book.note(peer, at([2, 2, 2, 2]), false, now);
        assert_eq!(book.addresses(&peer), Some(&at([1, 1, 1, 1])[..]));
        book.note(peer, at([3, 3, 3, 3]), true, now);
        assert_eq!(book.addresses(&peer), Some(&at([3, 3, 3, 3])[..]));
    }

    #[test]
    fn the_book_is_bounded_in_all_in_groups_and_in_addresses() {
        let (mut book, now) = (Book::default(), Instant::now());
        for last in 0..100 {
            book.note(PeerId::random(), at([1, 2, 3, last]), false, now);
        }
        assert_eq!(book.len(), MAX_PER_GROUP);
        for number in 0..2 * MAX_PEERS {
            let [_, _, b, c] = (number as u32).to_be_bytes();
            book.note(PeerId::random(), at([10, b, c, 1]), false, now);
        }
        assert_eq!(book.len(), MAX_PEERS);
        let (mut book, peer) = (Book::default(), PeerId::random());
        book.note(peer, vec![at([1, 1, 1, 1]).remove(0); 100], true, now);
        assert_eq!(book.addresses(&peer).unwrap().len(), MAX_ADDRESSES);
    }

    #[test]
    fn a_full_book_makes_room_by_forgetting_who_could_not_be_reached() {
        let (mut book, now) = (Book::default(), Instant::now());
        let peers: Vec<_> = (0..MAX_PEERS).map(|_| PeerId::random()).collect();
        peers.iter().for_each(|peer| book.note(*peer, at([10, 0, 0, 1]), false, now));
        let newcomer = PeerId::random();
        book.note(newcomer, at([10, 0, 0, 1]), false, now);
        assert_eq!(book.addresses(&newcomer), None);
        book.failed(&peers[5], now);
        book.note(newcomer, at([10, 0, 0, 1]), false, now);
        assert!(book.addresses(&newcomer).is_some());
        assert_eq!((book.len(), book.addresses(&peers[5])), (MAX_PEERS, None));
    }

    #[test]
    fn failures_are_followed_by_growing_pauses_and_at_last_forgotten() {
        let (mut book, peer, mut now) = (Book::default(), PeerId::random(), Instant::now());
        book.note(peer, at([1, 1, 1, 1]), false, now);
        for failures in 1..MAX_FAILURES {
            assert_eq!(book.choose(now, any), Some((peer, at([1, 1, 1, 1]))));
            book.failed(&peer, now);
            let pause = FIRST_PAUSE * (1 << failures);
            assert_eq!(book.choose(now + pause - Duration::from_millis(1), any), None);
            now += pause;
        }
        book.failed(&peer, now);
        assert_eq!(book.len(), 0);
    }

    #[test]
    fn only_suitable_peers_are_chosen_and_none_twice_at_once() {
        let (mut book, now) = (Book::default(), Instant::now());
        let peers = [PeerId::random(), PeerId::random(), PeerId::random()];
        for (peer, first) in peers.iter().zip([1, 2, 3]) {
            book.note(*peer, at([first, 1, 1, 1]), false, now);
        }
        let avoided = group_of("2.1.1.9".parse().unwrap());
        let mut chosen: Vec<_> = std::iter::from_fn(|| {
            book.choose(now, |peer, group| *peer != peers[0] && group != avoided)
        })
        .collect();
        assert_eq!(chosen.pop(), Some((peers[2], at([3, 1, 1, 1]))));
        assert!(chosen.is_empty());
    }
}
