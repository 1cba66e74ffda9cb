//! What the tests share: networks in this process, processes of the binary, a market with both of its sides, waiting.

mod market;
mod network;
mod process;
mod work;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use neura_types::{B256, Bytes, U256, abi::SolEvent, system, task::TaskId};
use serde_json::Value;
use tokio::time::Instant;

pub(crate) use market::{Market, PRICE, created_task, key};
pub(crate) use network::{Network, assert_same_chain, quick, reached};
pub(crate) use process::{Cli, DevnetProcess, ProviderProcess, Running, children, neura, output};
pub(crate) use work::slow_job;

/// After this long without what a test waits for, it has failed. Far above what any step takes, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(150);
/// Distance of two looks at what is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// Looks again and again until there is something to see.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "still not seen after {PATIENCE:?}: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Folder of the digits example.
pub(crate) fn digits() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits")
}

/// Arguments of the events of one kind that the tasks module has emitted for a task.
pub(crate) async fn task_events<E: SolEvent>(url: &str, task: TaskId) -> Vec<E> {
    let filter = serde_json::json!([{
        "fromBlock": "0x0",
        "toBlock": "latest",
        "address": system::TASKS,
        "topics": [E::SIGNATURE_HASH, B256::from(U256::from(task))],
    }]);
    let answer = rpc(url, "eth_getLogs", filter).await;
    let logs = answer["result"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let decode = |log: &Value| {
        let topics: Vec<B256> = serde_json::from_value(log["topics"].clone()).unwrap();
        let data: Bytes = serde_json::from_value(log["data"].clone()).unwrap();
        E::decode_raw_log(topics, &data).unwrap()
    };
    logs.iter().map(decode).collect()
}

/// One JSON-RPC call of a node; returns the whole answer.
pub(crate) async fn rpc(url: &str, method: &str, params: Value) -> Value {
    let body = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let answer = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
    answer.json().await.unwrap()
}
