//! Turn flags, environment and file into one validated configuration of a node.

use std::{
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
};

use neura_p2p::Discovery;
use neura_storage::DEFAULT_CACHE_MIB;
use serde::{Deserialize, Serialize};

/// What a node is told, as it stands in `node.toml`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeFile {
    /// Where REST and JSON-RPC listen.
    pub api: Option<SocketAddr>,
    /// Whether JSON-RPC serves `debug_*`, `txpool_*` and traces for explorers.
    pub debug_api: Option<bool>,
    /// libp2p addresses to listen on.
    pub listen: Option<Vec<String>>,
    /// Peers to hold a connection to: libp2p addresses that end in `/p2p/<peer id>`.
    pub peers: Option<Vec<String>>,
    /// Whether to look for peers and to be found, beside those in `peers`.
    pub discovery: Option<bool>,
    /// Connections to peers that were found so.
    pub outbound_peers: Option<usize>,
    /// Whether to tell peers the addresses of this node.
    pub announce: Option<bool>,
    /// Addresses under which others reach this node, where it does not listen on them itself.
    pub external: Option<Vec<String>>,
    /// Ids of peers that are always let in: a validator's sentries, for a sentry its validator.
    pub reserved: Option<Vec<String>>,
    /// Whether only validators, `peers` and `reserved` are let in.
    pub reserved_only: Option<bool>,
    /// Identity key file: 32 bytes in hexadecimal, mode 0600. A validator's is its validator key.
    pub identity: Option<PathBuf>,
    /// Key file of the faucet's account, on a devnet.
    pub faucet_key: Option<PathBuf>,
    /// Blocks kept: `archive`, or a number.
    pub retain_blocks: Option<Retain>,
    /// Whether a fresh data folder starts from a snapshot that peers serve.
    pub snapshot_sync: Option<bool>,
    /// Make and serve a snapshot every so many epochs; 0 for none.
    pub snapshot_epochs: Option<u64>,
    /// Threads that execute a block's transactions; the result is the same whatever their number.
    pub execution_threads: Option<NonZeroUsize>,
    /// Memory for the state's table blocks, in MiB.
    pub cache_mib: Option<NonZeroU32>,
    /// Most bytes of the embedded off-chain store.
    pub blob_quota_bytes: Option<u64>,
}

/// How many blocks are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", untagged)]
pub enum Retain {
    /// This many.
    Blocks(u64),
    /// All.
    Archive(Archive),
}

/// The word `archive`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Archive {
    /// Keep all blocks.
    Archive,
}

impl std::str::FromStr for Retain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "archive" => Ok(Self::Archive(Archive::Archive)),
            _ => text
                .parse()
                .map(Self::Blocks)
                .map_err(|_| "write a number of blocks, or archive to keep all".into()),
        }
    }
}

/// How a node takes part in the network, apart from the addresses that it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkOptions {
    /// Whether to look for peers and to be found.
    pub discovery: bool,
    /// Connections to peers that were found so.
    pub outbound_peers: usize,
    /// Whether to tell peers the addresses of this node.
    pub announce: bool,
    /// Addresses under which others reach this node, where it does not listen on them itself.
    pub external: Vec<String>,
    /// Ids of peers that are always let in.
    pub reserved: Vec<String>,
    /// Whether only validators, static and reserved peers are let in.
    pub reserved_only: bool,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self {
            discovery: true,
            outbound_peers: Discovery::default().outbound_peers,
            announce: true,
            external: Vec::new(),
            reserved: Vec::new(),
            reserved_only: false,
        }
    }
}

/// A node's configuration, complete.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Folder of everything that the node stores.
    pub data: PathBuf,
    /// Genesis file.
    pub genesis: PathBuf,
    /// Where REST and JSON-RPC listen.
    pub api: SocketAddr,
    /// Whether JSON-RPC serves `debug_*`, `txpool_*` and traces for explorers.
    pub debug_api: bool,
    /// libp2p addresses to listen on.
    pub listen: Vec<String>,
    /// Peers to hold a connection to.
    pub peers: Vec<String>,
    /// How to find others and be found.
    pub network: NetworkOptions,
    /// Identity key file.
    pub identity: PathBuf,
    /// Key file of the faucet's account, on a devnet.
    pub faucet_key: Option<PathBuf>,
    /// Blocks kept; none for all.
    pub retain_blocks: Option<u64>,
    /// Whether a fresh data folder starts from a snapshot that peers serve.
    pub snapshot_sync: bool,
    /// Make and serve a snapshot every so many epochs; 0 for none.
    pub snapshot_epochs: u64,
    /// Threads that execute a block's transactions.
    pub execution_threads: NonZeroUsize,
    /// Memory for the state's table blocks, in MiB; decoded values and tree nodes take about as much again.
    pub cache_mib: NonZeroU32,
    /// Most bytes of the embedded off-chain store.
    pub blob_quota_bytes: u64,
}

/// Blocks that a node keeps unless told otherwise: bounds a devnet's disk.
pub const DEFAULT_RETAIN_BLOCKS: u64 = 100_000;
/// Off-chain store of a node unless told otherwise: 4 GiB.
pub const DEFAULT_BLOB_QUOTA: u64 = 4 << 30;
/// Where REST and JSON-RPC listen unless told otherwise: Ethereum's port, this machine only.
pub const DEFAULT_API: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8545);
/// libp2p addresses unless told otherwise.
pub const DEFAULT_LISTEN: [&str; 2] = ["/ip4/0.0.0.0/udp/26770/quic-v1", "/ip4/0.0.0.0/tcp/26770"];

/// Threads that execute a block's transactions unless told otherwise: one for each core, but one where there are so few
/// that the commit of the block before, consensus and clients have use for the others.
pub fn default_execution_threads() -> NonZeroUsize {
    const FEWEST: usize = 4;
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    if cores.get() < FEWEST { NonZeroUsize::MIN } else { cores }
}

impl NodeConfig {
    /// Completes what a file says with defaults; paths of the file are relative to the data folder.
    pub fn from_file(data: PathBuf, genesis: PathBuf, file: NodeFile) -> Self {
        let within = |path: PathBuf| if path.is_absolute() { path } else { data.join(path) };
        let usual = NetworkOptions::default();
        Self {
            genesis,
            api: file.api.unwrap_or(DEFAULT_API),
            debug_api: file.debug_api.unwrap_or_default(),
            listen: file
                .listen
                .unwrap_or_else(|| DEFAULT_LISTEN.iter().map(ToString::to_string).collect()),
            peers: file.peers.unwrap_or_default(),
            network: NetworkOptions {
                discovery: file.discovery.unwrap_or(usual.discovery),
                outbound_peers: file.outbound_peers.unwrap_or(usual.outbound_peers),
                announce: file.announce.unwrap_or(usual.announce),
                external: file.external.unwrap_or_default(),
                reserved: file.reserved.unwrap_or_default(),
                reserved_only: file.reserved_only.unwrap_or(usual.reserved_only),
            },
            identity: within(file.identity.unwrap_or_else(|| "identity.key".into())),
            faucet_key: file.faucet_key.map(within),
            retain_blocks: match file.retain_blocks {
                None => Some(DEFAULT_RETAIN_BLOCKS),
                Some(Retain::Blocks(n)) => Some(n),
                Some(Retain::Archive(_)) => None,
            },
            snapshot_sync: file.snapshot_sync.unwrap_or_default(),
            snapshot_epochs: file.snapshot_epochs.unwrap_or_default(),
            execution_threads: file.execution_threads.unwrap_or_else(default_execution_threads),
            cache_mib: file.cache_mib.unwrap_or(DEFAULT_CACHE_MIB),
            blob_quota_bytes: file.blob_quota_bytes.unwrap_or(DEFAULT_BLOB_QUOTA),
            data,
        }
    }

    /// The text of a `node.toml` that says the same.
    ///
    /// # Errors
    /// If a value has no form in TOML.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(&NodeFile {
            api: Some(self.api),
            debug_api: Some(self.debug_api),
            listen: Some(self.listen.clone()),
            peers: Some(self.peers.clone()),
            discovery: Some(self.network.discovery),
            outbound_peers: Some(self.network.outbound_peers),
            announce: Some(self.network.announce),
            external: Some(self.network.external.clone()),
            reserved: Some(self.network.reserved.clone()),
            reserved_only: Some(self.network.reserved_only),
            identity: Some(self.identity.clone()),
            faucet_key: self.faucet_key.clone(),
            retain_blocks: Some(
                self.retain_blocks.map_or(Retain::Archive(Archive::Archive), Retain::Blocks),
            ),
            snapshot_sync: Some(self.snapshot_sync),
            snapshot_epochs: Some(self.snapshot_epochs),
            execution_threads: Some(self.execution_threads),
            cache_mib: Some(self.cache_mib),
            blob_quota_bytes: Some(self.blob_quota_bytes),
        })
    }
}

#[cfg(test)]
mod tests;
