//! Keep what a validator must not forget before its signature leaves, in one small file that is never read wrongly.
//!
//! The format is drawn to the byte in the crate's README. In short: two slots of 144 sectors, written in turn from their
//! start on, as many sectors as the record fills but at least 16; every sector names its slot, its place, the sequence
//! number, length and digest of the whole record, under its own CRC32.
//!
//! # Why the answer is never older than what was acknowledged
//! [`SafetyFile::write`] returns after the write was synced, so an acknowledged record fills **all** of its sectors.
//! Assumed is that a sector, once synced, keeps its bytes or fails its checksum, and that a write in flight when the power
//! fails leaves each of its sectors old, new or failing its checksum. Let `s` be the highest sequence of a slot that is
//! whole, `other` the other slot, and `t` a record above `s` that was acknowledged and is not the record `s` written again.
//! Then `t` was the first write to `other` since `s`, and the last: the next write went to, and changed, the slot of `s`.
//! So every sector that `t` filled is `t` or not sound, and every other sound sector of `other` is below `s`.
//! - If a sound sector of `other` is above `s`, the highest such, `m`, names the sectors that its record fills. A sound
//!   sector below `m` among these shows that `m` is not `t`, so there is no `t`: `m` was torn. The record `s` is returned.
//! - If none is, a sound sector below `s` among the first 16, which every record fills, shows that there is no `t`. The
//!   record `s` is returned.
//! - Otherwise the sectors that are not sound may be all that is left of `t`: a flipped bit in the newest slot looks just
//!   so. The file is [`Recovered::Damaged`], and its owner observes instead of signing.
//!
//! What is returned by [`SafetyFile::open`] was first written anew to the other slot and synced: after a failed sync the
//! system may show bytes that never reached the disk.
//!
//! A whole older copy of the file proves nothing by itself. Who remembers elsewhere the sequence of a record that was
//! acknowledged finds it out: [`SafetyFile::open_after`].

mod judge;
mod layout;
mod medium;
mod slots;
#[cfg(test)]
mod tests;

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

pub use layout::MAX_RECORD_BYTES;

use judge::{Verdict, judge};
use layout::{FILE_BYTES, SECTOR_BYTES, SLOT_BYTES, encode_record, fresh_file, reseal};
use medium::{LockedFile, sync_parent};
use slots::Slots;

/// Why the record could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum SafetyError {
    /// The system refused.
    #[error("the safety record {path} could not be {action}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process uses the record.
    #[error(
        "the safety record {path} is in use by another process: one key must not sign in two places"
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// A record is there already.
    #[error(
        "there is a safety record at {path} already: open it instead of starting without memory"
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// More bytes than a slot holds.
    #[error("a safety record has at most {MAX_RECORD_BYTES} bytes, not {0}")]
    TooLarge(usize),
    /// An earlier write failed.
    #[error(
        "the safety record takes no writes since one failed: stop, look at the disk, start again"
    )]
    Poisoned,
    /// The record is damaged, and nobody has said that it is safe to start over.
    #[error(
        "the safety record is damaged: observe until it is safe to vote again, then replace it"
    )]
    Sealed,
}

/// What a safety file held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovered {
    /// The file was created, and nothing was ever written to it.
    Empty,
    /// The newest record: the last acknowledged, or one whose write was under way.
    Record(Vec<u8>),
    /// A newer record than what can be read may have been acknowledged. Observe; do not sign.
    Damaged(Damage),
}

/// How a record is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// There is no file.
    Missing,
    /// The file has another length than it was created with.
    Length {
        /// Bytes found.
        found: u64,
    },
    /// Neither slot holds a whole record.
    NoWholeSlot,
    /// One slot is whole, but the other may have held a newer record.
    NewerMayBeLost {
        /// Sequence of the whole slot.
        whole: u64,
    },
    /// The record is older than one that is known to have been written: an old copy was put in its place.
    Older {
        /// Its sequence.
        found: u64,
        /// Sequence of the record that was written.
        known: u64,
    },
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => write!(f, "the safety record is missing"),
            Self::Length { found } => write!(f, "the safety record has {found} bytes"),
            Self::NoWholeSlot => write!(f, "no slot of the safety record is whole"),
            Self::NewerMayBeLost { whole } => {
                write!(f, "a record newer than number {whole} may be lost")
            }
            Self::Older { found, known } => {
                write!(
                    f,
                    "an old copy: the record is number {found}, but number {known} was written"
                )
            }
        }
    }
}

/// A validator's record, open for writing and locked against other processes.
#[derive(Debug)]
pub struct SafetyFile {
    path: PathBuf,
    /// None if the file was missing when it was opened.
    slots: Option<Slots<LockedFile>>,
    /// Sequence of a record that was known when it was opened.
    known: u64,
}

impl SafetyFile {
    /// Creates the record of a key that has never signed anything, with its space allocated.
    ///
    /// # Errors
    /// [`SafetyError::Exists`] if there is a file, or whatever the system refuses.
    pub fn create(path: &Path) -> Result<Self, SafetyError> {
        place(path, 1, &[])?;
        match Self::open(path)? {
            (file, Recovered::Empty) => Ok(file),
            _ => Err(SafetyError::Exists { path: path.into() }),
        }
    }

    /// Opens a record and says what it held. Never creates one: a missing file is a lost memory.
    ///
    /// # Errors
    /// If another process has it open or the system refuses. Damage is not an error but an answer.
    pub fn open(path: &Path) -> Result<(Self, Recovered), SafetyError> {
        Self::open_after(path, None)
    }

    /// As [`SafetyFile::open`], when a record of sequence `known` is known to have been acknowledged: an older one is
    /// [`Damage::Older`].
    ///
    /// # Errors
    /// As [`SafetyFile::open`].
    pub fn open_after(path: &Path, known: Option<u64>) -> Result<(Self, Recovered), SafetyError> {
        let known = known.unwrap_or(0);
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let missing = Self { path: path.into(), slots: None, known };
                return Ok((missing, Recovered::Damaged(Damage::Missing)));
            }
            Err(e) => return Err(io(path, "opened")(e)),
        };
        let medium = LockedFile::lock(file, path)?;
        let (slots, recovered) = Slots::load(medium, known).map_err(io(path, "read"))?;
        if let Recovered::Damaged(damage) = &recovered {
            tracing::error!(path = %path.display(), %damage, "the safety record is damaged: observing");
        }
        Ok((Self { path: path.into(), slots: Some(slots), known }, recovered))
    }

    /// Replaces the record, durably before it returns. An empty record reads back as [`Recovered::Empty`].
    ///
    /// # Errors
    /// If it is too large or sealed; or if writing or syncing fails, after which every write is refused.
    pub fn write(&mut self, record: &[u8]) -> Result<(), SafetyError> {
        let slots = self.slots.as_mut().ok_or(SafetyError::Sealed)?;
        slots.write(record).map_err(|e| e.at(&self.path))
    }

    /// Starts over after damage with a record of which the caller knows by other means that it forbids enough.
    ///
    /// Until this returns the file stays damaged.
    ///
    /// # Errors
    /// As [`SafetyFile::write`], without [`SafetyError::Sealed`].
    pub fn replace(&mut self, record: &[u8]) -> Result<(), SafetyError> {
        if let Some(slots) = self.slots.as_mut() {
            return slots.replace(record).map_err(|e| e.at(&self.path));
        }
        place(&self.path, self.known.saturating_add(1), record)?;
        (*self, _) = Self::open(&self.path)?;
        Ok(())
    }

    /// Sequence of the last acknowledged record; of the one known elsewhere while the record is damaged.
    pub fn sequence(&self) -> u64 {
        self.slots.as_ref().map_or(self.known, Slots::newest)
    }
}

/// Puts a complete file with `record` in both slots where there is none, so that no crash leaves half of one.
fn place(path: &Path, sequence: u64, record: &[u8]) -> Result<(), SafetyError> {
    let bytes = fresh_file(sequence, record).ok_or(SafetyError::TooLarge(record.len()))?;
    let draft = path.with_extension("new");
    let written = File::create(&draft).and_then(|mut file| {
        file.write_all(&bytes)?;
        file.sync_all()
    });
    written.map_err(io(&draft, "written"))?;
    // A link, unlike a rename, never replaces a record.
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft).map_err(io(&draft, "removed"))?;
    linked.map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => SafetyError::Exists { path: path.into() },
        _ => io(path, "created")(e),
    })?;
    sync_parent(path).map_err(io(path, "created"))
}

fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> SafetyError {
    let path = path.to_path_buf();
    move |source| SafetyError::Io { path, action, source }
}

/// The newest record of a file whose slots begin with the halves of `bytes`, each sector with a checksum that holds.
pub(crate) fn resealed_record(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut file = vec![0; FILE_BYTES];
    let (first, second) =
        bytes.split_at((bytes.len() / 2).next_multiple_of(SECTOR_BYTES).min(bytes.len()));
    for (part, at) in [(first, 0), (second, SLOT_BYTES)] {
        let part = &part[..part.len().min(SLOT_BYTES)];
        file[at..at + part.len()].copy_from_slice(part);
    }
    file.chunks_exact_mut(SECTOR_BYTES).for_each(reseal);
    match judge(&file) {
        Verdict::Newest { record, .. } => Some(record),
        Verdict::Damaged(_) => None,
    }
}

/// The sectors of two records in two slots, one after the other.
pub(crate) fn sectors(records: [(u64, &[u8]); 2]) -> Vec<u8> {
    let [(first, old), (second, new)] = records;
    let slots = [encode_record(0, first, old), encode_record(1, second, new)];
    slots.into_iter().flatten().flatten().collect()
}
