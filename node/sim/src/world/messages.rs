//! Messages and fetches between nodes.

use std::sync::Arc;

use neura_consensus::{FetchRequest, Input, Peer};
use neura_types::{CommitProof, ValidatorIndex, codec, vote::ConsensusMessage};

use super::{Event, World};
use crate::{
    byzantine::{self, Audience, Liar},
    plan::Behaviour,
};

/// Time until a node learns that a fetch was lost, in microseconds.
const FETCH_LOST_US: u64 = 20_000;

impl World {
    /// Sends to one validator of the sender's epoch, or to all others.
    pub(crate) fn send(
        &mut self,
        node: usize,
        to: Option<ValidatorIndex>,
        message: ConsensusMessage,
    ) {
        let at = &self.nodes[node];
        let index_of = |other: &usize| at.config.set.index_of(&self.nodes[*other].key.public_key());
        let me = at.index();
        let meant = |other: &usize| match (index_of(other), to) {
            (None, _) => false,
            (index, Some(_)) => index == to,
            (index, None) => index != me,
        };
        let receivers: Vec<usize> =
            (0..self.nodes.len()).filter(|other| *other != node).filter(meant).collect();
        if at.honest {
            return self.deliver(node, &receivers, &Arc::new(message));
        }
        for (audience, message) in self.distorted(node, message) {
            let reached = |other: &&usize| match audience {
                Audience::All => true,
                Audience::Half(which) => other.is_multiple_of(2) == which,
            };
            let receivers: Vec<usize> = receivers.iter().filter(reached).copied().collect();
            self.deliver(node, &receivers, &Arc::new(message));
        }
    }

    fn distorted(
        &mut self,
        node: usize,
        message: ConsensusMessage,
    ) -> Vec<(Audience, ConsensusMessage)> {
        let at = &mut self.nodes[node];
        let (Some(index), Some(behaviours)) = (at.index(), self.plan.byzantine.get(&at.identity))
        else {
            return vec![(Audience::All, message)];
        };
        let mut liar = Liar {
            behaviours,
            key: &at.key,
            index,
            config: &at.config,
            context: &self.chain.context,
            old: &mut at.old_certificates,
        };
        liar.distort(message, &mut self.rng)
    }

    fn deliver(&mut self, node: usize, receivers: &[usize], message: &Arc<ConsensusMessage>) {
        let digest = blake3::hash(&codec::encode(message.as_ref()));
        self.record(node, 4, digest.as_bytes());
        for other in receivers {
            for after_us in self.network.delays(node, *other, &mut self.rng) {
                let message = Arc::clone(message);
                self.schedule(after_us, Event::Message { node: *other, sender: node, message });
            }
        }
    }

    /// Tells those who are not in the set what became final.
    pub(crate) fn announce(&mut self, node: usize, proof: CommitProof) {
        let at = &self.nodes[node];
        let outside =
            |other: &usize| at.config.set.index_of(&self.nodes[*other].key.public_key()).is_none();
        let receivers: Vec<usize> = (0..self.nodes.len()).filter(outside).collect();
        if at.index().is_some() && !receivers.is_empty() {
            let message = ConsensusMessage::Committed(Box::new(proof));
            self.deliver(node, &receivers, &Arc::new(message));
        }
    }

    /// Connections of a node come up: both ends are told.
    pub(crate) fn reconnect(&mut self, node: usize) {
        for other in 0..self.nodes.len() {
            if other != node {
                let after_us = 1_000 + self.draw(1_000);
                self.schedule(after_us, Event::Connected { node: other, other: node });
            }
        }
    }

    pub(super) fn reconnect_all(&mut self) {
        if self.plan.weather.reconnects {
            (0..self.nodes.len()).for_each(|node| self.reconnect(node));
        }
    }

    pub(super) fn on_connected(&mut self, node: usize, other: usize) {
        if let Peer::Validator(peer) = self.nodes[other].peer_in(other, &self.nodes[node].config) {
            self.step(node, Input::Connected { peer });
        }
    }

    /// Asks one of the peers named, or anyone.
    pub(crate) fn fetch(&mut self, node: usize, request: FetchRequest) {
        let (FetchRequest::Ancestors { ask, .. } | FetchRequest::Committed { ask, .. }) = &request;
        let config = &self.nodes[node].config;
        let named = |other: &usize| {
            ask.first().is_none_or(|peer| self.nodes[*other].peer_in(*other, config) == *peer)
        };
        let candidates: Vec<usize> =
            (0..self.nodes.len()).filter(|other| *other != node).filter(named).collect();
        if candidates.is_empty() {
            return;
        }
        let chosen = candidates[self.draw(candidates.len() as u64) as usize];
        let life = self.nodes[node].life;
        match self.network.delays(node, chosen, &mut self.rng).first() {
            Some(after_us) => {
                let event = Event::Serve { node: chosen, asker: node, request };
                self.schedule(*after_us, event);
            }
            None => {
                let input = Box::new(Input::FetchFailed { request });
                self.schedule(FETCH_LOST_US, Event::Own { node, life, input });
            }
        }
    }

    pub(super) fn serve(&mut self, node: usize, asker: usize, request: &FetchRequest) {
        if !self.nodes[node].up {
            return;
        }
        let mut answer = self.nodes[node].disk.serve(request);
        if self.does(node, Behaviour::SyncLiar) {
            answer = byzantine::lie(answer, &self.nodes[node].disk, &mut self.rng);
        }
        for after_us in self.network.delays(node, asker, &mut self.rng) {
            let answer = Box::new(answer.clone());
            self.schedule(after_us, Event::Answer { node: asker, sender: node, answer });
        }
    }

    pub(super) fn on_answer(&mut self, node: usize, sender: usize, mut answer: Input) {
        let peer = self.nodes[sender].peer_in(sender, &self.nodes[node].config);
        if let Input::Ancestors { from, .. } | Input::Committed { from, .. } = &mut answer {
            *from = peer;
        }
        self.step(node, answer);
    }
}
