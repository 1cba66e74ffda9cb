//! The HTTP client of a remote embedded store.

use super::guard::{Guard, Refused};
use crate::{
    error::BlobError,
    limits::{
        DEFAULT_CONNECT_TIMEOUT, DEFAULT_MAX_BLOB_BYTES, DEFAULT_TOTAL_TIMEOUT, MAX_BASE_URL_BYTES,
        MAX_BODY_PREALLOCATION_BYTES, MAX_PUT_ANSWER_BYTES, MAX_REFUSAL_BYTES,
    },
    locator::Locator,
    store::{BlobStat, BlobStore, Retention, StoreTerms},
};
use async_trait::async_trait;
use bytes::Bytes;
use reqwest::{Client, Response, StatusCode, header::CONTENT_LENGTH, redirect::Policy};
use serde::Deserialize;
use std::{error::Error as StdError, time::Duration};
use url::{Host, Url};

/// What errors call this store.
const NAME: &str = "the HTTP store";

/// Settings of an [`HttpStore`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Largest blob sent or received, in bytes, whatever the caller allows.
    pub max_blob_bytes: u64,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// Time for a whole request, its body included.
    pub total_timeout: Duration,
    /// Whether this machine and private networks may be called: for a devnet, never for URLs of
    /// strangers.
    pub allow_private: bool,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            max_blob_bytes: DEFAULT_MAX_BLOB_BYTES,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            total_timeout: DEFAULT_TOTAL_TIMEOUT,
            allow_private: false,
        }
    }
}

/// The store of a node, reached over HTTP. Cloning shares its connections.
#[derive(Clone, Debug)]
pub struct HttpStore {
    /// Ends in `/v1/blobs`.
    blobs: Url,
    host: String,
    guard: Guard,
    client: Client,
    config: HttpConfig,
}

/// Answer to an upload.
#[derive(Deserialize)]
struct PutAnswer {
    locator: Locator,
    size: u64,
}

/// The part of an RFC 9457 problem that is quoted.
#[derive(Deserialize)]
struct Problem {
    detail: String,
}

impl HttpStore {
    /// A store at `base`, such as `https://node.example.org` or `http://127.0.0.1:8545/api`. Sends
    /// nothing.
    ///
    /// # Errors
    /// [`BlobError::InvalidUrl`] or [`BlobError::ForbiddenAddress`] for a URL that must not be
    /// called, [`BlobError::InvalidConfig`] if this machine cannot do TLS.
    pub fn new(base: &str, config: HttpConfig) -> Result<Self, BlobError> {
        let base = parse_base(base)?;
        let guard = Guard { allow_private: config.allow_private };
        let host = match base.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            // Names are checked when they resolve, addresses here: they skip the resolver.
            Some(Host::Ipv4(address)) => literal(guard, address.into())?,
            Some(Host::Ipv6(address)) => literal(guard, address.into())?,
            None => return Err(invalid_url(base.as_str(), "it has no host")),
        };
        let client = build_client(&base, guard, &config)?;
        let path = format!("{}/v1/blobs", base.path().trim_end_matches('/'));
        let mut blobs = base;
        blobs.set_path(&path);
        Ok(Self { blobs, host, guard, client, config })
    }

    /// URL of the blob that `locator` names.
    ///
    /// # Errors
    /// [`BlobError::UnsupportedLocator`].
    pub fn url_of(&self, locator: &Locator) -> Result<Url, BlobError> {
        let hash = locator
            .hash()
            .ok_or(BlobError::UnsupportedLocator { kind: locator.kind(), store: NAME })?;
        let mut url = self.blobs.clone();
        url.set_path(&format!("{}/{}", self.blobs.path(), hex::encode(hash)));
        Ok(url)
    }

    /// Sends a request and refuses what is not a success.
    async fn send(
        &self,
        request: reqwest::RequestBuilder,
        url: &Url,
    ) -> Result<Response, BlobError> {
        let response = request.send().await.map_err(|failure| self.failed(url, &failure))?;
        if let Some(peer) = response.remote_addr() {
            self.guard.check(&self.host, peer.ip()).map_err(forbidden)?;
        }
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let detail = match response.status().is_redirection() {
            true => "redirects are not followed; use the URL that it points to".into(),
            false => refusal_text(response).await,
        };
        Err(BlobError::Status { url: url.to_string(), status, detail })
    }

    /// As [`HttpStore::send`], for a request about one blob.
    async fn send_for(
        &self,
        request: reqwest::RequestBuilder,
        url: &Url,
        locator: &Locator,
    ) -> Result<Response, BlobError> {
        self.send(request, url).await.map_err(|failure| match failure {
            BlobError::Status { status, .. } if status == StatusCode::NOT_FOUND.as_u16() => {
                BlobError::NotFound { locator: locator.clone() }
            }
            other => other,
        })
    }

    /// The body, refused as soon as more than `max` bytes have arrived.
    async fn read_body(
        &self,
        mut response: Response,
        url: &Url,
        max: u64,
    ) -> Result<Vec<u8>, BlobError> {
        let claimed = content_length(&response).unwrap_or(0);
        if claimed > max {
            return Err(BlobError::TooLarge { size: claimed, max });
        }
        let ahead = usize::try_from(claimed.min(MAX_BODY_PREALLOCATION_BYTES)).unwrap_or(0);
        let mut body = Vec::with_capacity(ahead);
        while let Some(part) =
            response.chunk().await.map_err(|failure| self.failed(url, &failure))?
        {
            let size = body.len() as u64 + part.len() as u64;
            if size > max {
                return Err(BlobError::TooLarge { size, max });
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
    }

    fn failed(&self, url: &Url, failure: &reqwest::Error) -> BlobError {
        let causes = || Causes(Some(failure));
        if let Some(refused) = causes().find_map(|cause| cause.downcast_ref::<Refused>()) {
            return forbidden(refused.clone());
        }
        let url = url.to_string();
        if failure.is_timeout() {
            let limit = match failure.is_connect() {
                true => self.config.connect_timeout,
                false => self.config.total_timeout,
            };
            return BlobError::Timeout { url, limit };
        }
        // The first cause repeats the URL; the deeper ones say what happened.
        let texts: Vec<String> = causes().skip(1).map(ToString::to_string).collect();
        let cause = match texts.is_empty() {
            true => failure.to_string(),
            false => texts.join(": "),
        };
        BlobError::Unreachable { url, cause }
    }
}

#[async_trait]
impl BlobStore for HttpStore {
    fn terms(&self) -> StoreTerms {
        StoreTerms {
            max_blob_bytes: self.config.max_blob_bytes,
            retention: Retention::OperatorsChoice,
        }
    }

    async fn put(&self, content: Bytes) -> Result<Locator, BlobError> {
        let (size, max) = (content.len() as u64, self.config.max_blob_bytes);
        if size > max {
            return Err(BlobError::TooLarge { size, max });
        }
        let expected = Locator::of(&content);
        let url = &self.blobs;
        let request = self.client.post(url.clone()).body(content);
        let request = request.header("content-type", "application/octet-stream");
        let response = self.send(request, url).await?;
        let bad_answer = |problem| BlobError::BadAnswer { url: url.to_string(), problem };
        let body = match self.read_body(response, url, MAX_PUT_ANSWER_BYTES).await {
            Err(BlobError::TooLarge { .. }) => {
                return Err(bad_answer(format!("it is longer than {MAX_PUT_ANSWER_BYTES} bytes")));
            }
            other => other?,
        };
        let answer: PutAnswer =
            serde_json::from_slice(&body).map_err(|failure| bad_answer(failure.to_string()))?;
        if answer.locator != expected {
            let answered = answer.locator;
            return Err(BlobError::LocatorMismatch { url: url.to_string(), expected, answered });
        }
        if answer.size != size {
            return Err(bad_answer(format!("it stored {} of {size} bytes", answer.size)));
        }
        Ok(expected)
    }

    async fn get(&self, locator: &Locator, max_size: u64) -> Result<Bytes, BlobError> {
        let url = self.url_of(locator)?;
        let response = self.send_for(self.client.get(url.clone()), &url, locator).await?;
        let max = max_size.min(self.config.max_blob_bytes);
        let body = self.read_body(response, &url, max).await?;
        if Locator::of(&body) != *locator {
            return Err(BlobError::Corrupted { locator: locator.clone(), place: url.to_string() });
        }
        Ok(body.into())
    }

    async fn stat(&self, locator: &Locator) -> Result<BlobStat, BlobError> {
        let url = self.url_of(locator)?;
        let response = self.send_for(self.client.head(url.clone()), &url, locator).await?;
        match content_length(&response) {
            Some(size) => Ok(BlobStat { size, pinned_until: None }),
            None => Err(BlobError::BadAnswer {
                url: url.to_string(),
                problem: "it has no Content-Length".into(),
            }),
        }
    }

    async fn pin(&self, _: &Locator, _: &str, _: u64) -> Result<(), BlobError> {
        Err(BlobError::UnsupportedOperation { operation: "pin", store: NAME })
    }

    async fn unpin(&self, _: &Locator, _: &str) -> Result<(), BlobError> {
        Err(BlobError::UnsupportedOperation { operation: "unpin", store: NAME })
    }

    async fn remove(&self, _: &Locator) -> Result<(), BlobError> {
        Err(BlobError::UnsupportedOperation { operation: "remove", store: NAME })
    }
}

/// An error and all that it was caused by.
struct Causes<'a>(Option<&'a (dyn StdError + 'static)>);

impl<'a> Iterator for Causes<'a> {
    type Item = &'a (dyn StdError + 'static);

    fn next(&mut self) -> Option<Self::Item> {
        let cause = self.0?;
        self.0 = cause.source();
        Some(cause)
    }
}

fn parse_base(text: &str) -> Result<Url, BlobError> {
    if text.len() > MAX_BASE_URL_BYTES {
        let start: String = text.chars().take(64).collect();
        return Err(invalid_url(&start, "it is too long"));
    }
    let url = Url::parse(text).map_err(|failure| invalid_url(text, &failure.to_string()))?;
    // Credentials are not repeated in the error.
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid_url(url.host_str().unwrap_or_default(), "it carries credentials"));
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid_url(text, "only http and https are spoken"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid_url(text, "a base URL has no query and no fragment"));
    }
    Ok(url)
}

fn build_client(base: &Url, guard: Guard, config: &HttpConfig) -> Result<Client, BlobError> {
    let builder = Client::builder()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .dns_resolver(guard)
        .connect_timeout(config.connect_timeout)
        .timeout(config.total_timeout)
        .user_agent(concat!("neura-blobs/", env!("CARGO_PKG_VERSION")));
    // Without TLS the machine's root certificates are not needed, and may be absent.
    let builder = match base.scheme() {
        "http" => builder.tls_certs_only([]),
        _ => builder.https_only(true),
    };
    builder.build().map_err(|failure| BlobError::InvalidConfig {
        setting: "TLS",
        problem: format!(
            "{}; install the system's CA certificates",
            failure.source().map_or_else(|| failure.to_string(), ToString::to_string)
        ),
    })
}

fn literal(guard: Guard, address: std::net::IpAddr) -> Result<String, BlobError> {
    let host = address.to_string();
    guard.check(&host, address).map_err(forbidden)?;
    Ok(host)
}

fn forbidden(refused: Refused) -> BlobError {
    BlobError::ForbiddenAddress {
        host: refused.host,
        address: refused.address,
        class: refused.class,
    }
}

fn invalid_url(url: &str, problem: &str) -> BlobError {
    BlobError::InvalidUrl { url: url.into(), problem: problem.into() }
}

fn content_length(response: &Response) -> Option<u64> {
    response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The start of a refusal's body, fit for a line of a log.
async fn refusal_text(mut response: Response) -> String {
    let mut body = Vec::new();
    while body.len() < MAX_REFUSAL_BYTES {
        match response.chunk().await {
            Ok(Some(part)) => body.extend(part.iter().take(MAX_REFUSAL_BYTES - body.len())),
            Ok(None) | Err(_) => break,
        }
    }
    let text = match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => problem.detail.into(),
        Err(_) => String::from_utf8_lossy(&body),
    };
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.trim() {
        "" => "no reason given".into(),
        text => text.into(),
    }
}
