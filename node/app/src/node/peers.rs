//! Tell which peer is which validator.

use std::collections::{BTreeMap, BTreeSet};

use neura_consensus::Peer;
use neura_p2p::{PeerId, peer_id_from_public_key};
use neura_types::{ValidatorIndex, ValidatorSet};
use parking_lot::Mutex;

/// Full nodes that are numbered at a time; when more have been seen, numbering starts afresh.
const MAX_OTHERS: usize = 4_096;

/// Names of peers, as the network and as the consensus core use them.
#[derive(Debug)]
pub struct Peers {
    by_id: BTreeMap<PeerId, ValidatorIndex>,
    by_index: BTreeMap<ValidatorIndex, PeerId>,
    others: Mutex<Others>,
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
        let by_index: BTreeMap<ValidatorIndex, PeerId> = set
            .iter()
            .filter_map(|(index, v)| {
                peer_id_from_public_key(&v.public_key.0.0).ok().map(|id| (index, id))
            })
            .collect();
        let by_id = by_index.iter().map(|(index, id)| (*id, *index)).collect();
        Self { by_id, by_index, others: Mutex::default() }
    }

    /// Peer ids of all validators.
    pub fn validators(&self) -> BTreeSet<PeerId> {
        self.by_id.keys().copied().collect()
    }

    /// The core's name of a peer.
    pub fn of(&self, id: &PeerId) -> Option<Peer> {
        if let Some(index) = self.by_id.get(id) {
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
            Peer::Validator(index) => self.by_index.get(&index).copied(),
            Peer::Other(number) => self.others.lock().by_number.get(&number).copied(),
        }
    }
}
