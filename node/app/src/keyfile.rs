//! Read and write secret keys at rest: files of mode 0600 in folders that their owner alone may enter.
//!
//! An identity key is 32 bytes in hexadecimal; with a password it is a web3 keystore (v3), as Ethereum accounts are.

use std::{
    fs,
    io::Write,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use anyhow::{Context, Result, bail};
use neura_types::keys::{EthKey, SecretKey, parse_hex32};

use crate::bounded;

/// Longest key file: a key with some lines of comment.
const MAX_KEY_FILE: u64 = 4 << 10;

/// First line of a key file that a devnet made: its key is public knowledge.
pub const DEVNET_MARK: &str = "# devnet key: never send anything of value to it";

/// Refuses a key file that others than its owner may read.
///
/// # Errors
/// If it is missing, not a file, or its mode is looser than 0600.
pub fn check_private(path: &Path) -> Result<()> {
    let meta = fs::metadata(path).with_context(|| format!("key file {}", path.display()))?;
    if !meta.is_file() {
        bail!("key file {} is not a file", path.display());
    }
    if meta.mode() & 0o077 != 0 {
        bail!(
            "key file {} can be read by others (mode {:03o}): run `chmod 600 {0}`",
            path.display(),
            meta.mode() & 0o777
        );
    }
    Ok(())
}

/// Reads 32 secret bytes in hexadecimal; lines that begin with `#` are skipped.
///
/// # Errors
/// If the file is not private or holds anything else.
pub fn read_secret(path: &Path) -> Result<[u8; 32]> {
    check_private(path)?;
    let text = bounded::read_text(path, MAX_KEY_FILE)?;
    parse_secret(&text).with_context(|| format!("key file {}", path.display()))
}

/// The secret in the text of a key file.
///
/// # Errors
/// If there is none, or its line holds anything else.
pub fn parse_secret(text: &str) -> Result<[u8; 32]> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(parse_hex32(line.context("it holds no key")?)?)
}

/// Writes 32 secret bytes to a new file of mode 0600 and syncs it.
///
/// # Errors
/// If the file exists or cannot be written.
pub fn write_secret(path: &Path, secret: &[u8; 32], mark: Option<&str>) -> Result<()> {
    if let Some(parent) = path.parent() {
        create_private_dir(parent)?;
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("creating key file {}", path.display()))?;
    if let Some(mark) = mark {
        writeln!(file, "{mark}")?;
    }
    writeln!(file, "{}", hex::encode(secret))?;
    file.sync_all().with_context(|| format!("syncing key file {}", path.display()))
}

/// Creates a folder that only its owner may enter, if it does not exist.
///
/// # Errors
/// If it cannot be created.
pub fn create_private_dir(path: &Path) -> Result<()> {
    if path.as_os_str().is_empty() || path.exists() {
        return Ok(());
    }
    fs::create_dir_all(path).with_context(|| format!("creating folder {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
        .with_context(|| format!("protecting folder {}", path.display()))
}

/// 32 bytes of the system's randomness.
///
/// # Errors
/// If the system has none.
pub fn random_secret() -> Result<[u8; 32]> {
    use rand::TryRng;
    let mut secret = [0; 32];
    rand::rngs::SysRng
        .try_fill_bytes(&mut secret)
        .map_err(|error| anyhow::anyhow!("the system gives no randomness: {error}"))?;
    Ok(secret)
}

/// Reads an identity key.
///
/// # Errors
/// As [`read_secret`].
pub fn read_identity(path: &Path) -> Result<SecretKey> {
    Ok(SecretKey::from_seed(&read_secret(path)?))
}

/// Reads an identity key, or makes one if there is no file. Returns whether it was made.
///
/// # Errors
/// As [`read_secret`] and [`write_secret`].
pub fn read_or_create_identity(path: &Path) -> Result<(SecretKey, bool)> {
    if path.exists() {
        return Ok((read_identity(path)?, false));
    }
    let seed = random_secret()?;
    write_secret(path, &seed, None)?;
    Ok((SecretKey::from_seed(&seed), true))
}

/// Reads an Ethereum account's key.
///
/// # Errors
/// As [`read_secret`], or if the bytes are no key.
pub fn read_eth_key(path: &Path) -> Result<EthKey> {
    EthKey::from_bytes(read_secret(path)?).with_context(|| format!("key file {}", path.display()))
}

#[cfg(test)]
mod tests;
