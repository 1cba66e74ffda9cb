//! Tell which peer is which validator.

use std::collections::{BTreeMap, BTreeSet};

use neura_consensus::Peer;
use neura_p2p::{PeerId, peer_id_from_public_key};
use neura_types::{ValidatorIndex, ValidatorSet, validator::Validator};

use parking_lot::{Mutex, RwLock};

/// Full nodes that are numbered at a time; when more have been seen, numbering starts afresh.
const MAX_OTHERS: usize = 4_096;

/// Names of peers, as the network and as the consensus core use them.
#[derive(Debug)]
pub struct Peers {
    members: RwLock<Members>,
    others: Mutex<Others>,
}

/// The validators of one epoch.
#[derive(Debug, Default)]
struct Members {
    by_id: BTreeMap<PeerId, ValidatorIndex>,
    by_index: BTreeMap<ValidatorIndex, PeerId>,
}

#[derive(Debug, Default)]
struct Others {
    by_id: BTreeMap<PeerId, u64>,
    by_number: BTreeMap<u64, PeerId>,
    next: u64,
}

impl Peers {
    /// The peers of a validator set. A key that is no peer id cannot connect.
    pub fn new(set: &ValidatorSet) -> Self {
        let peers = Self { members: RwLock::default(), others: Mutex::default() };
        peers.set(set);
        peers
    }

    /// From now on indices are those of this set.
    pub fn set(&self, set: &ValidatorSet) {
        let named = set.iter().filter_map(|(index, member)| Some((index, peer_of(member)?)));
        let by_index: BTreeMap<ValidatorIndex, PeerId> = named.collect();
        let by_id = by_index.iter().map(|(index, id)| (*id, *index)).collect();
        *self.members.write() = Members { by_id, by_index };
    }

    /// The core's name of a peer.
    pub fn of(&self, id: &PeerId) -> Option<Peer> {
        if let Some(index) = self.members.read().by_id.get(id) {
            return Some(Peer::Validator(*index));
        }
        let mut others = self.others.lock();
        if let Some(number) = others.by_id.get(id) {
            return Some(Peer::Other(*number));
        }
        if others.by_id.len() >= MAX_OTHERS {
            others.by_id.clear();
            others.by_number.clear();
        }
        let number = others.next;
        others.next = number.wrapping_add(1);
        others.by_id.insert(*id, number);
        others.by_number.insert(number, *id);
        Some(Peer::Other(number))
    }

    /// The network's name of a peer.
    pub fn id(&self, peer: Peer) -> Option<PeerId> {
        match peer {
            Peer::Validator(index) => self.members.read().by_index.get(&index).copied(),
            Peer::Other(number) => self.others.lock().by_number.get(&number).copied(),
        }
    }
}

/// Peer ids of validators; a key that is no peer id cannot connect.
pub fn peer_ids<'a>(members: impl IntoIterator<Item = &'a Validator>) -> BTreeSet<PeerId> {
    members.into_iter().filter_map(peer_of).collect()
}

fn peer_of(member: &Validator) -> Option<PeerId> {
    peer_id_from_public_key(&member.public_key.0.0).ok()
}
