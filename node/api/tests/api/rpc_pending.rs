//! The block that is to come, and headers alone.

use alloy_primitives::B256;
use serde_json::{Value, json};

use crate::{
    chain::LOGGER,
    harness::{Server, eth_key, transfer},
};

#[tokio::test]
async fn the_pending_block_follows_the_latest_and_holds_what_waits() {
    let server = Server::start().await;
    server.backend.fund(eth_key(1).address(), 1_000_000_000_000_000_000);
    server.backend.mine();
    let raw = transfer(1, 0, Some(LOGGER));
    let hash = server.rpc("eth_sendRawTransaction", json!([raw])).await;
    let latest = server.rpc("eth_getBlockByNumber", json!(["latest", false])).await;
    let pending = server.rpc("eth_getBlockByNumber", json!(["pending", false])).await;
    assert_eq!((&pending["number"], &pending["parentHash"]), (&json!("0x2"), &latest["hash"]));
    for name in ["hash", "nonce", "miner"] {
        assert!(
            pending.as_object().unwrap().contains_key(name) && pending[name].is_null(),
            "{name}"
        );
    }
    assert_eq!(pending["baseFeePerGas"], "0x3e9", "that of the next block");
    assert_eq!(pending["transactions"], json!([hash]));
    let full = server.rpc("eth_getBlockByNumber", json!(["pending", true])).await;
    assert_eq!(full["transactions"][0]["hash"], hash);
    assert_eq!(full["transactions"][0]["blockHash"], Value::Null);
    let number = async |method: &str, params: Value| server.rpc(method, params).await;
    assert_eq!(number("eth_getBlockTransactionCountByNumber", json!(["pending"])).await, "0x1");
    assert_eq!(number("eth_getBlockTransactionCountByNumber", json!(["latest"])).await, "0x0");
    let at = json!(["pending", "0x0"]);
    let found = number("eth_getTransactionByBlockNumberAndIndex", at.clone()).await;
    assert_eq!(found, full["transactions"][0]);
    assert_eq!(number("eth_getRawTransactionByBlockNumberAndIndex", at).await, json!(raw));
    let beyond = json!(["pending", "0x1"]);
    assert!(number("eth_getTransactionByBlockNumberAndIndex", beyond).await.is_null());
    for method in ["eth_getBlockReceipts", "debug_traceBlockByNumber", "trace_block"] {
        let (code, message, _) = server.rpc_error(method, json!(["pending"])).await;
        assert_eq!((code, message.contains("pending")), (-32000, true), "{message}");
    }
}

#[tokio::test]
async fn a_header_is_its_block_without_the_body() {
    let server = Server::start().await;
    server.backend.mine();
    let block = server.rpc("eth_getBlockByNumber", json!(["0x1", false])).await;
    for (method, name) in
        [("eth_getHeaderByNumber", json!("0x1")), ("eth_getHeaderByHash", block["hash"].clone())]
    {
        let header = server.rpc(method, json!([name])).await;
        let header = header.as_object().unwrap();
        assert!(header.iter().all(|(name, value)| block[name] == *value));
        assert!(header.contains_key("logsBloom") && !header.contains_key("transactions"));
    }
    assert!(server.rpc("eth_getHeaderByNumber", json!(["0x99"])).await.is_null());
    assert!(server.rpc("eth_getHeaderByHash", json!([B256::ZERO])).await.is_null());
    assert_eq!(server.rpc_error("eth_getHeaderByNumber", json!([B256::ZERO])).await.0, -32602);
    let pending = server.rpc("eth_getHeaderByNumber", json!(["pending"])).await;
    assert_eq!((&pending["number"], &pending["hash"]), (&json!("0x2"), &Value::Null));
}
