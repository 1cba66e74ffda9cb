//! The direct streams to one validator: which are open, on which connection, when to try again.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use libp2p::{Stream, swarm::ConnectionId};
use tokio::sync::mpsc;

use crate::{
    Class, Limits, Metrics,
    outbox::Outbox,
    writer::{Broken, Install, Writer},
};

/// First pause before a stream that failed is opened again.
const REOPEN_MIN: Duration = Duration::from_millis(100);
/// Longest pause before a stream that failed is opened again.
const REOPEN_MAX: Duration = Duration::from_secs(5);
/// A stream that lived so long was accepted: the next pause is short again.
const ACCEPTED_AFTER: Duration = Duration::from_secs(10);
/// Streams on their way to the writer: one per class, and replacements.
const STREAM_QUEUE: usize = 4 * Class::COUNT;

/// The sending side towards one validator. Its writer ends when the link is dropped.
pub(crate) struct Link {
    outbox: Arc<Outbox>,
    streams: mpsc::Sender<Install<Stream>>,
    broken: Broken,
    lanes: [Lane; Class::COUNT],
}

#[derive(Debug, Clone, Copy)]
struct Lane {
    connection: Option<ConnectionId>,
    state: State,
    pause: Duration,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Opening,
    Open { since: Instant },
    Waiting { until: Instant },
}

impl Link {
    /// A link without streams yet; frames can be queued already.
    pub(crate) fn new(limits: &Limits, metrics: Metrics, now: Instant) -> Self {
        let outbox = Arc::new(Outbox::new(limits));
        let (streams, installs) = mpsc::channel(STREAM_QUEUE);
        let broken = Broken::default();
        tokio::spawn(Writer::new(outbox.clone(), installs, broken.clone(), metrics));
        let state = State::Waiting { until: now };
        let lane = Lane { connection: None, state, pause: REOPEN_MIN };
        Self { outbox, streams, broken, lanes: [lane; Class::COUNT] }
    }

    pub(crate) const fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// Moves to a connection. Returns the classes of which streams are to be opened on it. Frames
    /// wait until then: those written to a connection that is dead already would be lost.
    pub(crate) fn move_to(&mut self, connection: ConnectionId) -> Vec<Class> {
        let mut to_open = Vec::new();
        for class in Class::ALL {
            let lane = &mut self.lanes[class.index()];
            if lane.connection != Some(connection) {
                // A full queue brings a newer stream anyway.
                let _ = self.streams.try_send((class, None));
                let pause = REOPEN_MIN;
                *lane = Lane { connection: Some(connection), state: State::Opening, pause };
                to_open.push(class);
            }
        }
        to_open
    }

    /// A stream is open. It is used if it is on the connection that the link is on.
    pub(crate) fn opened(
        &mut self,
        class: Class,
        connection: ConnectionId,
        stream: Stream,
        now: Instant,
    ) {
        let lane = &mut self.lanes[class.index()];
        if lane.connection != Some(connection) {
            return;
        }
        self.broken[class.index()].store(false, Ordering::Release);
        match self.streams.try_send((class, Some(stream))) {
            Ok(()) => lane.state = State::Open { since: now },
            Err(_) => lane.wait(now),
        }
    }

    /// A stream could not be opened.
    pub(crate) fn failed(&mut self, class: Class, connection: ConnectionId, now: Instant) {
        let lane = &mut self.lanes[class.index()];
        if lane.connection == Some(connection) {
            lane.wait(now);
        }
    }

    /// Whether the peer has taken nothing of a class for so long, although its stream is open and
    /// frames wait.
    pub(crate) fn is_stalled(&self, patience: Duration, now: Instant) -> bool {
        Class::ALL.into_iter().any(|class| match self.lanes[class.index()].state {
            State::Open { since } => {
                let open = now.saturating_duration_since(since);
                open.min(self.outbox.waiting(class, now)) >= patience
            }
            _ => false,
        })
    }

    /// The peer has opened a stream to us, so it is likely to accept ours now.
    pub(crate) fn encourage(&mut self, now: Instant) {
        for lane in &mut self.lanes {
            if matches!(lane.state, State::Waiting { .. }) {
                lane.state = State::Waiting { until: now };
            }
        }
    }

    /// Streams to be opened now, because they failed and their pause is over.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<(Class, ConnectionId)> {
        let mut due = Vec::new();
        for class in Class::ALL {
            let lane = &mut self.lanes[class.index()];
            let broken = self.broken[class.index()].swap(false, Ordering::AcqRel);
            if let State::Open { since } = lane.state
                && broken
            {
                if now.duration_since(since) >= ACCEPTED_AFTER {
                    lane.pause = REOPEN_MIN;
                }
                lane.wait(now);
            }
            if let (State::Waiting { until }, Some(connection)) = (lane.state, lane.connection)
                && until <= now
            {
                lane.state = State::Opening;
                due.push((class, connection));
            }
        }
        due
    }
}

impl Lane {
    fn wait(&mut self, now: Instant) {
        self.state = State::Waiting { until: now + self.pause };
        self.pause = (2 * self.pause).min(REOPEN_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(id: usize) -> ConnectionId {
        ConnectionId::new_unchecked(id)
    }

    fn link(now: Instant) -> Link {
        Link::new(&Limits::default(), Metrics::new(), now)
    }

    #[tokio::test]
    async fn each_class_is_opened_once_per_connection() {
        let now = Instant::now();
        let mut link = link(now);
        assert_eq!(link.move_to(connection(1)), Class::ALL);
        assert!(link.move_to(connection(1)).is_empty());
        assert!(link.due(now).is_empty());
        assert_eq!(link.move_to(connection(2)), Class::ALL);
    }

    #[tokio::test]
    async fn failures_are_retried_after_growing_pauses() {
        let mut now = Instant::now();
        let mut link = link(now);
        link.move_to(connection(1));
        for pause in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            link.failed(Class::Batch, connection(1), now);
            let pause = Duration::from_millis(pause);
            assert!(link.due(now + pause - Duration::from_millis(1)).is_empty());
            now += pause;
            assert_eq!(link.due(now), [(Class::Batch, connection(1))]);
        }
    }

    #[tokio::test]
    async fn failures_on_an_abandoned_connection_do_not_matter() {
        let now = Instant::now();
        let mut link = link(now);
        link.move_to(connection(1));
        link.move_to(connection(2));
        link.failed(Class::Batch, connection(1), now);
        assert!(link.due(now + REOPEN_MAX).is_empty());
    }

    #[tokio::test]
    async fn an_encouraged_link_does_not_wait() {
        let now = Instant::now();
        let mut link = link(now);
        link.move_to(connection(1));
        link.failed(Class::Consensus, connection(1), now);
        link.encourage(now);
        assert_eq!(link.due(now), [(Class::Consensus, connection(1))]);
    }
}
