use std::path::Path;

use serde_json::{Value, json};

use super::{Played, Served, chain::EthereumChain, play, serve_chain};

/// A chain of 28 blocks through all hardforks, two in each; `tests/evm/generate_chain.py` writes it.
fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/evm/chain"))
}

/// Its beneficiary of uncles.
const UNCLE: &str = "0xc1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1";
/// Its contract that counts its calls.
const COUNTER: &str = "0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

async fn ask(served: &Served, method: &str, params: Value) -> Value {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.post(&served.url).json(&request).send().await.unwrap();
    answer.json().await.unwrap()
}

/// The specification computed every root; the import ends at the first that comes out otherwise.
#[test]
fn a_chain_through_all_hardforks_is_imported() {
    let chain =
        EthereumChain::import(&folder().join("genesis.json"), &folder().join("chain.rlp")).unwrap();
    assert_eq!(chain.head().header.number, 28);
    let uncles: usize = chain.blocks.iter().map(|block| uncles_of(&block.view.head)).sum();
    assert_eq!(uncles, 5, "blocks 3, 6, 9, 12 and 15 of miners have one each");
}

fn uncles_of(head: &neura_api::BlockHead) -> usize {
    head.ethereum.as_ref().map_or(0, |block| block.uncles.len())
}

#[test]
fn a_block_with_another_reward_ends_the_import() {
    let folder_of_copy = tempfile::tempdir().unwrap();
    let genesis = folder_of_copy.path().join("genesis.json");
    let text = std::fs::read_to_string(folder().join("genesis.json")).unwrap();
    // Rewards fall from five coins to three at Byzantium: two blocks later here.
    let later = text.replace("\"byzantiumBlock\": 8", "\"byzantiumBlock\": 10");
    assert_ne!(later, text);
    std::fs::write(&genesis, later).unwrap();
    let error = EthereumChain::import(&genesis, &folder().join("chain.rlp")).unwrap_err();
    assert!(format!("{error:#}").starts_with("block 8: its state root is"), "{error:#}");
}

#[tokio::test]
async fn blocks_show_what_their_hardfork_has() {
    let served = serve_chain(folder()).await.unwrap();
    let block = ask(&served, "eth_getBlockByNumber", json!(["0x3", false])).await;
    let frontier = &block["result"];
    assert_eq!(frontier["uncles"].as_array().unwrap().len(), 1);
    assert_eq!(frontier["difficulty"], "0x20000");
    assert!(frontier.get("baseFeePerGas").is_none() && frontier.get("withdrawals").is_none());
    let count = ask(&served, "eth_getUncleCountByBlockNumber", json!(["0x3"])).await;
    assert_eq!(count["result"], "0x1");
    let uncle = ask(&served, "eth_getUncleByBlockNumberAndIndex", json!(["0x3", "0x0"])).await;
    assert_eq!(uncle["result"]["hash"], frontier["uncles"][0]);
    assert_eq!(uncle["result"]["miner"], UNCLE);
    assert!(uncle["result"].get("transactions").is_none());
    let none = ask(&served, "eth_getUncleByBlockNumberAndIndex", json!(["0x3", "0x1"])).await;
    assert_eq!(none["result"], Value::Null);
    let block = ask(&served, "eth_getBlockByNumber", json!(["latest", true])).await;
    let osaka = &block["result"];
    assert_eq!(osaka["uncles"], json!([]));
    assert_eq!(osaka["withdrawals"].as_array().unwrap().len(), 1);
    let types: Vec<_> = osaka["transactions"].as_array().unwrap().iter().collect();
    assert!(types.iter().all(|tx| tx["blockTimestamp"] == osaka["timestamp"]));
    assert!(
        types.iter().any(|tx| tx["type"] == "0x3") && types.iter().any(|tx| tx["type"] == "0x4")
    );
    served.stop().await;
}

#[tokio::test]
async fn receipts_state_a_root_before_byzantium_and_a_status_since() {
    let served = serve_chain(folder()).await.unwrap();
    for (block, states_root) in [("0x1", true), ("0x7", true), ("0x8", false), ("0x1c", false)] {
        let receipts = ask(&served, "eth_getBlockReceipts", json!([block])).await;
        for receipt in receipts["result"].as_array().unwrap() {
            assert_eq!(receipt.get("root").is_some(), states_root, "block {block}");
            assert_eq!(receipt.get("status").is_none(), states_root, "block {block}");
            let hash = &receipt["transactionHash"];
            let same = ask(&served, "eth_getTransactionReceipt", json!([hash])).await;
            assert_eq!(same["result"], *receipt);
        }
    }
    served.stop().await;
}

#[tokio::test]
async fn a_block_is_put_together_and_not_added() {
    let served = serve_chain(folder()).await.unwrap();
    let head = ask(&served, "eth_getBlockByNumber", json!(["latest", true])).await;
    let attributes = json!({
        "timestamp": "0x1000", "prevRandao": format!("0x{}", "11".repeat(32)), "suggestedFeeRecipient": UNCLE,
        "parentBeaconBlockRoot": format!("0x{}", "22".repeat(32)), "withdrawals": [],
    });
    let build =
        |transactions: Value| json!([head["result"]["hash"], attributes, transactions, "0x4e"]);
    let built = ask(&served, "testing_buildBlockV1", build(json!([]))).await;
    let payload = &built["result"]["executionPayload"];
    assert_eq!(payload["blockNumber"], "0x1d");
    assert_eq!(payload["parentHash"], head["result"]["hash"]);
    assert_eq!((&payload["gasUsed"], &payload["extraData"]), (&json!("0x0"), &json!("0x4e")));
    assert_eq!(built["result"]["blockValue"], "0x0");
    // One that is in the chain already cannot be included again.
    let hash = &head["result"]["transactions"][0]["hash"];
    let raw = ask(&served, "eth_getRawTransactionByHash", json!([hash])).await;
    let refused = ask(&served, "testing_buildBlockV1", build(json!([raw["result"]]))).await;
    assert_eq!(refused["error"]["code"], -32_000);
    assert!(refused["error"]["message"].as_str().unwrap().contains("nonce too low"));
    let number = ask(&served, "eth_blockNumber", json!([])).await;
    assert_eq!(number["result"], "0x1c");
    served.stop().await;
}

#[tokio::test]
async fn the_rules_now_and_next_are_told() {
    let served = serve_chain(folder()).await.unwrap();
    let config = ask(&served, "eth_config", json!([])).await;
    let current = &config["result"]["current"];
    assert_eq!(current["activationTime"], 260);
    assert_eq!(current["blobSchedule"]["max"], 9);
    assert_eq!(current["precompiles"]["P256VERIFY"], "0x0000000000000000000000000000000000000100");
    assert_eq!(config["result"]["next"], Value::Null);
    let words = json!([{ COUNTER: ["0x0", "0x1"] }, "latest"]);
    let values = ask(&served, "eth_getStorageValues", words).await;
    let values = &values["result"][COUNTER];
    let slot = |slot| json!([COUNTER, slot, "latest"]);
    assert_eq!(values[0], ask(&served, "eth_getStorageAt", slot("0x0")).await["result"]);
    assert_eq!(values[1], ask(&served, "eth_getStorageAt", slot("0x1")).await["result"]);
    let nothing = ask(&served, "eth_getStorageValues", json!([{}])).await;
    assert_eq!(nothing["error"]["code"], -32_602);
    served.stop().await;
}

#[tokio::test]
async fn a_script_of_a_method_that_is_not_served_fails() {
    let served = serve_chain(folder()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("engine.io");
    let text = ">> {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"engine_getPayloadV4\",\"params\":[]}\n\
                << {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}\n";
    std::fs::write(&script, text).unwrap();
    let played = play(&reqwest::Client::new(), &served.url, &script).await;
    assert!(matches!(played, Played::Failed { method, .. } if method == "engine_getPayloadV4"));
    served.stop().await;
}
