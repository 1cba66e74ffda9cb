//! Nodes that start from a snapshot, whoever serves it.

use std::{
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use neura::{
    config::NodeConfig,
    node::{
        Node, StartOptions,
        snapshots::{SnapshotRequest, Snapshots},
        wire::{self, Request},
    },
};
use neura_p2p::{Event, NetworkConfig, ReplyHandle, peer_id_from_public_key};
use neura_storage::{EpochRecord, Manifest, SnapshotFolder, SnapshotImport, Store, StoreConfig};
use neura_types::{B256, Block, Bytes, Height, Params, codec, keys::SecretKey};

use crate::harness::{Cli, Network, assert_same_chain, eventually, quick, reached};

/// Blocks of an epoch.
const EPOCH: Height = 24;

fn short_epochs() -> Params {
    Params { epoch_blocks: EPOCH, absence_epochs: 1_000, ..quick() }
}

/// Writes the state after a height, or the next that is certified, into a folder of snapshots; returns its height.
async fn export(network: &Network, at: Height, folder: &Path) -> Height {
    network.all_reached(at + 8).await;
    let store = &network.node(0).chain.store;
    let height =
        eventually("a certified height", async || store.snapshot_height(at).unwrap()).await;
    store.export_snapshot(height, &folder.join(format!("{height:020}"))).unwrap();
    height
}

/// What a peer does that serves snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Honest,
    Silent,
    FalseRoot,
    FalseBlock,
    FalseChunk,
    FalseEpochs,
    /// Offers a snapshot and has no chunks of it.
    Withholds,
}

/// A peer that serves snapshots in its manner.
struct Server {
    network: neura_p2p::Network,
    snapshots: Snapshots,
    manner: Manner,
    /// Whether it has lied.
    lied: Arc<AtomicBool>,
    /// Until this is set it has nothing.
    serves: Arc<AtomicBool>,
}

impl Server {
    async fn new(network: &Network, folder: &Path, (seed, manner): (u8, Manner)) -> Self {
        let chain = &network.node(0).chain;
        let tag = neura_p2p::chain_tag(chain.genesis.chain_id, &chain.genesis.hash());
        let mut config = NetworkConfig::new([seed; 32], tag);
        config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
        Self {
            network: neura_p2p::Network::start(config).await.unwrap(),
            snapshots: Snapshots::open(Arc::clone(chain), folder.into()).unwrap(),
            manner,
            lied: Arc::default(),
            serves: Arc::default(),
        }
    }

    /// Where it is found.
    fn address(&self) -> String {
        let handle = &self.network.handle;
        format!("{}/p2p/{}", handle.listen_addrs()[0], handle.local_peer_id())
    }

    /// Serves until its network is shut down.
    async fn run(mut self) {
        let mut held: Vec<ReplyHandle> = Vec::new();
        while let Some(event) = self.network.events.next().await {
            let Event::Request { bytes, reply, .. } = event else { continue };
            let Ok(Request::Snapshot(request)) = wire::decode(&bytes, bytes.len()) else {
                continue;
            };
            match self.answer(request) {
                Some(answer) => drop(reply.send(answer.into())),
                None => held.push(reply),
            }
        }
    }

    /// None if it keeps silent.
    fn answer(&self, request: SnapshotRequest) -> Option<Bytes> {
        if !self.serves.load(SeqCst) {
            let nothing = matches!(request, SnapshotRequest::Epochs { .. });
            return Some(if nothing { wire::encode(&Vec::<Bytes>::new()) } else { absent() });
        }
        let right = self.snapshots.answer(request).unwrap();
        let answer = tampered(self.manner, request, &right);
        if answer.as_ref() != Some(&right) {
            self.lied.store(true, SeqCst);
        }
        answer
    }
}

fn absent() -> Bytes {
    wire::encode(&None::<Bytes>)
}

fn tampered(manner: Manner, request: SnapshotRequest, right: &Bytes) -> Option<Bytes> {
    let inner = || codec::decode::<Option<Bytes>>(right).unwrap();
    let other = |bytes: Vec<u8>| Some(wire::encode(&Some(Bytes::from(bytes))));
    match (manner, request) {
        (Manner::Silent, _) => None,
        (Manner::FalseRoot, SnapshotRequest::Newest) => other(false_manifest(&inner().unwrap())),
        (Manner::FalseBlock, SnapshotRequest::Base { .. }) => {
            let mut block: Block = codec::decode(&inner().unwrap()).unwrap();
            block.header.timestamp_ms += 1;
            other(codec::encode(&block))
        }
        (Manner::FalseChunk, SnapshotRequest::Chunk { .. }) => {
            let mut chunk = inner().unwrap().to_vec();
            let middle = chunk.len() / 2;
            chunk[middle] ^= 1;
            other(chunk)
        }
        (Manner::FalseEpochs, SnapshotRequest::Epochs { .. }) => {
            let records: Vec<Bytes> = codec::decode(right).unwrap();
            let forged = records.iter().map(|bytes| {
                let mut record: EpochRecord = codec::decode(bytes).unwrap();
                record.config.params.slash_bps += 1;
                wire::encode(&record)
            });
            Some(wire::encode(&forged.collect::<Vec<_>>()))
        }
        (Manner::Withholds, SnapshotRequest::Chunk { .. }) => Some(absent()),
        _ => Some(right.clone()),
    }
}

/// Another state that everything in the manifest agrees with, except the proof.
fn false_manifest(bytes: &[u8]) -> Vec<u8> {
    let mut manifest = Manifest::decode(bytes).unwrap();
    let height = manifest.height();
    manifest.root.state_root = B256::repeat_byte(0xfa);
    let mut parent = None;
    for block in &mut manifest.headers {
        block.header.parent = parent.unwrap_or(block.header.parent);
        if block.header.executed.height == height {
            block.header.executed.state_root = manifest.root.state_root;
        }
        parent = Some(block.id());
    }
    let bytes = manifest.encode();
    Manifest::decode(&bytes).expect("it does not contradict itself");
    bytes
}

/// A fresh node that starts by snapshot, with peers besides the validators.
fn newcomer(network: &Network, name: &str, servers: &[String]) -> NodeConfig {
    let mut config = network.full_node(name);
    config.peers.extend_from_slice(servers);
    NodeConfig { snapshot_sync: true, ..config }
}

/// The node began after a height, knows the epochs up to it as the validators do, and goes on.
async fn assert_joined(network: &Network, node: &Node, height: Height) {
    assert_eq!(node.chain.store.oldest_height().unwrap(), height);
    let epochs = |node: &Node| {
        let records = node.chain.store.epochs(0, 1_000).unwrap().into_iter();
        let ended = records.filter(|record| record.config.last <= height);
        let key = |record: EpochRecord| (record.config, record.end.map(|end| end.block.id()));
        ended.map(key).collect::<Vec<_>>()
    };
    assert_eq!(epochs(node), epochs(network.node(0)));
    let later = network.advance(EPOCH + 4).await;
    reached(node, later).await;
    assert_same_chain(&[network.node(0), node], height..=later);
    let base_fee = |node: &Node| node.chain.store.executed(height).unwrap().unwrap().base_fee;
    assert_eq!(base_fee(node), base_fee(network.node(0)));
}

/// The seed whose peer id is the lowest: peers of equal standing are asked in the order of their ids.
fn first_asked() -> u8 {
    let id = |seed: &u8| {
        let key = SecretKey::from_seed(&[*seed; 32]).public_key();
        peer_id_from_public_key(&key.0.0).unwrap()
    };
    (1..=250).min_by_key(id).unwrap()
}

async fn joins_in_spite_of(manner: Manner) {
    let network = Network::start(4, short_epochs()).await;
    let (honest, theirs) =
        (network.folder.path().join("served"), network.folder.path().join("false"));
    std::fs::create_dir_all(&theirs).unwrap();
    // The end of an epoch, as nodes serve it.
    let height = export(&network, 2 * EPOCH, &honest).await;
    let folder = if manner == Manner::Withholds {
        export(&network, 2 * EPOCH + 5, &theirs).await;
        &theirs
    } else {
        &honest
    };
    let liar = Server::new(&network, folder, (first_asked(), manner)).await;
    let other = Server::new(&network, &honest, (251, Manner::Honest)).await;
    let config = newcomer(&network, "newcomer", &[liar.address(), other.address()]);
    liar.serves.store(true, SeqCst);
    let (lied, serves) = (Arc::clone(&liar.lied), Arc::clone(&other.serves));
    let running = [liar, other].map(|server| {
        let handle = server.network.handle.clone();
        (handle, tokio::spawn(server.run()))
    });
    let help = async {
        eventually("a lie", async || lied.load(SeqCst).then_some(())).await;
        serves.store(true, SeqCst);
    };
    let (node, ()) = tokio::join!(Node::start(&config, StartOptions::default()), help);
    let node = node.unwrap_or_else(|error| panic!("{manner:?}: {error:#}"));
    assert_joined(&network, &node, height).await;
    node.stop().await;
    for (handle, task) in running {
        handle.shutdown().await;
        task.await.unwrap();
    }
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_never_answers_does_not_keep_a_node_from_joining() {
    joins_in_spite_of(Manner::Silent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_a_state_that_nobody_certified_is_passed_over() {
    joins_in_spite_of(Manner::FalseRoot).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_block_or_a_wrong_chunk_is_the_fault_of_its_sender_alone() {
    joins_in_spite_of(Manner::FalseBlock).await;
    joins_in_spite_of(Manner::FalseChunk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn false_epochs_are_not_followed() {
    joins_in_spite_of(Manner::FalseEpochs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_its_peer_withholds_gives_way_to_one_that_is_served() {
    joins_in_spite_of(Manner::Withholds).await;
}

/// A node that was stopped in the middle of an import found after its return that nobody had that snapshot any more, and
/// waited for it for ever.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_was_begun_goes_on_while_it_is_served_and_gives_way_to_a_newer_one_then() {
    let network = Network::start(4, short_epochs()).await;
    let folder = |name: &str| network.folder.path().join(name);
    let first = export(&network, EPOCH, &folder("first")).await;
    let second = export(&network, 2 * EPOCH, &folder("second")).await;
    std::fs::create_dir_all(folder("both")).unwrap();
    for (name, height) in [("first", first), ("second", second)] {
        let (from, to) = (folder(name), folder("both").join(format!("{height:020}")));
        let copied = std::process::Command::new("cp")
            .arg("-r")
            .arg(from.join(format!("{height:020}")))
            .arg(to)
            .status();
        assert!(copied.unwrap().success());
    }
    for (served, expected) in [("both", first), ("second", second)] {
        let server = Server::new(&network, &folder(served), (101, Manner::Honest)).await;
        server.serves.store(true, SeqCst);
        let config = newcomer(&network, &format!("of-{served}"), &[server.address()]);
        let handle = server.network.handle.clone();
        let task = tokio::spawn(server.run());

        let genesis = &network.devnet.genesis;
        let store_config = StoreConfig::new(genesis.chain_id, genesis.hash());
        let store = Store::open(&config.data.join("chain"), store_config).unwrap();
        let begun = SnapshotFolder::open(&folder("first").join(format!("{first:020}"))).unwrap();
        drop(SnapshotImport::begin(&store, begun.manifest().clone()).unwrap());
        drop(store);

        let node = Node::start(&config, StartOptions::default()).await.unwrap();
        assert_joined(&network, &node, expected).await;
        node.stop().await;
        handle.shutdown().await;
        task.await.unwrap();
    }
    network.stop().await;
}

/// With a checkpoint nothing leads to the epoch before: only the state tells whether it is the chain's.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_whose_epochs_contradict_its_state_begins_no_chain() {
    let mut network = Network::start(4, short_epochs()).await;
    let cli = Cli::new(network.url(0));
    network.all_reached(3 * EPOCH + 10).await;
    network.stop_node(3).await;
    let config = network.devnet.nodes[3].clone();
    let genesis = config.genesis.display().to_string();
    let data = config.data.display().to_string();
    let out = network.folder.path().join("snapshot");
    let base = ["--genesis", genesis.as_str(), "--data"];
    let height = (3 * EPOCH).to_string();
    let export = ["snapshot", "export", out.to_str().unwrap(), "--height", &height];
    let made = cli.json(&[&export[..], &base, &[data.as_str()]].concat()).await;
    assert_eq!(made["height"], 3 * EPOCH, "the last block of an epoch");

    let fresh = network.full_node("fresh");
    let data = fresh.data.display().to_string();
    let proved = &made["proved_by"];
    let checkpoint = format!("{}:{}", proved["height"], proved["block"].as_str().unwrap());
    let import = ["snapshot", "import", out.to_str().unwrap(), "--trust", &checkpoint];
    let import = [&import[..], &base, &[data.as_str()]].concat();
    let right = std::fs::read(out.join("epochs")).unwrap();
    forge_epoch(&out.join("epochs"), 1);
    let refused = cli.refused(&import).await;
    assert!(
        refused.message.contains("epoch 1 otherwise than its own state"),
        "{}",
        refused.message
    );

    std::fs::write(out.join("epochs"), right).unwrap();
    cli.json(&import).await;
    network.start_node(3).await;
    let node = Node::start(&fresh, StartOptions::default()).await.unwrap();
    let later = network.advance(EPOCH).await;
    reached(&node, later).await;
    assert_same_chain(&[network.node(0), &node], 3 * EPOCH..=later);
    node.stop().await;
    network.stop().await;
}

/// Changes a parameter of an epoch in a file of epochs.
fn forge_epoch(path: &Path, epoch: u64) {
    let records = neura::cli::parse_epochs(&std::fs::read(path).unwrap()[..]).unwrap();
    let mut file = std::fs::File::create(path).unwrap();
    for (number, mut record) in records {
        record.config.params.slash_bps += u16::from(number == epoch);
        let bytes = codec::encode(&record);
        file.write_all(&u32::try_from(bytes.len()).unwrap().to_le_bytes()).unwrap();
        file.write_all(&bytes).unwrap();
    }
}
