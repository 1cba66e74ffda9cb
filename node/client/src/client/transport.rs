//! Carry a request to whichever of the nodes answers, and read the answer within bounds.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use neura_types::{Bytes, rest::Problem};
use reqwest::{Method, RequestBuilder, Response, Url, redirect::Policy};
use serde::{Serialize, de::DeserializeOwned};

use crate::ClientError;

/// Most bytes of a JSON answer: a page of the longest entries, many times over.
const MAX_JSON: usize = 16 << 20;
/// How long a connection may take before the next node is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a call may take, its body included: the largest blob at some 10 Mbit/s.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Connections to the nodes. Clones share them, and which node is in use.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    http: reqwest::Client,
    nodes: Arc<Vec<Url>>,
    current: Arc<AtomicUsize>,
}

/// What a request sends.
enum Body<'a> {
    None,
    Bytes(&'static str, Bytes),
    Events(Option<&'a str>),
}

impl Transport {
    pub(super) fn new<S: AsRef<str>>(
        urls: impl IntoIterator<Item = S>,
    ) -> Result<Self, ClientError> {
        let nodes =
            urls.into_iter().map(|url| parse(url.as_ref())).collect::<Result<Vec<_>, _>>()?;
        if nodes.is_empty() {
            return Err(ClientError::Address(String::new()));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| unreachable(&nodes, &error))?;
        Ok(Self { http, nodes: Arc::new(nodes), current: Arc::default() })
    }

    pub(super) fn url(&self) -> &Url {
        self.node(self.current.load(Ordering::Relaxed))
    }

    fn node(&self, turn: usize) -> &Url {
        &self.nodes[turn % self.nodes.len()]
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        json(self.send(Method::GET, path, Body::None).await?).await
    }

    pub(super) async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        let bytes = serde_json::to_vec(body).map_err(|error| ClientError::Malformed {
            url: path.to_owned(),
            cause: error.to_string(),
        })?;
        json(self.send(Method::POST, path, Body::Bytes("application/json", bytes.into())).await?)
            .await
    }

    pub(super) async fn upload<T: DeserializeOwned>(
        &self,
        path: &str,
        bytes: Vec<u8>,
    ) -> Result<T, ClientError> {
        let body = Body::Bytes("application/octet-stream", bytes.into());
        json(self.send(Method::POST, path, body).await?).await
    }

    pub(super) async fn bytes(&self, path: &str, limit: usize) -> Result<Vec<u8>, ClientError> {
        read(self.send(Method::GET, path, Body::None).await?, limit).await
    }

    /// An answer whose body does not end.
    pub(super) async fn stream(
        &self,
        path: &str,
        last: Option<&str>,
    ) -> Result<Response, ClientError> {
        self.send(Method::GET, path, Body::Events(last)).await
    }

    /// Sends a request to the node in use, and to the others in turn if it does not answer or cannot serve now.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Body<'_>,
    ) -> Result<Response, ClientError> {
        let mut failure = None;
        for _ in 0..self.nodes.len() {
            let turn = self.current.load(Ordering::Relaxed);
            let request = self.request(method.clone(), self.node(turn), path, &body);
            failure = Some(match request.send().await {
                Ok(response) if response.status().is_success() => return Ok(response),
                Ok(response) => {
                    let elsewhere = matches!(response.status().as_u16(), 502..=504);
                    let problem = problem(response).await;
                    if !elsewhere {
                        return Err(problem);
                    }
                    problem
                }
                Err(error) => unreachable(&self.nodes, &error),
            });
            // Fails if another call has moved on already: then that node is tried next.
            let _ = self.current.compare_exchange(
                turn,
                turn.wrapping_add(1),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
        Err(failure.unwrap_or_else(|| ClientError::Address(String::new())))
    }

    fn request(&self, method: Method, node: &Url, path: &str, body: &Body<'_>) -> RequestBuilder {
        let mut url = node.clone();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        url.set_path(&format!("{}{path}", node.path().trim_end_matches('/')));
        url.set_query((!query.is_empty()).then_some(query));
        let request = self.http.request(method, url);
        match body {
            Body::None => request.timeout(CALL_TIMEOUT),
            Body::Bytes(kind, bytes) => {
                request.timeout(CALL_TIMEOUT).header("content-type", *kind).body(bytes.0.clone())
            }
            Body::Events(Some(last)) => request.header("last-event-id", *last),
            Body::Events(None) => request,
        }
    }
}

fn parse(text: &str) -> Result<Url, ClientError> {
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    Url::parse(&full)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| ClientError::Address(text.to_owned()))
}

fn unreachable(nodes: &[Url], error: &reqwest::Error) -> ClientError {
    let urls = nodes.iter().map(Url::as_str).collect::<Vec<_>>().join(", ");
    ClientError::Unreachable { urls, cause: with_sources(error) }
}

async fn problem(response: Response) -> ClientError {
    let status = response.status().as_u16();
    let url = response.url().to_string();
    let body = read(response, MAX_JSON).await.unwrap_or_default();
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => ClientError::Refused { code: problem.code, detail: problem.detail, status },
        Err(_) => ClientError::Malformed { url, cause: format!("HTTP status {status}") },
    }
}

async fn json<T: DeserializeOwned>(response: Response) -> Result<T, ClientError> {
    let url = response.url().to_string();
    let bytes = read(response, MAX_JSON).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| ClientError::Malformed { url, cause: error.to_string() })
}

/// Reads a body up to a limit.
async fn read(mut response: Response, limit: usize) -> Result<Vec<u8>, ClientError> {
    let url = response.url().to_string();
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(part)) if part.len() <= limit - bytes.len() => bytes.extend_from_slice(&part),
            Ok(Some(_)) => return Err(ClientError::TooLarge { url, limit }),
            Ok(None) => return Ok(bytes),
            Err(error) => {
                return Err(ClientError::Unreachable { urls: url, cause: with_sources(&error) });
            }
        }
    }
}

/// An error's text with those of its causes, which hold what is of use.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
