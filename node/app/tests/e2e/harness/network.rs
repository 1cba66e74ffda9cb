//! A network of nodes in this process.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf};

use neura::{
    config::NodeConfig,
    devnet::{Devnet, Plan},
    keyfile,
    node::{Node, StartOptions},
};
use neura_client::{Client, Key, Sender};
use neura_p2p::{PeerId, peer_id_from_public_key};
use neura_types::{Height, Params, keys::EthKey};
use tempfile::TempDir;

use super::PATIENCE;

/// Validators in this process, and their folder, which goes with them.
pub(crate) struct Network {
    pub(crate) devnet: Devnet,
    pub(crate) folder: TempDir,
    nodes: Vec<Option<Node>>,
}

/// Parameters of a chain that is quick when nothing happens, so that tests that wait for blocks are.
pub(crate) fn quick() -> Params {
    Params { idle_block_interval_ms: 50, ..Params::default() }
}

impl Network {
    pub(crate) async fn start(validators: usize, params: Params) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan {
            data: folder.path().join("devnet"),
            validators,
            base_port: 0,
            params,
            accounts: Vec::new(),
        };
        let devnet = Devnet::open_or_create(&plan).unwrap();
        let mut network = Self { devnet, folder, nodes: Vec::new() };
        for index in 0..validators {
            network.nodes.push(None);
            network.start_node(index).await;
        }
        for node in network.running() {
            reached(node, 1).await;
        }
        network
    }

    pub(crate) async fn start_node(&mut self, index: usize) {
        let config = &self.devnet.nodes[index];
        let node = Node::start(config, StartOptions::default()).await.unwrap();
        assert_eq!(node.chain.validator().map(usize::from), Some(index));
        self.nodes[index] = Some(node);
    }

    pub(crate) async fn stop_node(&mut self, index: usize) {
        self.nodes[index].take().unwrap().stop().await;
    }

    pub(crate) fn node(&self, index: usize) -> &Node {
        self.nodes[index].as_ref().unwrap()
    }

    pub(crate) fn running(&self) -> Vec<&Node> {
        self.nodes.iter().flatten().collect()
    }

    pub(crate) fn url(&self, index: usize) -> String {
        format!("http://{}", self.node(index).api_addr())
    }

    pub(crate) fn client(&self, index: usize) -> Client {
        Client::new([self.url(index)]).unwrap()
    }

    /// Key file of a funded account.
    pub(crate) fn key_file(&self, name: &str) -> PathBuf {
        self.devnet.accounts.iter().find(|(known, _)| known == name).unwrap().1.clone()
    }

    pub(crate) fn key(&self, name: &str) -> EthKey {
        keyfile::read_eth_key(&self.key_file(name)).unwrap()
    }

    /// Sends for a funded account through a node.
    pub(crate) async fn sender(&self, name: &str, through: usize) -> Sender {
        Sender::new(self.client(through), Key::Ethereum(self.key(name))).await.unwrap()
    }

    /// Identity key seed and peer id of a validator.
    pub(crate) fn identity(&self, index: usize) -> ([u8; 32], PeerId) {
        let key = keyfile::read_identity(&self.devnet.nodes[index].identity).unwrap();
        (key.seed(), peer_id_from_public_key(&key.public_key().0.0).unwrap())
    }

    /// Where a validator's peers find it.
    pub(crate) fn peer_address(&self, index: usize) -> String {
        format!("{}/p2p/{}", self.devnet.nodes[index].listen[0], self.identity(index).1)
    }

    /// Configuration of a full node that knows all validators.
    pub(crate) fn full_node(&self, name: &str) -> NodeConfig {
        let data = self.folder.path().join(name);
        NodeConfig {
            api: SocketAddr::from(([127, 0, 0, 1], 0)),
            listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
            peers: (0..self.devnet.nodes.len()).map(|index| self.peer_address(index)).collect(),
            identity: data.join("identity.key"),
            faucet_key: None,
            data,
            ..self.devnet.nodes[0].clone()
        }
    }

    /// Waits until all running nodes have executed a height.
    pub(crate) async fn all_reached(&self, height: Height) {
        for node in self.running() {
            reached(node, height).await;
        }
    }

    /// Waits until all running nodes have executed so many blocks more than the highest of them has now.
    pub(crate) async fn advance(&self, blocks: Height) -> Height {
        let now = self.running().iter().map(|node| node.chain.executed_height()).max().unwrap();
        self.all_reached(now + blocks).await;
        now + blocks
    }

    pub(crate) async fn stop(self) {
        for node in self.nodes.into_iter().flatten() {
            node.stop().await;
        }
    }
}

/// Waits until a node has executed a height.
pub(crate) async fn reached(node: &Node, height: Height) {
    let mut executed = node.chain.executed.subscribe();
    let waiting = executed.wait_for(|executed| *executed >= height);
    let failed = tokio::select! {
        waited = tokio::time::timeout(PATIENCE, waiting) => match waited {
            Ok(_) => return,
            Err(_) => "nothing happens".to_owned(),
        },
        reason = node.failed() => reason,
    };
    let (ordered, executed) = (node.chain.committed_height(), node.chain.executed_height());
    panic!(
        "validator {:?} did not reach height {height} (ordered {ordered}, executed {executed}): {failed}",
        node.chain.validator()
    );
}

/// Checks that all nodes have the same blocks and computed the same results.
pub(crate) fn assert_same_chain(nodes: &[&Node], heights: RangeInclusive<Height>) {
    for height in heights {
        let of = |node: &Node| {
            let id = node.chain.store.block_id_at(height).unwrap();
            let root = node.chain.store.executed_root(height).unwrap();
            (id.expect("the block is final"), root.expect("the block is executed"))
        };
        let first = of(nodes[0]);
        for node in nodes {
            assert_eq!(
                of(node),
                first,
                "validator {:?} at height {height}",
                node.chain.validator()
            );
        }
    }
}
