//! `neura node`: run a node until it is stopped or fails.

use std::{
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use super::logs;
use crate::{
    bounded,
    config::{Archive, NodeConfig, NodeFile, Retain},
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
    /// Serve debug_*, txpool_* and traces for explorers too: they cost much and tell of others' waiting transactions.
    #[arg(long, env = "NEURA_DEBUG_API", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL")]
    debug_api: Option<bool>,
    /// libp2p address to listen on; may be given several times.
    #[arg(long, env = "NEURA_LISTEN", value_delimiter = ',')]
    listen: Vec<String>,
    /// Peer to hold a connection to, as address with /p2p/ and its id; may be given several times.
    #[arg(long = "peer", env = "NEURA_PEERS", value_delimiter = ',')]
    peers: Vec<String>,
    /// Identity key file; a validator's is its validator key.
    #[arg(long, env = "NEURA_IDENTITY")]
    identity: Option<PathBuf>,
    /// Blocks to keep with their states and receipts: a number, or archive for all.
    #[arg(long, env = "NEURA_RETAIN_BLOCKS", value_name = "N|archive")]
    retain_blocks: Option<Retain>,
    /// Keep all blocks: the same as --retain-blocks archive.
    #[arg(long, conflicts_with = "retain_blocks")]
    archive: bool,
    /// Threads that execute a block's transactions, with the same result whatever their number; default: one for each
    /// core from four on, else one.
    #[arg(long, env = "NEURA_EXECUTION_THREADS", value_name = "N")]
    execution_threads: Option<NonZeroUsize>,
    /// Memory for what was read of the state, in MiB; decoded values take about as much again [default: 256].
    #[arg(long = "cache", env = "NEURA_CACHE", value_name = "MIB")]
    cache_mib: Option<NonZeroU32>,
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    snapshots: Snapshots,
}

/// How to find others and be found. A switch without a value stands for true.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Network")]
struct Network {
    /// Look for peers beside those of --peer, and be found.
    #[arg(long, env = "NEURA_DISCOVERY", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL")]
    discovery: Option<bool>,
    /// Connections to peers that were found so.
    #[arg(long, env = "NEURA_OUTBOUND_PEERS", value_name = "N")]
    outbound_peers: Option<usize>,
    /// Tell peers the addresses of this node.
    #[arg(long, env = "NEURA_ANNOUNCE", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL")]
    announce: Option<bool>,
    /// Address under which others reach this node where it does not listen on it itself, such as one whose port a
    /// router forwards; may be given several times.
    #[arg(long, env = "NEURA_EXTERNAL", value_delimiter = ',', value_name = "ADDRESS")]
    external: Vec<String>,
    /// Id of a peer that is always let in, such as a validator's sentry; may be given several times.
    #[arg(long, env = "NEURA_RESERVED", value_delimiter = ',', value_name = "PEER-ID")]
    reserved: Vec<String>,
    /// Let in validators, --peer and --reserved only: for a validator behind sentries.
    #[arg(long, env = "NEURA_RESERVED_ONLY", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL")]
    reserved_only: Option<bool>,
}

impl Network {
    fn apply(self, file: &mut NodeFile) {
        file.discovery = self.discovery.or(file.discovery);
        file.outbound_peers = self.outbound_peers.or(file.outbound_peers);
        file.announce = self.announce.or(file.announce);
        file.reserved_only = self.reserved_only.or(file.reserved_only);
        overrule(&mut file.external, self.external);
        overrule(&mut file.reserved, self.reserved);
    }
}

/// Snapshots of the state. A switch without a value stands for true.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Snapshots")]
struct Snapshots {
    /// Start a fresh data folder from a snapshot that peers serve, rather than from genesis.
    #[arg(long, env = "NEURA_SNAPSHOT_SYNC", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL")]
    snapshot_sync: Option<bool>,
    /// Make and serve a snapshot every so many epochs; 0 for none.
    #[arg(long, env = "NEURA_SNAPSHOT_EPOCHS", value_name = "N")]
    snapshot_epochs: Option<u64>,
}

/// A list given by flags replaces that of the file.
fn overrule(list: &mut Option<Vec<String>>, flags: Vec<String>) {
    if !flags.is_empty() {
        *list = Some(flags);
    }
}

impl Args {
    pub(super) fn config(self) -> Result<NodeConfig> {
        let path = self.config.clone().unwrap_or_else(|| self.data.join("node.toml"));
        let mut file = if self.config.is_some() || path.exists() {
            read_config(&path)?
        } else {
            NodeFile::default()
        };
        file.api = self.api.or(file.api);
        file.debug_api = self.debug_api.or(file.debug_api);
        // A flag's path is the shell's; the file's are relative to the data folder.
        if let Some(identity) = self.identity {
            ensure!(
                identity.exists(),
                "there is no identity key {}: `neura identity FILE` makes one",
                identity.display()
            );
            file.identity = Some(std::path::absolute(identity)?);
        }
        overrule(&mut file.listen, self.listen);
        overrule(&mut file.peers, self.peers);
        self.network.apply(&mut file);
        let archive = self.archive.then_some(Retain::Archive(Archive::Archive));
        file.retain_blocks = archive.or(self.retain_blocks).or(file.retain_blocks);
        file.execution_threads = self.execution_threads.or(file.execution_threads);
        file.cache_mib = self.cache_mib.or(file.cache_mib);
        file.cache_mib.map_or(Ok(()), check_cache)?;
        file.snapshot_sync = self.snapshots.snapshot_sync.or(file.snapshot_sync);
        file.snapshot_epochs = self.snapshots.snapshot_epochs.or(file.snapshot_epochs);
        let genesis = self.genesis.unwrap_or_else(|| self.data.join("genesis.json"));
        Ok(NodeConfig::from_file(self.data, genesis, file))
    }
}

/// Refuses caches that this machine has no memory for.
fn check_cache(mib: NonZeroU32) -> Result<()> {
    let ram = MemoryRefreshKind::nothing().with_ram();
    let machine = System::new_with_specifics(RefreshKind::nothing().with_memory(ram))
        .map_err(|error| anyhow!("this machine does not say how much memory it has: {error}"))?;
    let most = machine.total_memory() >> 20;
    ensure!(
        u64::from(mib.get()) <= most,
        "a cache of {mib} MiB is more than this machine's memory of {most} MiB: choose less with --cache or cache_mib"
    );
    Ok(())
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
