//! `neura genesis`: make a genesis file from validators' public keys and funded accounts.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use neura_types::{
    Address, Amount, B256, Genesis, Params,
    genesis::{GenesisAccount, RESERVED_CHAIN_IDS},
    keys::PublicKey,
    validator::Validator,
};

use super::{Screen, Shared};
use crate::{bounded, node::chain::unix_time_ms};

/// Longest file of parameters.
const MAX_PARAMS: u64 = 1 << 20;

/// Arguments of `neura genesis`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// EIP-155 chain id; 266, 267 and 268 belong to the public Neura networks.
    #[arg(long, default_value_t = crate::devnet::DEVNET_CHAIN_ID)]
    chain_id: u64,
    /// A validator: its ed25519 public key in hexadecimal, and after a colon what its account has at stake, in whole
    /// ANKR (1 if left out): its voting power.
    #[arg(long = "validator", required = true, value_name = "KEY[:STAKE]")]
    validators: Vec<String>,
    /// A funded account: address=amount, such as 0xf39F…2266=1000 (ANKR).
    #[arg(long = "account", value_name = "ADDRESS=AMOUNT")]
    accounts: Vec<String>,
    /// Account of the treasury.
    #[arg(long)]
    treasury: Address,
    /// TOML file with parameters that differ from the defaults.
    #[arg(long)]
    params: Option<PathBuf>,
    /// Where to write the file; standard output if left out.
    #[arg(long, short)]
    out: Option<PathBuf>,
}

pub(super) fn run(args: Args, shared: &Shared) -> Result<()> {
    if RESERVED_CHAIN_IDS.contains(&args.chain_id) {
        bail!("chain id {} belongs to a public Neura network: choose another", args.chain_id);
    }
    let params = match &args.params {
        None => Params::default(),
        Some(path) => toml::from_str(&bounded::read_text(path, MAX_PARAMS)?)
            .with_context(|| format!("parameters in {}", path.display()))?,
    };
    let genesis = Genesis {
        chain_id: args.chain_id,
        timestamp_ms: unix_time_ms(),
        params,
        treasury: args.treasury,
        faucet: None,
        validators: args.validators.iter().map(|text| validator(text)).collect::<Result<_>>()?,
        accounts: args.accounts.iter().map(|text| account(text)).collect::<Result<_>>()?,
    };
    genesis.validate()?;
    let text = genesis.to_json()?;
    match args.out {
        None => println!("{text}"),
        Some(path) => {
            std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
            let summary = serde_json::json!({ "path": path, "hash": genesis.hash() });
            let mut screen = Screen::new(shared.json);
            if !screen.result(&summary)? {
                println!(
                    "wrote {}: chain {}, hash {}",
                    path.display(),
                    genesis.chain_id,
                    genesis.hash()
                );
            }
        }
    }
    Ok(())
}

fn validator(text: &str) -> Result<Validator> {
    let (key, power) = text.split_once(':').unwrap_or((text, "1"));
    let bytes =
        neura_types::keys::parse_hex32(key).with_context(|| format!("validator '{text}'"))?;
    let public_key = PublicKey(B256::new(bytes));
    let power = power.parse().with_context(|| format!("stake of validator '{text}'"))?;
    Ok(Validator { public_key, account: public_key.address(), power })
}

fn account(text: &str) -> Result<GenesisAccount> {
    let (address, balance) =
        text.split_once('=').with_context(|| format!("account '{text}': write address=amount"))?;
    Ok(GenesisAccount {
        address: address.parse().with_context(|| format!("address in '{text}'"))?,
        balance: Amount::parse(balance)?,
    })
}
