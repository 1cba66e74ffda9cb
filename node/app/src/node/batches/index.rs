//! Know the batches at hand: whose they are, which wait for a block, which one names them.
//!
//! # Invariants
//! - Of one author at most [`Quota::bytes`] and [`Quota::batches`] wait unasked for.
//! - A batch that a recent final block names is never handed out for another.
//! - What is handed out for a block is shared out by bytes among the authors, and ordered as it came.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use neura_types::{B256, BatchRef, Height, ValidatorIndex};

use super::Frame;
use crate::node::executor::Decoded;

/// Heights for which a batch that was ordered is not named again. Later its transactions are stale by their nonces.
pub const ORDERED_WINDOW: Height = 1_024;
/// Executed heights whose batches stay in memory, for those who ask for the newest blocks.
const EXECUTED_KEPT: Height = 4;
/// A batch that no block has named for so long is dropped; its author seals what is in it again.
pub const EXPIRY: Duration = Duration::from_secs(30);
/// Most batches that a block names.
pub const MAX_BLOCK_BATCHES: usize = 512;

/// What of one author may wait for a block.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    /// Bytes of encoded batches.
    pub bytes: usize,
    /// Batches.
    pub batches: usize,
}

/// Why a batch that came unasked is not kept.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unwanted {
    /// It is here already.
    #[error("known already")]
    Known,
    /// Too much of its author waits.
    #[error("validator {0} has too much waiting")]
    Quota(ValidatorIndex),
}

/// A batch at hand.
#[derive(Debug, Clone)]
pub struct Held {
    /// The batch.
    pub frame: Frame,
    /// Its transactions, verified; empty where nothing is executed.
    pub transactions: Arc<[Decoded]>,
    /// Gas that they may use.
    pub gas: u64,
}

#[derive(Debug)]
struct Entry {
    held: Held,
    arrival: u64,
    since: Instant,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Waits for a block.
    Queued,
    /// Was asked for because a block names it.
    Named,
    /// In a final block.
    Ordered,
}

/// What one author has waiting, oldest first.
#[derive(Debug, Default)]
struct Author {
    queue: VecDeque<B256>,
    bytes: usize,
}

/// What a block may hold.
#[derive(Debug, Clone, Copy)]
pub struct BlockLimits {
    /// Most bytes of transactions.
    pub bytes: u64,
    /// Most gas of transactions.
    pub gas: u64,
}

/// The batches at hand.
#[derive(Debug, Default)]
pub struct Index {
    held: HashMap<B256, Entry>,
    authors: BTreeMap<ValidatorIndex, Author>,
    ordered: HashMap<B256, Height>,
    by_height: BTreeMap<Height, Vec<B256>>,
    executed: Height,
    arrivals: u64,
}

impl Index {
    /// The batch with a digest.
    pub fn get(&self, digest: &B256) -> Option<&Held> {
        self.held.get(digest).map(|entry| &entry.held)
    }

    /// Bytes of an author's that wait for a block.
    pub fn waiting_bytes(&self, author: ValidatorIndex) -> usize {
        self.authors.get(&author).map_or(0, |author| author.bytes)
    }

    /// Number of batches at hand, and bytes of all.
    pub fn size(&self) -> (usize, usize) {
        (self.held.len(), self.held.values().map(|entry| entry.held.frame.bytes.len()).sum())
    }

    /// Whether a batch that comes unasked may be kept.
    ///
    /// # Errors
    /// [`Unwanted`]
    pub fn admit(&self, frame: &Frame, quota: Quota) -> Result<(), Unwanted> {
        let BatchRef { digest, author, .. } = frame.reference;
        if self.held.contains_key(&digest) || self.is_done(&digest) {
            return Err(Unwanted::Known);
        }
        let full = self.authors.get(&author).is_some_and(|author| {
            author.bytes + frame.bytes.len() > quota.bytes || author.queue.len() >= quota.batches
        });
        if full && !self.ordered.contains_key(&digest) {
            return Err(Unwanted::Quota(author));
        }
        Ok(())
    }

    /// Whether it was executed and has left the memory.
    fn is_done(&self, digest: &B256) -> bool {
        self.ordered.get(digest).is_some_and(|height| *height < self.executed)
    }

    /// Keeps a batch; one that came unasked (`queue`) waits for a block.
    pub fn insert(&mut self, held: Held, queue: bool, now: Instant) {
        let BatchRef { digest, author, .. } = held.frame.reference;
        if self.held.contains_key(&digest) || self.is_done(&digest) {
            return;
        }
        let place = match (self.ordered.contains_key(&digest), queue) {
            (true, _) => Place::Ordered,
            (false, true) => Place::Queued,
            (false, false) => Place::Named,
        };
        if place == Place::Queued {
            let author = self.authors.entry(author).or_default();
            author.queue.push_back(digest);
            author.bytes += held.frame.bytes.len();
        }
        self.arrivals += 1;
        self.held.insert(digest, Entry { held, arrival: self.arrivals, since: now, place });
    }

    /// Whether a batch waits for a block, other than those `taken` by its ancestors.
    pub fn has_waiting(&self, taken: &HashSet<B256>) -> bool {
        self.authors.values().flat_map(|author| &author.queue).any(|digest| !taken.contains(digest))
    }

    /// Batches for a block whose ancestors name those `taken`. As long as all fit, all; else each author gets the same
    /// bytes, the oldest batches first.
    pub fn select(&self, taken: &HashSet<B256>, limits: BlockLimits) -> Vec<BatchRef> {
        let waiting = |author: &Author| {
            let free = author.queue.iter().filter(|digest| !taken.contains(*digest));
            free.filter_map(|digest| self.held.get(digest)).collect::<VecDeque<&Entry>>()
        };
        let mut queues: Vec<(u64, VecDeque<&Entry>)> =
            self.authors.values().map(|author| (0, waiting(author))).collect();
        let (mut bytes, mut gas) = (0u64, 0u64);
        let mut chosen = Vec::new();
        while chosen.len() < MAX_BLOCK_BATCHES {
            queues.retain(|(_, queue)| !queue.is_empty());
            let Some((share, queue)) = queues.iter_mut().min_by_key(|(share, _)| *share) else {
                break;
            };
            let Some(entry) = queue.pop_front() else { break };
            let size = u64::from(entry.held.frame.reference.bytes);
            if bytes + size > limits.bytes || gas.saturating_add(entry.held.gas) > limits.gas {
                // What follows of this author must not overtake.
                queue.clear();
                continue;
            }
            *share += size;
            (bytes, gas) = (bytes + size, gas + entry.held.gas);
            chosen.push(entry);
        }
        chosen.sort_unstable_by_key(|entry| entry.arrival);
        chosen.into_iter().map(|entry| entry.held.frame.reference).collect()
    }

    /// Whether a recent final block below a height names a batch. One at that height may be the block that is asked about.
    pub fn was_ordered(&self, digest: &B256, below: Height) -> bool {
        self.ordered.get(digest).is_some_and(|height| *height < below)
    }

    /// Notes what a final block names.
    pub fn ordered(&mut self, height: Height, digests: Vec<B256>) {
        for digest in &digests {
            self.ordered.insert(*digest, height);
            let Some(entry) = self.held.get_mut(digest) else { continue };
            let queued = std::mem::replace(&mut entry.place, Place::Ordered) == Place::Queued;
            let reference = entry.held.frame.reference;
            let size = entry.held.frame.bytes.len();
            if queued {
                self.dequeue(reference.author, digest, size);
            }
        }
        self.by_height.insert(height, digests);
        let oldest = height.saturating_sub(ORDERED_WINDOW);
        while let Some(entry) = self.by_height.first_entry().filter(|entry| *entry.key() < oldest) {
            for digest in entry.remove() {
                self.ordered.remove(&digest);
            }
        }
    }

    fn dequeue(&mut self, author: ValidatorIndex, digest: &B256, size: usize) {
        let Some(waiting) = self.authors.get_mut(&author) else { return };
        if let Some(at) = waiting.queue.iter().position(|queued| queued == digest) {
            waiting.queue.remove(at);
            waiting.bytes = waiting.bytes.saturating_sub(size);
        }
        if waiting.queue.is_empty() {
            self.authors.remove(&author);
        }
    }

    /// Drops from memory what is executed.
    pub fn executed(&mut self, height: Height) {
        let until = height.saturating_sub(EXECUTED_KEPT);
        for (_, digests) in self.by_height.range(self.executed..until) {
            for digest in digests {
                self.held.remove(digest);
            }
        }
        self.executed = self.executed.max(until);
    }

    /// Takes out what has waited too long and is in none of the blocks that name `named`.
    pub fn expire(&mut self, now: Instant, named: &HashSet<B256>) -> Vec<Held> {
        let old = |entry: &Entry| {
            entry.place != Place::Ordered && now.saturating_duration_since(entry.since) > EXPIRY
        };
        let expired =
            self.held.iter().filter(|(digest, entry)| old(entry) && !named.contains(*digest));
        let expired: Vec<B256> = expired.map(|(digest, _)| *digest).collect();
        let mut gone = Vec::new();
        for digest in expired {
            let Some(entry) = self.held.remove(&digest) else { continue };
            let frame = &entry.held.frame;
            self.dequeue(frame.reference.author, &digest, frame.bytes.len());
            gone.push(entry.held);
        }
        gone
    }
}

#[cfg(test)]
mod tests;
