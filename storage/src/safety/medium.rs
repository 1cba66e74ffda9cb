//! Where a safety record lies: a locked file, or in tests a disk that forgets what was not synced.

use std::{
    fs::{File, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use super::{SafetyError, layout::FILE_BYTES};

/// Bytes that can be made durable.
pub(super) trait Medium {
    /// All bytes, though not more than one above the length of a record's file.
    fn read_all(&mut self) -> io::Result<Vec<u8>>;
    /// Makes it this long.
    fn set_len(&mut self, bytes: usize) -> io::Result<()>;
    /// Replaces bytes.
    fn write_at(&mut self, offset: usize, bytes: &[u8]) -> io::Result<()>;
    /// Returns when everything written is durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file that no other process has locked.
#[derive(Debug)]
pub(super) struct LockedFile(File);

impl LockedFile {
    pub(super) fn lock(file: File, path: &Path) -> Result<Self, SafetyError> {
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(SafetyError::Locked { path: path.into() }),
            Err(TryLockError::Error(source)) => {
                Err(SafetyError::Io { path: path.into(), action: "locked", source })
            }
        }
    }
}

impl Medium for LockedFile {
    fn read_all(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(FILE_BYTES + 1);
        self.0.seek(SeekFrom::Start(0))?;
        (&self.0).take(FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn set_len(&mut self, bytes: usize) -> io::Result<()> {
        self.0.set_len(bytes as u64)
    }

    fn write_at(&mut self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(offset as u64))?;
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        // The length never changes after creation, so the data alone is enough.
        self.0.sync_data()
    }
}

/// Makes a new name in a directory durable.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}
