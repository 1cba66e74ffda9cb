//! The client against a node that behaves, and against nodes that do not.

mod mock;

use axum::{Json, Router, extract::Path, http::HeaderMap, response::IntoResponse, routing::get};
use mock::{Node, lock, refuse, serve, start};
use neura_client::{Client, ClientError, EventStream, Key, Sender};
use neura_types::{
    Address, B256, U256,
    hash::content_hash,
    keys::SecretKey,
    rest::{BlobStored, ChainEvent},
};

const MODULE: Address = Address::repeat_byte(0x4e);

fn key() -> Key {
    Key::Identity(SecretKey::from_seed(&[9; 32]))
}

async fn sender(url: &str) -> Sender {
    Sender::new(Client::new([url]).unwrap(), key()).await.unwrap()
}

#[tokio::test]
async fn the_next_node_is_asked_when_one_is_down_or_cannot_serve() {
    let (_node, url) = start(Node { height: 42, ..Node::default() }).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let syncing =
        serve(Router::new().fallback(|| async { refuse(503, "unavailable", "syncing") })).await;
    let client = Client::new([free.to_string(), syncing, url.clone()]).unwrap();
    assert_eq!(client.status().await.unwrap().executed, 42);
    assert_eq!(client.url().as_str(), format!("{url}/"), "and is kept");
}

#[tokio::test]
async fn a_refusal_comes_with_the_nodes_own_code_and_sentence_and_is_final() {
    let refusing =
        serve(Router::new().fallback(|| async { refuse(422, "pool_full", "come later") })).await;
    let (node, good) = start(Node::default()).await;
    let client = Client::new([refusing, good]).unwrap();
    let error = client.submit(vec![1].into()).await.unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("pool_full", "come later [pool_full]"));
    assert!(lock(&node).seen.is_empty(), "another node is not asked");
}

#[tokio::test]
async fn what_is_no_node_is_named_as_such() {
    let url = serve(Router::new().fallback(|| async { "<html>welcome</html>" })).await;
    let error = Client::new([url]).unwrap().status().await.unwrap_err();
    assert_eq!(error.code(), "malformed_answer");
}

#[tokio::test]
async fn a_store_that_gives_other_bytes_or_too_many_is_refused() {
    let router = Router::new()
        .route("/v1/blobs/{hash}", get(|Path(_): Path<B256>| async { "content" }))
        .route(
            "/v1/blobs",
            axum::routing::post(|| async {
                let hash = B256::ZERO;
                Json(BlobStored { locator: "neura:00".into(), hash, size: 3 })
            }),
        );
    let client = Client::new([serve(router).await]).unwrap();
    let hash = content_hash(b"content");
    assert_eq!(client.blob(hash, 7).await.unwrap(), b"content");
    assert!(matches!(client.blob(hash, 6).await, Err(ClientError::TooLarge { limit: 6, .. })));
    assert_eq!(client.blob(B256::ZERO, 7).await.unwrap_err().code(), "not_proven");
    assert_eq!(client.put_blob(b"abc".to_vec()).await.unwrap_err().code(), "not_proven");
}

#[tokio::test]
async fn calls_from_many_tasks_at_once_get_a_nonce_each() {
    let (node, url) = start(Node::default()).await;
    let sender = sender(&url).await;
    let calls = (0..12u8).map(|n| {
        let sender = sender.clone();
        tokio::spawn(async move { sender.call(MODULE, U256::ZERO, vec![n]).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    let node = lock(&node);
    assert_eq!((node.executed.len(), node.seen.len()), (12, 12), "none was refused");
}

#[tokio::test]
async fn a_call_whose_nonce_another_wallet_took_is_signed_again_and_takes_effect_once() {
    let (node, url) = start(Node { thieves: 1, ..Node::default() }).await;
    let confirmed = sender(&url).await.call(MODULE, U256::ZERO, vec![1]).await.unwrap();
    assert_eq!(confirmed.info.nonce, 1);
    assert_eq!(lock(&node).executed.len(), 1);
}

#[tokio::test]
async fn a_call_whose_answer_is_lost_takes_effect_once() {
    let (node, url) = start(Node { lose_answers: 1, ..Node::default() }).await;
    let confirmed = sender(&url).await.transfer(MODULE, U256::from(5)).await.unwrap();
    assert_eq!(confirmed.info.value.0, U256::from(5));
    assert_eq!(lock(&node).executed.len(), 1);
}

#[tokio::test]
async fn signed_bytes_may_be_sent_again_and_again() {
    let (node, url) = start(Node::default()).await;
    let sender = sender(&url).await;
    let call = neura_client::Outgoing::call(MODULE, U256::ZERO, vec![1]);
    let raw = sender.prepare(call).await.unwrap().raw().clone();
    let first = sender.send_and_wait(raw.clone()).await.unwrap();
    let again = sender.send_and_wait(raw).await.unwrap();
    assert_eq!(first.hash, again.hash);
    assert_eq!(lock(&node).executed.len(), 1);
}

#[tokio::test]
async fn bytes_whose_nonce_went_to_another_transaction_are_reported_as_such() {
    let (_node, url) = start(Node::default()).await;
    let sender = sender(&url).await;
    let call = |n: u8| neura_client::Outgoing::call(MODULE, U256::ZERO, vec![n]);
    let kept = sender.prepare(call(1)).await.unwrap().raw().clone();
    sender.execute(call(2)).await.unwrap();
    let error = sender.send_and_wait(kept).await.unwrap_err();
    assert!(matches!(error, ClientError::NonceTaken { nonce: 0, .. }), "{error}");
}

#[tokio::test]
async fn a_fee_that_fell_behind_is_offered_anew() {
    let refusals = vec![(422, "fee_cap_too_low", "max fee per gas less than block base fee")];
    let (node, url) = start(Node { refusals, base_fee: 1_000, ..Node::default() }).await;
    let confirmed = sender(&url).await.call(MODULE, U256::ZERO, vec![1]).await.unwrap();
    assert_eq!(confirmed.info.nonce, 0);
    assert_eq!(lock(&node).seen.len(), 2);
}

#[tokio::test]
async fn a_module_that_refuses_is_heard_with_code_and_sentence() {
    let reverts = vec!["wrong_state: task 7 is settled: it must be running"];
    let (_node, url) = start(Node { reverts, ..Node::default() }).await;
    let error = sender(&url).await.call(MODULE, U256::ZERO, vec![1]).await.unwrap_err();
    assert_eq!(error.code(), "wrong_state");
    assert!(error.to_string().starts_with("task 7 is settled"), "{error}");
}

#[tokio::test]
async fn more_than_the_fee_limit_is_never_signed() {
    let (node, url) = start(Node { base_fee: 50_000_000_000, ..Node::default() }).await;
    let sender = sender(&url).await.with_max_fee(10_000_000_000);
    let error = sender.call(MODULE, U256::ZERO, vec![1]).await.unwrap_err();
    assert_eq!(error.code(), "fee_too_high");
    assert!(lock(&node).seen.is_empty());
}

#[tokio::test]
async fn a_broken_event_stream_is_told_once_and_resumed_after_the_last_event() {
    let events = |headers: HeaderMap| async move {
        let last =
            headers.get("last-event-id").map_or(0, |id| id.to_str().unwrap().parse().unwrap());
        let next: u64 = last + 1;
        let data = format!(
            r#"{{"kind":"block_executed","id":"{}","height":{next},"transactions":0,"gas_used":0}}"#,
            B256::ZERO
        );
        // Each connection gives one event and half of another, then ends.
        format!("id: {next}\nevent: block_executed\ndata: {data}\n\nid: 99\ndata: {{\"kind\"")
            .into_response()
    };
    let url = serve(Router::new().route("/v1/events", get(events))).await;
    let mut stream = EventStream::new(Client::new([url]).unwrap());
    let mut heights = Vec::new();
    let mut breaks = 0;
    while heights.len() < 3 {
        match stream.next().await {
            Ok(ChainEvent::BlockExecuted { height, .. }) => heights.push(height),
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert_eq!(error.code(), "unreachable");
                breaks += 1;
            }
        }
    }
    assert_eq!((heights, breaks), (vec![1, 2, 3], 2));
}
