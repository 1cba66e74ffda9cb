//! JSON-RPC over a WebSocket, with subscriptions.
//!
//! One task per socket reads, runs up to [`RPC_CONCURRENCY`] calls, and writes. While that many run, or while the peer
//! does not take what is written, nothing is read: what a peer can make the node hold is bounded.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use alloy_primitives::{B256, Bytes};
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures::{
    FutureExt, SinkExt, StreamExt,
    future::BoxFuture,
    stream::{FuturesUnordered, SplitSink},
};
use neura_types::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::{sync::broadcast, time::timeout};

use super::{
    arguments,
    encode::{self, EthLog},
    envelope::{self, Given},
    error::{INVALID_REQUEST, LIMIT_EXCEEDED, RpcError, RpcResult, answer},
    filters::fresh_id,
    logs::{FilterParams, LogFilter},
    node,
    params::Params,
};
use crate::{
    backend::BlockView,
    events::Notice,
    limits::{
        KEEP_ALIVE, MAX_RECEIPT_HASHES, MAX_RPC_BODY, MAX_SUBSCRIPTIONS, RPC_CONCURRENCY,
        WRITE_STALL,
    },
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
    /// Receipts of the transactions of blocks: of these, or of all.
    Receipts(Option<BTreeSet<B256>>),
    /// Whether the node catches up, and what was told last.
    Syncing {
        told: Option<bool>,
    },
}

/// A subscription, silent until its id was told.
#[derive(Debug)]
struct Subscribed {
    to: Subscription,
    is_told: bool,
}

/// What came of a message.
struct Done {
    answer: Option<String>,
    /// Subscriptions that it began.
    begun: Vec<String>,
}

/// Which receipts are asked for: geth's form.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ReceiptParams {
    transaction_hashes: Option<BTreeSet<B256>>,
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
    subscriptions: BTreeMap<String, Subscribed>,
    /// Blocks, while there are subscriptions.
    blocks: Option<broadcast::Receiver<Arc<Notice>>>,
    running: FuturesUnordered<BoxFuture<'static, Done>>,
}

/// What is said of a message over [`MAX_RPC_BODY`].
const TOO_LONG: &str =
    "message too big: at most 5242880 bytes, send smaller batches, or less data in one call";
const _: () = assert!(MAX_RPC_BODY == 5_242_880, "the reason states the limit");

/// Whether a socket broke off because of a message's length: the library tells that in words only.
fn is_too_long(error: &axum::Error) -> bool {
    error.to_string().contains("too long")
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
            Some(done) = session.running.next() => session.finish(done).await,
            notice = next_notice(&mut session.blocks) => session.notify(notice).await,
            message = source.next(), if session.running.len() < RPC_CONCURRENCY => match message {
                Some(Ok(message)) => session.receive(message).await,
                Some(Err(error)) if is_too_long(&error) => Err(End::Close(close_code::SIZE, TOO_LONG)),
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

    /// Sends an answer; what was subscribed to with it is told from then on.
    async fn finish(&mut self, done: Done) -> Result<(), End> {
        if let Some(text) = done.answer {
            self.write(Message::Text(text.into())).await?;
        }
        for id in done.begun {
            if let Some(subscribed) = self.subscriptions.get_mut(&id) {
                subscribed.is_told = true;
            }
        }
        Ok(())
    }

    async fn receive(&mut self, message: Message) -> Result<(), End> {
        let text = match message {
            Message::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
            Message::Binary(bytes) => bytes.into(),
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Close(_) => return Err(End::Gone),
        };
        if text.len() > MAX_RPC_BODY {
            let refused =
                envelope::write(RawValue::NULL, Err(RpcError::new(INVALID_REQUEST, TOO_LONG)));
            return self.write(Message::Text(refused.into())).await;
        }
        let (mut given, mut begun) = (Given::new(), Vec::new());
        for (place, request) in envelope::requests(&text).into_iter().enumerate() {
            if let Some(answer) = self.subscription_call(request, &mut begun) {
                given.insert(place, answer);
            }
        }
        if !envelope::is_batch(&text)
            && let Some(answer) = given.remove(&0)
        {
            // At once, before the answers to what was asked later.
            return self.finish(Done { answer: Some(answer), begun }).await;
        }
        let state = Arc::clone(&self.state);
        let work = async move {
            let answer = envelope::respond_beside(&state, &text, given).await;
            Done { answer, begun }
        };
        self.running.push(work.boxed());
        Ok(())
    }

    /// Answers `eth_subscribe` and `eth_unsubscribe`, and notes what has `begun`; other requests are not for here.
    fn subscription_call(&mut self, text: &[u8], begun: &mut Vec<String>) -> Option<String> {
        let request = envelope::read(text).ok()?;
        let method = request.method.as_ref();
        if !matches!(method, "eth_subscribe" | "eth_unsubscribe") {
            return None;
        }
        let id = request.id?;
        let result = Params::read(request.params).and_then(|params| {
            params.check_count(arguments::most(method).unwrap_or_default())?;
            if method == "eth_unsubscribe" {
                return answer(self.unsubscribe(&params)?);
            }
            let subscription = self.subscribe(&params)?;
            begun.push(subscription.clone());
            answer(subscription)
        });
        Some(envelope::write(id, result))
    }

    fn subscribe(&mut self, params: &Params<'_>) -> RpcResult<String> {
        let kind: String = params.required(0, "subscription")?;
        let subscription = match kind.as_str() {
            "newHeads" => Subscription::Heads,
            "logs" => {
                let filter: Option<FilterParams> = params.optional(1, "filter")?;
                let filter = filter.unwrap_or_default().check()?;
                filter.check_lasting()?;
                Subscription::Logs(filter)
            }
            "transactionReceipts" => Subscription::Receipts(receipts_asked(params)?),
            "newPendingTransactions" => {
                let full: Option<bool> = params.optional(1, "full transactions")?;
                Subscription::Pending { full: full.unwrap_or(false) }
            }
            "syncing" => Subscription::Syncing { told: None },
            _ => {
                return Err(RpcError::params(format!(
                    "no \"{}\" subscription in eth namespace: newHeads, logs, newPendingTransactions, transactionReceipts, syncing are",
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
        self.subscriptions.insert(id.clone(), Subscribed { to: subscription, is_told: false });
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
            Notice::Block { header, logs, view } => {
                let mut texts = self.notifications(header, logs, view);
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
        self.told().filter_map(told).collect()
    }

    /// The subscriptions whose ids were told.
    fn told(&self) -> impl Iterator<Item = (&String, &Subscription)> {
        let is_told = |(_, subscribed): &(&String, &Subscribed)| subscribed.is_told;
        self.subscriptions.iter().filter(is_told).map(|(id, subscribed)| (id, &subscribed.to))
    }

    /// Tells those who want to know when the node begins or ends to catch up.
    async fn syncing(&mut self) -> Vec<String> {
        let is_asked =
            |subscription: &Subscription| matches!(subscription, Subscription::Syncing { .. });
        if !self.told().any(|(_, subscription)| is_asked(subscription)) {
            return Vec::new();
        }
        let Ok(status) = node::syncing(&self.state).await else { return Vec::new() };
        let now = status.is_syncing();
        let mut texts = Vec::new();
        for (id, subscribed) in &mut self.subscriptions {
            if let Subscription::Syncing { told } = &mut subscribed.to
                && subscribed.is_told
                && *told != Some(now)
            {
                *told = Some(now);
                texts.extend(notification(id, &status));
            }
        }
        texts
    }

    fn notifications(&self, header: &RawValue, logs: &[EthLog], view: &BlockView) -> Vec<String> {
        let mut texts = Vec::new();
        for (id, subscription) in self.told() {
            match subscription {
                Subscription::Heads => texts.extend(notification(id, header)),
                Subscription::Logs(filter) => {
                    let wanted = logs.iter().filter(|log| filter.matches(log));
                    texts.extend(wanted.filter_map(|log| notification(id, log)));
                }
                Subscription::Receipts(wanted) => {
                    let mut receipts = encode::receipts(view);
                    receipts.retain(|receipt| {
                        wanted.as_ref().is_none_or(|wanted| wanted.contains(&receipt.hash()))
                    });
                    if !receipts.is_empty() {
                        texts.extend(notification(id, receipts));
                    }
                }
                Subscription::Pending { .. } | Subscription::Syncing { .. } => {}
            }
        }
        texts
    }
}

/// The transactions whose receipts are asked for; none for all.
fn receipts_asked(params: &Params<'_>) -> RpcResult<Option<BTreeSet<B256>>> {
    let asked: Option<ReceiptParams> = params.optional(1, "filter")?;
    let hashes = asked.unwrap_or_default().transaction_hashes;
    if hashes.as_ref().is_some_and(|hashes| hashes.len() > MAX_RECEIPT_HASHES) {
        return Err(RpcError::params(format!(
            "exceed max number of transaction hashes allowed per transactionReceipts subscription: {MAX_RECEIPT_HASHES}"
        )));
    }
    Ok(hashes.filter(|hashes| !hashes.is_empty()))
}

fn notification<T: Serialize>(subscription: &str, result: T) -> Option<String> {
    let params = NotificationParams { subscription, result };
    serde_json::to_string(&Notification { jsonrpc: "2.0", method: "eth_subscription", params }).ok()
}
