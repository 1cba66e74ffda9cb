//! Blocks over JSON-RPC: how they are named.

use alloy_primitives::B256;
use serde_json::json;

use crate::harness::Server;

#[tokio::test]
async fn a_method_takes_a_block_as_its_name_says_and_no_other_way() {
    let server = Server::start().await;
    let hash = B256::repeat_byte(1);
    for (method, params) in [
        ("eth_getBlockByHash", json!(["0x12", true])),
        ("eth_getBlockByHash", json!(["latest", false])),
        ("eth_getBlockByHash", json!([])),
        ("eth_getBlockTransactionCountByHash", json!(["0x12"])),
        ("eth_getTransactionByBlockHashAndIndex", json!(["latest", "0x0"])),
        ("eth_getUncleCountByBlockHash", json!(["0x12"])),
        ("eth_getBlockByNumber", json!([hash, false])),
        ("eth_getBlockTransactionCountByNumber", json!([hash])),
        ("eth_getTransactionByBlockNumberAndIndex", json!([hash, "0x0"])),
    ] {
        let (code, message, _) = server.rpc_error(method, params.clone()).await;
        assert_eq!(code, -32602, "{method} {params}: {message}");
        assert!(message.contains("argument 0 (block"), "{message}");
    }
}
