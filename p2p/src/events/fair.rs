//! A queue that serves peers in turn.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use libp2p::PeerId;
use tokio::sync::OwnedSemaphorePermit;

/// Frames by sender, taken one from each sender in turn. Bounded by the permits that come with
/// the frames.
#[derive(Debug, Default)]
pub(super) struct FairQueue {
    frames: HashMap<PeerId, VecDeque<(Bytes, OwnedSemaphorePermit)>>,
    turns: VecDeque<PeerId>,
}

impl FairQueue {
    pub(super) fn push(&mut self, from: PeerId, bytes: Bytes, permit: OwnedSemaphorePermit) {
        let frames = self.frames.entry(from).or_default();
        if frames.is_empty() {
            self.turns.push_back(from);
        }
        frames.push_back((bytes, permit));
    }

    /// Frames in the queue.
    pub(super) fn len(&self) -> usize {
        self.frames.values().map(VecDeque::len).sum()
    }

    pub(super) fn pop(&mut self) -> Option<(PeerId, Bytes)> {
        let from = self.turns.pop_front()?;
        let frames = self.frames.get_mut(&from)?;
        let (bytes, _permit) = frames.pop_front()?;
        if frames.is_empty() {
            self.frames.remove(&from);
        } else {
            self.turns.push_back(from);
        }
        Some((from, bytes))
    }
}
