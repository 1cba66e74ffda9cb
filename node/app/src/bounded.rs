//! Read files up to a limit, whatever they are: a size that is asked for first says nothing about devices and pipes.

use std::{fs::File, io, io::Read, path::Path};

use anyhow::Result;

/// Why a file is not read; its name is for the caller to say.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// What the system says.
    #[error(transparent)]
    System(#[from] io::Error),
    /// There is more than is taken.
    #[error("it is longer than {limit} bytes")]
    Long {
        /// Most bytes taken.
        limit: u64,
    },
}

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// If it cannot be read or is longer.
pub fn bytes(path: &Path, limit: u64) -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(Unread::Long { limit }) } else { Ok(bytes) }
}

/// As [`bytes`], with the file's name in the error.
///
/// # Errors
/// As [`bytes`].
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    bytes(path, limit).map_err(|error| match error {
        Unread::Long { limit } => {
            anyhow::anyhow!("{} is longer than {limit} bytes", path.display())
        }
        Unread::System(cause) => {
            anyhow::Error::new(cause).context(format!("reading {}", path.display()))
        }
    })
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
