//! What the embedded store holds, in memory: sizes, pins, and which blob is the oldest that may go.

use super::pins::Pins;
use std::collections::{BTreeMap, HashMap};

type Hash = [u8; 32];

/// How full an embedded store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Blobs held.
    pub blobs: usize,
    /// Bytes of their content.
    pub bytes: u64,
    /// Blobs that a pin holds.
    pub pinned_blobs: usize,
    /// Bytes of their content.
    pub pinned_bytes: u64,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) size: u64,
    pub(super) pins: Pins,
    /// Position in the order of arrival.
    age: u64,
    /// Height at the last upload; unknown until the store has been told one.
    fresh_since: Option<u64>,
}

/// Invariants: `unpinned` has exactly the entries without pins; `used` and `pinned_bytes` are the
/// sums of their sizes; `reserved_*` counts writes that are under way.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: HashMap<Hash, Entry>,
    unpinned: BTreeMap<u64, Hash>,
    used: u64,
    pinned_bytes: u64,
    reserved_bytes: u64,
    reserved_blobs: usize,
    next_age: u64,
    height: Option<u64>,
}

impl Index {
    pub(super) fn get(&self, hash: &Hash) -> Option<&Entry> {
        self.entries.get(hash)
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            blobs: self.entries.len(),
            bytes: self.used,
            pinned_blobs: self.entries.len() - self.unpinned.len(),
            pinned_bytes: self.pinned_bytes,
        }
    }

    /// Bytes and blobs with those that are being written.
    pub(super) fn claimed(&self) -> (u64, usize) {
        (
            self.used.saturating_add(self.reserved_bytes),
            self.entries.len().saturating_add(self.reserved_blobs),
        )
    }

    /// Bytes and blobs that cannot be freed: pinned or being written.
    pub(super) fn held(&self) -> (u64, usize) {
        let usage = self.usage();
        (
            usage.pinned_bytes.saturating_add(self.reserved_bytes),
            usage.pinned_blobs.saturating_add(self.reserved_blobs),
        )
    }

    pub(super) fn reserve(&mut self, bytes: u64) {
        self.reserved_bytes += bytes;
        self.reserved_blobs += 1;
    }

    pub(super) fn release(&mut self, bytes: u64) {
        self.reserved_bytes -= bytes;
        self.reserved_blobs -= 1;
    }

    /// Records a blob as just uploaded. One that is known already (its file was damaged) keeps its
    /// pins.
    pub(super) fn insert_fresh(&mut self, hash: Hash, size: u64) {
        let pins = self.get(&hash).map(|entry| entry.pins.clone()).unwrap_or_default();
        self.remove(&hash);
        self.insert(hash, size, pins, self.height);
    }

    /// Records a blob found on disk; call in the order of their age.
    pub(super) fn insert_found(&mut self, hash: Hash, size: u64, pins: Pins) {
        // What was pinned once has been referred to: it needs no grace when its pins end.
        let fresh_since = if pins.is_empty() { None } else { Some(0) };
        self.insert(hash, size, pins, fresh_since);
    }

    fn insert(&mut self, hash: Hash, size: u64, pins: Pins, fresh_since: Option<u64>) {
        let age = self.take_age();
        if pins.is_empty() {
            self.unpinned.insert(age, hash);
        } else {
            self.pinned_bytes += size;
        }
        self.used += size;
        self.entries.insert(hash, Entry { size, pins, age, fresh_since });
    }

    /// Makes a blob the youngest; tells whether it is known.
    pub(super) fn touch(&mut self, hash: &Hash) -> bool {
        let age = self.take_age();
        let Some(entry) = self.entries.get_mut(hash) else { return false };
        if entry.pins.is_empty() {
            self.unpinned.remove(&entry.age);
            self.unpinned.insert(age, *hash);
        }
        entry.age = age;
        entry.fresh_since = self.height;
        true
    }

    pub(super) fn remove(&mut self, hash: &Hash) {
        let Some(entry) = self.entries.remove(hash) else { return };
        self.used -= entry.size;
        if entry.pins.is_empty() {
            self.unpinned.remove(&entry.age);
        } else {
            self.pinned_bytes -= entry.size;
        }
    }

    /// Gives a known blob other pins.
    pub(super) fn set_pins(&mut self, hash: &Hash, pins: Pins) {
        let Some(entry) = self.entries.get_mut(hash) else { return };
        match (entry.pins.is_empty(), pins.is_empty()) {
            (true, false) => {
                self.unpinned.remove(&entry.age);
                self.pinned_bytes += entry.size;
            }
            (false, true) => {
                self.unpinned.insert(entry.age, *hash);
                self.pinned_bytes -= entry.size;
            }
            _ => {}
        }
        entry.pins = pins;
    }

    /// The unpinned blob that came first.
    pub(super) fn oldest_unpinned(&self) -> Option<Hash> {
        self.unpinned.values().next().copied()
    }

    /// Moves to `height`, never back. Returns the blobs with pins that ended before it.
    pub(super) fn advance(&mut self, height: u64) -> Vec<Hash> {
        let height = self.height.map_or(height, |known| known.max(height));
        self.height = Some(height);
        for entry in self.entries.values_mut() {
            entry.fresh_since.get_or_insert(height);
        }
        let ended = |(hash, entry): (&Hash, &Entry)| {
            entry.pins.soonest().is_some_and(|until| until < height).then_some(*hash)
        };
        self.entries.iter().filter_map(ended).collect()
    }

    /// Last height that the store has been told.
    pub(super) fn height(&self) -> Option<u64> {
        self.height
    }

    /// Whether nothing pins the blob and its grace has passed.
    pub(super) fn is_collectable(&self, hash: &Hash, grace_blocks: u64) -> bool {
        let (Some(entry), Some(height)) = (self.entries.get(hash), self.height) else {
            return false;
        };
        entry.pins.is_empty()
            && entry.fresh_since.is_some_and(|since| height > since.saturating_add(grace_blocks))
    }

    /// Unpinned blobs whose grace has passed, oldest first.
    pub(super) fn collectable(&self, grace_blocks: u64) -> Vec<Hash> {
        let past_grace = |hash: &&Hash| self.is_collectable(hash, grace_blocks);
        self.unpinned.values().filter(past_grace).copied().collect()
    }

    fn take_age(&mut self) -> u64 {
        self.next_age += 1;
        self.next_age
    }
}
