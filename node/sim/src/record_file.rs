//! The file of the safety record, as a disk can leave it: two slots of sectors, written in turn.
//!
//! The same judgement as in `storage`: the newest whole record counts unless a newer one may have been acknowledged.

use std::sync::Arc;

use neura_consensus::SafetyRecord;
use rand::{RngExt, rand_core::Rng};

/// Sectors of a slot: enough for a write to be torn in several ways.
const SECTORS: usize = 4;

/// One of the two slots: the sequence of the write that each sector holds, none if its checksum fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Slot([Option<u64>; SECTORS]);

impl Slot {
    /// The sequence of the write that fills it.
    fn whole(&self) -> Option<u64> {
        self.0[0].filter(|first| self.0.iter().all(|sector| *sector == Some(*first)))
    }
}

/// What a start finds.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    /// Nothing was ever written.
    Nothing,
    /// The newest record that was acknowledged.
    Record(Arc<SafetyRecord>),
    /// A newer record than any that can be read may have been acknowledged.
    Damaged,
}

/// The file, with the records written to it by sequence.
#[derive(Debug, Default)]
pub(crate) struct RecordFile {
    slots: [Slot; 2],
    /// The newest two or three.
    written: Vec<(u64, Arc<SafetyRecord>)>,
    sequence: u64,
    synced: bool,
}

impl RecordFile {
    /// Writes a record, to be synced. The first write creates the file, with the record in both slots.
    pub(crate) fn write(&mut self, record: Arc<SafetyRecord>) {
        if self.sequence == 0 {
            self.sequence = 1;
            self.slots[self.turn()] = Slot([Some(1); SECTORS]);
            self.written.push((1, Arc::clone(&record)));
        }
        self.sequence += 1;
        self.slots[self.turn()] = Slot([Some(self.sequence); SECTORS]);
        self.written.push((self.sequence, record));
        if self.written.len() > 4 {
            self.written.remove(0);
        }
        self.synced = false;
    }

    /// Makes the last write durable.
    pub(crate) fn sync(&mut self) {
        self.synced = true;
    }

    /// The newest record that is durable.
    pub(crate) fn durable(&self) -> Option<&Arc<SafetyRecord>> {
        let created = self.sequence > 2;
        let newest = if self.synced { self.sequence } else { self.sequence - u64::from(created) };
        self.at(newest).filter(|_| self.synced || created)
    }

    fn turn(&self) -> usize {
        usize::from(self.sequence.is_multiple_of(2))
    }

    fn at(&self, sequence: u64) -> Option<&Arc<SafetyRecord>> {
        self.written.iter().find(|(known, _)| *known == sequence).map(|(_, record)| record)
    }

    /// A write that was not synced is done, undone, or torn between sectors. Sectors are written as a whole; one that
    /// fails its checksum may cost a validator its votes until the next epoch, which is for [`Self::damage`] to bring.
    pub(crate) fn crash(&mut self, rng: &mut impl Rng) {
        if self.synced || self.sequence == 0 {
            return;
        }
        let outcome = rng.random_range(0..3);
        if self.sequence == 2 {
            // A new file gets its name when it is complete.
            if outcome == 0 {
                self.forget();
            }
            self.synced = true;
            return;
        }
        let before = Some(self.sequence - 2);
        for sector in &mut self.slots[self.turn()].0 {
            *sector = match outcome {
                0 => Some(self.sequence),
                1 => before,
                _ => [Some(self.sequence), before][rng.random_range(0..2usize)],
            };
        }
        self.synced = true;
    }

    /// Bits of the newest record flip, although it was synced.
    pub(crate) fn damage(&mut self, rng: &mut impl Rng) {
        if self.sequence > 0 {
            self.slots[self.turn()].0[rng.random_range(0..SECTORS)] = None;
        }
    }

    /// Loses everything.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// What a start finds. `careless`: takes the newest readable record, whatever may have been lost.
    pub(crate) fn read(&self, careless: bool) -> Found {
        if self.sequence == 0 {
            return Found::Nothing;
        }
        let newest = (0..2).filter_map(|slot| Some((self.slots[slot].whole()?, slot))).max();
        let Some((sequence, slot)) = newest else { return Found::Damaged };
        let other = &self.slots[1 - slot].0;
        let highest = other.iter().flatten().copied().max().unwrap_or(0).max(sequence);
        // A sector that a newer acknowledged write would have replaced.
        let proves = other.iter().flatten().any(|known| *known < highest);
        match self.at(sequence) {
            Some(record) if proves || careless => Found::Record(Arc::clone(record)),
            _ => Found::Damaged,
        }
    }
}

#[cfg(test)]
mod tests;
