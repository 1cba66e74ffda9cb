//! The embedded store without async: index and disk kept in step.
//!
//! The index lock is held while names appear and disappear (rename, unlink, pin files), never while
//! the content of a blob is written, read or hashed.

use super::{
    config::EmbeddedConfig,
    disk::Disk,
    index::{Index, Usage},
};
use crate::{error::BlobError, locator::Locator, store::BlobStat};
use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};

type Hash = [u8; 32];

/// What a collection did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs deleted.
    pub blobs: usize,
    /// Bytes of content deleted.
    pub bytes: u64,
    /// Pins that had ended.
    pub pins_ended: usize,
}

#[derive(Debug)]
pub(super) struct Shelf {
    config: EmbeddedConfig,
    disk: Disk,
    index: Mutex<Index>,
}

/// Room that a write under way has claimed; given back when dropped.
struct Reservation<'a> {
    index: &'a Mutex<Index>,
    bytes: u64,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.index.lock().release(self.bytes);
    }
}

impl Shelf {
    pub(super) fn open(config: EmbeddedConfig) -> Result<Self, BlobError> {
        let disk = Disk::open(&config.directory)?;
        let mut found = disk.scan()?;
        found.sort_by_key(|blob| (blob.modified, blob.hash));
        let mut index = Index::default();
        for blob in found {
            index.insert_found(blob.hash, blob.size, disk.read_pins(&blob.hash)?);
        }
        Ok(Self { config, disk, index: Mutex::new(index) })
    }

    pub(super) fn config(&self) -> &EmbeddedConfig {
        &self.config
    }

    pub(super) fn usage(&self) -> Usage {
        self.index.lock().usage()
    }

    pub(super) fn put(&self, content: &Bytes) -> Result<Locator, BlobError> {
        let (size, max) = (content.len() as u64, self.config.max_blob_bytes);
        if size > max {
            return Err(BlobError::TooLarge { size, max });
        }
        let hash = *blake3::hash(content).as_bytes();
        let locator = Locator::from_hash(hash);
        if self.holds_intact(&hash) && self.index.lock().touch(&hash) {
            return Ok(locator);
        }
        let reservation = self.make_room(size)?;
        let staged = self.disk.stage(self.disk.blob_path(&hash), content)?;
        {
            let mut index = self.index.lock();
            staged.publish()?;
            index.insert_fresh(hash, size);
        }
        drop(reservation);
        Ok(locator)
    }

    /// Whether the blob is here with its right content; a damaged file is to be written anew.
    fn holds_intact(&self, hash: &Hash) -> bool {
        self.get(hash, self.config.max_blob_bytes).is_ok()
    }

    /// Claims room for a blob, deleting unpinned ones, oldest first, where the quota asks for it.
    fn make_room(&self, size: u64) -> Result<Reservation<'_>, BlobError> {
        let mut index = self.index.lock();
        let (quota_bytes, max_blobs) = (self.config.quota_bytes, self.config.max_blobs);
        let (held_bytes, held_blobs) = index.held();
        if held_bytes.saturating_add(size) > quota_bytes || held_blobs >= max_blobs {
            return Err(BlobError::QuotaExceeded {
                needed: size,
                held_bytes,
                quota_bytes,
                held_blobs,
                max_blobs,
            });
        }
        loop {
            let (bytes, blobs) = index.claimed();
            if bytes.saturating_add(size) <= quota_bytes && blobs < max_blobs {
                break;
            }
            // What is held fits, as checked above, so an unpinned blob is left to delete.
            let Some(oldest) = index.oldest_unpinned() else { break };
            self.disk.delete_blob(&oldest)?;
            index.remove(&oldest);
        }
        index.reserve(size);
        Ok(Reservation { index: &self.index, bytes: size })
    }

    pub(super) fn get(&self, hash: &Hash, max_size: u64) -> Result<Bytes, BlobError> {
        let size = self.stat(hash)?.size;
        if size > max_size {
            return Err(BlobError::TooLarge { size, max: max_size });
        }
        let path = self.disk.blob_path(hash);
        let bytes = self.disk.read(&path, size)?;
        if bytes.len() as u64 != size || blake3::hash(&bytes) != *hash {
            return Err(BlobError::Corrupted {
                locator: Locator::from_hash(*hash),
                place: path.display().to_string(),
            });
        }
        Ok(bytes.into())
    }

    pub(super) fn stat(&self, hash: &Hash) -> Result<BlobStat, BlobError> {
        let index = self.index.lock();
        let entry = index.get(hash).ok_or_else(|| not_found(hash))?;
        Ok(BlobStat { size: entry.size, pinned_until: entry.pins.longest() })
    }

    pub(super) fn pin(&self, hash: &Hash, reason: &str, until: u64) -> Result<(), BlobError> {
        self.change_pins(hash, |pins| pins.add(reason, until))
    }

    pub(super) fn unpin(&self, hash: &Hash, reason: &str) -> Result<(), BlobError> {
        self.change_pins(hash, |pins| Ok(pins.remove(reason)))
    }

    /// Applies `change`, which tells whether it did anything, on disk first and then in memory.
    fn change_pins(
        &self,
        hash: &Hash,
        change: impl FnOnce(&mut super::pins::Pins) -> Result<bool, BlobError>,
    ) -> Result<(), BlobError> {
        let mut index = self.index.lock();
        let mut pins = index.get(hash).ok_or_else(|| not_found(hash))?.pins.clone();
        if change(&mut pins)? {
            self.disk.write_pins(hash, &pins)?;
            index.set_pins(hash, pins);
        }
        Ok(())
    }

    pub(super) fn remove(&self, hash: &Hash) -> Result<(), BlobError> {
        let mut index = self.index.lock();
        let entry = index.get(hash).ok_or_else(|| not_found(hash))?;
        if let Some((reason, until_height)) = entry.pins.strongest() {
            return Err(BlobError::Pinned {
                locator: Locator::from_hash(*hash),
                reason: reason.into(),
                until_height,
            });
        }
        self.disk.delete_blob(hash)?;
        index.remove(hash);
        Ok(())
    }

    pub(super) fn collect(&self, height: u64) -> Result<Collected, BlobError> {
        let mut collected = Collected::default();
        let mut first_failure = None;
        let ended = self.index.lock().advance(height);
        for hash in ended {
            match self.end_pins(&hash) {
                Ok(count) => collected.pins_ended += count,
                Err(cause) => _ = first_failure.get_or_insert(cause),
            }
        }
        let grace_blocks = self.config.unpinned_grace_blocks;
        let victims = self.index.lock().collectable(grace_blocks);
        for hash in victims {
            let index = self.index.lock();
            // It may have been pinned or uploaded again since the lock was last held.
            if index.is_collectable(&hash, grace_blocks) {
                self.evict(index, &hash, &mut collected, &mut first_failure);
            }
        }
        self.shrink_to_quota(&mut collected, &mut first_failure);
        first_failure.map_or(Ok(collected), Err)
    }

    /// Drops the pins of a blob that ended before the present height; returns how many.
    fn end_pins(&self, hash: &Hash) -> Result<usize, BlobError> {
        let mut index = self.index.lock();
        let (Some(entry), Some(height)) = (index.get(hash), index.height()) else { return Ok(0) };
        let mut pins = entry.pins.clone();
        let ended = pins.expire(height);
        if ended > 0 {
            self.disk.write_pins(hash, &pins)?;
            index.set_pins(hash, pins);
        }
        Ok(ended)
    }

    /// Deletes the oldest unpinned blobs while over a quota that has been lowered since they came.
    fn shrink_to_quota(&self, collected: &mut Collected, failure: &mut Option<BlobError>) {
        while failure.is_none() {
            let index = self.index.lock();
            let (bytes, blobs) = index.claimed();
            if bytes <= self.config.quota_bytes && blobs <= self.config.max_blobs {
                return;
            }
            let Some(oldest) = index.oldest_unpinned() else { return };
            self.evict(index, &oldest, collected, failure);
        }
    }

    /// Deletes an unpinned blob.
    fn evict(
        &self,
        mut index: MutexGuard<'_, Index>,
        hash: &Hash,
        collected: &mut Collected,
        failure: &mut Option<BlobError>,
    ) {
        let Some(size) = index.get(hash).map(|entry| entry.size) else { return };
        match self.disk.delete_blob(hash) {
            Ok(()) => {
                index.remove(hash);
                collected.blobs += 1;
                collected.bytes += size;
            }
            Err(cause) => _ = failure.get_or_insert(cause),
        }
    }
}

fn not_found(hash: &Hash) -> BlobError {
    BlobError::NotFound { locator: Locator::from_hash(*hash) }
}
