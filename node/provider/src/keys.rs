//! Keep the provider's two keys: files that their owner alone can read, made once and never overwritten.
//!
//! `identity.key` is the ed25519 seed of the account; `encryption.key` the X25519 key that payloads are sealed to.
//! Each holds 64 hexadecimal digits; lines that begin with `#` are skipped.

#[cfg(test)]
mod tests;

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use neura_blobs::EncryptionSecretKey;
use neura_types::{
    Address,
    keys::{SecretKey, parse_hex32},
};
use rand::TryRng;
use zeroize::Zeroizing;

/// File of the identity key, in the data folder.
pub const IDENTITY_FILE: &str = "identity.key";
/// File of the encryption key, in the data folder.
pub const ENCRYPTION_FILE: &str = "encryption.key";
/// Most bytes read of a key file: the digits, and room for a remark.
const MAX_KEY_FILE: u64 = 4_096;

/// Why a key file is not used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read or written.
    #[error("cannot {action} key file {path}: {cause}", path = path.display())]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// There is none.
    #[error(
        "there is no {file} in {folder}: name the folder of a provider's keys with --data or NEURA_PROVIDER_DATA, or \
         make one with `neura provider join`",
        folder = folder.display()
    )]
    Missing {
        /// The file's name.
        file: String,
        /// The folder.
        folder: PathBuf,
    },
    /// Others than its owner may read or change it.
    #[error("key file {path} is open to others (mode {mode:03o}): run `chmod 600 {path}`", path = path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It holds something else than a key.
    #[error(
        "key file {path} does not hold a key of 64 hexadecimal digits: restore it from a backup (removing it makes \
         a new key, which is another account)",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The system gives no randomness to make a key from.
    #[error("the system gives no randomness to make a key from: {0}")]
    NoRandomness(String),
}

/// The provider's keys.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Signs its transactions; its account is the provider.
    pub identity: SecretKey,
    /// Opens payloads.
    pub encryption: EncryptionSecretKey,
}

impl Keys {
    /// Reads both keys from a data folder.
    ///
    /// # Errors
    /// If one is missing, open to others, or damaged.
    pub fn load(dir: &Path) -> Result<Self, KeyFileError> {
        let identity = read(&dir.join(IDENTITY_FILE))?;
        let encryption = read(&dir.join(ENCRYPTION_FILE))?;
        Ok(Self {
            identity: SecretKey::from_seed(&identity),
            encryption: EncryptionSecretKey::from_bytes(*encryption),
        })
    }

    /// Reads both keys, and makes those that are missing. Returns whether it made one.
    ///
    /// # Errors
    /// If one is open to others or damaged, or cannot be made.
    pub fn load_or_create(dir: &Path) -> Result<(Self, bool), KeyFileError> {
        let identity = create(&dir.join(IDENTITY_FILE))?;
        let encryption = create(&dir.join(ENCRYPTION_FILE))?;
        Ok((Self::load(dir)?, identity || encryption))
    }

    /// The provider's account.
    pub fn address(&self) -> Address {
        self.identity.public_key().address()
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyFileError {
    let path = path.to_owned();
    move |cause| KeyFileError::Io { action, path, cause }
}

fn missing(path: &Path) -> KeyFileError {
    KeyFileError::Missing {
        file: path.file_name().unwrap_or_default().display().to_string(),
        folder: path.parent().unwrap_or(Path::new(".")).to_owned(),
    }
}

fn read(path: &Path) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    let file = File::open(path).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => missing(path),
        _ => failed("open", path)(cause),
    })?;
    let mode = file.metadata().map_err(failed("inspect", path))?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::TooOpen { path: path.to_owned(), mode });
    }
    let damaged = || KeyFileError::Damaged { path: path.to_owned() };
    let mut text = Zeroizing::new(String::new());
    match file.take(MAX_KEY_FILE).read_to_string(&mut text) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(damaged()),
        Err(error) => return Err(failed("read", path)(error)),
    }
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let key = lines.find(|line| !line.starts_with('#')).ok_or_else(damaged)?;
    parse_hex32(key).map(Zeroizing::new).map_err(|_| damaged())
}

/// Makes a key file if there is none. It appears under its name whole and synced, or not at all.
fn create(path: &Path) -> Result<bool, KeyFileError> {
    if path.exists() {
        return Ok(false);
    }
    let mut secret = Zeroizing::new([0; 32]);
    rand::rngs::SysRng
        .try_fill_bytes(secret.as_mut())
        .map_err(|error| KeyFileError::NoRandomness(error.to_string()))?;
    let text = Zeroizing::new(format!("{}\n", hex::encode(secret.as_slice())));
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    let written = write_private(&draft, text.as_bytes());
    // A link fails where a file of that name has come into being: a key is never overwritten.
    let made = written.and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        linked => linked.map(|()| true),
    });
    let removed = fs::remove_file(&draft);
    let made = made.map_err(failed("create", path))?;
    removed.map_err(failed("remove", &draft))?;
    let dir = path.parent().unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed("sync the folder of", path))?;
    Ok(made)
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a folder, with those above it, that its owner alone may enter.
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}
