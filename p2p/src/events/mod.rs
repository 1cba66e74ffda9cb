//! What the network tells the application, in bounded queues that are fair among peers.

mod fair;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use libp2p::PeerId;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use self::fair::FairQueue;
use crate::{Class, GossipId, Limits, ReplyHandle, Usage, Violation};

/// Most peer events waiting; beyond, the oldest are lost (`NetworkHandle::peers` tells the truth).
const MAX_PEER_EVENTS: usize = 1024;
/// Each so-manieth event is taken from the least urgent kind that has one, so that a peer that
/// keeps an urgent queue full cannot silence the others for good.
const LEAST_URGENT_TURN: u32 = 16;

/// Something that happened in the network.
#[derive(Debug)]
pub enum Event {
    /// A peer of this chain is connected. Its messages may come before this event.
    Connected(PeerId),
    /// A peer is no longer connected.
    Disconnected(PeerId),
    /// A peer broke the protocol and stays out for a while.
    Banned {
        /// The peer.
        peer: PeerId,
        /// What it did.
        violation: Violation,
        /// For how long it stays out.
        duration: Duration,
    },
    /// A frame of a direct class, from a validator.
    Message {
        /// The sender.
        from: PeerId,
        /// The frame's class.
        class: Class,
        /// The frame's bytes.
        bytes: Bytes,
    },
    /// A request that waits for a reply.
    Request {
        /// The peer that asks.
        from: PeerId,
        /// The request's bytes.
        bytes: Bytes,
        /// Takes the reply; dropped without one, it refuses.
        reply: ReplyHandle,
    },
    /// A gossip message, not forwarded before `NetworkHandle::report` accepts it.
    Gossip {
        /// The neighbour that forwarded it (not its author, whom the network does not know).
        from: PeerId,
        /// Names the message in the report.
        id: GossipId,
        /// The message's bytes.
        bytes: Bytes,
    },
}

/// Kinds of events, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// [`Event::Connected`], [`Event::Disconnected`], [`Event::Banned`].
    Peer,
    /// [`Event::Message`] of [`Class::Consensus`].
    Consensus,
    /// [`Event::Message`] of [`Class::Proposal`].
    Proposal,
    /// [`Event::Message`] of [`Class::Batch`].
    Batch,
    /// [`Event::Request`].
    Request,
    /// [`Event::Gossip`].
    Gossip,
}

impl EventKind {
    const COUNT: usize = 6;

    /// All kinds, most urgent first.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Peer, Self::Consensus, Self::Proposal, Self::Batch, Self::Request, Self::Gossip];

    const fn of_class(class: Class) -> Self {
        match class {
            Class::Consensus => Self::Consensus,
            Class::Proposal => Self::Proposal,
            Class::Batch => Self::Batch,
        }
    }
}

/// A queue is full; the event is handed back to be refused.
#[derive(Debug)]
pub(crate) struct QueueFull;

/// The queues between the network's tasks and the application.
pub(crate) struct EventQueue {
    state: Mutex<State>,
    max_requests: usize,
    max_gossip_messages: usize,
    max_gossip_bytes: usize,
}

struct State {
    peer: VecDeque<Event>,
    direct: [FairQueue; Class::COUNT],
    requests: VecDeque<Event>,
    gossip: VecDeque<(Event, usize)>,
    gossip_bytes: usize,
    readers: [Arc<Notify>; EventKind::COUNT],
    closed: bool,
}

impl fmt::Debug for EventQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventQueue").finish_non_exhaustive()
    }
}

impl EventQueue {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        let notify = Arc::new(Notify::new());
        Arc::new(Self {
            state: Mutex::new(State {
                peer: VecDeque::new(),
                direct: Default::default(),
                requests: VecDeque::new(),
                gossip: VecDeque::new(),
                gossip_bytes: 0,
                readers: std::array::from_fn(|_| notify.clone()),
                closed: false,
            }),
            max_requests: limits.max_inbound_requests,
            max_gossip_messages: limits.gossip_queue_messages,
            max_gossip_bytes: limits.gossip_queue_bytes,
        })
    }

    /// The receiving side of all kinds.
    pub(crate) fn receiver(self: &Arc<Self>) -> Events {
        let notify = self.state.lock().readers[0].clone();
        Events { queue: self.clone(), kinds: EventKind::ALL.to_vec(), notify, taken: 0 }
    }

    pub(crate) fn push_peer(&self, event: Event) {
        let mut state = self.state.lock();
        if state.peer.len() >= MAX_PEER_EVENTS {
            state.peer.pop_front();
        }
        state.peer.push_back(event);
        state.wake(EventKind::Peer);
    }

    /// Queues a direct frame. Its sender's budget, held by `permit`, is free again when the
    /// application takes the frame; that is what bounds this queue.
    pub(crate) fn push_direct(
        &self,
        from: PeerId,
        class: Class,
        bytes: Bytes,
        permit: OwnedSemaphorePermit,
    ) {
        let mut state = self.state.lock();
        state.direct[class.index()].push(from, bytes, permit);
        state.wake(EventKind::of_class(class));
    }

    pub(crate) fn push_request(&self, event: Event) -> Result<(), QueueFull> {
        let mut state = self.state.lock();
        if state.requests.len() >= self.max_requests {
            return Err(QueueFull);
        }
        state.requests.push_back(event);
        state.wake(EventKind::Request);
        Ok(())
    }

    pub(crate) fn push_gossip(&self, event: Event, length: usize) -> Result<(), QueueFull> {
        let mut state = self.state.lock();
        let full = state.gossip.len() >= self.max_gossip_messages
            || state.gossip_bytes + length > self.max_gossip_bytes;
        if full {
            return Err(QueueFull);
        }
        state.gossip_bytes += length;
        state.gossip.push_back((event, length));
        state.wake(EventKind::Gossip);
        Ok(())
    }

    /// What waits for the application; the other fields are zero.
    pub(crate) fn usage(&self) -> Usage {
        let state = self.state.lock();
        Usage {
            queued_events: state.peer.len(),
            queued_frames: state.direct.iter().map(FairQueue::len).sum(),
            queued_requests: state.requests.len(),
            queued_gossip: state.gossip.len(),
            queued_gossip_bytes: state.gossip_bytes,
            ..Usage::default()
        }
    }

    /// No more events come: receivers end when they have taken what is there.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.readers.iter().for_each(|reader| reader.notify_one());
    }
}

impl State {
    fn wake(&self, kind: EventKind) {
        self.readers[kind as usize].notify_one();
    }

    fn pop(&mut self, kind: EventKind) -> Option<Event> {
        match kind {
            EventKind::Peer => self.peer.pop_front(),
            EventKind::Consensus => self.pop_direct(Class::Consensus),
            EventKind::Proposal => self.pop_direct(Class::Proposal),
            EventKind::Batch => self.pop_direct(Class::Batch),
            EventKind::Request => self.requests.pop_front(),
            EventKind::Gossip => {
                let (event, length) = self.gossip.pop_front()?;
                self.gossip_bytes -= length;
                Some(event)
            }
        }
    }

    fn pop_direct(&mut self, class: Class) -> Option<Event> {
        let (from, bytes) = self.direct[class.index()].pop()?;
        Some(Event::Message { from, class, bytes })
    }
}

/// Receives events, most urgent kind first, within a direct class from each peer in turn.
#[derive(Debug)]
pub struct Events {
    queue: Arc<EventQueue>,
    kinds: Vec<EventKind>,
    notify: Arc<Notify>,
    taken: u32,
}

impl Events {
    /// The next event, or `None` when the network has been shut down and all is taken.
    ///
    /// Cancel-safe: a dropped call loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let notify = self.notify.clone();
            let notified = notify.notified();
            if let Some(event) = self.try_next() {
                return Some(event);
            }
            if self.queue.state.lock().closed {
                return None;
            }
            notified.await;
        }
    }

    /// The next event that is there already.
    pub fn try_next(&mut self) -> Option<Event> {
        let mut state = self.queue.state.lock();
        self.taken = self.taken.wrapping_add(1);
        let mut kinds = self.kinds.iter();
        if self.taken.is_multiple_of(LEAST_URGENT_TURN) {
            kinds.rev().find_map(|kind| state.pop(*kind))
        } else {
            kinds.find_map(|kind| state.pop(*kind))
        }
    }

    /// Moves some kinds to a receiver of their own, for another task: this one no longer gets them.
    /// Kinds that this receiver does not have are passed over.
    #[must_use]
    pub fn split_off(&mut self, kinds: &[EventKind]) -> Self {
        let (moved, kept) = self.kinds.iter().partition(|kind| kinds.contains(kind));
        self.kinds = kept;
        let (kinds, notify): (Vec<EventKind>, _) = (moved, Arc::new(Notify::new()));
        let mut state = self.queue.state.lock();
        for kind in &kinds {
            state.readers[*kind as usize] = notify.clone();
        }
        // What is queued already woke the old receiver.
        notify.notify_one();
        drop(state);
        Self { queue: self.queue.clone(), kinds, notify, taken: 0 }
    }
}
