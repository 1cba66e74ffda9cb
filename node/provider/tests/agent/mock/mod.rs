//! A node with a chain of its own in memory: it executes each transaction as it comes, in a block of its own, by
//! rules that are those of the native modules as far as a provider meets them.

mod chain;
pub(crate) mod owner;
mod routes;

use std::sync::{Arc, Mutex, MutexGuard};

use axum::{
    Router,
    routing::{get, post},
};
use neura_types::rest::ChainEvent;
use tokio::sync::broadcast;

pub(crate) use chain::{CHAIN_ID, Chain};

/// Events that a slow reader may fall behind.
const EVENTS: usize = 4_096;

/// A running node.
#[derive(Clone)]
pub(crate) struct Node {
    chain: Arc<Mutex<Chain>>,
    events: Arc<Mutex<broadcast::Sender<ChainEvent>>>,
    pub(crate) url: String,
}

impl Node {
    /// Starts a node that has this chain; it serves until the test ends.
    pub(crate) async fn start(chain: Chain) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let events = Arc::new(Mutex::new(broadcast::Sender::new(EVENTS)));
        let node = Self { chain: Arc::new(Mutex::new(chain)), events, url };
        let router = Router::new()
            .route("/v1/status", get(routes::status))
            .route("/v1/params", get(routes::params))
            .route("/v1/blocks/latest", get(routes::latest))
            .route("/v1/accounts/{address}", get(routes::account))
            .route("/v1/transactions", post(routes::submit))
            .route("/v1/transactions/{hash}", get(routes::transaction))
            .route("/v1/providers/{address}", get(routes::provider))
            .route("/v1/tasks", get(routes::tasks))
            .route("/v1/tasks/{id}", get(routes::task))
            .route("/v1/tasks/{id}/notes", post(routes::note))
            .route("/v1/faucet", post(routes::faucet))
            .route("/v1/blobs", post(routes::put_blob))
            .route("/v1/blobs/{hash}", get(routes::blob))
            .route("/v1/events", get(routes::events))
            .with_state(node.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        node
    }

    /// The chain, to look at; what is done to it this way makes no event.
    pub(crate) fn chain(&self) -> MutexGuard<'_, Chain> {
        self.chain.lock().unwrap()
    }

    /// Does something to the chain in a block of its own, and tells who listens.
    pub(crate) fn act<T>(&self, act: impl FnOnce(&mut Chain) -> T) -> T {
        let (done, events) = {
            let mut chain = self.chain();
            chain.height += 1;
            let done = act(&mut chain);
            (done, chain.take_events())
        };
        let sender = self.events.lock().unwrap();
        for event in events {
            let _ = sender.send(event);
        }
        done
    }

    /// Breaks all event streams.
    pub(crate) fn disconnect(&self) {
        *self.events.lock().unwrap() = broadcast::Sender::new(EVENTS);
    }

    fn listen(&self) -> broadcast::Receiver<ChainEvent> {
        self.events.lock().unwrap().subscribe()
    }
}
