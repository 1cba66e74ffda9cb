//! Folders, keys, genesis and ports of a devnet. Everything is made once and used again.

use std::{
    fs::{self, File, TryLockError},
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail, ensure};
use neura_p2p::peer_id_from_public_key;
use neura_types::{
    Amount, Genesis, Params,
    genesis::GenesisAccount,
    keys::{EthKey, SecretKey},
    validator::Validator,
};

use super::DEVNET_CHAIN_ID;
use crate::{
    config::{
        DEFAULT_BLOB_QUOTA, DEFAULT_RETAIN_BLOCKS, NetworkOptions, NodeConfig,
        default_execution_threads,
    },
    keyfile::{self, DEVNET_MARK},
    node::{chain::unix_time_ms, start::read_genesis},
};

/// Accounts that every Ethereum development tool knows: the first keys of the mnemonic
/// "test test test test test test test test test test test junk".
const KNOWN_KEYS: [(&str, &str); 3] = [
    ("alice", "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"),
    ("bob", "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
    ("carol", "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"),
];
/// What each of them has at genesis.
const ACCOUNT_FUNDS: Amount = Amount::ankr(1_000_000);
/// What the faucet has at genesis.
const FAUCET_FUNDS: Amount = Amount::ankr(1_000_000_000);
/// What each validator has at stake at genesis, in whole ANKR.
const VALIDATOR_STAKE: u64 = 100_000;
/// What its account has besides: it pays for reports of others' contradictions, and for votes.
const OPERATOR_FUNDS: Amount = Amount::ankr(1_000);
/// p2p ports lie this far above the API's.
const P2P_OFFSET: u16 = 100;
/// Where free ports are looked for: below those that systems give to outgoing connections, one of which could take a
/// port between its choice and its use.
const FREE_PORTS: Range<u16> = 10_000..32_000;
/// So many of them are tried for each that is needed.
const FREE_PORT_TRIES: usize = 1_000;
/// Most validators of a devnet: their ports must not meet the p2p ports.
const MAX_VALIDATORS: usize = 50;

/// What a devnet is to be.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its folder.
    pub data: PathBuf,
    /// Number of validators.
    pub validators: usize,
    /// API port of the first validator; the others follow. 0: free ports, chosen at each start.
    pub base_port: u16,
    /// Parameters of the chain, when it is made.
    pub params: Params,
    /// Accounts funded beside the known ones, when it is made.
    pub accounts: Vec<GenesisAccount>,
}

/// A devnet on disk.
#[derive(Debug, Clone)]
pub struct Devnet {
    /// Its folder.
    pub data: PathBuf,
    /// Its genesis.
    pub genesis: Genesis,
    /// Configuration of each validator's node.
    pub nodes: Vec<NodeConfig>,
    /// Funded accounts: name and key file.
    pub accounts: Vec<(String, PathBuf)>,
    /// Held as long as the devnet is in use.
    _lock: Arc<File>,
}

impl Devnet {
    /// Opens a devnet, or makes it if there is none in the folder.
    ///
    /// # Errors
    /// If the folder holds a devnet of another size, a file is unusable, or a port is taken.
    pub fn open_or_create(plan: &Plan) -> Result<Self> {
        ensure!(
            (1..=MAX_VALIDATORS).contains(&plan.validators),
            "a devnet has 1 to {MAX_VALIDATORS} validators, not {}",
            plan.validators
        );
        keyfile::create_private_dir(&plan.data)?;
        let lock = lock(&plan.data)?;
        let genesis_path = plan.data.join("genesis.json");
        if !genesis_path.exists() {
            create(plan, &genesis_path)?;
        }
        let genesis = read_genesis(&genesis_path)?;
        ensure!(
            genesis.validators.len() == plan.validators,
            "the devnet in {} has {} validators, not {}: choose another folder with --data, or remove that one",
            plan.data.display(),
            genesis.validators.len(),
            plan.validators
        );
        let keys = (0..plan.validators)
            .map(|index| {
                keyfile::read_identity(&validator_dir(&plan.data, index).join("identity.key"))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            nodes: configure(plan, &genesis_path, &keys)?,
            accounts: KNOWN_KEYS
                .iter()
                .map(|(name, _)| ((*name).to_owned(), account_path(&plan.data, name)))
                .collect(),
            data: plan.data.clone(),
            genesis,
            _lock: Arc::new(lock),
        })
    }

    /// Addresses of all nodes' APIs.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(|node| format!("http://{}", node.api)).collect()
    }

    /// Folder of the provider.
    pub fn provider_dir(&self) -> PathBuf {
        self.data.join("provider")
    }
}

/// Takes the folder for this process: a second devnet in it would rewrite the first one's configuration.
fn lock(data: &Path) -> Result<File> {
    let path = data.join("devnet.lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("opening {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "a devnet is running in {}: stop it, or choose another folder with --data",
            data.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("locking {}", path.display()))
        }
    }
}

fn validator_dir(data: &Path, index: usize) -> PathBuf {
    data.join(format!("validator-{index}"))
}

fn account_path(data: &Path, name: &str) -> PathBuf {
    data.join("accounts").join(format!("{name}.key"))
}

/// Makes keys and genesis; the genesis file comes last, so that a devnet that was cut short is made afresh.
fn create(plan: &Plan, genesis_path: &Path) -> Result<()> {
    let mut accounts = plan.accounts.clone();
    let mut fund = |key: &EthKey, balance| {
        accounts.push(GenesisAccount { address: key.address(), balance });
    };
    for (name, secret) in KNOWN_KEYS {
        let secret = neura_types::keys::parse_hex32(secret)?;
        write_if_absent(&account_path(&plan.data, name), &secret)?;
        fund(&EthKey::from_bytes(secret)?, ACCOUNT_FUNDS);
    }
    let faucet_path = plan.data.join("faucet.key");
    write_if_absent(&faucet_path, &keyfile::random_secret()?)?;
    let faucet = keyfile::read_eth_key(&faucet_path)?;
    fund(&faucet, FAUCET_FUNDS);
    let treasury_path = plan.data.join("treasury.key");
    write_if_absent(&treasury_path, &keyfile::random_secret()?)?;
    let treasury = keyfile::read_eth_key(&treasury_path)?.address();
    let mut validators = Vec::new();
    for index in 0..plan.validators {
        let path = validator_dir(&plan.data, index).join("identity.key");
        write_if_absent(&path, &keyfile::random_secret()?)?;
        let public_key = keyfile::read_identity(&path)?.public_key();
        let account = public_key.address();
        validators.push(Validator { public_key, account, power: VALIDATOR_STAKE });
        accounts.push(GenesisAccount { address: account, balance: OPERATOR_FUNDS });
    }
    let genesis = Genesis {
        chain_id: DEVNET_CHAIN_ID,
        timestamp_ms: unix_time_ms(),
        params: plan.params.clone(),
        treasury,
        faucet: Some(faucet.address()),
        validators,
        accounts,
    };
    genesis.validate()?;
    let part = genesis_path.with_extension("part");
    fs::write(&part, genesis.to_json()?)
        .and_then(|()| fs::rename(&part, genesis_path))
        .with_context(|| format!("writing {}", genesis_path.display()))
}

fn write_if_absent(path: &Path, secret: &[u8; 32]) -> Result<()> {
    if path.exists() { Ok(()) } else { keyfile::write_secret(path, secret, Some(DEVNET_MARK)) }
}

fn configure(plan: &Plan, genesis: &Path, keys: &[SecretKey]) -> Result<Vec<NodeConfig>> {
    let ports = ports(plan)?;
    let addresses: Vec<String> = keys
        .iter()
        .zip(&ports)
        .map(|(key, (_, p2p))| {
            let id = peer_id_from_public_key(&key.public_key().0.0)?;
            Ok(format!("/ip4/127.0.0.1/tcp/{p2p}/p2p/{id}"))
        })
        .collect::<Result<_>>()?;
    Ok(ports
        .iter()
        .enumerate()
        .map(|(index, (api, p2p))| {
            let data = validator_dir(&plan.data, index);
            NodeConfig {
                genesis: genesis.to_owned(),
                api: SocketAddr::from((Ipv4Addr::LOCALHOST, *api)),
                debug_api: true,
                listen: vec![
                    format!("/ip4/127.0.0.1/tcp/{p2p}"),
                    format!("/ip4/127.0.0.1/udp/{p2p}/quic-v1"),
                ],
                peers: addresses
                    .iter()
                    .enumerate()
                    .filter(|(other, _)| *other != index)
                    .map(|(_, address)| address.clone())
                    .collect(),
                network: NetworkOptions::default(),
                identity: data.join("identity.key"),
                faucet_key: (index == 0).then(|| plan.data.join("faucet.key")),
                retain_blocks: Some(DEFAULT_RETAIN_BLOCKS),
                snapshot_sync: false,
                snapshot_epochs: 0,
                execution_threads: default_execution_threads(),
                cache_mib: neura_storage::DEFAULT_CACHE_MIB,
                blob_quota_bytes: DEFAULT_BLOB_QUOTA,
                data,
            }
        })
        .collect())
}

/// API and p2p port of each validator. Ports that are taken are named, before anything is started.
fn ports(plan: &Plan) -> Result<Vec<(u16, u16)>> {
    if plan.base_port == 0 {
        return free_ports(plan.validators);
    }
    let base = usize::from(plan.base_port);
    ensure!(
        base + usize::from(P2P_OFFSET) + plan.validators <= usize::from(u16::MAX),
        "base port {base} is too high"
    );
    (0..plan.validators)
        .map(|index| {
            let api = plan.base_port + u16::try_from(index)?;
            let p2p = api + P2P_OFFSET;
            for port in [api, p2p] {
                TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| {
                    format!(
                        "port {port} is taken: stop what uses it, or choose others with --base-port"
                    )
                })?;
            }
            Ok((api, p2p))
        })
        .collect()
}

/// Free ports, all held until the last is found, so that they differ.
fn free_ports(count: usize) -> Result<Vec<(u16, u16)>> {
    let mut held = Vec::new();
    let mut take = || -> Result<u16> {
        for _ in 0..FREE_PORT_TRIES {
            let port = rand::random_range(FREE_PORTS);
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
            if let (Ok(tcp), Ok(udp)) = (tcp, UdpSocket::bind((Ipv4Addr::LOCALHOST, port))) {
                held.push((tcp, udp));
                return Ok(port);
            }
        }
        bail!("no free port found from {} to {}", FREE_PORTS.start, FREE_PORTS.end)
    };
    (0..count).map(|_| Ok((take()?, take()?))).collect()
}
