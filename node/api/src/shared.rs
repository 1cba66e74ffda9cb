//! What all handlers share.

use std::{net::SocketAddr, sync::Arc};

use axum::body::Bytes;
use prometheus_client::registry::Registry;
use tokio::sync::{Semaphore, watch};

use crate::{
    ApiConfig, Backend,
    events::EventHub,
    limits::{MAX_BLOB_TRANSFERS, MAX_EVM_CALLS, MAX_REQUESTS, MAX_STREAMS, MAX_UPLOADS},
    rest::FaucetLimiter,
    rpc::Filters,
};

/// State of the server, shared by its handlers.
pub(crate) type AppState = Arc<Shared>;

/// What a server holds.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) config: ApiConfig,
    pub(crate) local_addr: SocketAddr,
    pub(crate) registry: Arc<Registry>,
    pub(crate) hub: EventHub,
    pub(crate) filters: Filters,
    pub(crate) faucet: FaucetLimiter,
    /// The OpenAPI document, as it is sent.
    pub(crate) openapi: Bytes,
    pub(crate) request_slots: Semaphore,
    pub(crate) upload_slots: Semaphore,
    pub(crate) evm_slots: Arc<Semaphore>,
    pub(crate) blob_slots: Arc<Semaphore>,
    pub(crate) stream_slots: Arc<Semaphore>,
    pub(crate) socket_slots: Arc<Semaphore>,
    /// Becomes true when the server shuts down; streams and sockets end then.
    pub(crate) closing: watch::Receiver<bool>,
}

impl Shared {
    pub(crate) fn new(
        config: ApiConfig,
        backend: Arc<dyn Backend>,
        registry: Arc<Registry>,
        local_addr: SocketAddr,
        closing: watch::Receiver<bool>,
    ) -> Self {
        Self {
            hub: EventHub::new(),
            filters: Filters::default(),
            faucet: FaucetLimiter::default(),
            openapi: crate::openapi::bytes(),
            request_slots: Semaphore::new(MAX_REQUESTS),
            upload_slots: Semaphore::new(MAX_UPLOADS),
            evm_slots: Arc::new(Semaphore::new(evm_slots())),
            blob_slots: Arc::new(Semaphore::new(MAX_BLOB_TRANSFERS)),
            stream_slots: Arc::new(Semaphore::new(MAX_STREAMS)),
            socket_slots: Arc::new(Semaphore::new(MAX_STREAMS)),
            backend,
            config,
            local_addr,
            registry,
            closing,
        }
    }
}

/// Resolves when the server shuts down.
pub(crate) async fn closed(mut closing: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a shutdown too.
    let _gone = closing.wait_for(|closing| *closing).await;
}

/// Simulations keep a core busy each; more than there are cores would only take turns.
fn evm_slots() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MAX_EVM_CALLS)
}
