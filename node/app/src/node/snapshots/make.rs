//! Export snapshots while the chain goes on, and serve them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use neura_storage::SnapshotFolder;
use neura_types::{Bytes, Epoch, Height};
use parking_lot::RwLock;

use super::wire::{Epochs, MAX_EPOCHS, SnapshotRequest};
use crate::node::{chain::Chain, wire};

/// Snapshots kept: the newest, and the one before it, which others may be fetching.
const KEPT: usize = 2;

/// The snapshots of a node.
#[derive(Debug)]
pub struct Snapshots {
    chain: Arc<Chain>,
    folder: PathBuf,
    /// Newest last.
    open: RwLock<Vec<Arc<SnapshotFolder>>>,
}

impl Snapshots {
    /// With those that an earlier run made.
    ///
    /// # Errors
    /// If the folder cannot be made or read.
    pub fn open(chain: Arc<Chain>, folder: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("making the folder {}", folder.display()))?;
        let mut open = Vec::new();
        for path in finished(&folder)? {
            match SnapshotFolder::open(&path) {
                Ok(snapshot) => open.push(Arc::new(snapshot)),
                Err(error) => tracing::warn!(path = %path.display(), %error, "not a snapshot"),
            }
        }
        Ok(Self { chain, folder, open: RwLock::new(open) })
    }

    /// Makes a snapshot at the end of every `each` epochs, until the node stops.
    pub async fn keep(self: Arc<Self>, each: u64) {
        let mut executed = self.chain.executed.subscribe();
        let mut next = self.chain.epochs.current().epoch;
        loop {
            let due = |height: &Height| {
                let epoch = self.chain.epochs.at(*height);
                epoch.is_some_and(|epoch| epoch.epoch > next)
            };
            let Ok(height) = executed.wait_for(due).await.map(|height| *height) else { return };
            let Some(epoch) = self.chain.epochs.at(height) else { continue };
            next = epoch.epoch;
            if !next.is_multiple_of(each) {
                continue;
            }
            // The end of the epoch before is certified a few blocks into this one.
            let first = epoch.first;
            let certified =
                |height: &Height| *height >= first.saturating_add(epoch.params.execution_lag);
            if executed.wait_for(certified).await.is_err() {
                return;
            }
            let this = Arc::clone(&self);
            let made =
                tokio::task::spawn_blocking(move || this.make(first.saturating_sub(1))).await;
            match made {
                Ok(Ok(height)) => tracing::info!(?height, "snapshot made"),
                Ok(Err(error)) => {
                    tracing::error!(error = %format!("{error:#}"), "no snapshot could be made");
                }
                Err(error) => tracing::error!(%error, "making a snapshot panicked"),
            }
        }
    }

    fn make(&self, at_or_after: Height) -> Result<Option<Height>> {
        let Some(height) = self.chain.store.snapshot_height(at_or_after)? else { return Ok(None) };
        let path = self.folder.join(format!("{height:020}"));
        if path.exists() {
            return Ok(None);
        }
        let unfinished = self.folder.join("unfinished");
        if unfinished.exists() {
            std::fs::remove_dir_all(&unfinished)?;
        }
        self.chain.store.export_snapshot(height, &unfinished)?;
        std::fs::rename(&unfinished, &path)?;
        let snapshot = Arc::new(SnapshotFolder::open(&path)?);
        let mut open = self.open.write();
        open.push(snapshot);
        let surplus = open.len().saturating_sub(KEPT);
        open.drain(..surplus);
        drop(open);
        let paths = finished(&self.folder)?;
        for old in paths.iter().take(paths.len().saturating_sub(KEPT)) {
            std::fs::remove_dir_all(old)?;
        }
        Ok(Some(height))
    }

    /// Answers a request; blocking.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn answer(&self, request: SnapshotRequest) -> Result<Bytes> {
        Ok(match request {
            SnapshotRequest::Epochs { from } => wire::encode(&self.epochs(from)?),
            SnapshotRequest::Newest => {
                let newest = self.open.read().last().cloned();
                wire::encode(&newest.map(|s| Bytes::from(s.manifest().encode())))
            }
            SnapshotRequest::Base { height } => {
                let found = self.find(height);
                wire::encode(&found.map(|s| s.block_bytes().map(Bytes::from)).transpose()?)
            }
            SnapshotRequest::Chunk { height, path } => {
                let found = self.find(height);
                wire::encode(&found.map(|s| s.chunk_at(&path).map(Bytes::from)).transpose()?)
            }
        })
    }

    fn find(&self, height: Height) -> Option<Arc<SnapshotFolder>> {
        self.open.read().iter().find(|snapshot| snapshot.manifest().height() == height).cloned()
    }

    fn epochs(&self, from: Epoch) -> Result<Epochs> {
        let records = self.chain.store.epochs(from, MAX_EPOCHS)?;
        Ok(records.iter().map(wire::encode).collect())
    }
}

/// Folders of finished snapshots, oldest first: named by their heights.
fn finished(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.parse::<Height>().is_ok() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
