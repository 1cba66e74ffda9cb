//! A snapshot as a folder of files: `manifest`, `block`, `chunks`, and `chunk-00000` on, one file per chunk.

use std::{
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use alloy_primitives::B256;
use neura_types::codec;
use serde::{Deserialize, Serialize};

use super::{MAX_CHUNK_BYTES, MAX_MANIFEST_BYTES, Manifest, SnapshotError, Span};

const MANIFEST_FILE: &str = "manifest";
const BLOCK_FILE: &str = "block";
const CHUNKS_FILE: &str = "chunks";
/// Longest list of chunks, in bytes: some 100,000 of them, 100 GiB.
const MAX_CHUNKS_BYTES: usize = 4 << 20;

/// A snapshot on disk, to be served or imported. The names of its files come from numbers.
#[derive(Debug)]
pub struct SnapshotFolder {
    path: PathBuf,
    manifest: Manifest,
    chunks: Vec<ChunkInfo>,
}

/// What a file of a chunk holds. It says where to look, and is not to be believed beyond that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkInfo {
    /// The paths that it covers.
    pub span: Span,
    /// Its length in bytes, at most [`MAX_CHUNK_BYTES`].
    pub bytes: u32,
}

impl SnapshotFolder {
    /// Opens a folder that [`Store::export_snapshot`](crate::Store::export_snapshot) completed.
    ///
    /// # Errors
    /// If the manifest or the list of chunks is missing, unreadable or contradicts itself.
    pub fn open(path: &Path) -> Result<Self, SnapshotError> {
        let manifest = Manifest::decode(&read(&path.join(MANIFEST_FILE), MAX_MANIFEST_BYTES)?)?;
        let chunks = read(&path.join(CHUNKS_FILE), MAX_CHUNKS_BYTES)?;
        let chunks: Vec<ChunkInfo> = codec::decode_limited(&chunks, MAX_CHUNKS_BYTES)
            .map_err(|_| SnapshotError::Chunks("the bytes are none"))?;
        check(&chunks).map_err(SnapshotError::Chunks)?;
        Ok(Self { path: path.into(), manifest, chunks })
    }

    /// What it is of.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its chunks, in order of their spans.
    pub fn chunks(&self) -> &[ChunkInfo] {
        &self.chunks
    }

    /// Encoded block after which the state stands.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn block_bytes(&self) -> Result<Vec<u8>, SnapshotError> {
        read(&self.path.join(BLOCK_FILE), codec::MAX_DECODED_BYTES)
    }

    /// Bytes of the chunk that covers a path.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn chunk_at(&self, path: &B256) -> Result<Vec<u8>, SnapshotError> {
        let above = self.chunks.partition_point(|chunk| chunk.span.start <= *path);
        // The first one begins with the lowest path.
        read(&chunk_file(&self.path, above.saturating_sub(1)), MAX_CHUNK_BYTES)
    }
}

fn chunk_file(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("chunk-{index:05}"))
}

/// Whether chunks cover the state without gaps.
pub(super) fn check(chunks: &[ChunkInfo]) -> Result<(), &'static str> {
    let mut next = Some(B256::ZERO);
    for ChunkInfo { span, bytes } in chunks {
        if !span.is_sound() || next != Some(span.start) {
            return Err("they have gaps or overlap");
        }
        if !usize::try_from(*bytes).is_ok_and(|bytes| bytes <= MAX_CHUNK_BYTES) {
            return Err("one is too long");
        }
        next = span.above();
    }
    if next.is_some() { Err("they end before the state does") } else { Ok(()) }
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

pub(super) fn write_chunk(folder: &Path, index: usize, bytes: &[u8]) -> Result<(), SnapshotError> {
    write(&chunk_file(folder, index), bytes)
}

/// Completes a snapshot: a folder with a manifest has everything.
pub(super) fn complete(
    folder: &Path,
    block: &[u8],
    manifest: Manifest,
    chunks: Vec<ChunkInfo>,
) -> Result<SnapshotFolder, SnapshotError> {
    check(&chunks).map_err(SnapshotError::Chunks)?;
    write(&folder.join(BLOCK_FILE), block)?;
    write(&folder.join(CHUNKS_FILE), &codec::encode(&chunks))?;
    let (draft, done) = (folder.join("manifest.new"), folder.join(MANIFEST_FILE));
    write(&draft, &manifest.encode())?;
    std::fs::rename(&draft, &done).map_err(io(&done, "created"))?;
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(io(folder, "synced"))?;
    Ok(SnapshotFolder { path: folder.into(), manifest, chunks })
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
