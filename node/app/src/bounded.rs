//! Read files up to a limit, whatever they are: a size that is asked for first says nothing about devices and pipes.

use std::{fs::File, io::Read, path::Path};

use anyhow::{Context, Result, ensure};

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// If it cannot be read or is longer.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let reading = || format!("reading {}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(reading)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).with_context(reading)?;
    ensure!(bytes.len() as u64 <= limit, "{} is longer than {limit} bytes", path.display());
    Ok(bytes)
}

/// Reads a text file of at most `limit` bytes.
///
/// # Errors
/// As [`read`], or if it is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<String> {
    String::from_utf8(read(path, limit)?)
        .map_err(|_| anyhow::anyhow!("{} is not a text file", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_file_is_read_up_to_the_limit_only() {
        let error = read(Path::new("/dev/zero"), 1_000).unwrap_err().to_string();
        assert!(error.contains("longer than 1000 bytes"), "{error}");
    }

    #[test]
    fn a_file_of_the_limit_is_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, [b'a'; 10]).unwrap();
        assert_eq!(read_text(&path, 10).unwrap().len(), 10);
        assert!(read_text(&path, 9).is_err());
    }
}
