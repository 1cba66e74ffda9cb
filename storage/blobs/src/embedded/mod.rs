//! Content-addressed files in a directory of this machine.
//!
//! ```text
//! <directory>/LOCK                       held while a process uses the store
//! <directory>/ab/cd/abcd…                a blob, named by its BLAKE3 hash
//! <directory>/ab/cd/abcd….pins           its pins, if any (see `pins`)
//! <directory>/ab/cd/.abcd….<n>.tmp       being written; removed at the next start
//! ```
//!
//! A file appears under its name only after its bytes are synced, and is hashed again at each read.
//! The index (sizes, pins, age) lives in memory, bounded by `max_blobs`, and is rebuilt from the
//! directory.

mod config;
mod disk;
mod index;
mod pins;
mod shelf;
#[cfg(test)]
mod tests;

pub use config::EmbeddedConfig;
pub use index::Usage;
pub use shelf::Collected;

use crate::{
    error::BlobError,
    limits::MAX_CONCURRENT_IO,
    locator::Locator,
    store::{BlobStat, BlobStore, Retention, StoreTerms},
};
use async_trait::async_trait;
use bytes::Bytes;
use shelf::Shelf;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// What errors call this store.
const NAME: &str = "the embedded store";

/// Blobs as files on this machine. Cloning gives another handle to the same store.
#[derive(Clone, Debug)]
pub struct EmbeddedStore {
    shelf: Arc<Shelf>,
    io: Arc<Semaphore>,
}

impl EmbeddedStore {
    /// Opens the store in `config.directory`, creating it if absent, and indexes what is there.
    /// Blocks.
    ///
    /// # Errors
    /// [`BlobError::InvalidConfig`], [`BlobError::DirectoryInUse`], [`BlobError::PinFileDamaged`]
    /// or [`BlobError::Io`].
    pub fn open(config: EmbeddedConfig) -> Result<Self, BlobError> {
        config.validate()?;
        Ok(Self {
            shelf: Arc::new(Shelf::open(config)?),
            io: Arc::new(Semaphore::new(MAX_CONCURRENT_IO)),
        })
    }

    /// Tells the store the chain's height: drops pins that ended before it, deletes blobs that
    /// nothing pins and whose grace has passed, then, while over quota, further unpinned ones,
    /// oldest first.
    ///
    /// It looks at every blob, so call it every few hundred blocks, not at each. A failed deletion
    /// does not stop the others; the first failure is returned.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub async fn collect(&self, height: u64) -> Result<Collected, BlobError> {
        self.blocking(move |shelf| shelf.collect(height)).await
    }

    /// How full the store is.
    pub fn usage(&self) -> Usage {
        self.shelf.usage()
    }

    /// Runs disk work off the async threads, at most [`MAX_CONCURRENT_IO`] at a time.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shelf) -> Result<T, BlobError> + Send + 'static,
    ) -> Result<T, BlobError> {
        let permit =
            Arc::clone(&self.io).acquire_owned().await.map_err(|_| BlobError::ShuttingDown)?;
        let shelf = Arc::clone(&self.shelf);
        let job = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(&shelf)
        });
        match job.await {
            Ok(result) => result,
            Err(failure) => match failure.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(BlobError::ShuttingDown),
            },
        }
    }
}

#[async_trait]
impl BlobStore for EmbeddedStore {
    fn terms(&self) -> StoreTerms {
        StoreTerms {
            max_blob_bytes: self.shelf.config().max_blob_bytes,
            retention: Retention::WhilePinned,
        }
    }

    async fn put(&self, content: Bytes) -> Result<Locator, BlobError> {
        self.blocking(move |shelf| shelf.put(&content)).await
    }

    async fn get(&self, locator: &Locator, max_size: u64) -> Result<Bytes, BlobError> {
        let hash = own_hash(locator)?;
        self.blocking(move |shelf| shelf.get(&hash, max_size)).await
    }

    async fn stat(&self, locator: &Locator) -> Result<BlobStat, BlobError> {
        self.shelf.stat(&own_hash(locator)?)
    }

    async fn pin(
        &self,
        locator: &Locator,
        reason: &str,
        until_height: u64,
    ) -> Result<(), BlobError> {
        let (hash, reason) = (own_hash(locator)?, reason.to_owned());
        self.blocking(move |shelf| shelf.pin(&hash, &reason, until_height)).await
    }

    async fn unpin(&self, locator: &Locator, reason: &str) -> Result<(), BlobError> {
        let (hash, reason) = (own_hash(locator)?, reason.to_owned());
        self.blocking(move |shelf| shelf.unpin(&hash, &reason)).await
    }

    async fn remove(&self, locator: &Locator) -> Result<(), BlobError> {
        let hash = own_hash(locator)?;
        self.blocking(move |shelf| shelf.remove(&hash)).await
    }
}

fn own_hash(locator: &Locator) -> Result<[u8; 32], BlobError> {
    locator
        .hash()
        .copied()
        .ok_or(BlobError::UnsupportedLocator { kind: locator.kind(), store: NAME })
}
