//! Bad input at JSON-RPC.

use serde_json::{Value, json};

use super::{noise, talk};
use crate::harness::{Network, quick, rpc};

/// Sends a body as it is; returns the answer as JSON, or none if there is no body to it.
async fn send(network: &Network, body: impl Into<reqwest::Body>) -> Option<Value> {
    let request = reqwest::Client::new().post(network.url(0)).body(body);
    let answer = request.header("content-type", "application/json").send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(!status.is_server_error(), "{status}: {text}");
    (!text.is_empty())
        .then(|| serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

async fn assert_well(network: &Network) {
    let answer = rpc(&network.url(0), "eth_chainId", json!([])).await;
    assert_eq!(answer["result"], format!("{:#x}", network.devnet.genesis.chain_id));
    network.advance(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_none_get_the_codes_of_the_specification() {
    let network = Network::start(1, quick()).await;
    let deep = "[".repeat(200_000);
    let many = format!("[{}1]", "1,".repeat(1_000));
    for (body, code) in [
        ("{", -32_700),
        ("[", -32_700),
        (&deep, -32_700),
        ("[]", -32_600),
        ("7", -32_600),
        ("null", -32_600),
        (&many, -32_600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"eth_chainId"}"#, -32_600),
        (r#"{"jsonrpc":"2.0","id":{},"method":"eth_chainId"}"#, -32_600),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, -32_600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_nothing"}"#, -32_601),
        (r#"{"jsonrpc":"2.0","id":1,"method":"admin_stop","params":[]}"#, -32_601),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":[]}"#, -32_602),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0x12","latest"]}"#,
            -32_602,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":{"a":1}}"#, -32_602),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["0xzz",false]}"#,
            -32_602,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[7,"latest"]}"#, -32_602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["zz"]}"#, -32_602),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x02"]}"#,
            -32_000,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_getLogs","params":[{"address":"everything"}]}"#,
            -32_602,
        ),
    ] {
        let answer = send(&network, body.to_owned()).await.unwrap();
        let shown: String = body.chars().take(90).collect();
        assert_eq!(answer["error"]["code"], code, "{shown}: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap().len() > 8, "{shown}: {answer}");
    }
    for seed in 0..20 {
        // None begins as JSON does.
        let answer = send(&network, [b"?", &noise(seed, 1_000)[..]].concat()).await.unwrap();
        assert_eq!(answer["error"]["code"], -32_700, "{answer}");
    }
    assert_well(&network).await;
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_answered_whole_or_refused_whole() {
    let network = Network::start(1, quick()).await;
    let call = |id: usize| json!({ "jsonrpc": "2.0", "id": id, "method": "eth_blockNumber" });
    let most: Vec<Value> = (0..1_000).map(call).collect();
    let answers = send(&network, json!(most).to_string()).await.unwrap();
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 1_000);
    assert!(answers.iter().all(|answer| answer["result"].is_string()));

    let more: Vec<Value> = (0..1_001).map(call).collect();
    let refused = send(&network, json!(more).to_string()).await.unwrap();
    assert_eq!(refused["error"]["code"], -32_600, "{refused}");

    let mixed = json!([call(1), 7, { "jsonrpc": "2.0", "method": "eth_blockNumber" }, call(2)]);
    let answers = send(&network, mixed.to_string()).await.unwrap();
    assert_eq!(answers.as_array().unwrap().len(), 3, "a notification is not answered: {answers}");
    assert_well(&network).await;
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused() {
    let network = Network::start(1, quick()).await;
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{}"}}"#, "x".repeat(6 << 20));
    let request = reqwest::Client::new().post(network.url(0)).body(body);
    match request.header("content-type", "application/json").send().await {
        Ok(answer) => assert_eq!(answer.status(), 413),
        // The node need not read to the end before it closes the connection.
        Err(error) => assert!(error.is_request() || error.is_body(), "{error:?}"),
    }
    assert_well(&network).await;
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_would_never_end_are_bounded() {
    let network = Network::start(1, quick()).await;
    // JUMPDEST, PUSH1 0, JUMP: for ever.
    let code = json!({ "data": "0x5b600056", "gas": "0xffffffffffffffff" });
    let endless = rpc(&network.url(0), "eth_call", json!([code, "latest"])).await;
    assert!(endless["error"]["code"].is_number(), "{endless}");
    let estimate = rpc(&network.url(0), "eth_estimateGas", json!([code])).await;
    assert!(estimate["error"]["code"].is_number(), "{estimate}");
    assert_well(&network).await;
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_full_of_noise_is_closed() {
    let network = Network::start(1, quick()).await;
    let hello = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for seed in 0..20 {
        let answer = talk(&network, &[hello.as_bytes(), &noise(seed, 5_000)].concat()).await;
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    }
    // A frame that claims to be of the greatest length.
    let endless = [hello.as_bytes(), &[0x82, 0xff], &[0x7f; 12]].concat();
    talk(&network, &endless).await;
    assert_well(&network).await;
    network.stop().await;
}
