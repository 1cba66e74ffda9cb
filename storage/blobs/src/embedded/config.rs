//! Settings of the embedded store.

use crate::{
    error::BlobError,
    limits::{
        DEFAULT_MAX_BLOB_BYTES, DEFAULT_MAX_BLOBS, DEFAULT_QUOTA_BYTES,
        DEFAULT_UNPINNED_GRACE_BLOCKS,
    },
};
use std::path::PathBuf;

/// Settings of an [`EmbeddedStore`](super::EmbeddedStore).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedConfig {
    /// Where the files are; created if absent. One process at a time.
    pub directory: PathBuf,
    /// Most bytes of content on disk.
    pub quota_bytes: u64,
    /// Largest blob in bytes.
    pub max_blob_bytes: u64,
    /// Most blobs.
    pub max_blobs: usize,
    /// Blocks through which a blob that nothing pins is kept after its upload.
    pub unpinned_grace_blocks: u64,
}

impl EmbeddedConfig {
    /// The defaults of this crate, in `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            quota_bytes: DEFAULT_QUOTA_BYTES,
            max_blob_bytes: DEFAULT_MAX_BLOB_BYTES,
            max_blobs: DEFAULT_MAX_BLOBS,
            unpinned_grace_blocks: DEFAULT_UNPINNED_GRACE_BLOCKS,
        }
    }

    pub(super) fn validate(&self) -> Result<(), BlobError> {
        let invalid = |setting, problem: String| Err(BlobError::InvalidConfig { setting, problem });
        if self.max_blob_bytes == 0 || usize::try_from(self.max_blob_bytes).is_err() {
            return invalid("max_blob_bytes", "must be at least 1 and fit into memory".into());
        }
        if self.quota_bytes < self.max_blob_bytes {
            return invalid(
                "quota_bytes",
                format!(
                    "{} is less than max_blob_bytes, {}",
                    self.quota_bytes, self.max_blob_bytes
                ),
            );
        }
        if self.max_blobs == 0 {
            return invalid("max_blobs", "must be at least 1".into());
        }
        Ok(())
    }
}
