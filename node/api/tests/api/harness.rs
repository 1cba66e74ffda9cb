//! A server on a free port and what tests ask it with.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use neura_api::{ApiConfig, ServerHandle, serve};
use neura_types::{
    keys::{EthKey, SecretKey},
    rest::Problem,
    transaction::UnsignedTransaction,
};
use prometheus_client::registry::Registry;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::{backend::MemoryBackend, chain::CHAIN_ID};

pub(crate) struct Server {
    pub(crate) backend: Arc<MemoryBackend>,
    pub(crate) client: Client,
    pub(crate) handle: ServerHandle,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(MemoryBackend::new()).await
    }

    pub(crate) async fn with(backend: MemoryBackend) -> Self {
        Self::set(backend, ApiConfig { debug: true, ..ApiConfig::default() }).await
    }

    /// A server that gives the head of a request so much time.
    pub(crate) async fn with_head_timeout(backend: MemoryBackend, head_timeout: Duration) -> Self {
        Self::set(backend, ApiConfig { head_timeout, ..ApiConfig::default() }).await
    }

    /// A server on a free port, otherwise set as it is told.
    pub(crate) async fn set(backend: MemoryBackend, config: ApiConfig) -> Self {
        let backend = Arc::new(backend);
        let config = ApiConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            allowed_hosts: vec!["node.example".into()],
            max_blob_bytes: 2_048,
            ..config
        };
        let as_backend = Arc::clone(&backend) as Arc<dyn neura_api::Backend>;
        let handle = serve(config, as_backend, Arc::new(registry())).await.unwrap();
        Self { backend, client: Client::new(), handle }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.handle.local_addr)
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(self.url(path))
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json().await.unwrap()
    }

    /// Sends a JSON-RPC body as it is, and returns the answer's body.
    pub(crate) async fn raw_rpc(&self, body: impl Into<reqwest::Body>) -> Value {
        let request = self.post("/").header("content-type", "application/json").body(body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.unwrap()
    }

    /// Calls a method that must succeed.
    pub(crate) async fn rpc(&self, method: &str, params: Value) -> Value {
        let mut answer = self.raw_rpc(request(method, params)).await;
        assert_eq!(answer.get("error"), None, "{method}");
        assert!(answer.as_object().unwrap().contains_key("result"), "{method}");
        answer["result"].take()
    }

    /// Calls a method that must fail.
    pub(crate) async fn rpc_error(&self, method: &str, params: Value) -> (i64, String, Value) {
        let mut answer = self.raw_rpc(request(method, params)).await;
        let error = answer["error"].take();
        let code = error["code"].as_i64().unwrap_or_else(|| panic!("{method} did not fail"));
        (code, error["message"].as_str().unwrap().to_owned(), error["data"].clone())
    }

    /// Sends a funded account's transaction and mines it.
    pub(crate) async fn sent(&self, key: u8, nonce: u64, to: Option<Address>) -> B256 {
        let raw = transfer(key, nonce, to);
        let answer = self.rpc("eth_sendRawTransaction", json!([raw])).await;
        let hash = serde_json::from_value(answer).unwrap();
        self.backend.mine();
        hash
    }
}

pub(crate) fn request(method: &str, params: Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    let gauge: prometheus_client::metrics::gauge::Gauge = Default::default();
    gauge.set(42);
    registry.register("neura_height", "Height", gauge);
    registry
}

/// The problem in an answer that must be one.
pub(crate) async fn problem(answer: Response) -> Problem {
    let status = answer.status();
    let media_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
    let text = answer.text().await.unwrap();
    assert_eq!(media_type, "application/problem+json", "{text}");
    let problem: Problem = serde_json::from_str(&text).unwrap();
    assert_eq!(problem.status, status.as_u16());
    assert_eq!(problem.kind, format!("urn:neura:problem:{}", problem.code));
    assert!(!problem.detail.is_empty() && !problem.title.is_empty());
    problem
}

pub(crate) fn eth_key(seed: u8) -> EthKey {
    EthKey::from_bytes([seed; 32]).unwrap()
}

pub(crate) fn identity(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn unsigned(nonce: u64, to: Option<Address>) -> UnsignedTransaction {
    UnsignedTransaction {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 30_000,
        max_fee_per_gas: 5_000,
        max_priority_fee_per_gas: 10,
        to: to.map_or(TxKind::Create, TxKind::Call),
        value: U256::from(1),
        input: Bytes::new(),
    }
}

pub(crate) fn transfer(key: u8, nonce: u64, to: Option<Address>) -> Bytes {
    unsigned(nonce, to).sign_eth(&eth_key(key))
}

pub(crate) fn ed25519_transfer(seed: u8, nonce: u64, to: Address) -> Bytes {
    unsigned(nonce, Some(to)).sign_ed25519(&identity(seed))
}

pub(crate) fn transfer_for_chain(key: u8, chain_id: u64) -> Bytes {
    UnsignedTransaction { chain_id, ..unsigned(0, Some(Address::ZERO)) }.sign_eth(&eth_key(key))
}
