//! JSON-RPC over a WebSocket, with subscriptions.
//!
//! One task per socket reads, runs up to [`RPC_CONCURRENCY`] calls, and writes. While that many run, or while the peer
//! does not take what is written, nothing is read: what a peer can make the node hold is bounded.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures::{
    FutureExt, SinkExt, StreamExt,
    future::BoxFuture,
    stream::{FuturesUnordered, SplitSink},
};
use neura_types::Transaction;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::{sync::broadcast, time::timeout};

use super::{
    encode::{self, EthLog},
    envelope,
    error::{LIMIT_EXCEEDED, RpcError, RpcResult, answer},
    filters::fresh_id,
    logs::{FilterParams, LogFilter},
    node,
    params::Params,
};
use crate::{
    events::Notice,
    limits::{KEEP_ALIVE, MAX_SUBSCRIPTIONS, RPC_CONCURRENCY, WRITE_STALL},
    shared::{AppState, closed},
};

#[derive(Debug)]
enum Subscription {
    Heads,
    Logs(LogFilter),
    /// Transactions that come into the pool: their hashes, or all of them.
    Pending {
        full: bool,
    },
    /// Whether the node catches up, and what was told last.
    Syncing {
        told: Option<bool>,
    },
}

/// Why a socket ends.
enum End {
    /// The peer is gone, or does not read.
    Gone,
    /// The server closes it, for a reason.
    Close(u16, &'static str),
}

#[derive(Serialize)]
struct Notification<'a, T: Serialize> {
    jsonrpc: &'static str,
    method: &'static str,
    params: NotificationParams<'a, T>,
}

#[derive(Serialize)]
struct NotificationParams<'a, T: Serialize> {
    subscription: &'a str,
    result: T,
}

struct Session {
    state: AppState,
    sink: SplitSink<WebSocket, Message>,
    subscriptions: BTreeMap<String, Subscription>,
    /// Blocks, while there are subscriptions.
    blocks: Option<broadcast::Receiver<Arc<Notice>>>,
    running: FuturesUnordered<BoxFuture<'static, Option<String>>>,
}

/// Serves a socket to its end.
pub(super) async fn serve(state: AppState, socket: WebSocket) {
    let (sink, mut source) = socket.split();
    let mut end = std::pin::pin!(closed(state.closing.clone()));
    let mut alive = tokio::time::interval(KEEP_ALIVE);
    let mut session = Session {
        state,
        sink,
        subscriptions: BTreeMap::new(),
        blocks: None,
        running: FuturesUnordered::new(),
    };
    let ended = loop {
        let step = tokio::select! {
            () = &mut end => Err(End::Close(close_code::AWAY, "the node is stopping")),
            Some(answer) = session.running.next() => session.send(answer).await,
            notice = next_notice(&mut session.blocks) => session.notify(notice).await,
            message = source.next(), if session.running.len() < RPC_CONCURRENCY => match message {
                Some(Ok(message)) => session.receive(message).await,
                Some(Err(_)) | None => Err(End::Gone),
            },
            _ = alive.tick() => session.write(Message::Ping(Default::default())).await,
        };
        if let Err(end) = step {
            break end;
        }
    };
    if let End::Close(code, reason) = ended {
        let frame = CloseFrame { code, reason: reason.into() };
        // The peer may be gone already.
        let _sent = session.write(Message::Close(Some(frame))).await;
    }
}

/// The next block; never, without subscriptions. Nothing means that some were lost.
async fn next_notice(blocks: &mut Option<broadcast::Receiver<Arc<Notice>>>) -> Option<Arc<Notice>> {
    match blocks {
        Some(blocks) => blocks.recv().await.ok(),
        None => std::future::pending().await,
    }
}

impl Session {
    async fn write(&mut self, message: Message) -> Result<(), End> {
        match timeout(WRITE_STALL, self.sink.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }

    async fn send(&mut self, text: Option<String>) -> Result<(), End> {
        match text {
            Some(text) => self.write(Message::Text(text.into())).await,
            None => Ok(()),
        }
    }

    async fn receive(&mut self, message: Message) -> Result<(), End> {
        let text = match message {
            Message::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
            Message::Binary(bytes) => bytes.into(),
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Close(_) => return Err(End::Gone),
        };
        if let Some(answer) = self.subscription_call(&text) {
            // Before any notification, which has the id that this answer tells.
            return self.send(Some(answer)).await;
        }
        let state = Arc::clone(&self.state);
        self.running.push(async move { envelope::respond(&state, &text).await }.boxed());
        Ok(())
    }

    /// Answers `eth_subscribe` and `eth_unsubscribe`; other requests are not for here.
    fn subscription_call(&mut self, text: &[u8]) -> Option<String> {
        let request = envelope::read(text).ok()?;
        let method = request.method.as_ref();
        if !matches!(method, "eth_subscribe" | "eth_unsubscribe") {
            return None;
        }
        let id = request.id?;
        let result = Params::read(request.params).and_then(|params| match method {
            "eth_subscribe" => answer(self.subscribe(&params)?),
            _ => answer(self.unsubscribe(&params)?),
        });
        Some(envelope::write(id, result))
    }

    fn subscribe(&mut self, params: &Params<'_>) -> RpcResult<String> {
        let kind: String = params.required(0, "subscription")?;
        let subscription = match kind.as_str() {
            "newHeads" => Subscription::Heads,
            "logs" => {
                let filter: Option<FilterParams> = params.optional(1, "filter")?;
                Subscription::Logs(filter.unwrap_or_default().check()?)
            }
            "newPendingTransactions" => {
                let full: Option<bool> = params.optional(1, "full transactions")?;
                Subscription::Pending { full: full.unwrap_or(false) }
            }
            "syncing" => Subscription::Syncing { told: None },
            _ => {
                return Err(RpcError::params(format!(
                    "no \"{}\" subscription in eth namespace: newHeads, logs, newPendingTransactions, syncing are",
                    kind.chars().take(40).collect::<String>()
                )));
            }
        };
        if self.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            let text = format!("at most {MAX_SUBSCRIPTIONS} subscriptions per connection");
            return Err(RpcError::new(LIMIT_EXCEEDED, text));
        }
        self.blocks.get_or_insert_with(|| self.state.hub.notices());
        let id = fresh_id();
        self.subscriptions.insert(id.clone(), subscription);
        Ok(id)
    }

    fn unsubscribe(&mut self, params: &Params<'_>) -> RpcResult<bool> {
        let id: String = params.required(0, "subscription id")?;
        let removed = self.subscriptions.remove(&id).is_some();
        if self.subscriptions.is_empty() {
            self.blocks = None;
        }
        Ok(removed)
    }

    /// Tells subscribers of a block. If blocks were lost, the socket ends: a reconnecting client knows where it
    /// stands, one that misses a block does not.
    async fn notify(&mut self, notice: Option<Arc<Notice>>) -> Result<(), End> {
        let Some(notice) = notice else {
            return Err(End::Close(close_code::POLICY, "too slow: notifications were lost"));
        };
        let texts = match notice.as_ref() {
            Notice::Block { header, logs } => {
                let mut texts = self.notifications(header, logs);
                texts.extend(self.syncing().await);
                texts
            }
            Notice::Pending(tx) => self.arrival(tx),
            Notice::Gap => {
                let reason = "notifications were lost: connect again";
                return Err(End::Close(close_code::AGAIN, reason));
            }
        };
        for text in texts {
            self.write(Message::Text(text.into())).await?;
        }
        Ok(())
    }

    fn arrival(&self, tx: &Transaction) -> Vec<String> {
        let told = |(id, subscription): (&String, &Subscription)| match subscription {
            Subscription::Pending { full: false } => notification(id, tx.hash),
            Subscription::Pending { full: true } => notification(id, encode::transaction(tx, None)),
            _ => None,
        };
        self.subscriptions.iter().filter_map(told).collect()
    }

    /// Tells those who want to know when the node begins or ends to catch up.
    async fn syncing(&mut self) -> Vec<String> {
        let is_asked =
            |subscription: &Subscription| matches!(subscription, Subscription::Syncing { .. });
        if !self.subscriptions.values().any(is_asked) {
            return Vec::new();
        }
        let Ok(status) = node::syncing(&self.state).await else { return Vec::new() };
        let now = status.is_syncing();
        let mut texts = Vec::new();
        for (id, subscription) in &mut self.subscriptions {
            if let Subscription::Syncing { told } = subscription
                && *told != Some(now)
            {
                *told = Some(now);
                texts.extend(notification(id, &status));
            }
        }
        texts
    }

    fn notifications(&self, header: &RawValue, logs: &[EthLog]) -> Vec<String> {
        let mut texts = Vec::new();
        for (id, subscription) in &self.subscriptions {
            match subscription {
                Subscription::Heads => texts.extend(notification(id, header)),
                Subscription::Logs(filter) => {
                    let wanted = logs.iter().filter(|log| filter.matches(log));
                    texts.extend(wanted.filter_map(|log| notification(id, log)));
                }
                Subscription::Pending { .. } | Subscription::Syncing { .. } => {}
            }
        }
        texts
    }
}

fn notification<T: Serialize>(subscription: &str, result: T) -> Option<String> {
    let params = NotificationParams { subscription, result };
    serde_json::to_string(&Notification { jsonrpc: "2.0", method: "eth_subscription", params }).ok()
}
