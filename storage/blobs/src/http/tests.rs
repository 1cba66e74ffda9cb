//! Behaviour of the HTTP client against good, wrong and hostile servers.

use super::{guard::Guard, *};
use crate::{
    embedded::{EmbeddedConfig, EmbeddedStore},
    error::BlobError,
    locator::Locator,
    store::{BlobStat, BlobStore},
};
use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use bytes::Bytes;
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// Long enough for a busy machine; the tests of limits set their own.
const GENEROUS: Duration = Duration::from_secs(60);

fn devnet() -> HttpConfig {
    HttpConfig {
        max_blob_bytes: 1_000,
        connect_timeout: GENEROUS,
        total_timeout: GENEROUS,
        allow_private: true,
    }
}

/// Serves `router` on a port of this machine until the runtime of the test ends.
async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn client_of(router: Router) -> HttpStore {
    let address = serve(router).await;
    HttpStore::new(&format!("http://{address}"), devnet()).expect("valid")
}

/// The protocol as the node serves it, over an embedded store.
fn honest(store: EmbeddedStore) -> Router {
    async fn upload(State(store): State<EmbeddedStore>, body: Bytes) -> Response {
        let size = body.len();
        match store.put(body).await {
            Ok(locator) => {
                let answer = serde_json::json!({ "locator": locator, "size": size });
                (StatusCode::CREATED, Json(answer)).into_response()
            }
            Err(failure) => (StatusCode::INSUFFICIENT_STORAGE, failure.to_string()).into_response(),
        }
    }
    async fn download(State(store): State<EmbeddedStore>, Path(hash): Path<String>) -> Response {
        let locator: Locator = format!("neura:{hash}").parse().expect("the client sends hashes");
        match store.get(&locator, 1_000).await {
            Ok(content) => content.into_response(),
            Err(_) => StatusCode::NOT_FOUND.into_response(),
        }
    }
    Router::new()
        .route("/v1/blobs", post(upload))
        .route("/v1/blobs/{hash}", get(download))
        .with_state(store)
}

/// A server that answers every download with `body`.
fn answering(body: impl Fn() -> Body + Clone + Send + Sync + 'static) -> Router {
    Router::new().fallback(move || {
        let body = body();
        async move { body }
    })
}

#[tokio::test]
async fn a_blob_goes_to_a_node_and_comes_back() {
    let directory = tempfile::TempDir::new().expect("temporary directory");
    let embedded = EmbeddedStore::open(EmbeddedConfig::new(directory.path())).expect("opens");
    let router = Router::new().nest("/api", honest(embedded));
    let address = serve(router).await;
    for base in [format!("http://{address}/api"), format!("http://{address}/api/")] {
        let store = HttpStore::new(&base, devnet()).expect("valid");
        let content = Bytes::from(base.clone().into_bytes());
        let locator = store.put(content.clone()).await.expect("stored");
        assert_eq!(locator, Locator::of(&content));
        assert_eq!(store.get(&locator, 1_000).await.expect("there"), content);
        let stat = store.stat(&locator).await.expect("there");
        assert_eq!(stat, BlobStat { size: content.len() as u64, pinned_until: None });
        let unknown = Locator::of(b"unknown");
        assert!(matches!(store.get(&unknown, 1).await, Err(BlobError::NotFound { .. })));
        assert!(matches!(store.stat(&unknown).await, Err(BlobError::NotFound { .. })));
    }
}

#[tokio::test]
async fn content_that_does_not_hash_to_the_locator_is_not_returned() {
    let store = client_of(answering(|| Body::from("something else"))).await;
    let refusal = store.get(&Locator::of(b"wanted"), 1_000).await.expect_err("wrong content");
    assert!(matches!(refusal, BlobError::Corrupted { .. }), "{refusal}");
}

#[tokio::test]
async fn a_body_that_announces_too_much_is_refused() {
    let store = client_of(answering(|| Body::from(vec![0; 900]))).await;
    let refusal = store.get(&Locator::of(&[0; 900]), 899).await.expect_err("too large");
    assert!(matches!(refusal, BlobError::TooLarge { size: 900, max: 899 }), "{refusal}");
}

#[tokio::test]
async fn an_endless_body_is_cut_off_at_the_limit() {
    let endless = || {
        let part = || Ok::<_, std::io::Error>(Bytes::from(vec![0; 600]));
        Body::from_stream(futures::stream::repeat_with(part))
    };
    let store = client_of(answering(endless)).await;
    let refusal = store.get(&Locator::of(b"wanted"), u64::MAX).await.expect_err("endless");
    assert!(matches!(refusal, BlobError::TooLarge { max: 1_000, .. }), "{refusal}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let router = Router::new().fallback(|| async { std::future::pending::<()>().await });
    let address = serve(router).await;
    let hasty = HttpConfig { total_timeout: Duration::from_millis(50), ..devnet() };
    let store = HttpStore::new(&format!("http://{address}"), hasty).expect("valid");
    let refusal = store.get(&Locator::of(b"wanted"), 1_000).await.expect_err("no answer");
    assert!(matches!(refusal, BlobError::Timeout { .. }), "{refusal}");
    assert!(refusal.is_transient());
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let router = Router::new().fallback(|uri: Uri| async move {
        match uri.path() {
            "/elsewhere" => panic!("the redirect was followed"),
            _ => Redirect::temporary("/elsewhere").into_response(),
        }
    });
    let store = client_of(router).await;
    let refusal = store.get(&Locator::of(b"wanted"), 1_000).await.expect_err("redirect");
    assert!(matches!(refusal, BlobError::Status { status: 307, .. }), "{refusal}");
    assert!(refusal.to_string().contains("redirects are not followed"), "{refusal}");
}

#[tokio::test]
async fn a_refusal_is_quoted_in_one_short_line() {
    let router = Router::new().fallback(|| async {
        (StatusCode::INSUFFICIENT_STORAGE, "full\n\u{1b}[31m".repeat(1_000))
    });
    let store = client_of(router).await;
    let refusal = store.put(Bytes::from_static(b"x")).await.expect_err("full");
    assert!(refusal.is_transient());
    let BlobError::Status { status: 507, detail, .. } = refusal else { panic!("{refusal}") };
    assert!(detail.starts_with("full") && detail.len() <= 512);
    assert!(!detail.contains(char::is_control));
}

#[tokio::test]
async fn of_a_problem_document_the_detail_is_quoted() {
    let problem = r#"{"type":"about:blank","status":413,"detail":"at most 5 bytes"}"#;
    let router =
        Router::new().fallback(move || async move { (StatusCode::PAYLOAD_TOO_LARGE, problem) });
    let store = client_of(router).await;
    let refusal = store.put(Bytes::from_static(b"too long")).await.expect_err("refused");
    assert!(refusal.to_string().ends_with("answered 413: at most 5 bytes"), "{refusal}");
}

#[tokio::test]
async fn an_upload_answered_with_another_locator_or_size_or_nonsense_is_refused() {
    let answer = |text: String| Router::new().fallback(move || async move { text });
    let content = Bytes::from_static(b"mine");
    let mine = Locator::of(&content);
    let other = Locator::of(b"other");

    let store = client_of(answer(format!(r#"{{"locator":"{other}","size":4}}"#))).await;
    let refusal = store.put(content.clone()).await.expect_err("other locator");
    assert!(matches!(refusal, BlobError::LocatorMismatch { .. }), "{refusal}");

    for text in [
        format!(r#"{{"locator":"{mine}","size":3}}"#),
        r#"{"locator":"neura:xyz","size":4}"#.into(),
        "not JSON".into(),
        String::new(),
        " ".repeat(10_000),
    ] {
        let store = client_of(answer(text)).await;
        let refusal = store.put(content.clone()).await.expect_err("nonsense");
        assert!(matches!(refusal, BlobError::BadAnswer { .. }), "{refusal}");
    }
}

#[tokio::test]
async fn a_closed_port_is_reported_with_its_cause() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let store = HttpStore::new(&format!("http://{address}"), devnet()).expect("valid");
    let refusal = store.get(&Locator::of(b"wanted"), 1_000).await.expect_err("closed");
    assert!(matches!(refusal, BlobError::Unreachable { .. }), "{refusal}");
    assert!(refusal.to_string().contains("refused"), "{refusal}");
}

#[tokio::test]
async fn foreign_locators_and_oversized_uploads_never_leave_this_machine() {
    let store = HttpStore::new("http://127.0.0.1:1", devnet()).expect("valid");
    let foreign: Locator = "eigenda:00".parse().expect("valid");
    assert!(matches!(store.get(&foreign, 1).await, Err(BlobError::UnsupportedLocator { .. })));
    assert!(matches!(
        store.put(vec![0; 1_001].into()).await,
        Err(BlobError::TooLarge { size: 1_001, max: 1_000 })
    ));
    assert!(matches!(
        store.pin(&Locator::of(b""), "task:1", 1).await,
        Err(BlobError::UnsupportedOperation { operation: "pin", .. })
    ));
}

#[tokio::test]
async fn a_name_that_resolves_to_this_machine_is_refused_unless_allowed() {
    let address = serve(answering(|| Body::from("secret"))).await;
    let base = format!("http://localhost:{}", address.port());
    let wary = HttpConfig { allow_private: false, ..devnet() };
    let store = HttpStore::new(&base, wary).expect("names are checked when resolved");
    let refusal = store.get(&Locator::of(b"secret"), 1_000).await.expect_err("private");
    assert!(matches!(refusal, BlobError::ForbiddenAddress { .. }), "{refusal}");
    let store = HttpStore::new(&base, devnet()).expect("valid");
    assert_eq!(store.get(&Locator::of(b"secret"), 1_000).await.expect("allowed"), "secret");
}

#[tokio::test]
async fn requests_tell_nothing_but_what_they_must() {
    let router = Router::new().fallback(|headers: HeaderMap| async move {
        let mut names: Vec<_> = headers.keys().map(ToString::to_string).collect();
        names.sort();
        (StatusCode::IM_A_TEAPOT, names.join(" "))
    });
    let store = client_of(router).await;
    let refusal = store.get(&Locator::of(b"x"), 1).await.expect_err("teapot");
    let BlobError::Status { detail, .. } = refusal else { panic!("{refusal}") };
    assert_eq!(detail, "accept host user-agent");
}

#[test]
fn urls_that_must_not_be_called_are_refused_at_once() {
    for url in [
        "",
        "node.example.org",
        "ftp://node.example.org",
        "file:///etc/passwd",
        "http://user:password@node.example.org",
        "http://node.example.org/?to=x",
        "http://node.example.org/#x",
        "http://127.0.0.1",
        "http://2130706433",
        "http://0x7f.1",
        "http://0177.0.0.1",
        "http://[::1]",
        "http://[::ffff:127.0.0.1]",
        "http://[::ffff:a9fe:a9fe]",
        "http://169.254.169.254/latest/meta-data",
        "http://[fd00:ec2::254]",
        "http://10.1.2.3",
        "http://0.0.0.0",
    ] {
        let refusal = HttpStore::new(url, HttpConfig::default()).expect_err(url);
        assert!(!refusal.to_string().contains("password"), "{refusal}");
    }
    let long = format!("http://node.example.org/{}", "x".repeat(2_000));
    assert!(matches!(
        HttpStore::new(&long, HttpConfig::default()),
        Err(BlobError::InvalidUrl { .. })
    ));
    assert!(HttpStore::new("http://node.example.org/base", HttpConfig::default()).is_ok());
}

#[test]
fn addresses_are_classed_as_the_registries_say() {
    use AddressClass::{Private, Public, Special};
    for (address, class) in [
        ("1.1.1.1", Public),
        ("172.15.0.1", Public),
        ("172.32.0.1", Public),
        ("100.63.0.1", Public),
        ("192.0.1.1", Public),
        ("223.255.255.255", Public),
        ("2606:4700:4700::1111", Public),
        ("2a00:1450::1", Public),
        ("::ffff:1.1.1.1", Public),
        ("10.0.0.1", Private),
        ("127.0.0.1", Private),
        ("127.255.255.255", Private),
        ("172.16.0.1", Private),
        ("172.31.255.255", Private),
        ("192.168.1.1", Private),
        ("100.64.0.1", Private),
        ("::1", Private),
        ("fc00::1", Private),
        ("fd00:ec2::254", Private),
        ("::ffff:10.0.0.1", Private),
        ("0.0.0.0", Special),
        ("169.254.169.254", Special),
        ("::ffff:169.254.169.254", Special),
        ("192.0.0.192", Special),
        ("198.18.0.1", Special),
        ("224.0.0.1", Special),
        ("240.0.0.1", Special),
        ("255.255.255.255", Special),
        ("::", Special),
        ("::7f00:1", Special),
        ("fe80::1", Special),
        ("fec0::1", Special),
        ("ff02::1", Special),
        ("64:ff9b::7f00:1", Special),
        ("64:ff9b:1::1", Special),
        ("2001::1", Special),
        ("2001:db8::1", Special),
        ("2002:7f00:1::1", Special),
        ("3fff::1", Special),
        ("100::1", Special),
    ] {
        let parsed: IpAddr = address.parse().expect(address);
        assert_eq!(AddressClass::of(parsed), class, "{address}");
    }
}

#[test]
fn of_several_addresses_only_the_allowed_ones_are_used() {
    let guard = Guard { allow_private: false };
    let at = |address: &str| SocketAddr::new(address.parse().expect("address"), 0);
    let mixed = [at("10.0.0.1"), at("1.1.1.1"), at("169.254.169.254")];
    let allowed = guard.allowed("host", mixed.into_iter()).expect("one is public");
    assert_eq!(allowed, [at("1.1.1.1")]);
    assert!(guard.allowed("host", [at("10.0.0.1")].into_iter()).is_err());
    let flood = std::iter::repeat_n(at("1.1.1.1"), 10_000);
    assert_eq!(guard.allowed("host", flood).expect("public").len(), 16);
}

#[test]
fn even_a_devnet_does_not_call_link_local_addresses() {
    let refusal = HttpStore::new("http://169.254.169.254", devnet()).expect_err("metadata");
    assert!(matches!(refusal, BlobError::ForbiddenAddress { class: AddressClass::Special, .. }));
}
