//! Drafts of transactions, filled in.

use alloy_primitives::{Bytes, hex, keccak256};
use serde_json::{Value, json};

use crate::{
    chain::{CHAIN_ID, LOGGER},
    harness::{Server, eth_key, transfer},
};

fn raw(filled: &Value) -> Bytes {
    serde_json::from_value(filled["raw"].clone()).unwrap()
}

#[tokio::test]
async fn what_a_draft_leaves_open_is_filled_in() {
    let server = Server::start().await;
    let from = eth_key(1).address();
    server.backend.fund(from, 1_000_000_000_000_000_000);
    server.rpc("eth_sendRawTransaction", json!([transfer(1, 0, Some(LOGGER))])).await;
    let draft = json!({ "from": from, "to": LOGGER, "value": "0x1" });
    let filled = server.rpc("eth_fillTransaction", json!([draft])).await;
    let tx = &filled["tx"];
    for (name, value) in [
        ("type", json!("0x2")),
        ("chainId", json!(format!("{CHAIN_ID:#x}"))),
        ("nonce", json!("0x1")),
        ("gas", json!("0x5208")),
        ("gasPrice", Value::Null),
        ("maxPriorityFeePerGas", json!("0x7")),
        ("maxFeePerGas", json!("0x7d9")),
        ("value", json!("0x1")),
        ("accessList", json!([])),
        ("r", json!("0x0")),
    ] {
        assert_eq!(tx[name], value, "{name}");
    }
    assert_eq!(raw(&filled)[0], 2);
    assert_eq!(tx["hash"], json!(keccak256(raw(&filled))));
}

#[tokio::test]
async fn what_a_draft_states_is_kept_and_decides_the_type() {
    let server = Server::start().await;
    let draft = json!({ "to": LOGGER, "nonce": "0x9", "gas": "0x7530", "gasPrice": "0x5", "input": "0x0102" });
    let filled = server.rpc("eth_fillTransaction", json!([draft])).await;
    assert_eq!((&filled["tx"]["type"], &filled["tx"]["gasPrice"]), (&json!("0x0"), &json!("0x5")));
    assert!(filled["tx"].get("accessList").is_none() && filled["tx"]["maxFeePerGas"].is_null());
    let expected =
        [&[0xe1, 9, 5, 0x82, 0x75, 0x30, 0x94], LOGGER.as_slice(), &hex!("80820102808080")];
    assert_eq!(raw(&filled), expected.concat(), "nine fields, with zeros for the signature");
    let mut listed = draft;
    listed["accessList"] = json!([{ "address": LOGGER, "storageKeys": [] }]);
    let filled = server.rpc("eth_fillTransaction", json!([listed])).await;
    assert_eq!((&filled["tx"]["type"], raw(&filled)[0]), (&json!("0x1"), 1));
}

#[tokio::test]
async fn a_draft_that_makes_no_sense_is_refused_in_geths_words() {
    let server = Server::start().await;
    for (draft, text) in [
        (json!({}), "contract creation without any data provided"),
        (
            json!({ "to": LOGGER, "data": "0x01", "input": "0x02" }),
            "both \"data\" and \"input\" are set",
        ),
        (json!({ "to": LOGGER, "gasPrice": "0x0" }), "gasPrice must be non-zero"),
        (json!({ "to": LOGGER, "maxFeePerGas": "0x0" }), "maxFeePerGas must be non-zero"),
        (
            json!({ "to": LOGGER, "maxFeePerGas": "0x1", "maxPriorityFeePerGas": "0x2" }),
            "maxFeePerGas (1) < maxPriorityFeePerGas (2)",
        ),
    ] {
        let (code, message, _) = server.rpc_error("eth_fillTransaction", json!([draft])).await;
        assert_eq!((code, message.starts_with(text)), (-32000, true), "{message}");
    }
}
