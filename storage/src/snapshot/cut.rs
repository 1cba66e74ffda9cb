//! Sort the state by path and cut it into spans, in memory that does not grow with it.

use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::{Path as FilePath, PathBuf},
};

use alloy_primitives::{B256, Bytes};
use neura_types::state::proof::path_of;

use super::{SnapshotError, Span, folder::io};
use crate::{error::StorageError, tree::Path};

/// Bytes of a chunk's entries and code at most, if it has more than one entry: leaves room for the way from the root and
/// the lengths in a chunk of 1 MiB.
pub(super) const TARGET_BYTES: u64 = (1 << 20) - (32 << 10);
/// Bits by which the state is sorted on disk.
const BUCKET_BITS: u16 = 8;
/// Bytes of unsorted state kept in memory.
const BUFFER_BYTES: usize = 64 << 20;
/// What the encoding of an entry takes besides key and value, at most.
const FRAME_BYTES: u64 = 8;

/// A key of the state with what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: Path,
    pub(super) key: Bytes,
    pub(super) value: Bytes,
    /// Hash of its code with the code's length, if it is an account that has code.
    pub(super) code: Option<(B256, u32)>,
}

/// The state, by the first byte of the paths.
pub(super) struct Buckets {
    folder: PathBuf,
    buffers: Vec<Vec<u8>>,
    /// Bytes that each makes in chunks at most, and entries that it has.
    sizes: Vec<(u64, usize)>,
    buffered: usize,
    /// Bytes of a span's entries and code at most, if it has more than one entry.
    target: u64,
}

impl Buckets {
    /// None filled; what does not fit memory goes to files in a folder.
    pub(super) fn new(folder: &FilePath, target: u64) -> Self {
        let count = 1 << BUCKET_BITS;
        Self {
            folder: folder.into(),
            buffers: vec![Vec::new(); count],
            sizes: vec![(0, 0); count],
            buffered: 0,
            target,
        }
    }

    /// Adds a key with its value, and the hash and length of its code.
    pub(super) fn add(
        &mut self,
        key: &[u8],
        value: &[u8],
        code: Option<(B256, u32)>,
    ) -> Result<(), SnapshotError> {
        let bucket = usize::from(path_of(key)[0]);
        let buffer = &mut self.buffers[bucket];
        let before = buffer.len();
        let (hash, code_bytes) = code.unwrap_or_default();
        // Keys have 21 or 53 bytes, values less than 100.
        buffer.extend([key.len() as u8, value.len() as u8]);
        buffer.extend_from_slice(key);
        buffer.extend_from_slice(value);
        buffer.extend_from_slice(hash.as_slice());
        buffer.extend_from_slice(&code_bytes.to_le_bytes());
        self.buffered += buffer.len() - before;
        self.sizes[bucket].0 += entry_bytes(key, value) + u64::from(code_bytes);
        self.sizes[bucket].1 += 1;
        if self.buffered > BUFFER_BYTES { self.spill() } else { Ok(()) }
    }

    fn file(&self, bucket: usize) -> PathBuf {
        self.folder.join(format!("unsorted-{bucket:02x}"))
    }

    fn spill(&mut self) -> Result<(), SnapshotError> {
        for bucket in 0..self.buffers.len() {
            let path = self.file(bucket);
            let buffer = std::mem::take(&mut self.buffers[bucket]);
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(&path)
                .and_then(|mut file| file.write_all(&buffer))
                .map_err(io(&path, "written"))?;
        }
        self.buffered = 0;
        Ok(())
    }

    /// Gives the entries of each span, in order, and forgets them.
    pub(super) fn cut(
        &mut self,
        span: Span,
        emit: &mut impl FnMut(Span, &[Entry]) -> Result<(), SnapshotError>,
    ) -> Result<(), SnapshotError> {
        let first = usize::from(span.start[0]);
        let buckets = first..first + (1 << (BUCKET_BITS - span.bits));
        let sizes = &self.sizes[buckets.clone()];
        let (bytes, entries): (u64, usize) =
            sizes.iter().fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1));
        if bytes > self.target && entries > 1 && span.bits < BUCKET_BITS {
            let [left, right] = span.halves();
            self.cut(left, emit)?;
            return self.cut(right, emit);
        }
        let mut entries = Vec::new();
        for bucket in buckets {
            entries.extend(self.take(bucket)?);
        }
        entries.sort_unstable_by_key(|entry| entry.path);
        split(span, &entries, self.target, emit)
    }

    fn take(&mut self, bucket: usize) -> Result<Vec<Entry>, SnapshotError> {
        let path = self.file(bucket);
        let mut bytes = Vec::new();
        match File::open(&path) {
            Ok(mut file) => {
                file.read_to_end(&mut bytes).map_err(io(&path, "read"))?;
                std::fs::remove_file(&path).map_err(io(&path, "removed"))?;
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(io(&path, "opened")(e)),
        }
        bytes.append(&mut self.buffers[bucket]);
        let cut = || StorageError::Corrupt {
            column: "snapshot",
            reason: format!("the file {} changed while it was in use", path.display()),
        };
        let mut rest = Bytes::from(bytes);
        let mut entries = Vec::new();
        while !rest.is_empty() {
            entries.push(take_entry(&mut rest).ok_or_else(cut)?);
        }
        Ok(entries)
    }
}

/// Takes one entry from the front.
fn take_entry(rest: &mut Bytes) -> Option<Entry> {
    let (key, value) = (usize::from(*rest.first()?), usize::from(*rest.get(1)?));
    let (value_at, hash_at) = (2 + key, 2 + key + value);
    let hash = B256::try_from(rest.get(hash_at..hash_at + 32)?).ok()?;
    let code_bytes = u32::from_le_bytes(*rest.get(hash_at + 32..)?.first_chunk()?);
    let key = rest.slice(2..value_at);
    let entry = Entry {
        path: path_of(&key),
        key,
        value: rest.slice(value_at..hash_at),
        code: (code_bytes > 0).then_some((hash, code_bytes)),
    };
    *rest = rest.slice(hash_at + 36..);
    Some(entry)
}

fn entry_bytes(key: &[u8], value: &[u8]) -> u64 {
    key.len() as u64 + value.len() as u64 + FRAME_BYTES
}

/// Bytes that entries make in a chunk, at most; the same code counts once.
fn size_of(entries: &[Entry]) -> u64 {
    let code: BTreeSet<_> = entries.iter().filter_map(|entry| entry.code).collect();
    let code: u64 = code.iter().map(|(_, bytes)| u64::from(*bytes) + FRAME_BYTES).sum();
    entries.iter().map(|entry| entry_bytes(&entry.key, &entry.value)).sum::<u64>() + code
}

fn split(
    span: Span,
    entries: &[Entry],
    target: u64,
    emit: &mut impl FnMut(Span, &[Entry]) -> Result<(), SnapshotError>,
) -> Result<(), SnapshotError> {
    if entries.len() < 2 || size_of(entries) <= target {
        return emit(span, entries);
    }
    let [left, right] = span.halves();
    let middle = entries.partition_point(|entry| entry.path < right.start.0);
    let (below, above) = entries.split_at(middle);
    split(left, below, target, emit)?;
    split(right, above, target, emit)
}
