//! `neura node`: run a node until it is stopped or fails.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::logs;
use crate::{
    bounded,
    config::{NodeConfig, NodeFile},
    node::{Node, StartOptions},
};

/// Longest configuration file.
const MAX_CONFIG: u64 = 1 << 20;

/// Arguments of `neura node`. Flags stand over the environment, that over the file.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder of everything that the node stores.
    #[arg(long, env = "NEURA_DATA")]
    data: PathBuf,
    /// Genesis file; default: genesis.json in the data folder.
    #[arg(long, env = "NEURA_GENESIS")]
    genesis: Option<PathBuf>,
    /// Configuration file; default: node.toml in the data folder, if there is one.
    #[arg(long, env = "NEURA_CONFIG")]
    config: Option<PathBuf>,
    /// Where REST and JSON-RPC listen.
    #[arg(long, env = "NEURA_API")]
    api: Option<SocketAddr>,
    /// libp2p address to listen on; may be given several times.
    #[arg(long, env = "NEURA_LISTEN", value_delimiter = ',')]
    listen: Vec<String>,
    /// Peer to hold a connection to, as address with /p2p/ and its id; may be given several times.
    #[arg(long = "peer", env = "NEURA_PEERS", value_delimiter = ',')]
    peers: Vec<String>,
    /// Identity key file; a validator's is its validator key.
    #[arg(long, env = "NEURA_IDENTITY")]
    identity: Option<PathBuf>,
}

impl Args {
    fn config(self) -> Result<NodeConfig> {
        let path = self.config.clone().unwrap_or_else(|| self.data.join("node.toml"));
        let mut file = if self.config.is_some() || path.exists() {
            read_config(&path)?
        } else {
            NodeFile::default()
        };
        file.api = self.api.or(file.api);
        // A flag's path is the shell's; the file's are relative to the data folder.
        if let Some(identity) = self.identity {
            ensure!(
                identity.exists(),
                "there is no identity key {}: `neura identity FILE` makes one",
                identity.display()
            );
            file.identity = Some(std::path::absolute(identity)?);
        }
        if !self.listen.is_empty() {
            file.listen = Some(self.listen);
        }
        if !self.peers.is_empty() {
            file.peers = Some(self.peers);
        }
        let genesis = self.genesis.unwrap_or_else(|| self.data.join("genesis.json"));
        Ok(NodeConfig::from_file(self.data, genesis, file))
    }
}

fn read_config(path: &std::path::Path) -> Result<NodeFile> {
    let text = bounded::read_text(path, MAX_CONFIG).context("reading the configuration")?;
    toml::from_str(&text).with_context(|| format!("configuration {}", path.display()))
}

pub(super) async fn run(args: Args) -> Result<()> {
    logs::start("info");
    crate::devnet::end_with_supervisor();
    let config = args.config()?;
    let node = Node::start(&config, StartOptions::default()).await?;
    let failed = tokio::select! {
        reason = node.failed() => Some(reason),
        () = stop_signal() => None,
    };
    tracing::info!("stopping");
    node.stop().await;
    failed.map_or(Ok(()), |reason| bail!("{reason}"))
}

/// Waits for Ctrl-C or SIGTERM.
pub(super) async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut stream) => {
                stream.recv().await;
            }
            // Without a handler SIGTERM ends the process, as is right.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
