//! Keep the transactions that users brought over a crash of the process.
//!
//! Each is appended when it is acknowledged. It reaches the system, which writes it out when it likes: what a killed
//! process had taken is there again, after a power failure the last seconds may be missing. Other nodes hold it soon after.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use neura_types::{Bytes, transaction::MAX_TRANSACTION_BYTES};

/// At this size what is settled is dropped from the journal.
const MAX_JOURNAL_BYTES: usize = 16 << 20;

/// The journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    bytes: usize,
    /// Size at which it is rewritten next.
    limit: usize,
}

impl Journal {
    /// Opens the journal, and returns what is in it. A torn end is cut off.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn open(path: &Path) -> io::Result<(Self, Vec<Bytes>)> {
        let found = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            content => entries(&content?),
        };
        let (file, bytes) = write_anew(path, &found)?;
        let limit = MAX_JOURNAL_BYTES.max(2 * bytes);
        Ok((Self { path: path.into(), file, bytes, limit }, found))
    }

    /// Adds a transaction. When the journal has grown large, only what `waits` stays in it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn append(&mut self, raw: &Bytes, waits: impl Fn(&Bytes) -> bool) -> io::Result<()> {
        let entry = entry(raw);
        self.file.write_all(&entry)?;
        self.bytes += entry.len();
        if self.bytes > self.limit {
            let mut kept = entries(&std::fs::read(&self.path)?);
            kept.retain(waits);
            (self.file, self.bytes) = write_anew(&self.path, &kept)?;
            self.limit = MAX_JOURNAL_BYTES.max(2 * self.bytes);
        }
        Ok(())
    }
}

/// Length as four bytes, then the transaction.
fn entry(raw: &Bytes) -> Vec<u8> {
    let length = u32::try_from(raw.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes(), &raw[..]].concat()
}

/// The transactions in a journal's content, up to where it is torn.
pub fn entries(mut content: &[u8]) -> Vec<Bytes> {
    let mut found = Vec::new();
    while let Some((length, rest)) = content.split_first_chunk() {
        let length = u32::from_le_bytes(*length) as usize;
        let Some((raw, rest)) = rest.split_at_checked(length) else { break };
        if length == 0 || length > MAX_TRANSACTION_BYTES {
            break;
        }
        found.push(Bytes::copy_from_slice(raw));
        content = rest;
    }
    found
}

/// Replaces the journal, all or nothing.
fn write_anew(path: &Path, entries: &[Bytes]) -> io::Result<(File, usize)> {
    let content: Vec<u8> = entries.iter().flat_map(entry).collect();
    let new = path.with_extension("new");
    std::fs::write(&new, &content)?;
    std::fs::rename(&new, path)?;
    let file = OpenOptions::new().append(true).open(path)?;
    Ok((file, content.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(fill: u8, size: usize) -> Bytes {
        vec![fill; size].into()
    }

    #[test]
    fn what_was_taken_is_there_again_and_a_torn_end_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, found) = Journal::open(&path).unwrap();
        assert!(found.is_empty());
        for fill in 1..=3 {
            journal.append(&raw(fill, 100), |_| true).unwrap();
        }
        let content = std::fs::read(&path).unwrap();
        std::fs::write(&path, &content[..content.len() - 1]).unwrap();
        let (mut journal, found) = Journal::open(&path).unwrap();
        assert_eq!(found, [raw(1, 100), raw(2, 100)]);
        journal.append(&raw(4, 9), |_| true).unwrap();
        assert_eq!(Journal::open(&path).unwrap().1, [raw(1, 100), raw(2, 100), raw(4, 9)]);
    }

    #[test]
    fn a_large_journal_keeps_only_what_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, _) = Journal::open(&path).unwrap();
        let size = 64 << 10;
        for round in 0..2 * MAX_JOURNAL_BYTES / size {
            let fill = if round % 64 == 0 { 1 } else { 2 };
            journal.append(&raw(fill, size), |raw| raw[0] == 1).unwrap();
        }
        assert!(journal.bytes < MAX_JOURNAL_BYTES + size);
        let ones = Journal::open(&path).unwrap().1.iter().filter(|raw| raw[0] == 1).count();
        assert_eq!(ones, 2 * MAX_JOURNAL_BYTES / size / 64, "what waits is never dropped");
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_content_never_panics(content: Vec<u8>) {
            entries(&content);
        }
    }
}
