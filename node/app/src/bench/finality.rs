//! How long a transfer on an idle network takes until its block is final.

use std::time::Duration;

use anyhow::{Context, Result};
use neura_client::{Client, Key, Outgoing, Sender};
use neura_types::{Params, U256, hash::keccak};
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};

use super::{Latency, network::Network};
use crate::{keyfile, node::StartOptions};

/// What was measured.
#[derive(Debug, Serialize)]
pub struct FinalityReport {
    /// Name of the measurement.
    pub bench: &'static str,
    /// What the numbers say.
    pub measures: &'static str,
    /// Validators, all on this machine.
    pub validators: usize,
    /// Transfers measured, one at a time.
    pub samples: usize,
    /// From the request to the first node until the block is final there.
    pub first_node: Option<Latency>,
    /// Until the block is final at every node.
    pub every_node: Option<Latency>,
}

/// Pause between two transfers: the chain falls idle again.
const PAUSE: Duration = Duration::from_millis(150);
/// How long one may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Runs the measurement.
///
/// # Errors
/// If the network does not start, or a transfer is not final in time.
pub async fn finality(validators: usize, samples: usize) -> Result<FinalityReport> {
    let network =
        Network::start(validators, Params::default(), Vec::new(), |_| StartOptions::default())
            .await?;
    let (_, path) = network.devnet.accounts.first().context("a devnet has accounts")?;
    let key = keyfile::read_eth_key(path)?;
    let client = Client::new(network.devnet.urls())?;
    let sender = Sender::new(client.clone(), Key::Ethereum(key.clone())).await?;
    let (mut first, mut every) = (Vec::new(), Vec::new());
    for _ in 0..samples {
        sleep(PAUSE).await;
        let prepared = sender
            .prepare(Outgoing {
                to: key.address().into(),
                value: U256::from(1),
                input: neura_types::Bytes::new(),
                gas_limit: 21_000,
            })
            .await?;
        let hash = keccak(prepared.raw());
        let from: Vec<u64> =
            network.nodes.iter().map(|node| node.chain.committed_height() + 1).collect();
        let started = Instant::now();
        prepared.send().await?;
        let waits = network.nodes.iter().zip(&from).map(|(node, from)| async move {
            ordered(&node.chain, *from, hash).await?;
            anyhow::Ok(started.elapsed().as_secs_f64() * 1_000.0)
        });
        let times = timeout(LIMIT, futures::future::try_join_all(waits))
            .await
            .context("a transfer was not final in time")??;
        first.extend(times.first().copied());
        every.extend(times.into_iter().reduce(f64::max));
    }
    network.stop().await;
    Ok(FinalityReport {
        bench: "finality",
        measures: "one transfer at a time on an idle network: from the HTTP request until its block is final",
        validators,
        samples,
        first_node: Latency::of(first),
        every_node: Latency::of(every),
    })
}

/// Waits until a final block from a height on holds a transaction.
async fn ordered(
    chain: &crate::node::chain::Chain,
    mut next: u64,
    hash: neura_types::B256,
) -> Result<()> {
    let mut committed = chain.committed.subscribe();
    let mut arrivals = chain.batches.arrivals();
    loop {
        let tip = *committed.borrow_and_update();
        while next <= tip {
            let (_, block) = chain.block_at(next)?.context("a final block is not in the store")?;
            // Final is what is ordered and at hand: its batches may still come.
            let Some(items) = chain.batches.transactions(&block)? else {
                arrivals.changed().await?;
                continue;
            };
            if items.iter().any(|raw| keccak(raw) == hash) {
                return Ok(());
            }
            next += 1;
        }
        committed.changed().await?;
    }
}
