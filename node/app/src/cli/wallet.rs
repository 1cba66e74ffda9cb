//! `neura wallet` and `neura faucet`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use neura_client::Client;
use neura_types::{Address, Amount};

use super::{
    Account, Screen, Shared,
    account::{home, read_key, show},
};
use crate::keyfile;

/// Commands of `neura wallet`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make an account. With NEURA_PASSWORD set its key is encrypted (web3 keystore v3).
    New {
        /// Its name.
        #[arg(default_value = "default")]
        name: String,
    },
    /// List the accounts of this machine.
    List,
    /// Show an account's balance and nonce.
    Balance {
        /// The account; your own if left out.
        address: Option<Address>,
    },
    /// Send coins.
    Send {
        /// To whom.
        to: Address,
        /// How much, such as 1.5 (ANKR) or "100 wei".
        amount: String,
    },
}

/// Arguments of `neura faucet`.
#[derive(Debug, clap::Args)]
pub(super) struct FaucetArgs {
    /// The account; your own if left out.
    address: Option<Address>,
    /// How much, in ANKR; the faucet's usual amount if left out.
    #[arg(long)]
    amount: Option<String>,
}

pub(super) async fn run(command: Command, shared: Shared) -> Result<()> {
    match command {
        Command::New { name } => new(&name, &shared),
        Command::List => list(&shared),
        Command::Balance { address } => balance(address, shared).await,
        Command::Send { to, amount } => send(to, &amount, shared).await,
    }
}

fn new(name: &str, shared: &Shared) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || !name.chars().all(plain) {
        bail!("'{name}' is no name for an account: use letters, digits, - and _");
    }
    let folder = home()?.join("wallet");
    let path = folder.join(format!("{name}.key"));
    if path.exists() {
        bail!("account '{name}' exists already: {}", path.display());
    }
    let secret = keyfile::random_secret()?;
    match std::env::var("NEURA_PASSWORD") {
        Ok(password) => write_keystore(&path, &secret, &password)?,
        Err(_) => keyfile::write_secret(&path, &secret, None)?,
    }
    let address = read_key(&path)?.address();
    let mut screen = Screen::new(shared.json);
    if !screen.result(&serde_json::json!({ "name": name, "address": address, "path": path }))? {
        screen.line(format!(
            "{name}  {address}\nkey file {} (keep a copy: whoever has it has the coins)",
            path.display()
        ));
    }
    Ok(())
}

fn write_keystore(path: &std::path::Path, secret: &[u8; 32], password: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let folder = path.parent().context("a key file lies in a folder")?;
    keyfile::create_private_dir(folder)?;
    let name = path.file_name().and_then(|name| name.to_str());
    let mut rng = rand_08::rngs::OsRng;
    eth_keystore::encrypt_key(folder, &mut rng, secret, password, name)
        .context("encrypting the key")?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    std::fs::File::open(path)?.sync_all()?;
    Ok(())
}

fn list(shared: &Shared) -> Result<()> {
    let folder = home()?.join("wallet");
    let mut accounts = Vec::new();
    if folder.exists() {
        for entry in std::fs::read_dir(&folder)? {
            let path: PathBuf = entry?.path();
            let name =
                path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if name.ends_with(".results.key") || !name.ends_with(".key") {
                continue;
            }
            let address = read_key(&path).map(|key| key.address().to_string());
            let address = address.unwrap_or_else(|error| format!("({error:#})"));
            accounts.push(serde_json::json!({
                "name": name.trim_end_matches(".key"), "address": address, "path": path
            }));
        }
    }
    accounts.sort_by_key(|account| account["name"].to_string());
    let mut screen = Screen::new(shared.json);
    if !screen.result(&accounts)? {
        for account in accounts {
            screen.line(format!(
                "{:<12} {}",
                account["name"].as_str().unwrap_or_default(),
                account["address"].as_str().unwrap_or_default()
            ));
        }
    }
    Ok(())
}

async fn balance(address: Option<Address>, shared: Shared) -> Result<()> {
    let address = match address {
        Some(address) => address,
        None => Account::open(&shared)?.key.address(),
    };
    let account = Client::new(&shared.url)?.account(address).await?;
    let mut screen = Screen::new(shared.json);
    if !screen.result(&account)? {
        screen.line(format!(
            "{address}  {}  nonce {} (block {})",
            show(account.balance.0),
            account.nonce,
            account.height
        ));
    }
    Ok(())
}

async fn send(to: Address, amount: &str, shared: Shared) -> Result<()> {
    let amount = Amount::parse(amount)?;
    let account = Account::open(&shared)?;
    let mut screen = Screen::new(shared.json);
    screen.waiting("sending");
    let sent = account.sender().await?.call(to, amount.to_u256(), Vec::new()).await?;
    if !screen.result(&sent.info)? {
        screen.line(format!(
            "sent {amount} to {to} at height {} (transaction {})",
            sent.height, sent.hash
        ));
    }
    Ok(())
}

pub(super) async fn faucet(args: FaucetArgs, shared: Shared) -> Result<()> {
    let amount = args.amount.as_deref().map(Amount::parse).transpose()?;
    let client = Client::new(&shared.url)?;
    let address = match args.address {
        Some(address) => address,
        None => Account::open(&shared)?.key.address(),
    };
    let grant = client.faucet(address, amount).await?;
    let mut screen = Screen::new(shared.json);
    if !screen.result(&grant)? {
        screen.line(format!(
            "{} on their way to {address} (transaction {})",
            grant.amount, grant.hash
        ));
    }
    Ok(())
}
