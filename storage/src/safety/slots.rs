//! Write the two slots in turn.

use std::{io, path::Path};

use super::{
    Damage, Recovered, SafetyError,
    judge::{Verdict, judge},
    layout::{FILE_BYTES, SLOT_BYTES, encode_record, fresh_file},
    medium::Medium,
};

/// A failed write, before the path is known.
#[derive(Debug)]
pub(super) enum WriteError {
    Io(&'static str, io::Error),
    TooLarge(usize),
    Poisoned,
    Sealed,
}

impl WriteError {
    pub(super) fn at(self, path: &Path) -> SafetyError {
        match self {
            Self::Io(action, source) => SafetyError::Io { path: path.into(), action, source },
            Self::TooLarge(bytes) => SafetyError::TooLarge(bytes),
            Self::Poisoned => SafetyError::Poisoned,
            Self::Sealed => SafetyError::Sealed,
        }
    }
}

/// Whether and where the next record may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The slot that does not hold the newest record, and the sequence above all.
    Ready {
        slot: usize,
        sequence: u64,
    },
    Sealed,
    Poisoned,
}

/// A record in two slots of a medium.
#[derive(Debug)]
pub(super) struct Slots<M> {
    medium: M,
    state: State,
    /// No record was acknowledged with a higher sequence.
    newest: u64,
}

impl<M: Medium> Slots<M> {
    /// Reads a medium, and makes what it answers durable before it answers. `known` is the sequence of a record that is
    /// known to have been acknowledged; 0 if none is.
    pub(super) fn load(mut medium: M, known: u64) -> io::Result<(Self, Recovered)> {
        let (slot, sequence, highest, record) = match judge(&medium.read_all()?) {
            Verdict::Newest { slot, sequence, highest, record } => {
                (slot, sequence, highest, record)
            }
            Verdict::Damaged(damage) => return Ok(Self::sealed(medium, known, damage)),
        };
        if sequence < known {
            return Ok(Self::sealed(medium, known, Damage::Older { found: sequence, known }));
        }
        let state = State::Ready { slot: 1 - slot, sequence: highest.saturating_add(1) };
        let mut slots = Self { medium, state, newest: highest };
        match slots.write(&record) {
            Ok(()) => {}
            Err(WriteError::Io(_, error)) => return Err(error),
            Err(other) => return Err(io::Error::other(format!("{other:?}"))),
        }
        let recovered =
            if record.is_empty() { Recovered::Empty } else { Recovered::Record(record) };
        Ok((slots, recovered))
    }

    fn sealed(medium: M, known: u64, damage: Damage) -> (Self, Recovered) {
        (Self { medium, state: State::Sealed, newest: known }, Recovered::Damaged(damage))
    }

    /// Sequence of the last acknowledged record.
    pub(super) const fn newest(&self) -> u64 {
        self.newest
    }

    /// Writes a record to the slot that does not hold the newest.
    pub(super) fn write(&mut self, record: &[u8]) -> Result<(), WriteError> {
        let (slot, sequence) = match self.state {
            State::Ready { slot, sequence } => (slot, sequence),
            State::Sealed => return Err(WriteError::Sealed),
            State::Poisoned => return Err(WriteError::Poisoned),
        };
        let bytes =
            encode_record(slot, sequence, record).ok_or(WriteError::TooLarge(record.len()))?;
        self.put(slot * SLOT_BYTES, &bytes)?;
        self.state = State::Ready { slot: 1 - slot, sequence: sequence.saturating_add(1) };
        self.newest = sequence;
        Ok(())
    }

    /// Wipes everything, then writes a record to both slots: in between, the medium proves nothing.
    pub(super) fn replace(&mut self, record: &[u8]) -> Result<(), WriteError> {
        if self.state == State::Poisoned {
            return Err(WriteError::Poisoned);
        }
        let first = self.newest.saturating_add(1);
        let bytes = fresh_file(first, record).ok_or(WriteError::TooLarge(record.len()))?;
        self.medium.set_len(FILE_BYTES).map_err(|e| WriteError::Io("resized", e))?;
        self.put(0, &[0; FILE_BYTES])?;
        self.put(0, &bytes)?;
        // The second slot of a fresh file is the newer.
        self.newest = first.saturating_add(1);
        self.state = State::Ready { slot: 0, sequence: first.saturating_add(2) };
        Ok(())
    }

    /// Writes and syncs; a failure of either is the last thing that this handle does.
    fn put(&mut self, offset: usize, bytes: &[u8]) -> Result<(), WriteError> {
        let previous = std::mem::replace(&mut self.state, State::Poisoned);
        self.medium.write_at(offset, bytes).map_err(|e| WriteError::Io("written", e))?;
        self.medium.sync().map_err(|e| WriteError::Io("synced", e))?;
        self.state = previous;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn into_medium(self) -> M {
        self.medium
    }
}
