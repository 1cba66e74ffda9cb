//! Files of the embedded store: where they are, and how they are written, read and found again.

use super::pins;
use crate::{error::BlobError, lower_hex};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

const LOCK_FILE: &str = "LOCK";
const PINS_SUFFIX: &str = ".pins";
const TEMPORARY_SUFFIX: &str = ".tmp";

/// The directory of a store, locked for this process.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    /// Keeps the lock; released when closed.
    _lock: File,
    /// Makes names of temporary files unique.
    next_temporary: AtomicU64,
}

/// A blob found at start.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) hash: [u8; 32],
    pub(super) size: u64,
    pub(super) modified: SystemTime,
}

/// A synced file that has no name yet; removed unless published.
#[derive(Debug)]
pub(super) struct Staged {
    temporary: PathBuf,
    target: PathBuf,
    published: bool,
}

impl Disk {
    pub(super) fn open(root: &Path) -> Result<Self, BlobError> {
        fs::create_dir_all(root).map_err(BlobError::io("create directory", root))?;
        let lock_path = root.join(LOCK_FILE);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(BlobError::io("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(BlobError::DirectoryInUse { path: root.into() });
            }
            Err(TryLockError::Error(cause)) => {
                return Err(BlobError::io("lock", lock_path)(cause));
            }
        }
        Ok(Self { root: root.into(), _lock: lock, next_temporary: AtomicU64::new(0) })
    }

    pub(super) fn blob_path(&self, hash: &[u8; 32]) -> PathBuf {
        let name = hex::encode(hash);
        self.root.join(&name[..2]).join(&name[2..4]).join(name)
    }

    pub(super) fn pins_path(&self, hash: &[u8; 32]) -> PathBuf {
        let mut path = self.blob_path(hash).into_os_string();
        path.push(PINS_SUFFIX);
        path.into()
    }

    /// Writes and syncs `bytes` beside `target`, without giving them its name.
    pub(super) fn stage(&self, target: PathBuf, bytes: &[u8]) -> Result<Staged, BlobError> {
        let directory = target.parent().unwrap_or(&self.root);
        self.make_fan_out(directory)?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = directory.join(format!(".{name}.{number}{TEMPORARY_SUFFIX}"));
        let staged = Staged { temporary, target, published: false };
        let path = &staged.temporary;
        let mut file = File::create_new(path).map_err(BlobError::io("create", path))?;
        file.write_all(bytes).map_err(BlobError::io("write", path))?;
        file.sync_all().map_err(BlobError::io("sync", path))?;
        Ok(staged)
    }

    /// Creates the two levels of directories above a blob, durably.
    fn make_fan_out(&self, leaf: &Path) -> Result<(), BlobError> {
        if leaf.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(leaf).map_err(BlobError::io("create directory", leaf))?;
        let middle = leaf.parent().unwrap_or(&self.root);
        sync_directory(middle)?;
        sync_directory(&self.root)
    }

    /// The bytes of a file of at most `max` bytes.
    pub(super) fn read(&self, path: &Path, max: u64) -> Result<Vec<u8>, BlobError> {
        let file = File::open(path).map_err(BlobError::io("open", path))?;
        let length = file.metadata().map_err(BlobError::io("inspect", path))?.len().min(max);
        // One byte more than allowed shows a file that has grown.
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1);
        file.take(max.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(BlobError::io("read", path))?;
        Ok(bytes)
    }

    /// Deletes a file; a missing one is no error. Not synced, as eviction may delete many: a file
    /// that a crash brings back is a blob that nothing pins, or pins that have ended, and goes
    /// later.
    pub(super) fn delete(&self, path: &Path) -> Result<(), BlobError> {
        match fs::remove_file(path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(BlobError::io("delete", path)(cause))
            }
            _ => Ok(()),
        }
    }

    /// Deletes a blob and its pins.
    pub(super) fn delete_blob(&self, hash: &[u8; 32]) -> Result<(), BlobError> {
        self.delete(&self.pins_path(hash))?;
        self.delete(&self.blob_path(hash))
    }

    /// The pins on disk of a blob; none if there is no sidecar.
    pub(super) fn read_pins(&self, hash: &[u8; 32]) -> Result<pins::Pins, BlobError> {
        let path = self.pins_path(hash);
        let damaged = |problem: &str| BlobError::PinFileDamaged {
            path: self.pins_path(hash),
            problem: problem.into(),
        };
        match self.read(&path, pins::MAX_FILE_BYTES) {
            Ok(bytes) if bytes.len() as u64 > pins::MAX_FILE_BYTES => Err(damaged("too long")),
            Ok(bytes) => pins::Pins::from_file(&bytes).map_err(damaged),
            Err(BlobError::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
                Ok(pins::Pins::default())
            }
            Err(failure) => Err(failure),
        }
    }

    /// Replaces the pins on disk of a blob.
    pub(super) fn write_pins(&self, hash: &[u8; 32], pins: &pins::Pins) -> Result<(), BlobError> {
        let path = self.pins_path(hash);
        if pins.is_empty() {
            self.delete(&path)?;
            sync_directory(path.parent().unwrap_or(&self.root))
        } else {
            self.stage(path, pins.to_file().as_bytes())?.publish()
        }
    }

    /// Finds the blobs, and removes what a crash left behind: temporary files, and pins without a
    /// blob.
    pub(super) fn scan(&self) -> Result<Vec<Found>, BlobError> {
        let mut found = Vec::new();
        for outer in fan_out(&self.root)? {
            for leaf in fan_out(&outer)? {
                self.scan_leaf(&leaf, &mut found)?;
            }
        }
        Ok(found)
    }

    fn scan_leaf(&self, leaf: &Path, found: &mut Vec<Found>) -> Result<(), BlobError> {
        for entry in entries(leaf)? {
            let path = entry.path();
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.starts_with('.') && name.ends_with(TEMPORARY_SUFFIX) {
                self.delete(&path)?;
            } else if let Some(hash) = name.strip_suffix(PINS_SUFFIX).and_then(lower_hex::decode) {
                if !self.blob_path(&hash).is_file() {
                    self.delete(&path)?;
                }
            } else if let Some(hash) = lower_hex::decode(name)
                && self.blob_path(&hash) == path
            {
                let metadata = entry.metadata().map_err(BlobError::io("inspect", &path))?;
                if metadata.is_file() {
                    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    found.push(Found { hash, size: metadata.len(), modified });
                }
            }
        }
        Ok(())
    }
}

impl Staged {
    /// Gives the file its name, durably.
    pub(super) fn publish(mut self) -> Result<(), BlobError> {
        fs::rename(&self.temporary, &self.target)
            .map_err(BlobError::io("rename", &self.temporary))?;
        self.published = true;
        match self.target.parent() {
            Some(directory) => sync_directory(directory),
            None => Ok(()),
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.published {
            // The next start removes it if this fails; the failure that led here is being reported.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn sync_directory(directory: &Path) -> Result<(), BlobError> {
    File::open(directory)
        .and_then(|handle| handle.sync_all())
        .map_err(BlobError::io("sync directory", directory))
}

fn entries(directory: &Path) -> Result<Vec<fs::DirEntry>, BlobError> {
    fs::read_dir(directory)
        .and_then(Iterator::collect)
        .map_err(BlobError::io("list directory", directory))
}

/// Subdirectories named by two hexadecimal digits.
fn fan_out(directory: &Path) -> Result<Vec<PathBuf>, BlobError> {
    let is_level = |path: &PathBuf| {
        path.is_dir()
            && path
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| lower_hex::decode::<1>(name).is_some())
    };
    Ok(entries(directory)?.into_iter().map(|entry| entry.path()).filter(is_level).collect())
}
