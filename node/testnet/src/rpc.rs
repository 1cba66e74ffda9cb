//! JSON-RPC in batches: what REST would take one request each for.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use neura_types::{
    B256,
    rest::{BlockSummary, Page},
};
use serde::Deserialize;
use serde_json::Value;

/// Calls in one batch. Nodes take ten times as many; but each call waits for a thread twice, and where many processes want
/// a few processors, small batches tell a node that is slow from one that does not answer.
const BATCH: usize = 100;
/// Blocks of one page: what the nodes give.
pub(crate) const PAGE: u64 = 100;
/// Time for one request: what a node that works on it takes on a busy machine, many times.
const REQUEST: Duration = Duration::from_secs(60);

/// One node's JSON-RPC interface, and the listings that the typed client lacks.
#[derive(Debug, Clone)]
pub struct Rpc {
    http: reqwest::Client,
    url: String,
}

/// Where a transaction was executed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mined {
    /// The block.
    pub block_hash: B256,
    /// Its height, as a hexadecimal quantity.
    pub block_number: String,
    /// Position in the block, as a hexadecimal quantity.
    pub transaction_index: String,
    /// `0x1` if it took effect.
    pub status: String,
}

impl Rpc {
    /// Speaks to the node at `url`.
    ///
    /// # Errors
    /// If no client can be made.
    pub fn new(url: String) -> Result<Self> {
        Ok(Self { http: reqwest::Client::builder().no_proxy().timeout(REQUEST).build()?, url })
    }

    /// Address of the interface.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Receipts by transaction, in the order of `hashes`; none where the node has none.
    ///
    /// # Errors
    /// If the node does not answer as the interface promises.
    pub async fn receipts(&self, hashes: &[B256]) -> Result<Vec<Option<Mined>>> {
        let calls =
            hashes.iter().map(|hash| ("eth_getTransactionReceipt", serde_json::json!([hash])));
        let answers = self.batch(calls.collect()).await?;
        answers.into_iter().map(|value| Ok(serde_json::from_value(value)?)).collect()
    }

    /// Hands over signed transactions; returns why each was refused, if it was.
    ///
    /// # Errors
    /// If the node does not answer as the interface promises.
    pub async fn submit(&self, raw: &[neura_types::Bytes]) -> Result<Vec<Option<String>>> {
        let calls = raw.iter().map(|raw| ("eth_sendRawTransaction", serde_json::json!([raw])));
        let mut refused = Vec::with_capacity(raw.len());
        for answer in self.answers(calls.collect()).await? {
            refused.push(answer.get("error").map(ToString::to_string));
        }
        Ok(refused)
    }

    /// Blocks from just below `before` down, at most a page.
    ///
    /// # Errors
    /// If the node does not answer as the interface promises.
    pub async fn blocks_below(&self, before: u64) -> Result<Vec<BlockSummary>> {
        let url = format!("{}/v1/blocks?limit={PAGE}&before={before}", self.url);
        let bytes = self.http.get(&url).send().await?.error_for_status()?.bytes().await?;
        let page: Page<BlockSummary> =
            serde_json::from_slice(&bytes).with_context(|| format!("the answer of {url}"))?;
        Ok(page.items)
    }

    /// The text of the node's metrics.
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn metrics(&self) -> Result<String> {
        let url = format!("{}/metrics", self.url);
        Ok(self.http.get(url).send().await?.error_for_status()?.text().await?)
    }

    async fn batch(&self, calls: Vec<(&str, Value)>) -> Result<Vec<Value>> {
        let mut results = Vec::with_capacity(calls.len());
        for mut answer in self.answers(calls).await? {
            ensure!(answer.get("error").is_none(), "{} refused a call: {answer}", self.url);
            results.push(answer.get_mut("result").map(Value::take).unwrap_or_default());
        }
        Ok(results)
    }

    async fn answers(&self, calls: Vec<(&str, Value)>) -> Result<Vec<Value>> {
        let mut all = Vec::with_capacity(calls.len());
        for part in calls.chunks(BATCH) {
            let body: Vec<Value> = part
                .iter()
                .enumerate()
                .map(|(id, (method, params))| {
                    serde_json::json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
                })
                .collect();
            let request = self.http.post(&self.url).header("content-type", "application/json");
            let bytes = request.body(serde_json::to_vec(&body)?).send().await?.bytes().await?;
            let mut answers: Vec<Value> = serde_json::from_slice(&bytes)
                .with_context(|| format!("{} did not answer with a batch", self.url))?;
            ensure!(
                answers.len() == part.len(),
                "{} answered {} of {} calls",
                self.url,
                answers.len(),
                part.len()
            );
            answers.sort_by_key(|answer| answer.get("id").and_then(Value::as_u64));
            all.append(&mut answers);
        }
        Ok(all)
    }
}
