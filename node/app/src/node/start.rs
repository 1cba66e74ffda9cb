//! Start a node from its configuration, and stop it.

use std::{net::SocketAddr, path::Path, sync::Arc, thread::JoinHandle, time::Duration};

use anyhow::{Context, Result, bail};
use neura_api::{ApiConfig, ServerHandle};
use neura_blobs::{EmbeddedConfig, EmbeddedStore};
use neura_consensus::CommittedBlock;
use neura_p2p::{Events, Multiaddr, Network, NetworkConfig, NetworkHandle, PeerId};
use neura_storage::{Recovered as SafetyState, Retention, SafetyFile, Store, StoreConfig};
use neura_types::{
    Block, BlockId, CommitProof, Genesis, codec, genesis::MAX_GENESIS_BYTES, keys::SecretKey,
    validator::Validator, vote::Evidence,
};
use prometheus_client::registry::Registry;
use tokio::{sync::mpsc, time::Instant};

use super::{
    backend::{BlobKeeper, Faucet, NodeBackend},
    batches::{self, Incoming, keeper},
    catchup::CatchUp,
    chain::Chain,
    driver::{self, ANSWER_QUEUE, DRIVER_EVENTS, Driver, Memory, Seat},
    epochs::Epochs,
    evidence::{REPORT_QUEUE, Reporter},
    executor::{self, Mode},
    follow::Follower,
    intake::Intake,
    metrics,
    notes::Notes,
    peers::{Peers, peer_ids},
    snapshots::{self, Snapshots},
    traffic::{self, BatchDoor, Stores},
    workload::{OpaqueWorkload, PoolWorkload, Workload},
};
use crate::{bounded, config::NodeConfig, keyfile};

/// How long a node that stops waits for the last answers to be given.
const RELEASE_LIMIT: Duration = Duration::from_secs(10);
/// Pause between two looks at that.
const RELEASE_LOOK: Duration = Duration::from_millis(2);

/// How a node is started, apart from its configuration.
#[derive(Debug, Clone, Default)]
pub struct StartOptions {
    /// Orders these bytes and executes nothing: for measuring the ordering alone.
    pub opaque: Option<Arc<OpaqueWorkload>>,
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    /// What its parts share.
    pub chain: Arc<Chain>,
    /// Its network.
    pub network: NetworkHandle,
    api: ServerHandle,
    threads: Vec<JoinHandle<()>>,
}

/// The store with everything that a restart needs from it.
struct Disk {
    store: Store,
    safety: (SafetyFile, SafetyState),
    genesis_id: BlockId,
    genesis_block: Block,
}

impl Node {
    /// Starts a node; it runs until [`Node::stop`] or until it fails.
    ///
    /// # Errors
    /// If the configuration, a key, the genesis file or the data folder is unusable, or a port is taken.
    pub async fn start(config: &NodeConfig, options: StartOptions) -> Result<Self> {
        let (key, _) = keyfile::read_or_create_identity(&config.identity)?;
        let (chain, disk) = open_chain(config, &key).await?;
        let peers = Arc::new(Peers::new(&chain.epochs.current().set));
        let mut network =
            start_network(config, &chain.genesis, &key, chain.epochs.neighbours()).await?;
        let driver_events = network.events.split_off(&DRIVER_EVENTS);

        let mut registry = Registry::default();
        metrics::register(&mut registry, &chain, &network.handle);
        let blobs = Arc::new(open_blobs(config, &network.handle)?);
        chain.spawn(Arc::clone(&blobs).keep(Arc::clone(&chain)));
        let notes = Arc::new(Notes::new(Arc::clone(&chain), network.handle.clone()));
        let snapshots = serve_snapshots(config, &chain)?;
        let intake = Intake::start(
            Arc::clone(&chain),
            network.handle.clone(),
            &config.data.join("transactions.journal"),
        )
        .context("opening the journal of transactions")?;
        let mode = Mode::of(options.opaque.is_some(), config.execution_threads);
        let workload: Arc<dyn Workload> = match options.opaque {
            Some(opaque) => opaque,
            None => Arc::new(PoolWorkload::new(Arc::clone(&chain), intake.clone())),
        };
        let (inlet, batches) =
            batches::start(&chain, &network.handle, &peers, Arc::clone(&workload));
        chain.spawn(traffic::run(
            Arc::clone(&chain),
            network.handle.clone(),
            network.events,
            intake.clone(),
            BatchDoor { peers: Arc::clone(&peers), inlet },
            Stores { blobs: Arc::clone(&blobs), snapshots, notes: Arc::clone(&notes) },
        ));
        let reports = report_evidence(config, &chain, &intake, &key);
        let backend = NodeBackend {
            chain: Arc::clone(&chain),
            network: network.handle.clone(),
            intake,
            blobs,
            notes,
            faucet: read_faucet(config)?,
        };
        let (listen, debug) = (config.api, config.debug_api);
        let api_config = ApiConfig { listen, debug, ..ApiConfig::default() };
        let api = neura_api::serve(api_config, Arc::new(backend), Arc::new(registry))
            .await
            .with_context(|| format!("starting the API on {}", config.api))?;
        let threads = start_threads(ThreadParts {
            chain: Arc::clone(&chain),
            network: network.handle.clone(),
            events: driver_events,
            peers,
            key,
            disk,
            reports,
            batches,
            workload,
            mode,
        })?;
        tracing::info!(
            api = %api.local_addr,
            validator = chain.validator(),
            chain_id = chain.genesis.chain_id,
            "node started"
        );
        Ok(Self { chain, network: network.handle, api, threads })
    }

    /// Where REST and JSON-RPC listen.
    pub fn api_addr(&self) -> SocketAddr {
        self.api.local_addr
    }

    /// Waits until the node fails, and says why.
    pub async fn failed(&self) -> String {
        self.chain.failure.wait().await
    }

    /// Stops everything and waits until the data folder is free.
    pub async fn stop(self) {
        if !self.chain.failure.is_stopping() {
            self.chain.failure.stop("asked to stop");
        }
        self.api.shutdown().await;
        self.network.shutdown().await;
        self.chain.wake.notify_one();
        self.chain.committed.send_modify(|_| {});
        let threads = self.threads;
        // A thread that panicked has printed why; there is nothing to add.
        let _ = tokio::task::spawn_blocking(move || {
            for thread in threads {
                let _ = thread.join();
            }
        })
        .await;
        // Answers that are being given end by themselves. This is the last to hold the chain, so that the data folder is
        // closed, and not just about to be, when it lets go.
        let chain = self.chain;
        let released = async {
            while Arc::strong_count(&chain) > 1 {
                tokio::time::sleep(RELEASE_LOOK).await;
            }
        };
        if tokio::time::timeout(RELEASE_LIMIT, released).await.is_err() {
            tracing::warn!("the node has stopped, but something still uses its data folder");
        }
        // Nothing can be done about a panic there.
        let _ = tokio::task::spawn_blocking(move || drop(chain)).await;
    }
}

/// The chain over its store, which peers fill first if that is asked for.
async fn open_chain(config: &NodeConfig, key: &SecretKey) -> Result<(Arc<Chain>, Disk)> {
    let genesis = read_genesis(&config.genesis)?;
    let disk = open_disk(config, &genesis)?;
    if !disk.store.is_initialised()? {
        import_snapshot(config, &genesis, &disk, key).await?;
    }
    let identity = (key.public_key(), read_epochs(&disk)?);
    let chain = Arc::new(Chain::new(genesis, disk.genesis_id, identity, disk.store.clone())?);
    if chain.validator().is_none() {
        let epoch = chain.epochs.current().epoch;
        tracing::info!(key = %key.public_key(), epoch, "full node: its key is not in the validator set");
    }
    Ok((chain, disk))
}

fn serve_snapshots(config: &NodeConfig, chain: &Arc<Chain>) -> Result<Arc<Snapshots>> {
    let folder = config.data.join("snapshots");
    let snapshots = Arc::new(Snapshots::open(Arc::clone(chain), folder)?);
    if config.snapshot_epochs > 0 {
        chain.spawn(Arc::clone(&snapshots).keep(config.snapshot_epochs));
    }
    Ok(snapshots)
}

fn report_evidence(
    config: &NodeConfig,
    chain: &Arc<Chain>,
    intake: &Intake,
    key: &SecretKey,
) -> mpsc::Sender<Evidence> {
    let (reports, evidence) = mpsc::channel(REPORT_QUEUE);
    let folder = config.data.join("evidence");
    let reporter = Reporter::new(Arc::clone(chain), intake.clone(), key.clone(), folder);
    chain.spawn(reporter.run(evidence));
    reports
}

/// Reads and checks a genesis file.
///
/// # Errors
/// If it cannot be read or breaks a rule.
pub fn read_genesis(path: &Path) -> Result<Genesis> {
    let bytes =
        bounded::read(path, MAX_GENESIS_BYTES as u64).context("reading the genesis file")?;
    Genesis::from_json(&bytes).with_context(|| format!("genesis file {}", path.display()))
}

fn open_disk(config: &NodeConfig, genesis: &Genesis) -> Result<Disk> {
    keyfile::create_private_dir(&config.data)?;
    let changes = neura_runtime::genesis_changes(genesis)?;
    let executed = neura_storage::genesis_root(&changes, genesis.params.initial_base_fee)?;
    let genesis_block = Block::genesis(genesis.hash(), genesis.timestamp_ms, executed);
    let genesis_id = genesis_block.id();
    let mut store_config =
        StoreConfig::new(genesis.chain_id, genesis.hash()).with_caches(config.cache_mib);
    store_config.retention = config.retain_blocks.map_or(Retention::Archive, Retention::Blocks);
    let store = Store::open(&config.data.join("chain"), store_config)
        .with_context(|| format!("opening the data folder {}", config.data.display()))?;
    let fresh = !store.is_initialised()?;
    let safety = open_safety(&config.data.join("safety.dat"), fresh, &store)?;
    if fresh && !config.snapshot_sync {
        store.init_genesis(&genesis_block, genesis_id, &changes)?;
    }
    Ok(Disk { store, safety, genesis_id, genesis_block })
}

/// A record is created only with the data folder: one that is missing later may have been lost with votes in it.
fn open_safety(path: &Path, fresh: bool, store: &Store) -> Result<(SafetyFile, SafetyState)> {
    if fresh && !path.exists() {
        return Ok((SafetyFile::create(path)?, SafetyState::Empty));
    }
    SafetyFile::open_after(path, store.safety_sequence()?)
        .with_context(|| format!("opening the safety record {}", path.display()))
}

fn open_blobs(config: &NodeConfig, network: &NetworkHandle) -> Result<BlobKeeper> {
    let mut blobs = EmbeddedConfig::new(config.data.join("blobs"));
    blobs.quota_bytes = config.blob_quota_bytes;
    let store = EmbeddedStore::open(blobs).context("opening the off-chain store")?;
    Ok(BlobKeeper::new(store, network.clone()))
}

fn read_faucet(config: &NodeConfig) -> Result<Option<Faucet>> {
    config
        .faucet_key
        .as_deref()
        .map(|path| Ok(Faucet::new(keyfile::read_eth_key(path)?)))
        .transpose()
}

/// Fills a fresh store from peers, over a network of its own.
async fn import_snapshot(
    config: &NodeConfig,
    genesis: &Genesis,
    disk: &Disk,
    key: &SecretKey,
) -> Result<()> {
    let network = start_network(config, genesis, key, genesis.validators.clone()).await?;
    let imported =
        snapshots::import(&disk.store, genesis, &disk.genesis_block, &network.handle).await;
    network.handle.shutdown().await;
    imported.context("starting from a snapshot")
}

async fn start_network(
    config: &NodeConfig,
    genesis: &Genesis,
    key: &SecretKey,
    validators: Vec<Validator>,
) -> Result<Network> {
    let tag = neura_p2p::chain_tag(genesis.chain_id, &genesis.hash());
    let mut network = NetworkConfig::new(key.seed(), tag);
    for address in &config.listen {
        network
            .listen
            .push(address.parse().with_context(|| format!("'{address}' is not a libp2p address"))?);
    }
    for address in &config.peers {
        network.bootstrap.push(parse_peer(address)?);
    }
    network.validators = peer_ids(&validators);
    let options = &config.network;
    network.discovery.enabled = options.discovery;
    network.discovery.outbound_peers = options.outbound_peers;
    network.announce = options.announce;
    network.reserved_only = options.reserved_only;
    for address in &options.external {
        let parsed = address.parse();
        network
            .external
            .push(parsed.with_context(|| format!("external '{address}' is not a libp2p address"))?);
    }
    for id in &options.reserved {
        let parsed = id.parse();
        network
            .reserved
            .insert(parsed.with_context(|| format!("reserved '{id}' is not a peer id"))?);
    }
    Network::start(network).await.context("starting the network")
}

/// Splits a libp2p address into the peer's id at its end and the rest.
fn parse_peer(text: &str) -> Result<(PeerId, Multiaddr)> {
    let Some((address, id)) = text.rsplit_once("/p2p/") else {
        bail!(
            "peer '{text}' lacks its id: write an address such as /ip4/10.0.0.1/tcp/26770/p2p/12D3Koo…"
        );
    };
    let address = address.parse().with_context(|| format!("'{text}' is not a libp2p address"))?;
    let id = id.parse().with_context(|| format!("'{id}' is not a peer id"))?;
    Ok((id, address))
}

struct ThreadParts {
    chain: Arc<Chain>,
    network: NetworkHandle,
    events: Events,
    peers: Arc<Peers>,
    key: SecretKey,
    disk: Disk,
    reports: mpsc::Sender<Evidence>,
    batches: mpsc::Receiver<Incoming>,
    workload: Arc<dyn Workload>,
    mode: Mode,
}

fn start_threads(parts: ThreadParts) -> Result<Vec<JoinHandle<()>>> {
    let ThreadParts { chain, network, events, peers, key, disk, reports, batches, workload, mode } =
        parts;
    let (safety, seat, position) = recover(&chain, key, disk)?;
    if seat.is_lost() && chain.validator().is_some() {
        tracing::error!(
            "the safety record is missing or damaged: this validator may have voted already, and signs nothing \
             before an epoch begins that is younger than this start. See docs/operations.md"
        );
    }
    let started = Instant::now();
    let Position { tip, proof, uncommitted } = position;
    let (id, block) = tip;
    let ending = block.header.next_epoch.is_some().then(|| CommittedBlock {
        id,
        block: Arc::clone(&block),
        proof: proof.clone(),
    });
    let (replica, outputs) =
        seat.replica(&chain, &chain.epochs.current(), (block, id, proof), uncommitted, 0)?;
    let (answers, inbox) = mpsc::channel(ANSWER_QUEUE);
    let catch_up = Arc::new(CatchUp::new(network.clone(), Arc::clone(&peers)));
    let follower = Follower {
        chain: Arc::clone(&chain),
        network: network.clone(),
        peers: Arc::clone(&peers),
        catch_up: Arc::clone(&catch_up),
        answers: answers.clone(),
    };
    chain.spawn(follower.run());
    let parts = driver::Parts {
        chain: Arc::clone(&chain),
        replica,
        outputs,
        seat,
        ending,
        catch_up,
        reports,
        safety,
        network,
        peers,
        answers,
    };
    let handle = tokio::runtime::Handle::current();
    let consensus = spawn_thread("consensus", Arc::clone(&chain), async move {
        Driver::run(parts, events, inbox, started, handle).await;
    })?;
    let executor =
        spawn_thread("executor", Arc::clone(&chain), executor::run(Arc::clone(&chain), mode))?;
    let keeping = keeper::run(Arc::clone(&chain), workload, batches);
    let keeper = spawn_thread("batches", chain, keeping)?;
    Ok(vec![consensus, executor, keeper])
}

/// Runs a future on a thread of its own. If it panics, the node stops rather than going on without that part.
fn spawn_thread(
    name: &'static str,
    chain: Arc<Chain>,
    work: impl Future<Output = ()> + Send + 'static,
) -> Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let run = move || {
        let _guard = StopOnExit { chain, name };
        runtime.block_on(work);
    };
    std::thread::Builder::new().name(name.into()).spawn(run).context("starting a thread")
}

struct StopOnExit {
    chain: Arc<Chain>,
    name: &'static str,
}

impl Drop for StopOnExit {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.chain.failure.stop(format!("the {} thread panicked", self.name));
        }
    }
}

/// The configurations that the state fixes, with that of the epoch in which the newest final block lies as the present
/// one.
fn read_epochs(disk: &Disk) -> Result<Epochs> {
    let (_, tip) = tip(disk)?;
    let state = disk.store.state()?;
    let read = |epoch| neura_runtime::epoch_config(&state, epoch);
    let present = tip.header.epoch;
    let current =
        read(present)?.with_context(|| format!("the state says nothing of epoch {present}"))?;
    let epochs = Epochs::new(current);
    for epoch in [present.saturating_sub(1), present.saturating_add(1), present.saturating_add(2)] {
        if let Some(config) = read(epoch)? {
            epochs.learn(config);
        }
    }
    Ok(epochs)
}

/// The newest final block.
fn tip(disk: &Disk) -> Result<(BlockId, Arc<Block>)> {
    let (height, id) = disk.store.committed_tip()?;
    let block = match height {
        0 => disk.genesis_block.clone(),
        _ => disk.store.block(id)?.context("the newest final block is not in the store")?,
    };
    Ok((id, Arc::new(block)))
}

/// Where consensus goes on.
struct Position {
    tip: (BlockId, Arc<Block>),
    proof: Option<CommitProof>,
    uncommitted: Vec<Arc<Block>>,
}

/// Brings together what the disk holds of consensus.
fn recover(chain: &Chain, key: SecretKey, disk: Disk) -> Result<(SafetyFile, Seat, Position)> {
    let tip = tip(&disk)?;
    let height = tip.1.header.height;
    let proof: Option<CommitProof> = chain
        .store
        .commit_proof_at_or_after(height, height)?
        .map(|(_, bytes)| codec::decode(&bytes))
        .transpose()?;
    let epoch = tip.1.header.epoch;
    let above = chain.store.blocks_above(height)?.into_iter().map(|(_, block)| Arc::new(block));
    let uncommitted = above.filter(|block| block.header.epoch == epoch).collect();
    let (safety, recovered) = disk.safety;
    let memory = match recovered {
        SafetyState::Empty => Memory::Blank,
        SafetyState::Record(bytes) => {
            Memory::Kept(Box::new(driver::own_record(chain, &key, &bytes)?))
        }
        SafetyState::Damaged(damage) => {
            tracing::warn!(%damage, "there is no safety record to go on from");
            Memory::Lost
        }
    };
    Ok((safety, Seat::new(key, memory), Position { tip, proof, uncommitted }))
}
