//! How many `eth_call`s a node answers over HTTP: each in a request of its own, on connections that are kept.

use anyhow::{Context, Result, ensure};
use neura_types::{Params, U256, system};
use serde::Serialize;
use tokio::{task::JoinSet, time::Instant};

use super::network::Network;
use crate::node::StartOptions;

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct CallsPlan {
    /// Calls in all.
    pub count: usize,
    /// Connections, each with one call under way.
    pub connections: usize,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct CallsReport {
    /// Name of the measurement.
    pub bench: &'static str,
    /// What the number says.
    pub measures: &'static str,
    /// Calls.
    pub count: usize,
    /// Connections.
    pub connections: usize,
    /// Calls answered per second; the client takes its part of the same cores.
    pub calls_per_s: u64,
}

/// Runs the measurement on one validator, whose chain goes on meanwhile.
///
/// # Errors
/// If the node does not start, or an answer is not the called contract's.
pub async fn calls(plan: CallsPlan) -> Result<CallsReport> {
    let network =
        Network::start(1, Params::default(), Vec::new(), |_| StartOptions::default()).await?;
    let url = network.devnet.urls().first().cloned().context("there is no node")?;
    let each = plan.count.div_ceil(plan.connections.max(1));
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..plan.connections {
        workers.spawn(call_repeatedly(url.clone(), each));
    }
    while let Some(done) = workers.join_next().await {
        done??;
    }
    let seconds = started.elapsed().as_secs_f64();
    network.stop().await;
    let count = each * plan.connections;
    Ok(CallsReport {
        bench: "calls",
        measures: "eth_call of code that reads two balances, one HTTP request each, client on the same cores",
        count,
        connections: plan.connections,
        calls_per_s: (count as f64 / seconds) as u64,
    })
}

/// Code that returns the balances of two accounts: BALANCE, MSTORE, BALANCE, MSTORE, RETURN.
fn code() -> String {
    let (a, b) = (system::TASKS, system::REWARDS);
    format!("0x73{a:x}315f5273{b:x}3160205260405ff3")
}

async fn call_repeatedly(url: String, count: usize) -> Result<()> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let call = serde_json::json!({
        "jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [{ "data": code() }, "latest"]
    });
    for _ in 0..count {
        let answer: serde_json::Value = http.post(&url).json(&call).send().await?.json().await?;
        let result = answer["result"].as_str().unwrap_or_default();
        ensure!(result.len() == 2 + 4 * U256::BYTES, "another answer was due: {answer}");
    }
    Ok(())
}
