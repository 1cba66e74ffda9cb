//! The account that a command acts for.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use neura_blobs::EncryptionSecretKey;
use neura_client::{Client, Key, Sender};
use neura_types::{Address, Amount, U256, keys::EthKey};

use super::{Screen, Shared};
use crate::{bounded, keyfile};

/// Longest keystore file.
const MAX_KEYSTORE: u64 = 64 << 10;

/// The account's key file in the folder of wallets, unless another is named.
const DEFAULT_KEY: &str = "wallet/default.key";

/// What an account asks of a devnet's faucet when it has too little.
const TOP_UP: Amount = Amount::ankr(1_000);
/// Below this an account counts as empty.
const LOW: Amount = Amount::ankr(50);

/// Folder of wallets and of the devnet: `NEURA_HOME`, else `neura` in the user's data folder.
///
/// # Errors
/// If neither NEURA_HOME nor HOME is set.
pub(crate) fn home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("NEURA_HOME") {
        return Ok(home.into());
    }
    if let Some(data) = std::env::var_os("XDG_DATA_HOME") {
        return Ok(PathBuf::from(data).join("neura"));
    }
    let home = std::env::var_os("HOME").context("set NEURA_HOME to a folder for keys and data")?;
    Ok(PathBuf::from(home).join(".local/share/neura"))
}

/// An account with its keys.
#[derive(Debug)]
pub struct Account {
    /// Signs transactions.
    pub key: EthKey,
    /// Opens results.
    pub result_key: EncryptionSecretKey,
    /// Speaks to the node.
    pub client: Client,
}

impl Account {
    /// The account that the flags name; the default one is made when it is first needed.
    ///
    /// # Errors
    /// If a key file is missing, not private, or no key.
    pub fn open(shared: &Shared) -> Result<Self> {
        let default = home()?.join(DEFAULT_KEY);
        let path = shared.key.clone().unwrap_or_else(|| default.clone());
        if path == default && !path.exists() {
            keyfile::write_secret(&path, &keyfile::random_secret()?, None)?;
        }
        let key = read_key(&path)?;
        let result_key = result_key(&path)?;
        Ok(Self { key, result_key, client: Client::new(&shared.url)? })
    }

    /// The same account where there is one; none is made.
    pub fn existing(shared: &Shared) -> Option<Self> {
        let default = home().ok()?.join(DEFAULT_KEY);
        if shared.key.is_some() || default.exists() { Self::open(shared).ok() } else { None }
    }

    /// Sends the account's transactions.
    ///
    /// # Errors
    /// If no node answers.
    pub async fn sender(&self) -> Result<Sender> {
        Ok(Sender::new(self.client.clone(), Key::Ethereum(self.key.clone())).await?)
    }

    /// Makes sure that the account can pay: on a devnet the faucet helps.
    ///
    /// # Errors
    /// If it has too little and there is no faucet.
    pub async fn ensure_funds(&self, needed: Amount, screen: &mut Screen) -> Result<()> {
        ensure_funds(&self.client, self.key.address(), needed, screen).await
    }
}

/// Makes sure that an account can pay: on a devnet the faucet helps.
///
/// # Errors
/// If it has too little and there is no faucet, or that gives less at once.
pub(super) async fn ensure_funds(
    client: &Client,
    address: Address,
    needed: Amount,
    screen: &mut Screen,
) -> Result<()> {
    let wanted = needed.add(LOW)?.to_u256();
    let balance = client.account(address).await?.balance.0;
    if balance >= wanted {
        return Ok(());
    }
    if !client.status().await?.faucet {
        bail!(
            "account {address} has {} but needs {needed} and fees: send coins to it",
            show(balance)
        );
    }
    screen.line(format!("account    {address} has {}: asking the faucet", show(balance)));
    let amount = Amount(TOP_UP.0.max(needed.0.saturating_add(LOW.0)));
    client.faucet(address, Some(amount)).await?;
    loop {
        if client.account(address).await?.balance.0 >= wanted {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Reads an account's key: 32 bytes in hexadecimal, or a web3 keystore with the password in `NEURA_PASSWORD`.
///
/// # Errors
/// If the file is missing, not private, or neither; or the password is wrong.
pub(super) fn read_key(path: &Path) -> Result<EthKey> {
    if !path.exists() {
        bail!(
            "there is no account {}: make one with `neura wallet new`, or name its file with --key",
            path.display()
        );
    }
    keyfile::check_private(path)?;
    let is_keystore = bounded::read(path, MAX_KEYSTORE)?.first() == Some(&b'{');
    if !is_keystore {
        return keyfile::read_eth_key(path);
    }
    let password = std::env::var("NEURA_PASSWORD")
        .context("the key file is encrypted: put its password into NEURA_PASSWORD")?;
    let secret = eth_keystore::decrypt_key(path, password)
        .with_context(|| format!("decrypting {} (is NEURA_PASSWORD right?)", path.display()))?;
    let secret: [u8; 32] = secret
        .try_into()
        .map_err(|_| anyhow::anyhow!("{} does not hold a 32-byte key", path.display()))?;
    Ok(EthKey::from_bytes(secret)?)
}

/// The key that results are sealed to; it lies beside the account's.
fn result_key(account: &Path) -> Result<EncryptionSecretKey> {
    let path = account.with_extension("results.key");
    if !path.exists() {
        keyfile::write_secret(&path, &keyfile::random_secret()?, None)?;
    }
    Ok(EncryptionSecretKey::from_bytes(keyfile::read_secret(&path)?))
}

/// A balance for the screen.
pub(super) fn show(balance: U256) -> String {
    Amount::from_u256(balance).map_or_else(|_| format!("{balance} wei"), |a| a.to_string())
}
