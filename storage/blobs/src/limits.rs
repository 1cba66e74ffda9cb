//! Bounds of the stores, each with its reason.

use std::time::Duration;

/// Largest blob that a store takes unless configured otherwise: 64 MiB, which a payload of weights
/// and inputs fits into and which one request may hold in memory.
pub const DEFAULT_MAX_BLOB_BYTES: u64 = 64 * 1024 * 1024;

/// Disk that the embedded store uses unless configured otherwise: 16 GiB, some hundred largest
/// blobs.
pub const DEFAULT_QUOTA_BYTES: u64 = 16 * 1024 * 1024 * 1024;

/// Blobs that the embedded store keeps unless configured otherwise. Bounds its index in memory and
/// the inodes that a flood of tiny uploads could take.
pub const DEFAULT_MAX_BLOBS: usize = 100_000;

/// Blocks for which a blob that nobody pinned is kept: the time from an upload to the transaction
/// that refers to it, generously.
pub const DEFAULT_UNPINNED_GRACE_BLOCKS: u64 = 10_000;

/// Longest text of a locator. EigenDA certificates, written as hex, are the longest known.
pub const MAX_LOCATOR_BYTES: usize = 4_096;

/// Longest reason of a pin, such as `task:<64 hex>`.
pub const MAX_PIN_REASON_BYTES: usize = 96;

/// Reasons that can hold one blob at a time; bounds its sidecar file and the index.
pub const MAX_PINS_PER_BLOB: usize = 64;

/// Reads and writes of the embedded store under way at once; each may hold one largest blob.
pub(crate) const MAX_CONCURRENT_IO: usize = 8;

/// Time to reach an HTTP store unless configured otherwise.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for a whole HTTP request unless configured otherwise: a largest blob at some 4 Mbit/s.
pub const DEFAULT_TOTAL_TIMEOUT: Duration = Duration::from_secs(120);

/// Longest JSON answer to an upload: a locator and a number.
pub(crate) const MAX_PUT_ANSWER_BYTES: u64 = 8 * 1024;

/// How much of a refusal's body is quoted in the error.
pub(crate) const MAX_REFUSAL_BYTES: usize = 512;

/// Addresses of one host name that are tried; a hostile name server can answer with thousands.
pub(crate) const MAX_ADDRESSES_PER_HOST: usize = 16;

/// Longest base URL of an HTTP store.
pub(crate) const MAX_BASE_URL_BYTES: usize = 1_024;

/// Memory taken ahead for a body whose length only the sender claims.
pub(crate) const MAX_BODY_PREALLOCATION_BYTES: u64 = 1024 * 1024;
