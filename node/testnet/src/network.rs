//! A network of nodes: made with the commands of the binary, run as processes.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    ops::Range,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use neura_types::Address;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    LinkKind, Node,
    links::Links,
    netns::Cables,
    node::{self, Parts},
    stakes::{FIRST_STAKE, FUNDS, Stakes},
};

/// Parameters of a chain that is quick when nothing happens and when a leader is gone.
/// Epochs are short, so that they end while nodes fail, and nobody is jailed for having been away.
pub const QUICK: &str = "view_timeout_ms = 250\nidle_block_interval_ms = 50\nepoch_blocks = 40\nabsence_epochs = 1000\n";
/// Blocks of an epoch in [`QUICK`].
pub(crate) const QUICK_EPOCH: u64 = 40;
/// Ports of loopback nodes: below those that systems give to outgoing connections, one of which could take a port
/// while its node is down.
const FREE_PORTS: Range<u16> = 10_000..32_000;
/// Ports tried for each that is needed.
const FREE_PORT_TRIES: usize = 1_000;
/// Ports in a namespace, where nobody else is.
const OWN_PORTS: (u16, u16) = (8_545, 26_770);
/// Pause between two looks at a node.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(15);
/// Validators execute on one thread, two, three, one again: whatever their number, they agree on the result.
const MOST_EXECUTION_THREADS: usize = 3;
/// Where fees go that belong to nobody here.
const TREASURY: Address = Address::repeat_byte(0x7e);

/// What a network is to be.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Validators.
    pub validators: usize,
    /// Nodes that follow without voting.
    pub full_nodes: usize,
    /// Parameters that differ from the defaults, as TOML.
    pub params: String,
    /// Accounts that own a million coins each at genesis.
    pub accounts: Vec<Address>,
    /// Nodes that begin with a snapshot of their peers in place of the first block.
    pub by_snapshot: Vec<usize>,
    /// How they reach each other.
    pub links: LinkKind,
    /// What each process does.
    pub task: Task,
}

/// What the processes of a network do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// `neura node`.
    Serve,
    /// `neura bench replica`: offers bytes that nobody executes, and writes down when they are final.
    Order {
        /// Transactions that each offers per second.
        rate: u64,
        /// Bytes of each.
        tx_bytes: usize,
    },
}

impl Task {
    /// The words of the command line.
    fn words(self, index: usize, data: &Path) -> Vec<String> {
        match self {
            Self::Serve => vec!["node".to_owned()],
            Self::Order { rate, tx_bytes } => {
                let samples = samples_path(data).display().to_string();
                let options = [
                    ("--replica", index.to_string()),
                    ("--rate", rate.to_string()),
                    ("--tx-bytes", tx_bytes.to_string()),
                    ("--samples", samples),
                ];
                let words = options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
                ["bench".to_owned(), "replica".to_owned()].into_iter().chain(words).collect()
            }
        }
    }
}

/// Where a node that orders writes what it has seen.
pub(crate) fn samples_path(data: &Path) -> PathBuf {
    data.join("samples.txt")
}

/// A network. Dropped, its processes are killed and its folder is removed, unless it is to be kept.
#[derive(Debug)]
pub struct Network {
    /// Its nodes: validators first.
    pub nodes: Vec<Node>,
    /// EIP-155 chain id.
    pub chain_id: u64,
    pub(crate) links: Links,
    pub(crate) stakes: Stakes,
    pub(crate) binary: PathBuf,
    folder: Option<tempfile::TempDir>,
    path: PathBuf,
}

/// A node's configuration file.
#[derive(Serialize)]
struct Config {
    api: SocketAddr,
    listen: Vec<String>,
    peers: Vec<String>,
    retain_blocks: &'static str,
    /// Off where every connection is to pass a proxy.
    discovery: bool,
    announce: bool,
    snapshot_sync: bool,
    snapshot_epochs: u64,
    execution_threads: usize,
}

/// Answer of `neura identity`.
#[derive(serde::Deserialize)]
struct Identity {
    public_key: String,
    address: Address,
    peer_id: String,
}

impl Network {
    /// Lays out a network and starts none of its nodes.
    ///
    /// # Errors
    /// If a command of the binary fails or links cannot be made.
    pub async fn create(binary: &Path, plan: &Plan) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("neura-testnet-").tempdir()?;
        let path = folder.path().to_owned();
        let total = plan.validators + plan.full_nodes;
        let mut links = match plan.links {
            LinkKind::Namespaces => Links::Namespaces(Cables::lay(total)?),
            LinkKind::Direct | LinkKind::Proxies(_) => Links::Direct,
        };
        let ports = ports(total, plan.links)?;
        let genesis = path.join("genesis.json");
        let mut nodes = Vec::new();
        for (index, ports) in ports.into_iter().enumerate() {
            let data = path.join(node::name(index));
            let key = data.join("identity.key");
            let identity: Identity =
                serde_json::from_value(run(binary, &["identity", text(&key)?, "--json"])?)?;
            let mut command = links.prefix(index);
            command.push(text(binary)?.to_owned());
            command.extend(plan.task.words(index, &data));
            let folders = ["--data", text(&data)?, "--genesis", text(&genesis)?];
            command.extend(folders.map(str::to_owned));
            nodes.push(Node::new(Parts {
                index,
                validator: index < plan.validators,
                public_key: identity.public_key,
                account: identity.address,
                peer_id: identity.peer_id,
                data,
                host: links.host(index),
                ports,
                command,
            })?);
        }
        if let LinkKind::Proxies(delay) = plan.links {
            let targets: Vec<_> = nodes.iter().map(Node::p2p_addr).collect();
            links = Links::proxies(&targets, delay).await?;
        }
        for node in &nodes {
            configure(plan, node, &nodes, &links)?;
        }
        let chain_id = make_genesis(binary, plan, &nodes, &genesis)?;
        let stakes = Stakes::genesis(nodes.iter().filter(|node| node.validator));
        let binary = binary.to_owned();
        Ok(Self { nodes, chain_id, links, stakes, binary, folder: Some(folder), path })
    }

    /// Lays out a network, starts all nodes and waits until each has executed a block.
    ///
    /// # Errors
    /// As [`Network::create`], or if a node does not run.
    pub async fn start(binary: &Path, plan: &Plan) -> Result<Self> {
        let mut network = Self::create(binary, plan).await?;
        for node in &mut network.nodes {
            node.start()?;
        }
        network.all_reach(1, Duration::from_secs(60)).await?;
        Ok(network)
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves its folder where it is, and returns it.
    pub fn keep(&mut self) -> &Path {
        if let Some(folder) = self.folder.take() {
            // Its path is the one that is known already.
            let _ = folder.keep();
        }
        &self.path
    }

    /// Nodes that can answer.
    pub fn awake(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.is_awake())
    }

    /// Number of validators.
    pub fn validators(&self) -> usize {
        self.nodes.iter().filter(|node| node.validator).count()
    }

    /// Validators that may be bad without stopping the others.
    pub fn tolerated(&self) -> usize {
        self.validators().saturating_sub(1) / 3
    }

    /// Highest height that a node has executed that can answer.
    pub async fn highest(&self) -> u64 {
        let heights = futures::future::join_all(self.awake().map(Node::height)).await;
        heights.into_iter().flatten().max().unwrap_or(0)
    }

    /// Waits until every node that can answer has executed a height. A slow machine makes it long: `patience` is for a
    /// node that executes nothing at all.
    ///
    /// # Errors
    /// If one ends or comes no further for so long; the text says which, and its last words.
    pub async fn all_reach(&mut self, height: u64, patience: Duration) -> Result<()> {
        for index in 0..self.nodes.len() {
            let (mut seen, mut deadline) = (None, Instant::now() + patience);
            while self.nodes[index].is_awake() {
                self.none_ended()?;
                let node = &self.nodes[index];
                let at = node.height().await;
                if at.is_some_and(|at| at >= height) {
                    break;
                }
                if at > seen {
                    (seen, deadline) = (at, Instant::now() + patience);
                } else if Instant::now() > deadline {
                    let at = at.map_or("no answer".to_owned(), |at| format!("at {at}"));
                    bail!(
                        "{} is to execute height {height} and came no further for {} s: {at}; its last words:\n{}",
                        node.name(),
                        patience.as_secs(),
                        node.last_words()
                    );
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }

    /// Waits until every node that can answer has executed `blocks` more than the highest of them has now.
    ///
    /// # Errors
    /// As [`Network::all_reach`].
    pub async fn all_advance(&mut self, blocks: u64, patience: Duration) -> Result<u64> {
        let goal = self.highest().await + blocks;
        self.all_reach(goal, patience).await?;
        Ok(goal)
    }

    /// Checks that no node has ended by itself.
    ///
    /// # Errors
    /// Which one has, how, and its last words.
    pub fn none_ended(&mut self) -> Result<()> {
        for node in &mut self.nodes {
            if let Some(status) = node.ended_by_itself()? {
                bail!(
                    "{} ended by itself with {status}; its last words:\n{}",
                    node.name(),
                    node.last_words()
                );
            }
        }
        Ok(())
    }
}

fn configure(plan: &Plan, node: &Node, nodes: &[Node], links: &Links) -> Result<()> {
    let peers = nodes
        .iter()
        .filter(|peer| peer.index != node.index)
        .map(|peer| peer.multiaddr(links.between(node.index, peer.index, peer.p2p_addr())))
        .collect();
    let own = node.p2p_addr();
    let config = Config {
        api: node.api,
        listen: vec![format!("/ip4/{}/tcp/{}", own.ip(), own.port())],
        peers,
        retain_blocks: "archive",
        discovery: !links.pass_proxies(),
        announce: !links.pass_proxies(),
        snapshot_sync: plan.by_snapshot.contains(&node.index),
        snapshot_epochs: u64::from(!plan.by_snapshot.is_empty()),
        execution_threads: node.index % MOST_EXECUTION_THREADS + 1,
    };
    fs::write(node.data.join("node.toml"), toml::to_string(&config)?)?;
    Ok(())
}

/// Makes the genesis file; returns the chain's id.
fn make_genesis(binary: &Path, plan: &Plan, nodes: &[Node], path: &Path) -> Result<u64> {
    let params = path.with_file_name("params.toml");
    fs::write(&params, &plan.params)?;
    let mut args = vec!["genesis".to_owned(), "--json".to_owned()];
    let mut add = |name: &str, value: String| args.extend([name.to_owned(), value]);
    add("--treasury", TREASURY.to_string());
    add("--params", text(&params)?.to_owned());
    add("--out", text(path)?.to_owned());
    for node in nodes.iter().filter(|node| node.validator) {
        add("--validator", format!("{}:{FIRST_STAKE}", node.public_key));
    }
    for node in nodes {
        add("--account", format!("{}={FUNDS}", node.account));
    }
    for account in &plan.accounts {
        add("--account", format!("{account}=1000000"));
    }
    run(binary, &args.iter().map(String::as_str).collect::<Vec<_>>())?;
    let genesis: Value = serde_json::from_slice(&fs::read(path)?)?;
    genesis["chain_id"].as_u64().context("the genesis file names no chain id")
}

/// Runs a command of the binary to its end; returns its JSON.
fn run(binary: &Path, args: &[&str]) -> Result<Value> {
    let output = Command::new(binary).args(args).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let answer = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "neura {}: {said}{answer}", args.join(" "));
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("neura {} said {answer}", args[0]))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

/// API and p2p port of each node.
fn ports(count: usize, links: LinkKind) -> Result<Vec<(u16, u16)>> {
    if links == LinkKind::Namespaces {
        return Ok(vec![OWN_PORTS; count]);
    }
    // All are held until the last is found, so that they differ.
    let mut held = Vec::new();
    let mut take = || -> Result<u16> {
        for _ in 0..FREE_PORT_TRIES {
            let port = rand::random_range(FREE_PORTS);
            if let Ok(listener) = TcpListener::bind((IpAddr::V4(Ipv4Addr::LOCALHOST), port)) {
                held.push(listener);
                return Ok(port);
            }
        }
        bail!("no free port found from {} to {}", FREE_PORTS.start, FREE_PORTS.end)
    };
    (0..count).map(|_| Ok((take()?, take()?))).collect()
}
