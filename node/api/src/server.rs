//! Bind, route, run, shut down.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{Method, StatusCode, Uri, header},
    middleware,
    routing::{any, get},
};
use prometheus_client::registry::Registry;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{Any, CorsLayer},
};

use crate::{
    ApiConfig, Backend, events, guard, limits,
    listener::BoundedListener,
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
    let state = Arc::new(Shared::new(config, backend, registry, local_addr, closing_seen.clone()));
    let feed = tokio::spawn(events::feed(Arc::clone(&state), happenings));
    let pending = tokio::spawn(events::feed_pending(Arc::clone(&state), arrivals));
    let app = router(state);
    let task = tokio::spawn(async move {
        let server = axum::serve(BoundedListener::new(listener), app)
            .with_graceful_shutdown(closed(closing_seen));
        if let Err(error) = server.await {
            tracing::error!(%error, "the API server ended");
        }
        feed.abort();
        pending.abort();
    });
    Ok(ServerHandle { local_addr, closing, task })
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
