//! Start a node from its configuration, and stop it.

use std::{net::SocketAddr, path::Path, sync::Arc, thread::JoinHandle, time::Duration};

use anyhow::{Context, Result, bail};
use neura_api::{ApiConfig, ServerHandle};
use neura_blobs::{EmbeddedConfig, EmbeddedStore};
use neura_consensus::{Config, Recovered, Replica, SafetyRecord};
use neura_p2p::{Events, Multiaddr, Network, NetworkConfig, NetworkHandle, PeerId};
use neura_storage::{Recovered as SafetyState, Retention, SafetyFile, Store, StoreConfig};
use neura_types::{
    Block, BlockId, CommitProof, Genesis, ValidatorIndex, codec, genesis::MAX_GENESIS_BYTES,
    keys::SecretKey,
};
use prometheus_client::registry::Registry;
use tokio::{sync::mpsc, time::Instant};

use super::{
    backend::{BlobKeeper, Faucet, NodeBackend},
    chain::Chain,
    driver::{self, ANSWER_QUEUE, DRIVER_EVENTS, Driver},
    executor::{self, Mode},
    follow,
    intake::Intake,
    metrics,
    peers::Peers,
    traffic,
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
    /// Its index in the validator set, if it is in it.
    pub validator: Option<ValidatorIndex>,
    api: ServerHandle,
    threads: Vec<JoinHandle<()>>,
}

/// The store with everything that a restart needs from it.
struct Disk {
    store: Store,
    safety: Option<(SafetyFile, SafetyState)>,
    genesis_id: BlockId,
    genesis_block: Block,
}

impl Node {
    /// Starts a node; it runs until [`Node::stop`] or until it fails.
    ///
    /// # Errors
    /// If the configuration, a key, the genesis file or the data folder is unusable, or a port is taken.
    pub async fn start(config: &NodeConfig, options: StartOptions) -> Result<Self> {
        let genesis = read_genesis(&config.genesis)?;
        let set = Arc::new(genesis.validator_set()?);
        let (key, _) = keyfile::read_or_create_identity(&config.identity)?;
        let validator = set.index_of(&key.public_key());
        if validator.is_none() {
            tracing::info!(key = %key.public_key(), "full node: its key is not in the genesis file");
        }
        let disk = open_disk(config, &genesis, validator.is_some())?;
        let chain =
            Arc::new(Chain::new(genesis, disk.genesis_id, Arc::clone(&set), disk.store.clone())?);
        let peers = Arc::new(Peers::new(&set));
        let mut network = start_network(config, &chain, &peers, &key).await?;
        let driver_events = network.events.split_off(&DRIVER_EVENTS);

        let mut registry = Registry::default();
        metrics::register(&mut registry, &chain, &network.handle);
        let blobs = Arc::new(open_blobs(config, &network.handle)?);
        chain.spawn(Arc::clone(&blobs).keep(Arc::clone(&chain)));
        let intake = Intake::start(Arc::clone(&chain), network.handle.clone(), validator.is_some());
        chain.spawn(traffic::run(
            Arc::clone(&chain),
            network.handle.clone(),
            network.events,
            intake.clone(),
            Arc::clone(&blobs),
        ));
        let backend = NodeBackend {
            chain: Arc::clone(&chain),
            network: network.handle.clone(),
            intake,
            validator,
            blobs,
            faucet: read_faucet(config)?,
        };
        let api_config = ApiConfig { listen: config.api, ..ApiConfig::default() };
        let api = neura_api::serve(api_config, Arc::new(backend), Arc::new(registry))
            .await
            .with_context(|| format!("starting the API on {}", config.api))?;
        let threads = start_threads(ThreadParts {
            chain: Arc::clone(&chain),
            network: network.handle.clone(),
            events: driver_events,
            peers,
            key,
            validator,
            disk,
            opaque: options.opaque,
        })?;
        tracing::info!(api = %api.local_addr, validator, chain_id = chain.genesis.chain_id, "node started");
        Ok(Self { chain, network: network.handle, validator, api, threads })
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
        let chain = Arc::downgrade(&self.chain);
        drop(self.chain);
        // Answers that are being given end by themselves.
        let released = async {
            while chain.strong_count() > 0 {
                tokio::time::sleep(RELEASE_LOOK).await;
            }
        };
        if tokio::time::timeout(RELEASE_LIMIT, released).await.is_err() {
            tracing::warn!("the node has stopped, but something still uses its data folder");
        }
    }
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

fn open_disk(config: &NodeConfig, genesis: &Genesis, signs: bool) -> Result<Disk> {
    keyfile::create_private_dir(&config.data)?;
    let changes = neura_runtime::genesis_changes(genesis)?;
    let executed = neura_storage::genesis_root(&changes)?;
    let genesis_block = Block::genesis(genesis.hash(), genesis.timestamp_ms, executed);
    let genesis_id = genesis_block.id();
    let mut store_config = StoreConfig::new(genesis.chain_id, genesis.hash());
    store_config.retention = config.retain_blocks.map_or(Retention::Archive, Retention::Blocks);
    let store = Store::open(&config.data.join("chain"), store_config)
        .with_context(|| format!("opening the data folder {}", config.data.display()))?;
    let fresh = !store.is_initialised()?;
    let safety = signs.then(|| open_safety(&config.data.join("safety.dat"), fresh)).transpose()?;
    if fresh {
        let base_fee = genesis.params.initial_base_fee;
        store.init_genesis(&genesis_block, genesis_id, base_fee, &changes)?;
    }
    Ok(Disk { store, safety, genesis_id, genesis_block })
}

/// A record is created only with the data folder: one that is missing later may have been lost with votes in it.
fn open_safety(path: &Path, fresh: bool) -> Result<(SafetyFile, SafetyState)> {
    if fresh && !path.exists() {
        return Ok((SafetyFile::create(path)?, SafetyState::Empty));
    }
    SafetyFile::open(path).with_context(|| format!("opening the safety record {}", path.display()))
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

async fn start_network(
    config: &NodeConfig,
    chain: &Chain,
    peers: &Peers,
    key: &SecretKey,
) -> Result<Network> {
    let genesis_hash = chain.genesis_hash.to_string();
    let short = genesis_hash.get(2..10).unwrap_or_default();
    let mut network = NetworkConfig::new(key.seed(), format!("{}/{short}", chain.genesis.chain_id));
    for address in &config.listen {
        network
            .listen
            .push(address.parse().with_context(|| format!("'{address}' is not a libp2p address"))?);
    }
    for address in &config.peers {
        network.bootstrap.push(parse_peer(address)?);
    }
    network.validators = peers.validators();
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
    validator: Option<ValidatorIndex>,
    disk: Disk,
    opaque: Option<Arc<OpaqueWorkload>>,
}

fn start_threads(parts: ThreadParts) -> Result<Vec<JoinHandle<()>>> {
    let ThreadParts { chain, network, events, peers, key, validator, disk, opaque } = parts;
    let (safety, recovered) = recover(&chain, disk)?;
    let observes = recovered.must_observe || validator.is_none();
    if validator.is_some() && recovered.must_observe {
        tracing::error!(
            "the safety record is missing or damaged: this validator follows the chain and signs nothing, \
             because it may have voted already. See docs/operations.md"
        );
    }
    let started = Instant::now();
    let mut core =
        Config::new(chain.context(), chain.genesis_id, Arc::clone(&chain.set), validator);
    core.base_timeout_ms =
        chain.params.view_timeout_ms.saturating_add(chain.params.idle_block_interval_ms);
    core.max_timeout_ms = core.base_timeout_ms.saturating_mul(10);
    let signer = validator.map(|_| key);
    let (replica, outputs) =
        Replica::new(core, signer, recovered, 0).context("starting consensus")?;
    let mode = if opaque.is_some() { Mode::OrderOnly } else { Mode::Execute };
    let workload: Arc<dyn Workload> = match opaque {
        Some(opaque) => opaque,
        None => Arc::new(PoolWorkload::new(Arc::clone(&chain))),
    };
    let (answers, inbox) = mpsc::channel(ANSWER_QUEUE);
    if observes {
        let (chain, network) = (Arc::clone(&chain), network.clone());
        let following = Arc::clone(&chain);
        following.spawn(follow::run(chain, network, Arc::clone(&peers), answers.clone()));
    }
    let parts = driver::Parts {
        chain: Arc::clone(&chain),
        replica,
        outputs,
        safety,
        network,
        peers,
        workload,
        answers,
    };
    let handle = tokio::runtime::Handle::current();
    let consensus = spawn_thread("consensus", Arc::clone(&chain), async move {
        Driver::run(parts, events, inbox, started, handle).await;
    })?;
    let executor = spawn_thread("executor", Arc::clone(&chain), executor::run(chain, mode))?;
    Ok(vec![consensus, executor])
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

/// Brings together what the disk holds of consensus.
fn recover(chain: &Chain, disk: Disk) -> Result<(Option<SafetyFile>, Recovered)> {
    let (height, id) = chain.store.committed_tip()?;
    let block = match height {
        0 => disk.genesis_block,
        _ => chain.store.block(id)?.context("the newest final block is not in the store")?,
    };
    let proof: Option<CommitProof> = chain
        .store
        .commit_proof_at_or_after(height, height)?
        .map(|(_, bytes)| codec::decode(&bytes))
        .transpose()?;
    let uncommitted =
        chain.store.blocks_above(height)?.into_iter().map(|(_, block)| Arc::new(block)).collect();
    let (safety, record, must_observe) = match disk.safety {
        None => (None, None, false),
        Some((file, SafetyState::Empty)) => (Some(file), None, false),
        Some((file, SafetyState::Record(bytes))) => {
            (Some(file), Some(SafetyRecord::decode(&bytes)?), false)
        }
        Some((_, SafetyState::Damaged(damage))) => {
            tracing::error!(?damage, "the safety record cannot be used");
            (None, None, true)
        }
    };
    let recovered = Recovered {
        safety: record,
        committed: (Arc::new(block), id, proof),
        uncommitted,
        must_observe,
    };
    Ok((safety, recovered))
}
