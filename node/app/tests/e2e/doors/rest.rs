//! Bad input at REST.

use neura_types::{Bytes, rest::Problem};
use reqwest::{Client, RequestBuilder, Response, StatusCode};

use super::{good, noise, talk};
use crate::harness::{Network, quick};

/// Checks that an answer is a problem that says what is wrong.
async fn problem(answer: Response) -> Problem {
    let (url, status) = (answer.url().to_string(), answer.status());
    let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
    let text = answer.text().await.unwrap();
    assert!(status.is_client_error(), "{url}: {status} {text}");
    assert_eq!(kind.as_deref(), Some("application/problem+json"), "{url}: {status} {text}");
    let problem: Problem = serde_json::from_str(&text).unwrap();
    assert_eq!(problem.status, status.as_u16(), "{url}");
    assert!(!problem.code.is_empty() && problem.detail.len() > 8, "{url}: {text}");
    problem
}

async fn refused(request: RequestBuilder) -> Problem {
    problem(request.send().await.unwrap()).await
}

/// Checks that the node still answers and its chain goes on.
async fn assert_well(network: &Network) {
    let health = reqwest::get(format!("{}/healthz", network.url(0))).await.unwrap();
    assert_eq!(health.status(), StatusCode::OK);
    network.advance(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_transaction_are_refused() {
    let network = Network::start(1, quick()).await;
    let (http, url) = (Client::new(), format!("{}/v1/transactions", network.url(0)));
    let raw =
        |bytes: &[u8]| serde_json::json!({ "raw": Bytes::copy_from_slice(bytes) }).to_string();
    let huge = raw(&vec![0x02; 200 << 10]);
    let over = format!("{{\"raw\":\"0x{}\"}}", "00".repeat(400 << 10));
    for (body, code) in [
        ("", "invalid_input"),
        ("{", "invalid_input"),
        ("null", "invalid_input"),
        ("[]", "invalid_input"),
        (r#"{"raw":7}"#, "invalid_input"),
        (r#"{"raw":"0xzz"}"#, "invalid_input"),
        (r#"{"raw":"0x0"}"#, "invalid_input"),
        (r#"{"raw":"0x02","more":1}"#, "invalid_input"),
        (r#"{"raw":"0x"}"#, "transaction_malformed"),
        (r#"{"raw":"0x02"}"#, "transaction_malformed"),
        (r#"{"raw":"0x4e"}"#, "transaction_malformed"),
        (r#"{"raw":"0x03c0"}"#, "transaction_type_unsupported"),
        (r#"{"raw":"0xc0"}"#, "transaction_malformed"),
        (&huge, "transaction_too_large"),
        (&over, "body_too_large"),
        (&"[".repeat(100_000), "invalid_input"),
    ] {
        let request = http.post(&url).header("content-type", "application/json");
        let problem = refused(request.body(body.to_owned())).await;
        let shown: String = body.chars().take(60).collect();
        assert_eq!(problem.code, code, "{shown}: {}", problem.detail);
    }
    refused(http.post(&url).body("no content type")).await;
    refused(http.post(&url).header("content-type", "application/json").body(noise(1, 5_000))).await;
    for good in good(&network, &network.key("alice")) {
        for length in 0..good.len() {
            refused(
                http.post(&url)
                    .json(&serde_json::json!({ "raw": Bytes::copy_from_slice(&good[..length]) })),
            )
            .await;
        }
        let longer = [&good[..], &[0]].concat();
        refused(http.post(&url).json(&serde_json::json!({ "raw": Bytes::from(longer) }))).await;
    }
    assert_well(&network).await;
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_with_any_byte_changed_is_refused() {
    let network = Network::start(1, quick()).await;
    let (http, url) = (Client::new(), format!("{}/v1/transactions", network.url(0)));
    for good in good(&network, &network.key("alice")) {
        for at in 0..good.len() {
            let mut changed = good.to_vec();
            changed[at] ^= 1 << (at % 8);
            // Another sender at best, who has nothing.
            refused(http.post(&url).json(&serde_json::json!({ "raw": Bytes::from(changed) })))
                .await;
        }
    }
    assert_well(&network).await;
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_queries_that_name_nothing_are_refused() {
    let network = Network::start(1, quick()).await;
    let http = Client::new();
    let zeros = "0".repeat(64);
    for (path, code) in [
        ("/v1/blocks/-1", "invalid_input"),
        ("/v1/blocks/99999999999999999999", "invalid_input"),
        ("/v1/blocks/0xzz", "invalid_input"),
        ("/v1/blocks/newest", "invalid_input"),
        ("/v1/blocks/18446744073709551615", "unknown_block"),
        (&format!("/v1/blocks/0x{zeros}"), "unknown_block"),
        (&format!("/v1/blocks/0x{zeros}/raw"), "unknown_block"),
        ("/v1/blocks?limit=many", "invalid_input"),
        ("/v1/blocks?unknown=1", "invalid_input"),
        (&format!("/v1/transactions/0x{zeros}"), "unknown_transaction"),
        ("/v1/transactions/0x12", "invalid_input"),
        ("/v1/accounts/0x12", "invalid_input"),
        ("/v1/accounts/%00%ff", "invalid_input"),
        ("/v1/accounts/0x0000000000000000000000000000000000000001?proof=perhaps", "invalid_input"),
        ("/v1/providers/0x0000000000000000000000000000000000000001", "unknown_provider"),
        ("/v1/requesters/0x0000000000000000000000000000000000000001", "unknown_requester"),
        ("/v1/tasks/abc", "invalid_input"),
        ("/v1/tasks/-1", "invalid_input"),
        ("/v1/tasks/18446744073709551615", "unknown_task"),
        ("/v1/tasks?state=unheard", "invalid_input"),
        ("/v1/tasks?owner=me", "invalid_input"),
        (&format!("/v1/blobs/{zeros}"), "unknown_blob"),
        ("/v1/blobs/..%2f..%2fidentity.key", "invalid_input"),
        ("/v1/nothing", "not_found"),
        ("/..%2f..%2fetc/passwd", "not_found"),
        ("//", "not_found"),
    ] {
        let problem = refused(http.get(format!("{}{path}", network.url(0)))).await;
        assert_eq!(problem.code, code, "{path}: {}", problem.detail);
    }
    let wrong = refused(http.delete(format!("{}/v1/status", network.url(0)))).await;
    assert_eq!(wrong.code, "method_not_allowed");
    let long = format!("{}/v1/tasks/{}", network.url(0), "9".repeat(30_000));
    assert!(http.get(long).send().await.unwrap().status().is_client_error());
    assert_well(&network).await;
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wishes_that_make_no_sense_are_refused() {
    let network = Network::start(1, quick()).await;
    let http = Client::new();
    for (path, body) in [
        ("/v1/match", "{}{}"),
        ("/v1/match", r#"{"requirement":{"ram_mib":-1}}"#),
        ("/v1/match", r#"{"requirement":{"ram_mib":4294967296}}"#),
        ("/v1/match", r#"{"requirement":7}"#),
        ("/v1/match", r#"{"requirement":{},"executr":"int8"}"#),
        ("/v1/faucet", r#"{"address":"0x12"}"#),
        ("/v1/faucet", r#"{"address":"0x0000000000000000000000000000000000000001","amount":"-1"}"#),
        (
            "/v1/faucet",
            r#"{"address":"0x0000000000000000000000000000000000000001","amount":"99999999999999999999999999"}"#,
        ),
    ] {
        let request = http.post(format!("{}{path}", network.url(0)));
        refused(request.header("content-type", "application/json").body(body)).await;
    }
    let all = http.post(format!("{}/v1/match", network.url(0)));
    let nobody = all.json(&serde_json::json!({ "requirement": {} })).send().await.unwrap();
    assert_eq!(nobody.json::<serde_json::Value>().await.unwrap(), serde_json::json!([]));
    assert_well(&network).await;
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_that_are_too_large_or_cut_short_are_refused() {
    let network = Network::start(1, quick()).await;
    let head = "POST /v1/blobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    let size = network.client(0).status().await.unwrap().max_blob_bytes + 1;
    let stated = talk(&network, format!("{head}Content-Length: {size}\r\n\r\n").as_bytes()).await;
    assert!(stated.starts_with("HTTP/1.1 413") && stated.contains("blob_too_large"), "{stated}");
    let short = talk(&network, format!("{head}Content-Length: 1000\r\n\r\ncut").as_bytes()).await;
    assert!(short.is_empty() || short.starts_with("HTTP/1.1 4"), "{short}");
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n");
    let broken = talk(&network, chunked.as_bytes()).await;
    assert!(broken.is_empty() || broken.starts_with("HTTP/1.1 4"), "{broken}");
    for seed in 0..20 {
        let answer = talk(&network, &noise(seed, 2_000)).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let stored = network.client(0).put_blob(noise(3, 1 << 20)).await.unwrap();
    assert_eq!(network.client(0).blob(stored.hash, 1 << 20).await.unwrap(), noise(3, 1 << 20));
    assert_well(&network).await;
    network.stop().await;
}
