//! Each REST route, in the good case and in its bad ones.

use alloy_primitives::{Address, B256};
use neura_types::{
    provider::{Provider, Requester},
    rest::{
        AccountInfo, BlobStored, BlockDetail, BlockSummary, FaucetGrant, Finality, Page,
        ProviderMatch, Status, Submitted, TransactionInfo,
    },
    task::{Task, TaskState},
};
use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    backend::{MemoryBackend, STORE_QUOTA},
    chain::{CHAIN_ID, LOGGER},
    harness::{Server, ed25519_transfer, eth_key, identity, problem, transfer, transfer_for_chain},
};

const RICH: u128 = 1_000_000_000_000_000_000;

pub(crate) async fn read<T: DeserializeOwned>(server: &Server, path: &str) -> T {
    serde_json::from_value(server.json(path).await).unwrap()
}

/// Asks for each path and expects status and code.
pub(crate) async fn check_problems(server: &Server, expected: &[(&str, u16, &str)]) {
    for (path, status, code) in expected {
        let problem = problem(server.get(path).send().await.unwrap()).await;
        assert_eq!((problem.status, problem.code.as_str()), (*status, *code), "{path}");
    }
}

#[tokio::test]
async fn the_status_is_told() {
    let server = Server::start().await;
    let status: Status = read(&server, "/v1/status").await;
    assert_eq!((status.chain_id, status.executed, status.faucet), (CHAIN_ID, 0, true));
}

#[tokio::test]
async fn blocks_are_listed_highest_first_with_a_cursor() {
    let server = Server::start().await;
    (0..5).for_each(|_| server.backend.mine());
    let page: Page<BlockSummary> = read(&server, "/v1/blocks?limit=4").await;
    let heights =
        |page: &Page<BlockSummary>| page.items.iter().map(|b| b.height).collect::<Vec<_>>();
    assert_eq!(heights(&page), [5, 4, 3, 2]);
    let rest: Page<BlockSummary> =
        read(&server, &format!("/v1/blocks?limit=4&before={}", page.next.unwrap())).await;
    assert_eq!(heights(&rest), [1, 0]);
    assert_eq!(rest.next, None);
}

#[tokio::test]
async fn a_page_is_bounded_whatever_is_asked() {
    let server = Server::start().await;
    (0..120).for_each(|_| {
        server.backend.chain().mine();
    });
    let page: Page<BlockSummary> = read(&server, "/v1/blocks?limit=4000000000").await;
    assert_eq!(page.items.len(), 100);
    let page: Page<BlockSummary> = read(&server, "/v1/blocks?limit=0").await;
    assert_eq!(page.items.len(), 1);
}

#[tokio::test]
async fn a_block_is_found_by_height_id_and_latest() {
    let server = Server::start().await;
    server.backend.mine();
    let latest: BlockDetail = read(&server, "/v1/blocks/latest").await;
    assert_eq!(latest.block.height, 1);
    for name in ["1".to_owned(), latest.block.id.to_string()] {
        let block: BlockDetail = read(&server, &format!("/v1/blocks/{name}")).await;
        assert_eq!(block, latest);
    }
    let raw = server.get("/v1/blocks/1/raw").send().await.unwrap().bytes().await.unwrap();
    let block: neura_types::Block = neura_types::codec::decode(&raw).unwrap();
    assert_eq!(block.header.height, 1);
    let unknown = format!("/v1/blocks/{}", B256::repeat_byte(0x77));
    check_problems(
        &server,
        &[
            ("/v1/blocks/9", 404, "unknown_block"),
            ("/v1/blocks/9/raw", 404, "unknown_block"),
            (&unknown, 404, "unknown_block"),
            ("/v1/blocks/-1", 400, "invalid_input"),
            ("/v1/blocks/0x12", 400, "invalid_input"),
            ("/v1/blocks/99999999999999999999999", 400, "invalid_input"),
            ("/v1/blocks?limit=x", 400, "invalid_input"),
            ("/v1/blocks?bevore=1", 400, "invalid_input"),
            ("/v1/blocks/%ff%fe", 400, "invalid_input"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_transaction_is_sent_mined_and_read_back() {
    let server = Server::start().await;
    server.backend.fund(eth_key(1).address(), RICH);
    let raw = transfer(1, 0, Some(LOGGER));
    let answer = server.post("/v1/transactions").json(&json!({ "raw": raw })).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let hash = answer.json::<Submitted>().await.unwrap().hash;
    let path = format!("/v1/transactions/{hash}");
    let waiting: TransactionInfo = read(&server, &path).await;
    assert_eq!((waiting.finality, waiting.inclusion), (Finality::Pending, None));
    server.backend.mine();
    let mined: TransactionInfo = read(&server, &path).await;
    assert_eq!((mined.finality, mined.inclusion.unwrap().height), (Finality::Executed, 1));
    let receipt = mined.receipt.unwrap();
    assert!(receipt.success);
    assert_eq!((receipt.logs.len(), receipt.effective_gas_price.to_string().as_str()), (2, "1010"));
    let block: BlockDetail = read(&server, "/v1/blocks/1").await;
    assert_eq!(block.transaction_hashes, [hash]);
}

#[tokio::test]
async fn an_ed25519_transaction_is_shown_with_its_type() {
    let server = Server::start().await;
    let sender = identity(4).public_key().address();
    server.backend.fund(sender, RICH);
    let raw = ed25519_transfer(4, 0, Address::ZERO);
    let answer = server.post("/v1/transactions").json(&json!({ "raw": raw })).send().await.unwrap();
    let hash = answer.json::<Submitted>().await.unwrap().hash;
    let info: TransactionInfo = read(&server, &format!("/v1/transactions/{hash}")).await;
    assert_eq!((info.tx_type, info.from), (0x4e, sender));
}

#[tokio::test]
async fn a_refused_transaction_has_its_own_code() {
    let server = Server::start().await;
    server.backend.fund(eth_key(1).address(), RICH);
    server.backend.fund(eth_key(2).address(), 1);
    server.sent(1, 0, Some(Address::ZERO)).await;
    let waiting = transfer(1, 1, Some(Address::ZERO));
    server.backend.chain().submit(waiting.clone()).unwrap();
    let big = format!("0x02{}", "00".repeat(140_000));
    for (raw, status, code) in [
        (transfer(1, 0, Some(Address::ZERO)).to_string(), 422, "nonce_too_low"),
        (waiting.to_string(), 422, "already_known"),
        (transfer(2, 0, Some(Address::ZERO)).to_string(), 422, "insufficient_funds"),
        (transfer_for_chain(1, 1).to_string(), 400, "wrong_chain_id"),
        ("0x".into(), 400, "transaction_malformed"),
        ("0x02c0".into(), 400, "transaction_malformed"),
        ("0x05c0".into(), 400, "transaction_type_unsupported"),
        (big, 400, "transaction_too_large"),
        ("0xzz".into(), 400, "invalid_input"),
    ] {
        let request = server.post("/v1/transactions").json(&json!({ "raw": raw }));
        let problem = problem(request.send().await.unwrap()).await;
        assert_eq!((problem.status, problem.code.as_str()), (status, code));
    }
}

#[tokio::test]
async fn a_body_that_is_no_request_is_a_problem() {
    let server = Server::start().await;
    for (path, body, status, code) in [
        ("/v1/transactions", "", 400, "invalid_input"),
        ("/v1/transactions", "{\"raw\"", 400, "invalid_input"),
        ("/v1/transactions", "{\"raw\":\"0x00\",\"more\":1}", 400, "invalid_input"),
        ("/v1/transactions", "\u{0}\u{1}garbage", 400, "invalid_input"),
        ("/v1/match", "[]", 400, "invalid_input"),
        ("/v1/match", "{\"requirement\":{\"cpu_cores\":-1}}", 400, "invalid_input"),
        ("/v1/faucet", "{\"address\":\"0x12\"}", 400, "invalid_input"),
    ] {
        let request = server.post(path).header("content-type", "application/json").body(body);
        let problem = problem(request.send().await.unwrap()).await;
        assert_eq!((problem.status, problem.code.as_str()), (status, code), "{path} {body}");
    }
    let long = format!("{{\"raw\":\"0x{}\"}}", "00".repeat(400_000));
    let request = server.post("/v1/transactions").header("content-type", "application/json");
    let problem = problem(request.body(long).send().await.unwrap()).await;
    assert_eq!((problem.status, problem.code.as_str()), (413, "body_too_large"));
    assert!(problem.detail.contains(&neura_api::limits::MAX_JSON_BODY.to_string()));
}

#[tokio::test]
async fn an_account_is_read_with_and_without_proof() {
    let server = Server::start().await;
    let address = eth_key(1).address();
    server.backend.fund(address, RICH);
    server.backend.chain().submit(transfer(1, 0, Some(Address::ZERO))).unwrap();
    let path = format!("/v1/accounts/{address}");
    let account: AccountInfo = read(&server, &path).await;
    assert_eq!((account.nonce, account.pending_nonce, account.proof), (0, 1, None));
    assert_eq!(account.balance.to_string(), RICH.to_string());
    assert_eq!(server.json(&path).await["balance"], RICH.to_string());
    let proven: AccountInfo = read(&server, &format!("{path}?proof=true")).await;
    assert_eq!(proven.proof.unwrap().certified_by, B256::repeat_byte(4));
    let nobody: AccountInfo = read(&server, &format!("/v1/accounts/{}", Address::ZERO)).await;
    assert!(!nobody.contract && nobody.balance == Default::default());
    check_problems(
        &server,
        &[
            ("/v1/accounts/0x12", 400, "invalid_input"),
            ("/v1/accounts/me", 400, "invalid_input"),
            (
                "/v1/accounts/0x0000000000000000000000000000000000000001?proof=1x",
                400,
                "invalid_input",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn providers_are_paged_by_address() {
    let server = Server::start().await;
    let mut seen = Vec::new();
    let mut path = "/v1/providers?limit=2".to_owned();
    loop {
        let page: Page<Provider> = read(&server, &path).await;
        seen.extend(page.items.into_iter().map(|provider| provider.address));
        let Some(next) = page.next else { break };
        path = format!("/v1/providers?limit=2&after={next}");
    }
    assert_eq!(seen.len(), 3);
    assert!(seen.is_sorted());
    let one: Provider = read(&server, &format!("/v1/providers/{}", seen[0])).await;
    assert_eq!(one.address, seen[0]);
    check_problems(
        &server,
        &[
            ("/v1/providers/0x0000000000000000000000000000000000000001", 404, "unknown_provider"),
            ("/v1/providers?after=x", 400, "invalid_input"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_match_says_who_fits_and_what_falls_short() {
    let server = Server::start().await;
    let wanted = json!({ "requirement": { "gpu_memory_mib": 8000 }, "executor": "int8" });
    let answer = server.post("/v1/match").json(&wanted).send().await.unwrap();
    let found: Vec<ProviderMatch> = answer.json().await.unwrap();
    assert_eq!(found.iter().map(|entry| entry.fits).collect::<Vec<_>>(), [true, false, false]);
    let short: Vec<_> = found[1..]
        .iter()
        .flat_map(|entry| &entry.shortfalls)
        .map(|short| (short.dimension.as_str(), short.offered.as_str()))
        .collect();
    assert_eq!(short, [("gpu_memory_mib", "4096"), ("capacity", "0 of 2")]);
    let wanted = json!({ "requirement": { "gpu_model": "card 2" }, "executor": "onnx" });
    let answer = server.post("/v1/match").json(&wanted).send().await.unwrap();
    let found: Vec<ProviderMatch> = answer.json().await.unwrap();
    assert!(found.iter().all(|entry| !entry.fits));
}

#[tokio::test]
async fn a_requester_is_found() {
    let server = Server::start().await;
    let address = Address::repeat_byte(1);
    let requester: Requester = read(&server, &format!("/v1/requesters/{address}")).await;
    assert_eq!(requester.address, address);
    let path = format!("/v1/requesters/{}", Address::repeat_byte(2));
    check_problems(&server, &[(&path, 404, "unknown_requester")]).await;
}

#[tokio::test]
async fn tasks_are_filtered_and_paged() {
    let server = Server::start().await;
    let ids = |page: &Page<Task>| page.items.iter().map(|task| task.id).collect::<Vec<_>>();
    let page: Page<Task> = read(&server, "/v1/tasks?limit=3").await;
    assert_eq!(ids(&page), [5, 4, 3]);
    let page: Page<Task> =
        read(&server, &format!("/v1/tasks?limit=3&before={}", page.next.unwrap())).await;
    assert_eq!((ids(&page), page.next), (vec![2, 1], None));
    let owner = Address::repeat_byte(2);
    let page: Page<Task> = read(&server, &format!("/v1/tasks?owner={owner}")).await;
    assert_eq!(ids(&page), [4, 2]);
    let page: Page<Task> = read(&server, "/v1/tasks?state=assigned").await;
    assert_eq!(ids(&page), [5]);
    let page: Page<Task> = read(&server, &format!("/v1/tasks?provider={owner}")).await;
    assert!(page.items.is_empty());
    let task: Task = read(&server, "/v1/tasks/5").await;
    assert_eq!(task.state, TaskState::Assigned);
    check_problems(
        &server,
        &[
            ("/v1/tasks/6", 404, "unknown_task"),
            ("/v1/tasks/x", 400, "invalid_input"),
            ("/v1/tasks?state=nowhere", 400, "invalid_input"),
            ("/v1/tasks?owner=1", 400, "invalid_input"),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_faucet_gives_until_its_limit() {
    let server = Server::start().await;
    let ask = |amount: Option<&str>| {
        let body = json!({ "address": Address::repeat_byte(3), "amount": amount });
        server.post("/v1/faucet").json(&body)
    };
    let answer = ask(Some("17")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    assert_eq!(answer.json::<FaucetGrant>().await.unwrap().amount.0, 17);
    let too_much = problem(ask(Some("999000000000000000000")).send().await.unwrap()).await;
    assert_eq!(too_much.code, "faucet_amount");
    let mut codes = Vec::new();
    for _ in 0..8 {
        let answer = ask(None).send().await.unwrap();
        if !answer.status().is_success() {
            codes.push(problem(answer).await.code);
        }
    }
    assert!(!codes.is_empty() && codes.iter().all(|code| code == "rate_limited"));
}

#[tokio::test]
async fn a_chain_without_a_faucet_says_so() {
    let server = Server::with(MemoryBackend { faucet: false, ..MemoryBackend::new() }).await;
    let request = server.post("/v1/faucet").json(&json!({ "address": Address::ZERO }));
    let problem = problem(request.send().await.unwrap()).await;
    assert_eq!((problem.status, problem.code.as_str()), (403, "no_faucet"));
}

#[tokio::test]
async fn a_blob_is_stored_found_and_sized() {
    let server = Server::start().await;
    let bytes = vec![7u8; 1_000];
    let answer = server.post("/v1/blobs").body(bytes.clone()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let stored: BlobStored = answer.json().await.unwrap();
    assert_eq!((stored.size, stored.hash), (1_000, neura_types::hash::content_hash(&bytes)));
    for name in [format!("{:x}", stored.hash), stored.hash.to_string()] {
        let answer = server.get(&format!("/v1/blobs/{name}")).send().await.unwrap();
        assert_eq!(answer.headers()["content-length"], "1000");
        assert_eq!(answer.bytes().await.unwrap(), bytes);
    }
    let url = server.url(&format!("/v1/blobs/{}", stored.hash));
    let head = server.client.head(url).send().await.unwrap();
    assert_eq!(
        (head.status(), &head.headers()["content-length"]),
        (StatusCode::OK, &"1000".parse().unwrap())
    );
    let missing = format!("/v1/blobs/{}", B256::ZERO);
    check_problems(
        &server,
        &[(&missing, 404, "unknown_blob"), ("/v1/blobs/xyz", 400, "invalid_input")],
    )
    .await;
    let head = server.client.head(server.url(&missing)).send().await.unwrap();
    assert_eq!(head.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_blob_over_size_or_quota_is_refused() {
    let server = Server::start().await;
    let put = |bytes: Vec<u8>| server.post("/v1/blobs").body(bytes);
    let large = problem(put(vec![0; 2_049]).send().await.unwrap()).await;
    assert_eq!((large.status, large.code.as_str()), (413, "blob_too_large"));
    // Sent in parts, the size shows only while it is read.
    let parts = futures::stream::iter((0..30).map(|_| Ok::<_, std::io::Error>(vec![0u8; 100])));
    let request = server.post("/v1/blobs").body(reqwest::Body::wrap_stream(parts));
    let large = problem(request.send().await.unwrap()).await;
    assert_eq!((large.status, large.code.as_str()), (413, "blob_too_large"));
    for fill in 0..STORE_QUOTA / 2_048 {
        let fill = u8::try_from(fill).unwrap();
        assert!(put(vec![fill; 2_048]).send().await.unwrap().status().is_success());
    }
    let full = problem(put(vec![9; 1]).send().await.unwrap()).await;
    assert_eq!((full.status, full.code.as_str()), (507, "blob_quota"));
}

#[tokio::test]
async fn probes_and_metrics_answer() {
    let server = Server::start().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(server.get(path).send().await.unwrap().status(), StatusCode::OK);
    }
    let metrics = server.get("/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("neura_height 42") && metrics.ends_with("# EOF\n"));
    let syncing = Server::with(MemoryBackend { syncing: true, ..MemoryBackend::new() }).await;
    check_problems(&syncing, &[("/readyz", 503, "syncing")]).await;
    assert_eq!(syncing.get("/healthz").send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn unknown_routes_and_methods_are_problems() {
    let server = Server::start().await;
    check_problems(&server, &[("/v1/nothing", 404, "not_found"), ("/v2/status", 404, "not_found")])
        .await;
    let answer = server.client.delete(server.url("/v1/status")).send().await.unwrap();
    let problem = problem(answer).await;
    assert_eq!((problem.status, problem.code.as_str()), (405, "method_not_allowed"));
}

#[tokio::test]
async fn a_name_that_is_not_ours_is_refused_on_loopback() {
    let server = Server::start().await;
    let ask = |host: &str| server.get("/v1/status").header("host", host);
    let refused = problem(ask("evil.example").send().await.unwrap()).await;
    assert_eq!((refused.status, refused.code.as_str()), (403, "forbidden_host"));
    for host in ["localhost:1", "127.0.0.1", "node.example", "[::1]:8545"] {
        assert_eq!(ask(host).send().await.unwrap().status(), StatusCode::OK, "{host}");
    }
}

#[tokio::test]
async fn any_page_may_read_and_send() {
    let server = Server::start().await;
    let request = server.client.request(reqwest::Method::OPTIONS, server.url("/"));
    let request = request
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    let answer =
        server.get("/v1/nothing").header("origin", "https://app.example").send().await.unwrap();
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
}

#[tokio::test]
async fn a_stopped_server_frees_its_port() {
    let server = Server::start().await;
    let address = server.handle.local_addr;
    let _answer: Value = server.json("/v1/status").await;
    drop(server.client);
    server.handle.shutdown().await;
    tokio::net::TcpListener::bind(address).await.unwrap();
}
