//! How many signed transfers a network takes end to end: over JSON-RPC, verified, ordered, executed by every node,
//! receipts stored.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use neura_types::{
    Address, Amount, Bytes, Params, genesis::GenesisAccount, keys::EthKey,
    transaction::UnsignedTransaction,
};
use rayon::prelude::*;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::network::{Network, resident_mib};
use crate::node::StartOptions;

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct TransfersPlan {
    /// Validators.
    pub validators: usize,
    /// Transfers in all.
    pub count: usize,
    /// Accounts that send them.
    pub senders: usize,
    /// Transfers sent per second; none: as fast as the network takes them.
    pub rate: Option<u64>,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct TransfersReport {
    /// Name of the measurement.
    pub bench: &'static str,
    /// What the number says.
    pub measures: &'static str,
    /// Validators, all on this machine, with the client.
    pub validators: usize,
    /// Transfers.
    pub count: usize,
    /// Accounts that sent them.
    pub senders: usize,
    /// Transfers per second, from the first request until the last was executed by the slowest node.
    pub transfers_per_s: u64,
    /// Seconds from the first request until then.
    pub seconds: f64,
    /// Blocks in that time.
    pub blocks: u64,
    /// Views given up in that time.
    pub timeouts: u64,
    /// Memory of the process (all nodes and the client) after each tenth of the transfers, in MiB.
    pub resident_mib: Vec<u64>,
}

/// Transfers in one JSON-RPC batch.
const BATCH: usize = 100;
/// Transfers sent and not executed yet, at most: the pools hold them.
const MAX_OUTSTANDING: u64 = 20_000;
/// Fee cap that outlasts a rising base fee.
const FEE_CAP: u128 = 10_000_000_000_000;

/// Runs the measurement.
///
/// # Errors
/// If the network does not start, or a node refuses a transfer.
pub async fn transfers(plan: TransfersPlan) -> Result<TransfersReport> {
    ensure!(plan.senders > 0 && plan.count > 0, "there must be senders and transfers");
    let keys = (1..=plan.senders).map(sender_key).collect::<Result<Vec<_>>>()?;
    let balance = Amount::ankr(1_000_000);
    let accounts =
        keys.iter().map(|key| GenesisAccount { address: key.address(), balance }).collect();
    let params = Params::default();
    let network =
        Network::start(plan.validators, params, accounts, |_| StartOptions::default()).await?;
    let batches = sign(&keys, plan.count, network.devnet.genesis.chain_id);
    let http = reqwest::Client::builder().no_proxy().build()?;
    let urls = network.devnet.urls();
    let (first_view, first_block) = progress(&network);
    let started = Instant::now();
    let mut sent = 0u64;
    let mut resident = Vec::new();
    let tenth = (batches.len() / 10).max(1);
    for (index, batch) in batches.into_iter().enumerate() {
        while sent.saturating_sub(executed(&network)) > MAX_OUTSTANDING {
            sleep(Duration::from_millis(5)).await;
        }
        if let Some(rate) = plan.rate {
            let due = started + Duration::from_secs_f64(sent as f64 / rate as f64);
            tokio::time::sleep_until(due).await;
        }
        let count = batch.1;
        send(&http, &urls[index % urls.len()], batch.0).await?;
        sent += count as u64;
        if index % tenth == 0 {
            resident.push(resident_mib());
        }
    }
    while executed(&network) < plan.count as u64 {
        if let Some(node) = network.nodes.iter().find(|node| node.chain.failure.is_stopping()) {
            anyhow::bail!("a node stopped: {}", node.failed().await);
        }
        sleep(Duration::from_millis(5)).await;
    }
    let seconds = started.elapsed().as_secs_f64();
    resident.push(resident_mib());
    let (last_view, last_block) = progress(&network);
    let blocks = last_block - first_block;
    network.stop().await;
    Ok(TransfersReport {
        bench: "transfers",
        measures: "signed transfers over JSON-RPC, verified, ordered and executed by the slowest node, receipts stored",
        validators: plan.validators,
        count: plan.count,
        senders: plan.senders,
        transfers_per_s: (plan.count as f64 / seconds) as u64,
        seconds,
        blocks,
        timeouts: (last_view - first_view).saturating_sub(blocks),
        resident_mib: resident,
    })
}

fn sender_key(index: usize) -> Result<EthKey> {
    let seed = neura_types::hash::keccak(&(index as u64).to_be_bytes());
    Ok(EthKey::from_bytes(seed.0)?)
}

/// JSON-RPC batches of signed transfers with the number in each; the senders take turns, each with rising nonces.
fn sign(keys: &[EthKey], count: usize, chain_id: u64) -> Vec<(Vec<u8>, usize)> {
    let raw: Vec<Bytes> = (0..count)
        .into_par_iter()
        .map(|index| {
            let to: Address = keys[(index + 1) % keys.len()].address();
            UnsignedTransaction {
                chain_id,
                nonce: (index / keys.len()) as u64,
                gas_limit: 21_000,
                max_fee_per_gas: FEE_CAP,
                max_priority_fee_per_gas: 1_000_000_000,
                to: to.into(),
                value: neura_types::U256::from(1),
                input: Bytes::new(),
            }
            .sign_eth(&keys[index % keys.len()])
        })
        .collect();
    raw.par_chunks(BATCH)
        .map(|chunk| {
            let calls: Vec<_> = chunk
                .iter()
                .enumerate()
                .map(|(id, raw)| {
                    serde_json::json!({
                        "jsonrpc": "2.0", "id": id, "method": "eth_sendRawTransaction", "params": [raw]
                    })
                })
                .collect();
            (serde_json::Value::from(calls).to_string().into_bytes(), chunk.len())
        })
        .collect()
}

async fn send(http: &reqwest::Client, url: &str, body: Vec<u8>) -> Result<()> {
    let answer = http
        .post(url)
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
        .context("sending transfers")?
        .bytes()
        .await?;
    let answers: Vec<serde_json::Value> =
        serde_json::from_slice(&answer).context("the node did not answer with a batch")?;
    if let Some(refused) = answers.iter().find(|answer| answer.get("error").is_some()) {
        anyhow::bail!("a transfer was refused: {refused}");
    }
    Ok(())
}

/// Transactions that the slowest node has executed; there are no others than the transfers.
fn executed(network: &Network) -> u64 {
    network.nodes.iter().map(|node| node.chain.transactions_executed()).min().unwrap_or(0)
}

/// View and height of the first node.
fn progress(network: &Network) -> (u64, u64) {
    let status = network.nodes.first().and_then(|node| node.chain.consensus());
    status.map_or((0, 0), |status| (status.view, status.committed_height))
}
