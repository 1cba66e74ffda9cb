//! Inputs that no one makes on purpose: messages with flipped bits, answers to questions never asked.

use std::sync::Arc;

use neura_consensus_bugs::{Body, FetchRequest, Input, Peer};
use neura_types::{
    B256, Block, BlockId, ValidatorIndex, codec,
    vote::{ConsensusMessage, Statement},
};

use super::arena::Arena;

/// Longest message that is altered.
const MAX_BYTES: usize = 1 << 20;

impl Arena {
    /// A message under way, altered in a few bytes, from the Byzantine validator or a stranger.
    pub(super) fn mutate(&mut self) {
        let Some(mail) = self.rng.pick(&self.mail).cloned() else { return };
        let mut bytes = codec::encode(&mail.message);
        for _ in 0..=self.rng.below(4) {
            let place = self.rng.below(bytes.len());
            let flipped = self.rng.below(255) as u8 + 1;
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= flipped;
            }
        }
        let Ok(message) = codec::decode_limited::<ConsensusMessage>(&bytes, MAX_BYTES) else {
            return;
        };
        let from =
            if self.rng.chance(50) { Peer::Validator(self.byzantine) } else { Peer::Other(9) };
        self.step(mail.to, Input::Message { from, message }, usize::MAX);
    }

    /// An input out of the blue.
    pub(super) fn surprise(&mut self) {
        let honest = self.honest();
        let Some(index) = self.rng.pick(&honest).copied() else { return };
        let from = Peer::Validator(self.byzantine);
        let id = self.any_id();
        let input = match self.rng.below(9) {
            0 => Input::Timer,
            1 => Input::Connected { peer: self.rng.below(6) as ValidatorIndex },
            2 => {
                let view = self.view.wrapping_add(self.rng.below(5) as u64).wrapping_sub(2);
                // A payload of another view or parent than asked for: it must not be used.
                Input::Payload { view, parent: B256::ZERO, body: Box::new(Body::default()) }
            }
            3 => Input::Validated { block: id, verdict: Err("unasked".to_owned()) },
            4 => Input::Ancestors { from, of: id, blocks: self.any_blocks() },
            5 => Input::Committed { from, blocks: self.any_blocks(), proof: self.any_proof() },
            6 => {
                let request = FetchRequest::Ancestors { of: id, down_to: 0, ask: Vec::new() };
                Input::FetchFailed { request }
            }
            7 => {
                let statement = Statement::Propose { view: self.view, block: id };
                let signed = self.realm.signed(self.byzantine, statement);
                Input::Message { from, message: ConsensusMessage::Vote(signed) }
            }
            _ => return self.mutate(),
        };
        self.step(index, input, usize::MAX);
    }

    fn any_id(&mut self) -> BlockId {
        let ids: Vec<BlockId> = self.watch.blocks.keys().copied().collect();
        self.rng.pick(&ids).copied().unwrap_or_default()
    }

    fn any_blocks(&mut self) -> Vec<Arc<Block>> {
        let blocks: Vec<Arc<Block>> = self.watch.blocks.values().cloned().collect();
        let mut picked = Vec::new();
        for _ in 0..self.rng.below(5) {
            picked.extend(self.rng.pick(&blocks).cloned());
        }
        picked
    }
}
