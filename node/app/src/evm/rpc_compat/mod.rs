//! Play Ethereum's JSON-RPC suite (`.io` files of execution-apis) against a node.
//!
//! # Design
//! - `io`: the files. `compare`: when two answers are the same. `player`: requests over HTTP.
//! - Without a node to ask, the chain that belongs to the suite (`genesis.json`, `chain.rlp`) is imported (`forks`,
//!   `config`, `chain`, `state`) and served by this node's own interface (`backend`, with `pool` and `build` for what is
//!   sent to it): same machine, same methods, same JSON.
//!
//! # Invariants
//! - A file that cannot be read is a failure, never a pass.
//! - A block whose state root or receipts root is another than its header's ends the import.

mod backend;
mod build;
mod chain;
mod compare;
mod config;
mod forks;
mod io;
mod player;
mod pool;
mod state;
#[cfg(test)]
mod tests;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use neura_api::{ApiConfig, ServerHandle};
use prometheus_client::registry::Registry;

use backend::EthereumBackend;
use chain::EthereumChain;
pub use player::{Played, play};

/// Folders above the files in which their chain is looked for.
const PARENTS: usize = 3;

/// An imported chain that is served.
#[derive(Debug)]
pub struct Served {
    /// Where.
    pub url: String,
    /// Its highest block.
    pub height: u64,
    server: ServerHandle,
}

impl Served {
    /// Ends it.
    pub async fn stop(self) {
        self.server.shutdown().await;
    }
}

/// Imports the chain that belongs to a suite and serves it on this machine.
///
/// # Errors
/// If there is none, or one of its blocks comes out otherwise than its header says.
pub async fn serve_chain(suite: &Path) -> Result<Served> {
    let Some((genesis, blocks)) = chain_files(suite) else {
        bail!(
            "{}: neither it nor a folder above holds genesis.json and chain.rlp, the chain that the expected answers \
             are about; name a node with --url, or play the whole folder tests of execution-apis",
            suite.display()
        );
    };
    let chain = tokio::task::spawn_blocking(move || EthereumChain::import(&genesis, &blocks))
        .await?
        .context("importing chain.rlp")?;
    let height = chain.head().header.number;
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = ApiConfig { listen, debug: true, ..ApiConfig::default() };
    let backend = Arc::new(EthereumBackend::new(chain));
    let server = neura_api::serve(config, backend, Arc::new(Registry::default())).await?;
    Ok(Served { url: format!("http://{}", server.local_addr), height, server })
}

fn chain_files(suite: &Path) -> Option<(PathBuf, PathBuf)> {
    let suite = std::fs::canonicalize(suite).ok()?;
    suite.ancestors().take(PARENTS).find_map(|folder| {
        let (genesis, blocks) = (folder.join("genesis.json"), folder.join("chain.rlp"));
        (genesis.is_file() && blocks.is_file()).then_some((genesis, blocks))
    })
}

/// The files of a suite.
///
/// # Errors
/// If the folder cannot be read.
pub fn files(suite: &Path) -> Result<Vec<PathBuf>> {
    io::find(suite)
}
