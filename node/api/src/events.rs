//! Spread what happens on the chain to event streams and WebSockets, with a bounded memory for readers who resume.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use alloy_primitives::B256;
use neura_types::{Transaction, rest::ChainEvent};
use serde_json::value::RawValue;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{
    backend::{BlockView, Event},
    limits::{EVENT_HISTORY, EVENT_QUEUE, PENDING_HISTORY},
    rpc::encode::{self, EthLog},
    shared::{AppState, closed},
};

/// One event of the stream, as it is sent.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Names the event for a reader who resumes after it.
    pub(crate) id: String,
    /// Its name.
    pub(crate) name: &'static str,
    /// Its JSON.
    pub(crate) data: String,
}

/// What WebSocket subscriptions are made of.
#[derive(Debug)]
pub(crate) enum Notice {
    /// A block was executed.
    Block {
        /// Its header, as `newHeads` sends it.
        header: Box<RawValue>,
        /// Its logs.
        logs: Vec<EthLog>,
        /// All of it, for those who want receipts.
        view: Arc<BlockView>,
    },
    /// A transaction came into the pool.
    Pending(Arc<Transaction>),
    /// Blocks were lost on the way here: subscribers cannot rely on what they have.
    Gap,
}

/// Where a reader begins.
#[derive(Debug)]
pub(crate) struct Resumed {
    /// Events since the one that the reader names.
    pub(crate) missed: Vec<Arc<Entry>>,
    /// Whether events were lost that are no longer remembered.
    pub(crate) lost: bool,
    /// Events from now on.
    pub(crate) live: broadcast::Receiver<Arc<Entry>>,
}

/// The events' history and its readers.
#[derive(Debug)]
pub(crate) struct EventHub {
    /// Tells this run's events from another's.
    run: u64,
    history: Mutex<History>,
    stream: broadcast::Sender<Arc<Entry>>,
    sockets: broadcast::Sender<Arc<Notice>>,
    /// Hashes of transactions that came into the pool, for filters.
    pending: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    /// Number of the one that follows.
    next: u64,
    hashes: VecDeque<B256>,
}

#[derive(Debug, Default)]
struct History {
    /// Number of the event that follows.
    next: u64,
    entries: VecDeque<Arc<Entry>>,
}

impl EventHub {
    pub(crate) fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            run: u64::try_from(since_epoch.as_millis()).unwrap_or(0),
            history: Mutex::default(),
            stream: broadcast::Sender::new(EVENT_QUEUE),
            sockets: broadcast::Sender::new(EVENT_QUEUE),
            pending: Mutex::default(),
        }
    }

    /// Begins a stream after the event `last`, or now.
    pub(crate) fn resume(&self, last: Option<&str>) -> Resumed {
        // Publishing holds the lock too, so that no event falls between history and live.
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let live = self.stream.subscribe();
        let Some(last) = last else {
            return Resumed { missed: Vec::new(), lost: false, live };
        };
        let held = u64::try_from(history.entries.len()).unwrap_or(u64::MAX);
        let oldest = history.next.saturating_sub(held);
        let wanted = self.number_of(last).and_then(|number| number.checked_add(1));
        match wanted.filter(|wanted| (oldest..=history.next).contains(wanted)) {
            Some(wanted) => {
                let skip = usize::try_from(wanted - oldest).unwrap_or(usize::MAX);
                let missed = history.entries.iter().skip(skip).cloned().collect();
                Resumed { missed, lost: false, live }
            }
            None => Resumed { missed: Vec::new(), lost: true, live },
        }
    }

    /// Notes a transaction that came into the pool.
    fn take_pending(&self, tx: Arc<Transaction>) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.next += 1;
        if pending.hashes.len() == PENDING_HISTORY {
            pending.hashes.pop_front();
        }
        pending.hashes.push_back(tx.hash);
        drop(pending);
        if self.sockets.receiver_count() > 0 {
            let _listeners = self.sockets.send(Arc::new(Notice::Pending(tx)));
        }
    }

    /// Hashes of the transactions that came into the pool from number `from` on, and the number that follows.
    pub(crate) fn pending_since(&self, from: u64) -> (Vec<B256>, u64) {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let held = u64::try_from(pending.hashes.len()).unwrap_or(u64::MAX);
        let oldest = pending.next.saturating_sub(held);
        let skip = usize::try_from(from.saturating_sub(oldest)).unwrap_or(usize::MAX);
        (pending.hashes.iter().skip(skip).copied().collect(), pending.next)
    }

    /// What WebSocket subscriptions are made of, from now on.
    pub(crate) fn notices(&self) -> broadcast::Receiver<Arc<Notice>> {
        self.sockets.subscribe()
    }

    fn number_of(&self, id: &str) -> Option<u64> {
        let (run, number) = id.split_once('-')?;
        (u64::from_str_radix(run, 16).ok()? == self.run).then_some(())?;
        number.parse().ok()
    }

    fn publish(&self, event: &ChainEvent) {
        let data = match serde_json::to_string(event) {
            Ok(data) => data,
            Err(error) => return tracing::error!(%error, "an event has no JSON form"),
        };
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let id = format!("{:x}-{}", self.run, history.next);
        let entry = Arc::new(Entry { id, name: event.name(), data });
        history.next += 1;
        if history.entries.len() == EVENT_HISTORY {
            history.entries.pop_front();
        }
        history.entries.push_back(Arc::clone(&entry));
        // An error means that nobody listens.
        let _listeners = self.stream.send(entry);
    }

    fn notify(&self, block: &Arc<BlockView>) {
        if self.sockets.receiver_count() == 0 {
            return;
        }
        let Some(header) = encode::header(block) else { return };
        match serde_json::value::to_raw_value(&header) {
            Ok(header) => {
                let logs = encode::logs_of(block);
                let notice = Notice::Block { header, logs, view: Arc::clone(block) };
                let _listeners = self.sockets.send(Arc::new(notice));
            }
            Err(error) => tracing::error!(%error, "a header has no JSON form"),
        }
    }

    fn take(&self, event: &Event) {
        match event {
            Event::Ordered(head) => self.publish(&ChainEvent::BlockOrdered {
                id: head.id,
                height: head.header.height,
                transactions: head.transactions,
                timestamp_ms: head.header.timestamp_ms,
            }),
            Event::Executed { block, tasks } => {
                let executed = block.head.executed.as_ref();
                self.publish(&ChainEvent::BlockExecuted {
                    id: block.head.id,
                    height: block.head.header.height,
                    transactions: block.head.transactions,
                    gas_used: executed.map_or(0, |executed| executed.root.gas_used),
                });
                for change in tasks {
                    self.publish(&ChainEvent::Task(change.clone()));
                }
                self.notify(block);
            }
        }
    }

    fn gap(&self) {
        self.publish(&ChainEvent::Missed {});
        let _listeners = self.sockets.send(Arc::new(Notice::Gap));
    }
}

/// Feeds the hub from the backend until the server shuts down.
pub(crate) async fn feed(state: AppState, mut events: broadcast::Receiver<Event>) {
    let mut end = std::pin::pin!(closed(state.closing.clone()));
    loop {
        let event = tokio::select! {
            () = &mut end => return,
            event = events.recv() => event,
        };
        match event {
            Ok(event) => state.hub.take(&event),
            Err(RecvError::Lagged(count)) => {
                tracing::warn!(count, "events of the chain came faster than they could be spread");
                state.hub.gap();
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// Feeds the hub with transactions that come into the pool until the server shuts down.
pub(crate) async fn feed_pending(
    state: AppState,
    mut pending: broadcast::Receiver<Arc<Transaction>>,
) {
    let mut end = std::pin::pin!(closed(state.closing.clone()));
    loop {
        let arrived = tokio::select! {
            () = &mut end => return,
            arrived = pending.recv() => arrived,
        };
        match arrived {
            Ok(tx) => state.hub.take_pending(tx),
            // Nobody can rely on hearing of all that waits.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub_with(count: u64) -> EventHub {
        let hub = EventHub::new();
        for _ in 0..count {
            hub.publish(&ChainEvent::Missed {});
        }
        hub
    }

    fn id(hub: &EventHub, number: u64) -> String {
        format!("{:x}-{number}", hub.run)
    }

    #[test]
    fn a_reader_resumes_after_the_event_it_names() {
        let hub = hub_with(5);
        let resumed = hub.resume(Some(&id(&hub, 2)));
        assert!(!resumed.lost);
        let ids: Vec<_> = resumed.missed.iter().map(|entry| entry.id.clone()).collect();
        assert_eq!(ids, [id(&hub, 3), id(&hub, 4)]);
    }

    #[test]
    fn a_reader_that_has_everything_gets_nothing_twice() {
        let hub = hub_with(5);
        let resumed = hub.resume(Some(&id(&hub, 4)));
        assert!(!resumed.lost && resumed.missed.is_empty());
    }

    #[test]
    fn a_reader_is_told_that_events_are_lost() {
        let hub = hub_with(EVENT_HISTORY as u64 + 10);
        for last in [id(&hub, 3), id(&hub, u64::MAX), "1-2".into(), "garbage".into(), String::new()]
        {
            assert!(hub.resume(Some(&last)).lost, "{last}");
        }
        assert!(!hub.resume(Some(&id(&hub, 9))).lost);
    }

    #[test]
    fn the_history_is_bounded() {
        let hub = hub_with(EVENT_HISTORY as u64 * 2);
        assert_eq!(hub.history.lock().unwrap().entries.len(), EVENT_HISTORY);
    }
}
