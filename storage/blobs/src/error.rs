//! What can go wrong with a store.

use crate::{
    http::AddressClass,
    locator::{Locator, LocatorKind},
};
use std::{io, net::IpAddr, path::PathBuf, time::Duration};
use thiserror::Error;

/// Failure of a [`BlobStore`](crate::BlobStore).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BlobError {
    /// The locator is well-formed, but belongs to another kind of store.
    #[error(
        "`{kind}:` locators are valid, but {store} serves `neura:` only; \
         use a store that serves `{kind}:`"
    )]
    UnsupportedLocator {
        /// Kind of the locator asked for.
        kind: LocatorKind,
        /// The store that was asked.
        store: &'static str,
    },
    /// The store has no such operation.
    #[error("{store} cannot {operation} a blob; do it at the node that keeps the blob")]
    UnsupportedOperation {
        /// What was asked: `pin`, `unpin` or `remove`.
        operation: &'static str,
        /// The store that was asked.
        store: &'static str,
    },
    /// The store does not hold the blob.
    #[error("{locator} is not in this store; try another store, or have its owner upload it again")]
    NotFound {
        /// What was asked for.
        locator: Locator,
    },
    /// The blob is larger than the store or the caller allows.
    #[error(
        "the blob has {size} bytes or more, but at most {max} are allowed; \
         split it, or raise the limit"
    )]
    TooLarge {
        /// Size of the blob in bytes, as far as it is known.
        size: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// Pinned blobs and writes under way leave no room.
    #[error(
        "no room for {needed} bytes: pinned blobs hold {held_bytes} of {quota_bytes} bytes \
         ({held_blobs} of {max_blobs} blobs); wait for tasks to end, or raise the quota"
    )]
    QuotaExceeded {
        /// Size of the refused blob.
        needed: u64,
        /// Bytes that cannot be freed now.
        held_bytes: u64,
        /// The configured quota in bytes.
        quota_bytes: u64,
        /// Blobs that cannot be freed now.
        held_blobs: usize,
        /// The configured number of blobs.
        max_blobs: usize,
    },
    /// What the store holds or sent is not what the locator names.
    #[error(
        "{place} does not contain {locator}: the content was changed or damaged; upload it again"
    )]
    Corrupted {
        /// What was asked for.
        locator: Locator,
        /// File or URL of the wrong content.
        place: String,
    },
    /// A pin was refused.
    #[error("cannot pin: {problem}")]
    InvalidPin {
        /// Which bound it breaks.
        problem: String,
    },
    /// The blob to be removed is still pinned.
    #[error("{locator} is pinned for {reason} through block {until_height}; unpin it first")]
    Pinned {
        /// What was to be removed.
        locator: Locator,
        /// One of the reasons that hold it.
        reason: String,
        /// Last block of that pin.
        until_height: u64,
    },
    /// A sidecar file with pins cannot be understood.
    #[error(
        "{path} is not a valid pin file ({problem}); restore it, or delete it to drop its pins",
        path = path.display()
    )]
    PinFileDamaged {
        /// The sidecar file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Disk trouble.
    #[error("cannot {action} {path}: {cause}", path = path.display())]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// Another process uses the store's directory.
    #[error(
        "{path} is in use by another process; stop it, or choose another directory",
        path = path.display()
    )]
    DirectoryInUse {
        /// The store's directory.
        path: PathBuf,
    },
    /// A setting makes no sense.
    #[error("blob store setting {setting}: {problem}")]
    InvalidConfig {
        /// Name of the setting.
        setting: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A base URL that no request is sent to.
    #[error("store URL {url:?} is refused: {problem}")]
    InvalidUrl {
        /// The URL as given.
        url: String,
        /// Why it is refused.
        problem: String,
    },
    /// The host's address is one that strangers must not make this machine call.
    #[error(
        "host {host} is at {address}, a {class} address, which is not called; \
         set allow_private for a devnet of your own"
    )]
    ForbiddenAddress {
        /// Host as in the URL.
        host: String,
        /// Its address.
        address: IpAddr,
        /// What kind of address that is.
        class: AddressClass,
    },
    /// No connection, or it broke.
    #[error("request to {url} failed: {cause}")]
    Unreachable {
        /// URL of the request.
        url: String,
        /// The chain of causes.
        cause: String,
    },
    /// The server was too slow.
    #[error("{url} did not finish within {limit:?}; try again, or try another store")]
    Timeout {
        /// URL of the request.
        url: String,
        /// The limit it broke.
        limit: Duration,
    },
    /// The server refused.
    #[error("{url} answered {status}: {detail}")]
    Status {
        /// URL of the request.
        url: String,
        /// HTTP status code.
        status: u16,
        /// Start of the answer's body, control characters removed.
        detail: String,
    },
    /// The server's answer does not follow the protocol.
    #[error("{url} gave an answer that is not understood: {problem}")]
    BadAnswer {
        /// URL of the request.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The server named uploaded content differently than its hash.
    #[error(
        "{url} stored the blob as {answered}, but it is {expected}; do not rely on this server"
    )]
    LocatorMismatch {
        /// URL of the request.
        url: String,
        /// Locator computed here.
        expected: Locator,
        /// Locator that the server answered.
        answered: Locator,
    },
    /// The process is stopping; the operation may or may not have happened.
    #[error("the blob store is shutting down")]
    ShuttingDown,
}

impl BlobError {
    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::QuotaExceeded { .. } => true,
            Self::Status { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }

    /// For `map_err` on a disk operation.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Io { action, path, cause }
    }
}
