//! Bind, route, run, shut down.

use std::{net::SocketAddr, pin::pin, sync::Arc};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{Method, StatusCode, Uri, header},
    middleware,
    routing::{any, get},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use prometheus_client::registry::Registry;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{Any, CorsLayer},
};

use crate::{
    ApiConfig, Backend, events, guard, limits,
    listener::{Connection, Door},
    openapi,
    problem::ApiProblem,
    rest, rpc,
    shared::{AppState, Shared, closed},
};

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}; choose another address or port, or stop what uses it"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

/// A running server. Dropping it leaves the server running until its runtime ends; [`ServerHandle::shutdown`] ends it.
#[derive(Debug)]
pub struct ServerHandle {
    /// Where it listens.
    pub local_addr: SocketAddr,
    closing: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl ServerHandle {
    /// Takes no more connections, ends streams, waits for requests that run (for [`limits::SHUTDOWN_GRACE`]).
    pub async fn shutdown(self) {
        self.closing.send_replace(true);
        let abort = self.task.abort_handle();
        if tokio::time::timeout(limits::SHUTDOWN_GRACE, self.task).await.is_err() {
            abort.abort();
        }
    }
}

/// Binds and starts the server.
///
/// # Errors
/// If the address cannot be listened on.
pub async fn serve(
    config: ApiConfig,
    backend: Arc<dyn Backend>,
    registry: Arc<Registry>,
) -> Result<ServerHandle, ServeError> {
    let address = config.listen;
    let failed = |source| ServeError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local_addr = listener.local_addr().map_err(failed)?;
    let (closing, closing_seen) = watch::channel(false);
    let happenings = backend.subscribe();
    let arrivals = backend.subscribe_pending();
    let protocol = protocol(&config);
    let state = Arc::new(Shared::new(config, backend, registry, local_addr, closing_seen.clone()));
    let feed = tokio::spawn(events::feed(Arc::clone(&state), happenings));
    let pending = tokio::spawn(events::feed_pending(Arc::clone(&state), arrivals));
    let app = router(state);
    let task = tokio::spawn(async move {
        accept(Door::new(listener), protocol, app, closing_seen).await;
        feed.abort();
        pending.abort();
    });
    Ok(ServerHandle { local_addr, closing, task })
}

/// How connections are spoken on.
fn protocol(config: &ApiConfig) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(config.head_timeout);
    protocol.max_buf_size(limits::MAX_HEAD);
    protocol
}

/// Serves connections until the server closes and their requests have ended.
async fn accept(door: Door, protocol: http1::Builder, app: Router, closing: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let mut closed = pin!(closed(closing.clone()));
    loop {
        tokio::select! {
            connection = door.accept() => {
                connections.spawn(converse(connection, protocol.clone(), app.clone(), closing.clone()));
            }
            Some(_) = connections.join_next() => {}
            () = closed.as_mut() => break,
        }
    }
    drop(door);
    while connections.join_next().await.is_some() {}
}

/// Answers the requests of one connection.
async fn converse(
    connection: Connection,
    protocol: http1::Builder,
    app: Router,
    closing: watch::Receiver<bool>,
) {
    let (stream, service) = (TokioIo::new(connection), TowerToHyperService::new(app));
    let mut served = pin!(protocol.serve_connection(stream, service).with_upgrades());
    let served = tokio::select! {
        served = served.as_mut() => served,
        () = closed(closing) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection broke off");
    }
}

fn router(state: AppState) -> Router {
    let rpc_body = DefaultBodyLimit::max(limits::MAX_RPC_BODY);
    let (rest, _) = openapi::routes().split_for_parts();
    Router::new()
        .route("/", get(rpc::root).post(rpc::http).layer(rpc_body))
        .route("/ws", any(rpc::upgrade))
        .route("/docs", get(openapi::page))
        .route("/v1/openapi.json", get(openapi::json))
        .route("/healthz", get(rest::health))
        .route("/readyz", get(rest::ready))
        .route("/metrics", get(rest::metrics))
        .merge(rest.layer(DefaultBodyLimit::max(limits::MAX_JSON_BODY)))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&state), guard::guard))
        .layer(CatchPanicLayer::custom(guard::panicked))
        .layer(cors())
        .with_state(state)
}

/// Any page may read and send: nothing here rests on cookies or on where a request comes from.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::OPTIONS])
        .allow_headers([
            header::CONTENT_TYPE,
            header::ACCEPT,
            header::HeaderName::from_static("last-event-id"),
        ])
        .max_age(std::time::Duration::from_secs(3_600))
}

async fn no_route(uri: Uri) -> ApiProblem {
    let detail = format!("there is nothing at {}: /docs lists what there is", uri.path());
    ApiProblem::new(StatusCode::NOT_FOUND, "not_found", "Not found", detail)
}

async fn no_method(request: Request) -> ApiProblem {
    let detail = format!("{} is not possible at {}", request.method(), request.uri().path());
    let status = StatusCode::METHOD_NOT_ALLOWED;
    ApiProblem::new(status, "method_not_allowed", "Method not allowed", detail)
}
