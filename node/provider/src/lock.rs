//! Keep a data folder to one agent: two with one key would cross each other's transactions.

use std::{
    convert::Infallible,
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
};

use tokio::sync::mpsc;

use crate::ProviderError;

/// File that is locked while an agent uses a data folder.
const LOCK_FILE: &str = "agent.lock";

/// Held by everything that may write to the folder.
#[derive(Debug)]
pub(crate) struct DataLock {
    // The order matters: the file is unlocked when it is told.
    _file: File,
    _held: mpsc::Sender<Infallible>,
}

/// Tells when nothing holds the lock any more.
#[derive(Debug)]
pub(crate) struct Release(mpsc::Receiver<Infallible>);

impl DataLock {
    /// Locks a folder.
    ///
    /// # Errors
    /// [`ProviderError::InUse`] if another agent has it.
    pub(crate) fn take(data: &Path) -> Result<(Arc<Self>, Release), ProviderError> {
        let path = data.join(LOCK_FILE);
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(&path).map_err(ProviderError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {
                let (held, release) = mpsc::channel(1);
                Ok((Arc::new(Self { _file: file, _held: held }), Release(release)))
            }
            Err(TryLockError::WouldBlock) => Err(ProviderError::InUse { path: data.to_owned() }),
            Err(TryLockError::Error(cause)) => Err(ProviderError::io("lock", path)(cause)),
        }
    }
}

impl Release {
    /// Waits until the folder is free.
    pub(crate) async fn wait(&mut self) {
        // Nothing is ever sent; it ends when the last sender is gone.
        let _: Option<Infallible> = self.0.recv().await;
    }
}
