//! A snapshot as a folder of files: `manifest`, `block`, and `chunk-00000` on, one file per chunk.

use std::{
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use neura_types::codec;

use super::{MAX_CHUNK_BYTES, MAX_MANIFEST_BYTES, Manifest, SnapshotError};

const MANIFEST_FILE: &str = "manifest";
const BLOCK_FILE: &str = "block";

/// A snapshot on disk, to be served or imported. The names of its files come from numbers, never from a manifest.
#[derive(Debug)]
pub struct SnapshotFolder {
    path: PathBuf,
    manifest: Manifest,
}

impl SnapshotFolder {
    /// Opens a folder that [`Store::export_snapshot`](crate::Store::export_snapshot) completed.
    ///
    /// # Errors
    /// If the manifest is missing, unreadable or contradicts itself.
    pub fn open(path: &Path) -> Result<Self, SnapshotError> {
        let manifest = read(&path.join(MANIFEST_FILE), MAX_MANIFEST_BYTES)?;
        Ok(Self { path: path.into(), manifest: Manifest::decode(&manifest)? })
    }

    /// What it holds.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Encoded block after which the state stands.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn block_bytes(&self) -> Result<Vec<u8>, SnapshotError> {
        read(&self.path.join(BLOCK_FILE), codec::MAX_DECODED_BYTES)
    }

    /// Bytes of a chunk.
    ///
    /// # Errors
    /// [`SnapshotError::Chunk`] if there is no such chunk, or if the file cannot be read.
    pub fn chunk_bytes(&self, index: u32) -> Result<Vec<u8>, SnapshotError> {
        let known = usize::try_from(index).is_ok_and(|index| index < self.manifest.chunks.len());
        if !known {
            return Err(SnapshotError::Chunk { index, reason: "there is no such chunk" });
        }
        read(&chunk_file(&self.path, index), MAX_CHUNK_BYTES)
    }
}

fn chunk_file(folder: &Path, index: u32) -> PathBuf {
    folder.join(format!("chunk-{index:05}"))
}

/// Makes the folder of a new snapshot.
pub(super) fn create(path: &Path) -> Result<(), SnapshotError> {
    std::fs::create_dir_all(path).map_err(io(path, "created"))?;
    let mut entries = std::fs::read_dir(path).map_err(io(path, "listed"))?;
    if entries.next().is_some() {
        return Err(SnapshotError::NotEmpty(path.into()));
    }
    Ok(())
}

pub(super) fn write_chunk(folder: &Path, index: u32, bytes: &[u8]) -> Result<(), SnapshotError> {
    write(&chunk_file(folder, index), bytes)
}

/// Completes a snapshot: a folder with a manifest has everything.
pub(super) fn complete(
    folder: &Path,
    block: &[u8],
    manifest: &Manifest,
) -> Result<(), SnapshotError> {
    write(&folder.join(BLOCK_FILE), block)?;
    let (draft, done) = (folder.join("manifest.new"), folder.join(MANIFEST_FILE));
    write(&draft, &manifest.encode())?;
    std::fs::rename(&draft, &done).map_err(io(&done, "created"))?;
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(io(folder, "synced"))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), SnapshotError> {
    let written = File::create(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(io(path, "written"))
}

/// Reads a file, though not more than one byte above a limit: what is longer is refused where it is decoded.
fn read(path: &Path, limit: usize) -> Result<Vec<u8>, SnapshotError> {
    let mut bytes = Vec::new();
    let read = File::open(path)
        .and_then(|file| file.take((limit as u64).saturating_add(1)).read_to_end(&mut bytes));
    read.map_err(io(path, "read"))?;
    Ok(bytes)
}

pub(super) fn io(
    path: &Path,
    action: &'static str,
) -> impl FnOnce(std::io::Error) -> SnapshotError {
    let path = path.to_path_buf();
    move |source| SnapshotError::Io { path, action, source }
}
