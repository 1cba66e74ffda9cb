//! Logs and filters.

use alloy_primitives::{Address, B256};
use neura_api::LogQuery;
use neura_types::Log;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    chain::LOGGER,
    harness::{Server, eth_key},
};

/// Three blocks with two logs each.
async fn with_logs() -> Server {
    let server = Server::start().await;
    server.backend.fund(eth_key(1).address(), 1_000_000_000_000_000_000);
    for nonce in 0..3 {
        server.sent(1, nonce, Some(LOGGER)).await;
    }
    server
}

async fn count(server: &Server, filter: Value) -> usize {
    server.rpc("eth_getLogs", json!([filter])).await.as_array().unwrap().len()
}

#[tokio::test]
async fn logs_are_found_by_range_address_and_topics() {
    let server = with_logs().await;
    let (one, two) = (B256::repeat_byte(1), B256::repeat_byte(2));
    let all = json!({ "fromBlock": "0x0", "toBlock": "latest" });
    assert_eq!(count(&server, all.clone()).await, 6);
    assert_eq!(count(&server, json!({})).await, 2, "the latest block alone");
    assert_eq!(count(&server, json!({ "fromBlock": "earliest", "toBlock": "0x2" })).await, 4);
    let with = |name: &str, value: Value| {
        let mut filter = all.clone();
        filter[name] = value;
        filter
    };
    assert_eq!(count(&server, with("address", json!(LOGGER))).await, 6);
    assert_eq!(count(&server, with("address", json!([LOGGER, Address::ZERO]))).await, 6);
    assert_eq!(count(&server, with("address", json!(Address::ZERO))).await, 0);
    assert_eq!(count(&server, with("address", Value::Null)).await, 6);
    assert_eq!(count(&server, with("topics", json!([one]))).await, 3);
    assert_eq!(count(&server, with("topics", json!([[one, two]]))).await, 6);
    assert_eq!(count(&server, with("topics", json!([null, B256::repeat_byte(0xee)]))).await, 6);
    assert_eq!(count(&server, with("topics", json!([null, null, null]))).await, 0);
    let hash = server.backend.chain().blocks[2].head.id;
    let logs = server.rpc("eth_getLogs", json!([{ "blockHash": hash }])).await;
    assert_eq!(logs.as_array().unwrap().len(), 2);
    assert_eq!((&logs[1]["logIndex"], &logs[1]["blockNumber"]), (&json!("0x1"), &json!("0x2")));
}

#[tokio::test]
async fn a_range_that_cannot_be_served_says_which_can() {
    let server = with_logs().await;
    for (filter, code, text) in [
        (json!({ "fromBlock": "0x2", "toBlock": "0x1" }), -32602, "invalid block range params"),
        (json!({ "fromBlock": "0x99", "toBlock": "0x9a" }), -32602, "block range extends beyond"),
        (json!({ "fromBlock": "0x1", "toBlock": "0x99" }), -32602, "block range extends beyond"),
        (json!({ "blockHash": B256::ZERO, "toBlock": "0x1" }), -32602, "cannot specify both"),
        (json!({ "blockHash": B256::ZERO }), -32000, "header not found"),
        (json!({ "topics": ["0x12"] }), -32602, "invalid argument"),
        (json!("all"), -32602, "invalid argument"),
    ] {
        let (got, message, _) = server.rpc_error("eth_getLogs", json!([filter])).await;
        assert_eq!(got, code, "{message}");
        assert!(message.starts_with(text), "{message}");
    }
    for _ in 0..100_001 {
        server.backend.chain().mine();
    }
    let filter = json!({ "fromBlock": "0x1", "toBlock": "latest" });
    let (code, message, _) = server.rpc_error("eth_getLogs", json!([filter])).await;
    assert_eq!(code, -32602);
    assert!(message.contains("100000") && message.ends_with("[0x1, 0x186a0]"), "{message}");
    assert_eq!(count(&server, json!({ "fromBlock": "0x1", "toBlock": "0x186a0" })).await, 6);
}

#[tokio::test]
async fn a_filter_tells_each_change_once() {
    let server = with_logs().await;
    let blocks = server.rpc("eth_newBlockFilter", json!([])).await;
    let logs =
        server.rpc("eth_newFilter", json!([{ "address": LOGGER, "fromBlock": "0x0" }])).await;
    let changes = async |id: &Value| server.rpc("eth_getFilterChanges", json!([id])).await;
    assert_eq!(changes(&blocks).await, json!([]));
    assert_eq!(changes(&logs).await, json!([]));
    server.sent(1, 3, Some(LOGGER)).await;
    let latest = server.backend.chain().blocks[4].head.id;
    assert_eq!(changes(&blocks).await, json!([latest]));
    assert_eq!(changes(&logs).await.as_array().unwrap().len(), 2);
    assert_eq!(changes(&blocks).await, json!([]));
    assert_eq!(changes(&logs).await, json!([]));
    let all = server.rpc("eth_getFilterLogs", json!([logs])).await;
    assert_eq!(all.as_array().unwrap().len(), 8);
    assert_eq!(server.rpc("eth_uninstallFilter", json!([logs])).await, true);
    assert_eq!(server.rpc("eth_uninstallFilter", json!([logs])).await, false);
    for (method, id) in [
        ("eth_getFilterChanges", &logs),
        ("eth_getFilterLogs", &logs),
        ("eth_getFilterLogs", &blocks),
    ] {
        let (code, message, _) = server.rpc_error(method, json!([id])).await;
        assert_eq!((code, message.as_str()), (-32000, "filter not found"));
    }
    let pending = server.rpc("eth_newPendingTransactionFilter", json!([])).await;
    assert_eq!(server.rpc("eth_getFilterChanges", json!([pending])).await, json!([]));
    assert_eq!(server.rpc_error("eth_subscribe", json!(["newHeads"])).await.0, -32004);
}

#[tokio::test]
async fn a_filter_of_a_range_that_is_none_is_refused_and_another_ends_with_its_range() {
    let server = with_logs().await;
    for (from, to) in [("0x2", "0x1"), ("latest", "0x9"), ("pending", "0x9")] {
        let filter = json!([{ "fromBlock": from, "toBlock": to }]);
        let (code, message, _) = server.rpc_error("eth_newFilter", filter).await;
        assert_eq!((code, message.starts_with("invalid block range params")), (-32602, true));
    }
    let filter = json!([{ "fromBlock": "0x5", "toBlock": "0x5" }]);
    let id = server.rpc("eth_newFilter", filter).await;
    let mut found = Vec::new();
    for nonce in 3..6 {
        server.sent(1, nonce, Some(LOGGER)).await;
        let changes = server.rpc("eth_getFilterChanges", json!([id])).await;
        found.extend(changes.as_array().unwrap().iter().map(|log| log["blockNumber"].clone()));
    }
    assert_eq!(found, ["0x5", "0x5"], "nothing of blocks 4 and 6");
}

fn small_log() -> impl Strategy<Value = Log> {
    let topics = proptest::collection::vec((0u8..3).prop_map(B256::with_last_byte), 0..4);
    ((0u8..3).prop_map(Address::with_last_byte), topics).prop_map(|(address, topics)| Log {
        address,
        topics,
        data: Default::default(),
    })
}

proptest! {
    /// What a query means, written out without the shortcuts.
    #[test]
    fn a_query_matches_exactly_what_each_position_allows(
        log in small_log(),
        addresses in proptest::collection::vec((0u8..3).prop_map(Address::with_last_byte), 0..3),
        topics in proptest::collection::vec(
            proptest::collection::vec((0u8..3).prop_map(B256::with_last_byte), 0..3), 0..5),
    ) {
        let query = LogQuery { from: 0, to: 0, addresses, topics };
        let mut expected = query.addresses.is_empty() || query.addresses.contains(&log.address);
        for (position, wanted) in query.topics.iter().enumerate() {
            expected &= log.topics.get(position).is_some_and(|topic| wanted.is_empty() || wanted.contains(topic));
        }
        prop_assert_eq!(query.matches(&log), expected);
    }
}
