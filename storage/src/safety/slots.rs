//! Write the two slots in turn.

use std::{io, path::Path};

use super::{
    Recovered, SafetyError,
    judge::{Verdict, judge},
    layout::{FILE_BYTES, SLOT_BYTES, blank_record, encode_slot},
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
}

impl<M: Medium> Slots<M> {
    /// Reads a medium, and makes what it answers durable before it answers.
    pub(super) fn load(mut medium: M) -> io::Result<(Self, Recovered)> {
        let (slot, highest, record) = match judge(&medium.read_all()?) {
            Verdict::Newest { slot, highest, record } => (slot, highest, record),
            Verdict::Damaged(damage) => {
                return Ok((Self { medium, state: State::Sealed }, Recovered::Damaged(damage)));
            }
        };
        let state = State::Ready { slot: 1 - slot, sequence: highest.saturating_add(1) };
        let mut slots = Self { medium, state };
        match slots.write(&record) {
            Ok(()) => {}
            Err(WriteError::Io(_, error)) => return Err(error),
            Err(other) => return Err(io::Error::other(format!("{other:?}"))),
        }
        let recovered =
            if record.is_empty() { Recovered::Empty } else { Recovered::Record(record) };
        Ok((slots, recovered))
    }

    /// Writes a record to the slot that does not hold the newest.
    pub(super) fn write(&mut self, record: &[u8]) -> Result<(), WriteError> {
        let (slot, sequence) = match self.state {
            State::Ready { slot, sequence } => (slot, sequence),
            State::Sealed => return Err(WriteError::Sealed),
            State::Poisoned => return Err(WriteError::Poisoned),
        };
        let bytes =
            encode_slot(slot, sequence, record).ok_or(WriteError::TooLarge(record.len()))?;
        self.put(slot * SLOT_BYTES, &bytes)?;
        self.state = State::Ready { slot: 1 - slot, sequence: sequence.saturating_add(1) };
        Ok(())
    }

    /// Wipes everything, then writes a record to both slots: in between, the medium proves nothing.
    pub(super) fn replace(&mut self, record: &[u8]) -> Result<(), WriteError> {
        if self.state == State::Poisoned {
            return Err(WriteError::Poisoned);
        }
        let bytes = blank_record(record).ok_or(WriteError::TooLarge(record.len()))?;
        self.medium.set_len(FILE_BYTES).map_err(|e| WriteError::Io("resized", e))?;
        self.put(0, &[0; FILE_BYTES])?;
        self.put(0, &bytes)?;
        // The second slot of a fresh file is the newer, with sequence 2.
        self.state = State::Ready { slot: 0, sequence: 3 };
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
