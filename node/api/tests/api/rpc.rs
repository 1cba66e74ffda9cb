//! JSON-RPC over HTTP: what wallets and tools rely on.

use alloy_primitives::{Address, B256, keccak256};
use neura_api::ApiConfig;
use serde_json::{Value, json};

use crate::{
    backend::{HANGS, MemoryBackend, PANICS, REVERTS, REVERTS_BARE, error_no},
    chain::{CHAIN_ID, LOGGER},
    harness::{Server, ed25519_transfer, eth_key, identity, problem, request, transfer},
};

const RICH: u128 = 1_000_000_000_000_000_000;

async fn funded() -> Server {
    let server = Server::start().await;
    server.backend.fund(eth_key(1).address(), RICH);
    server
}

#[tokio::test]
async fn the_node_says_who_and_where_it_is() {
    let server = funded().await;
    let version = server.rpc("web3_clientVersion", json!([])).await;
    assert!(version.as_str().unwrap().starts_with("neura/v0.1.0/"));
    let hash = server.rpc("web3_sha3", json!(["0x68656c6c6f"])).await;
    assert_eq!(hash, json!(keccak256("hello")));
    assert_eq!(server.rpc("net_version", json!([])).await, CHAIN_ID.to_string());
    assert_eq!(server.rpc("eth_chainId", json!([])).await, format!("{CHAIN_ID:#x}"));
    assert_eq!(server.rpc("net_listening", json!([])).await, true);
    assert_eq!(server.rpc("net_peerCount", json!([])).await, "0x3");
    assert_eq!(server.rpc("eth_syncing", json!([])).await, false);
    assert_eq!(server.rpc("eth_accounts", json!([])).await, json!([]));
    assert_eq!(server.rpc("eth_blockNumber", json!([])).await, "0x0");
    server.backend.mine();
    assert_eq!(server.rpc("eth_blockNumber", Value::Null).await, "0x1");
}

#[tokio::test]
async fn the_state_is_read_at_any_name_of_a_block() {
    let server = funded().await;
    let address = eth_key(1).address();
    let genesis = server.backend.chain().blocks[0].head.id;
    for block in [
        json!("latest"),
        json!("pending"),
        json!("safe"),
        json!("finalized"),
        json!("earliest"),
        json!("0x0"),
        json!({ "blockHash": genesis, "requireCanonical": true }),
        json!({ "blockNumber": "0x0" }),
        Value::Null,
    ] {
        let balance = server.rpc("eth_getBalance", json!([address, block])).await;
        assert_eq!(balance, format!("{RICH:#x}"), "{block}");
    }
    assert_eq!(server.rpc("eth_getBalance", json!([address])).await, format!("{RICH:#x}"));
    assert_eq!(server.rpc("eth_getBalance", json!([Address::ZERO])).await, "0x0");
    assert_eq!(server.rpc("eth_getCode", json!([address, "latest"])).await, "0xfe");
    let word = server.rpc("eth_getStorageAt", json!([address, "0x0", "latest"])).await;
    assert_eq!(word, json!(B256::with_last_byte(1)));
    let long = json!([address, B256::with_last_byte(4), "latest"]);
    assert_eq!(server.rpc("eth_getStorageAt", long).await, json!(B256::with_last_byte(5)));
    let (code, message, _) = server.rpc_error("eth_getBalance", json!([address, "0x99"])).await;
    assert_eq!((code, message.starts_with("header not found")), (-32000, true));
}

#[tokio::test]
async fn only_the_pending_count_includes_what_waits() {
    let server = funded().await;
    let address = eth_key(1).address();
    server.rpc("eth_sendRawTransaction", json!([transfer(1, 0, None)])).await;
    let count =
        async |block: &str| server.rpc("eth_getTransactionCount", json!([address, block])).await;
    assert_eq!(count("latest").await, "0x0");
    assert_eq!(count("pending").await, "0x1");
    server.backend.mine();
    assert_eq!(count("latest").await, "0x1");
}

#[tokio::test]
async fn a_block_has_every_member_of_ethereums() {
    let server = funded().await;
    let hash = server.sent(1, 0, Some(LOGGER)).await;
    let block = server.rpc("eth_getBlockByNumber", json!(["latest", false])).await;
    for name in [
        "hash",
        "parentHash",
        "sha3Uncles",
        "miner",
        "stateRoot",
        "transactionsRoot",
        "receiptsRoot",
        "logsBloom",
        "number",
        "gasLimit",
        "gasUsed",
        "timestamp",
        "extraData",
        "mixHash",
        "nonce",
        "size",
        "transactions",
        "uncles",
        "difficulty",
        "baseFeePerGas",
    ] {
        assert!(!block[name].is_null(), "{name}");
    }
    assert_eq!(block["nonce"], "0x0000000000000000");
    assert_eq!(block["difficulty"], "0x0");
    assert_eq!(block["uncles"], json!([]));
    assert_eq!(block["baseFeePerGas"], "0x3e8");
    assert_eq!(block["timestamp"], "0x6553f100");
    assert_eq!(block["transactions"], json!([hash]));
    assert!(block["logsBloom"].as_str().unwrap().bytes().filter(|b| *b != b'0').count() > 3);
    let by_hash = server.rpc("eth_getBlockByHash", json!([block["hash"], true])).await;
    assert_eq!(by_hash["transactions"][0]["hash"], json!(hash));
    assert_eq!(by_hash["hash"], block["hash"]);
    let count = server.rpc("eth_getBlockTransactionCountByNumber", json!(["0x1"])).await;
    assert_eq!(count, "0x1");
    let count = server.rpc("eth_getBlockTransactionCountByHash", json!([block["hash"]])).await;
    assert_eq!(count, "0x1");
}

#[tokio::test]
async fn what_is_not_there_is_null() {
    let server = funded().await;
    let hash = B256::repeat_byte(0x55);
    for (method, params) in [
        ("eth_getBlockByNumber", json!(["0x99", false])),
        ("eth_getBlockByHash", json!([hash, false])),
        ("eth_getTransactionByHash", json!([hash])),
        ("eth_getTransactionReceipt", json!([hash])),
        ("eth_getBlockReceipts", json!(["0x99"])),
        ("eth_getTransactionByBlockNumberAndIndex", json!(["latest", "0x7"])),
        ("eth_getTransactionByBlockHashAndIndex", json!([hash, "0x0"])),
        ("eth_getBlockTransactionCountByNumber", json!(["0xffffffffffffffffff"])),
    ] {
        assert_eq!(server.rpc(method, params).await, Value::Null, "{method}");
    }
}

#[tokio::test]
async fn a_transaction_has_the_members_of_its_type() {
    let server = funded().await;
    let raw = transfer(1, 0, Some(LOGGER));
    let hash = server.rpc("eth_sendRawTransaction", json!([raw])).await;
    assert_eq!(hash, json!(keccak256(&raw)));
    let waiting = server.rpc("eth_getTransactionByHash", json!([hash])).await;
    assert_eq!((&waiting["blockHash"], &waiting["gasPrice"]), (&Value::Null, &json!("0x1388")));
    assert_eq!(server.rpc("eth_getTransactionReceipt", json!([hash])).await, Value::Null);
    server.backend.mine();
    let mined = server.rpc("eth_getTransactionByHash", json!([hash])).await;
    assert_eq!(mined["type"], "0x2");
    assert_eq!(mined["gasPrice"], "0x3f2", "what was paid: base fee and tip");
    assert_eq!(mined["maxFeePerGas"], "0x1388");
    assert_eq!(mined["accessList"], json!([]));
    assert_eq!(mined["chainId"], format!("{CHAIN_ID:#x}"));
    assert_eq!(mined["v"], mined["yParity"]);
    assert_eq!((&mined["transactionIndex"], &mined["blockNumber"]), (&json!("0x0"), &json!("0x1")));
    let by_place =
        server.rpc("eth_getTransactionByBlockNumberAndIndex", json!(["0x1", "0x0"])).await;
    assert_eq!(by_place, mined);
}

#[tokio::test]
async fn an_ed25519_transaction_names_its_sender_instead_of_a_signature() {
    let server = funded().await;
    let sender = identity(4).public_key().address();
    server.backend.fund(sender, RICH);
    let raw = ed25519_transfer(4, 0, LOGGER);
    let hash = server.rpc("eth_sendRawTransaction", json!([raw])).await;
    server.backend.mine();
    let mined = server.rpc("eth_getTransactionByHash", json!([hash])).await;
    assert_eq!(mined["type"], "0x4e");
    assert_eq!(mined["from"], json!(sender));
    for name in ["v", "r", "s", "yParity"] {
        assert_eq!(mined[name], "0x0", "{name}");
    }
    let receipt = server.rpc("eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!(receipt["type"], "0x4e");
}

#[tokio::test]
async fn receipts_count_gas_and_logs_over_the_block() {
    let server = funded().await;
    server.backend.fund(eth_key(2).address(), RICH);
    for key in [1, 2] {
        server.rpc("eth_sendRawTransaction", json!([transfer(key, 0, Some(LOGGER))])).await;
    }
    // A transaction that execution skips is in the block, and has no receipt.
    let skipped = server.rpc("eth_sendRawTransaction", json!([transfer(2, 5, Some(LOGGER))])).await;
    server.backend.mine();
    let receipts = server.rpc("eth_getBlockReceipts", json!(["latest"])).await;
    let receipts = receipts.as_array().unwrap();
    assert_eq!(receipts.len(), 2);
    let log_indices: Vec<_> = receipts
        .iter()
        .flat_map(|receipt| receipt["logs"].as_array().unwrap())
        .map(|log| log["logIndex"].as_str().unwrap())
        .collect();
    assert_eq!(log_indices, ["0x0", "0x1", "0x2", "0x3"]);
    assert_eq!(receipts[1]["cumulativeGasUsed"], "0xa410");
    for receipt in receipts {
        let one =
            server.rpc("eth_getTransactionReceipt", json!([receipt["transactionHash"]])).await;
        assert_eq!(&one, receipt);
        let mut names: Vec<_> = receipt.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "blockHash",
                "blockNumber",
                "contractAddress",
                "cumulativeGasUsed",
                "effectiveGasPrice",
                "from",
                "gasUsed",
                "logs",
                "logsBloom",
                "status",
                "to",
                "transactionHash",
                "transactionIndex",
                "type"
            ]
        );
        assert_eq!(
            (&receipt["status"], &receipt["effectiveGasPrice"]),
            (&json!("0x1"), &json!("0x3f2"))
        );
        assert_eq!(receipt["logs"][0]["removed"], false);
        assert_eq!(receipt["logs"][0]["blockTimestamp"], "0x6553f100");
    }
    assert_eq!(server.rpc("eth_getTransactionByHash", json!([skipped])).await, Value::Null);
    let block = server.rpc("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(block["transactions"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_creation_names_its_contract() {
    let server = funded().await;
    let hash = server.sent(1, 0, None).await;
    let receipt = server.rpc("eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!(receipt["to"], Value::Null);
    assert_eq!(receipt["contractAddress"], json!(eth_key(1).address().create(0)));
}

#[tokio::test]
async fn refusals_have_the_texts_that_clients_look_for() {
    let server = funded().await;
    server.sent(1, 0, None).await;
    server.rpc("eth_sendRawTransaction", json!([transfer(1, 1, None)])).await;
    for (raw, text, name) in [
        (transfer(1, 0, None), "nonce too low", "nonce_too_low"),
        (transfer(1, 1, None), "already known", "already_known"),
        (transfer(3, 0, None), "insufficient funds for gas * price + value", "insufficient_funds"),
        (crate::harness::transfer_for_chain(1, 5), "invalid chain id", "wrong_chain_id"),
    ] {
        let (code, message, data) = server.rpc_error("eth_sendRawTransaction", json!([raw])).await;
        assert_eq!(code, -32000);
        assert!(message.starts_with(text), "{message}");
        assert_eq!(data, json!({ "code": name }));
    }
    let (code, message, _) = server.rpc_error("eth_sendRawTransaction", json!(["0x05c0"])).await;
    assert_eq!((code, message.starts_with("transaction type not supported")), (-32000, true));
    let (code, _, _) = server.rpc_error("eth_sendRawTransaction", json!(["garbage"])).await;
    assert_eq!(code, -32602);
}

#[tokio::test]
async fn a_revert_has_code_3_and_its_data() {
    let server = funded().await;
    for method in ["eth_call", "eth_estimateGas"] {
        let (code, message, data) = server.rpc_error(method, json!([{ "to": REVERTS }])).await;
        assert_eq!((code, message.as_str()), (3, "execution reverted: no"), "{method}");
        assert_eq!(data, json!(error_no()));
        let (code, message, data) =
            server.rpc_error(method, json!([{ "to": REVERTS_BARE }, "latest"])).await;
        assert_eq!((code, message.as_str(), data), (3, "execution reverted", json!("0x")));
    }
}

#[tokio::test]
async fn a_call_takes_input_or_data_and_sensible_overrides() {
    let server = funded().await;
    for call in [
        json!({ "input": "0x01" }),
        json!({ "data": "0x01" }),
        json!({ "input": "0x01", "data": "0x01" }),
    ] {
        assert_eq!(server.rpc("eth_call", json!([call, "latest"])).await, "0x01");
    }
    let call = json!({ "to": LOGGER, "data": "0x02" });
    assert_eq!(server.rpc("eth_call", json!([call, "latest", {}, null])).await, "0x02");
    assert_eq!(server.rpc("eth_estimateGas", json!([call])).await, "0x5208");
    let overrides = json!({ LOGGER.to_string(): { "balance": "0x1" } });
    assert_eq!(server.rpc("eth_call", json!([call, "latest", overrides])).await, "0x02");
    let wrong = json!({ LOGGER.to_string(): { "balance": "much" } });
    assert_eq!(server.rpc_error("eth_call", json!([call, "latest", wrong])).await.0, -32602);
    let block = json!({ "withdrawals": [] });
    let (code, _, _) = server.rpc_error("eth_call", json!([call, "latest", {}, block])).await;
    assert_eq!(code, -32602, "only simulated blocks have withdrawals");
    let (code, _, _) = server.rpc_error("eth_getProof", json!([LOGGER, [], "latest"])).await;
    assert_eq!(code, -32004);
}

#[tokio::test]
async fn fees_are_quoted_with_the_tip() {
    let server = funded().await;
    assert_eq!(server.rpc("eth_gasPrice", json!([])).await, "0x3f0");
    assert_eq!(server.rpc("eth_maxPriorityFeePerGas", json!([])).await, "0x7");
    assert_eq!(server.rpc("eth_baseFee", json!([])).await, "0x3e9", "of the next block");
}

#[tokio::test]
async fn a_fee_history_has_one_more_base_fee_than_blocks() {
    let server = funded().await;
    server.sent(1, 0, None).await;
    server.backend.mine();
    for count in [json!("0x2"), json!(2)] {
        let history = server.rpc("eth_feeHistory", json!([count, "latest", [10, 90.5]])).await;
        assert_eq!(history["oldestBlock"], "0x1");
        assert_eq!(history["baseFeePerGas"], json!(["0x3e8", "0x3e8", "0x3e9"]));
        assert_eq!(history["gasUsedRatio"], json!([0.0007, 0.0]));
        assert_eq!(history["reward"], json!([["0xa", "0xa"], ["0x0", "0x0"]]));
    }
    let history = server.rpc("eth_feeHistory", json!(["0xffffffff", "0x1", []])).await;
    assert_eq!(history["oldestBlock"], "0x0");
    assert_eq!(history["baseFeePerGas"].as_array().unwrap().len(), 3);
    assert_eq!(history.get("reward"), None);
    for params in [
        json!([2, "latest", [50, 10]]),
        json!([2, "latest", [101]]),
        json!(["x", "latest", []]),
        json!([2, "nowhere", []]),
    ] {
        assert_eq!(server.rpc_error("eth_feeHistory", params).await.0, -32602);
    }
    assert_eq!(server.rpc_error("eth_feeHistory", json!([2, "0x99", []])).await.0, -32000);
}

#[tokio::test]
async fn requests_that_are_none_get_the_codes_of_the_standard() {
    let server = funded().await;
    let deep = "[".repeat(10_000);
    for (body, code) in [
        ("", -32700),
        ("{", -32700),
        ("garbage", -32700),
        ("\u{0}\u{7f}", -32700),
        ("[1,2", -32700),
        ("{}", -32600),
        ("[]", -32600),
        ("\"eth_chainId\"", -32600),
        ("7", -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"eth_chainId"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":{},"method":"eth_chainId"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_nothing"}"#, -32601),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance"}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":{}}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0x12"]}"#, -32602),
        (deep.as_str(), -32700),
    ] {
        let answer = server.raw_rpc(body.to_owned()).await;
        assert_eq!(answer["error"]["code"], code, "{body:.60}: {answer}");
        assert_eq!(answer["jsonrpc"], "2.0");
    }
    let answer = server.raw_rpc(r#"{"jsonrpc":"2.0","id":"a","method":"x"}"#).await;
    assert_eq!(answer["id"], "a");
    assert_eq!(answer["error"]["message"], "the method x does not exist/is not available");
}

#[tokio::test]
async fn a_batch_is_answered_in_order_without_its_notifications() {
    let server = funded().await;
    let call = |id: Value| json!({ "jsonrpc": "2.0", "id": id, "method": "eth_chainId" });
    let mut batch: Vec<Value> = (0..1_000).map(|id| call(json!(id))).collect();
    batch[3] = json!({ "jsonrpc": "2.0", "method": "eth_chainId" });
    batch[4] = json!(7);
    batch[5] = call(Value::Null);
    let answer = server.raw_rpc(json!(batch).to_string()).await;
    let answers = answer.as_array().unwrap();
    assert_eq!(answers.len(), 999);
    assert_eq!(
        (&answers[2]["id"], &answers[5]["id"], &answers[998]["id"]),
        (&json!(2), &json!(6), &json!(999))
    );
    assert_eq!(answers[3]["error"]["code"], -32600);
    assert_eq!((&answers[4]["id"], answers[4]["result"].is_string()), (&Value::Null, true));
    batch.push(call(json!(1_000)));
    let answer = server.raw_rpc(json!(batch).to_string()).await;
    assert_eq!((answer["error"]["code"].as_i64(), answer["id"].is_null()), (Some(-32600), true));
}

#[tokio::test]
async fn a_notification_is_not_answered() {
    let server = funded().await;
    let body = r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#;
    let request = server.post("/").header("content-type", "application/json").body(body);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 204);
}

#[tokio::test]
async fn a_batch_whose_answers_are_too_long_is_cut() {
    let server = funded().await;
    let input = format!("0x{}", "ab".repeat(40_000));
    let calls: Vec<Value> = (0..50)
        .map(|id| json!({ "jsonrpc": "2.0", "id": id, "method": "eth_call", "params": [{ "data": input }] }))
        .collect();
    let answers = server.raw_rpc(json!(calls).to_string()).await;
    assert!(answers.as_array().unwrap().iter().all(|answer| answer["result"] == json!(input)));
    // The same answers, asked for with fewer bytes, would be more than one batch may bring.
    server.backend.fund(eth_key(2).address(), u128::MAX);
    let mut tx = 0;
    while tx < 300 {
        server.backend.chain().submit(transfer(2, tx, Some(LOGGER))).unwrap();
        tx += 1;
    }
    server.backend.mine();
    let calls: Vec<Value> = (0..200)
        .map(|id| json!({ "jsonrpc": "2.0", "id": id, "method": "eth_getBlockByNumber", "params": ["latest", true] }))
        .collect();
    let answers = server.raw_rpc(json!(calls).to_string()).await;
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 200);
    assert!(answers[0]["result"].is_object());
    assert_eq!(answers[199]["error"]["code"], -32003);
    assert_eq!(answers[199]["id"], 199);
}

#[tokio::test]
async fn an_oversized_body_is_refused_unread() {
    let server = funded().await;
    let body = vec![b' '; 6 << 20];
    let request = server.post("/").header("content-type", "application/json").body(body);
    let problem = problem(request.send().await.unwrap()).await;
    assert_eq!((problem.status, problem.code.as_str()), (413, "body_too_large"));
    let limit = neura_api::limits::MAX_RPC_BODY.to_string();
    assert!(problem.detail.contains(&limit) && problem.detail.contains("smaller batches"));
}

#[tokio::test]
async fn another_media_type_is_refused() {
    let server = funded().await;
    let request = server.post("/").body(request("eth_chainId", json!([])));
    let problem = problem(request.send().await.unwrap()).await;
    assert_eq!((problem.status, problem.code.as_str()), (415, "unsupported_media_type"));
}

#[tokio::test]
async fn a_panic_of_the_backend_leaves_the_server_up() {
    let server = funded().await;
    let body = request("eth_call", json!([{ "to": PANICS }]));
    let request = server.post("/").header("content-type", "application/json").body(body);
    let problem = problem(request.send().await.unwrap()).await;
    assert_eq!((problem.status, problem.code.as_str()), (500, "internal"));
    assert!(!problem.detail.contains("fault of the backend"));
    assert_eq!(server.rpc("eth_blockNumber", json!([])).await, "0x0");
}

#[tokio::test]
async fn a_call_that_hangs_ends_with_a_timeout() {
    let server = funded().await;
    let (code, message, _) = server.rpc_error("eth_call", json!([{ "to": HANGS }])).await;
    assert_eq!((code, message.starts_with("request timed out")), (-32002, true));
}

#[tokio::test]
async fn a_browser_is_greeted() {
    let server = funded().await;
    let text = server.get("/").send().await.unwrap().text().await.unwrap();
    assert!(text.contains("/docs"));
}

#[tokio::test]
async fn what_is_for_debugging_is_served_only_where_the_node_is_told_so() {
    let closed = Server::set(MemoryBackend::new(), ApiConfig::default()).await;
    for method in ["debug_getBadBlocks", "txpool_status", "ots_traceTransaction"] {
        let (code, message, _) = closed.rpc_error(method, json!([])).await;
        assert_eq!(code, -32601, "{message}");
    }
    assert!(closed.rpc("rpc_modules", json!([])).await.get("debug").is_none());
    let open = Server::start().await;
    assert_eq!(open.rpc("debug_getBadBlocks", json!([])).await, json!([]));
    assert_eq!(open.rpc("rpc_modules", json!([])).await["txpool"], "1.0");
}
