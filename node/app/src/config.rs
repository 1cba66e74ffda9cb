//! Turn flags, environment and file into one validated configuration of a node.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// What a node is told, as it stands in `node.toml`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeFile {
    /// Where REST and JSON-RPC listen.
    pub api: Option<SocketAddr>,
    /// libp2p addresses to listen on.
    pub listen: Option<Vec<String>>,
    /// Peers to hold a connection to: libp2p addresses that end in `/p2p/<peer id>`.
    pub peers: Option<Vec<String>>,
    /// Identity key file: 32 bytes in hexadecimal, mode 0600. A validator's is its validator key.
    pub identity: Option<PathBuf>,
    /// Key file of the faucet's account, on a devnet.
    pub faucet_key: Option<PathBuf>,
    /// Blocks kept: `archive`, or a number.
    pub retain_blocks: Option<Retain>,
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

/// A node's configuration, complete.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Folder of everything that the node stores.
    pub data: PathBuf,
    /// Genesis file.
    pub genesis: PathBuf,
    /// Where REST and JSON-RPC listen.
    pub api: SocketAddr,
    /// libp2p addresses to listen on.
    pub listen: Vec<String>,
    /// Peers to hold a connection to.
    pub peers: Vec<String>,
    /// Identity key file.
    pub identity: PathBuf,
    /// Key file of the faucet's account, on a devnet.
    pub faucet_key: Option<PathBuf>,
    /// Blocks kept; none for all.
    pub retain_blocks: Option<u64>,
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

impl NodeConfig {
    /// Completes what a file says with defaults; paths of the file are relative to the data folder.
    pub fn from_file(data: PathBuf, genesis: PathBuf, file: NodeFile) -> Self {
        let within = |path: PathBuf| if path.is_absolute() { path } else { data.join(path) };
        Self {
            genesis,
            api: file.api.unwrap_or(DEFAULT_API),
            listen: file
                .listen
                .unwrap_or_else(|| DEFAULT_LISTEN.iter().map(ToString::to_string).collect()),
            peers: file.peers.unwrap_or_default(),
            identity: within(file.identity.unwrap_or_else(|| "identity.key".into())),
            faucet_key: file.faucet_key.map(within),
            retain_blocks: match file.retain_blocks {
                None => Some(DEFAULT_RETAIN_BLOCKS),
                Some(Retain::Blocks(n)) => Some(n),
                Some(Retain::Archive(_)) => None,
            },
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
            listen: Some(self.listen.clone()),
            peers: Some(self.peers.clone()),
            identity: Some(self.identity.clone()),
            faucet_key: self.faucet_key.clone(),
            retain_blocks: Some(
                self.retain_blocks.map_or(Retain::Archive(Archive::Archive), Retain::Blocks),
            ),
            blob_quota_bytes: Some(self.blob_quota_bytes),
        })
    }
}

#[cfg(test)]
mod tests;
