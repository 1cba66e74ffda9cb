//! The interface of every off-chain store.

use crate::{error::BlobError, locator::Locator};
use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A store of immutable blobs named by their content.
///
/// Implementations re-hash what they return; callers need not.
#[async_trait]
pub trait BlobStore: Send + Sync + std::fmt::Debug {
    /// What this store promises about sizes and time.
    fn terms(&self) -> StoreTerms;

    /// Stores `content` durably and returns its locator. Storing it again is no error.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`], [`BlobError::QuotaExceeded`], or the failure of disk or network.
    async fn put(&self, content: Bytes) -> Result<Locator, BlobError>;

    /// The content named by `locator`, verified, if it has at most `max_size` bytes.
    ///
    /// # Errors
    /// [`BlobError::NotFound`], [`BlobError::TooLarge`], [`BlobError::Corrupted`],
    /// [`BlobError::UnsupportedLocator`], or the failure of disk or network.
    async fn get(&self, locator: &Locator, max_size: u64) -> Result<Bytes, BlobError>;

    /// What the store knows of a blob without reading it.
    ///
    /// # Errors
    /// As [`BlobStore::get`].
    async fn stat(&self, locator: &Locator) -> Result<BlobStat, BlobError>;

    /// Keeps a blob through block `until_height`, for `reason` (1 to
    /// [`MAX_PIN_REASON_BYTES`](crate::MAX_PIN_REASON_BYTES) visible ASCII characters). Pinning
    /// again for the same reason can only prolong.
    ///
    /// # Errors
    /// [`BlobError::NotFound`], [`BlobError::InvalidPin`], or [`BlobError::UnsupportedOperation`].
    async fn pin(
        &self,
        locator: &Locator,
        reason: &str,
        until_height: u64,
    ) -> Result<(), BlobError>;

    /// Takes back the pin for `reason`; no error if there is none.
    ///
    /// # Errors
    /// As [`BlobStore::pin`].
    async fn unpin(&self, locator: &Locator, reason: &str) -> Result<(), BlobError>;

    /// Deletes a blob that nothing pins.
    ///
    /// # Errors
    /// [`BlobError::NotFound`], [`BlobError::Pinned`], or [`BlobError::UnsupportedOperation`].
    async fn remove(&self, locator: &Locator) -> Result<(), BlobError>;
}

/// What a store knows of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobStat {
    /// Length of the content in bytes.
    pub size: u64,
    /// Last block height of the longest pin; absent if nothing pins it, or the store does not tell.
    pub pinned_until: Option<u64>,
}

/// What a store promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreTerms {
    /// Largest blob it takes, in bytes.
    pub max_blob_bytes: u64,
    /// How long it keeps what it took.
    pub retention: Retention,
}

/// How long a store keeps a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retention {
    /// Through the height of its longest pin.
    WhilePinned,
    /// As long as its operator likes; nothing is promised to the client.
    OperatorsChoice,
}
