//! A network of nodes in this process.

use anyhow::Result;
use neura_types::{Params, genesis::GenesisAccount};

use crate::{
    devnet::{Devnet, Plan},
    node::{Node, StartOptions},
};

/// Running nodes and their folder, which is removed with them.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) devnet: Devnet,
    pub(super) nodes: Vec<Node>,
    _folder: tempfile::TempDir,
}

impl Network {
    pub(super) async fn start(
        validators: usize,
        params: Params,
        accounts: Vec<GenesisAccount>,
        options: impl Fn(usize) -> StartOptions,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let plan =
            Plan { data: folder.path().to_owned(), validators, base_port: 0, params, accounts };
        let devnet = Devnet::open_or_create(&plan)?;
        let mut nodes = Vec::new();
        for (index, config) in devnet.nodes.iter().enumerate() {
            nodes.push(Node::start(config, options(index)).await?);
        }
        let network = Self { devnet, nodes, _folder: folder };
        for node in &network.nodes {
            // The senders live as long as the nodes.
            let _ = node.chain.executed.subscribe().wait_for(|height| *height > 0).await;
        }
        Ok(network)
    }

    pub(super) async fn stop(self) {
        for node in self.nodes {
            node.stop().await;
        }
    }
}

/// Memory that this process holds, in MiB.
pub(super) fn resident_mib() -> u64 {
    let pages: Option<u64> = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse().ok());
    pages.unwrap_or(0).saturating_mul(4_096) >> 20
}
