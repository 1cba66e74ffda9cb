//! Frames waiting to be sent to one peer.

use std::{
    collections::VecDeque,
    task::Waker,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::task::AtomicWaker;
use parking_lot::Mutex;

use crate::{Class, ClassLimits, Limits};

/// The bounded queues to one peer, one per class. Senders push from any thread, one writer pops.
#[derive(Debug)]
pub(crate) struct Outbox {
    queues: [Mutex<Queue>; Class::COUNT],
    writer: AtomicWaker,
}

#[derive(Debug)]
struct Queue {
    frames: VecDeque<Bytes>,
    bytes: usize,
    limits: ClassLimits,
    /// Since when frames have been waiting without one being taken; when the queue is empty, of no
    /// meaning.
    waiting_since: Instant,
}

/// The queue of a class that does not displace is full.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Outbox {
    pub(crate) fn new(limits: &Limits) -> Self {
        let queue = |class| {
            let limits = *limits.class(class);
            let waiting_since = Instant::now();
            Mutex::new(Queue { frames: VecDeque::new(), bytes: 0, limits, waiting_since })
        };
        Self { queues: Class::ALL.map(queue), writer: AtomicWaker::new() }
    }

    /// Queues a frame whose length has been checked. A full queue of consensus messages or
    /// proposals loses its oldest frames, of which the number is returned; one of batches refuses.
    pub(crate) fn push(&self, class: Class, frame: Bytes) -> Result<usize, Full> {
        let dropped = self.queues[class.index()].lock().push(class, frame)?;
        self.writer.wake();
        Ok(dropped)
    }

    /// Takes the oldest frame of a class.
    pub(crate) fn pop(&self, class: Class) -> Option<Bytes> {
        let mut queue = self.queues[class.index()].lock();
        queue.waiting_since = Instant::now();
        queue.pop()
    }

    /// How long frames of a class have been waiting without one being taken.
    pub(crate) fn waiting(&self, class: Class, now: Instant) -> Duration {
        let queue = self.queues[class.index()].lock();
        let since = if queue.frames.is_empty() { now } else { queue.waiting_since };
        now.saturating_duration_since(since)
    }

    /// Names the task to wake when a frame is pushed.
    pub(crate) fn register(&self, waker: &Waker) {
        self.writer.register(waker);
    }
}

impl Queue {
    fn push(&mut self, class: Class, frame: Bytes) -> Result<usize, Full> {
        let mut dropped = 0;
        while !self.has_room(frame.len()) {
            if class == Class::Batch || self.pop().is_none() {
                return Err(Full);
            }
            dropped += 1;
        }
        if self.frames.is_empty() && dropped == 0 {
            self.waiting_since = Instant::now();
        }
        self.bytes += frame.len();
        self.frames.push_back(frame);
        Ok(dropped)
    }

    fn pop(&mut self) -> Option<Bytes> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.len();
        Some(frame)
    }

    fn has_room(&self, length: usize) -> bool {
        self.frames.len() < self.limits.outbound_frames
            && self.bytes + length <= self.limits.outbound_bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outbox(outbound_frames: usize, outbound_bytes: usize) -> Outbox {
        let class = ClassLimits {
            max_frame_bytes: outbound_bytes,
            outbound_frames,
            outbound_bytes,
            inbound_bytes: 1 << 20,
        };
        let limits =
            Limits { consensus: class, proposal: class, batch: class, ..Limits::default() };
        Outbox::new(&limits)
    }

    fn frame(tag: u8, length: usize) -> Bytes {
        Bytes::from(vec![tag; length])
    }

    #[test]
    fn a_full_consensus_queue_loses_its_oldest_frames() {
        let outbox = outbox(2, 100);
        for tag in 0..4 {
            let dropped = outbox.push(Class::Consensus, frame(tag, 1)).unwrap();
            assert_eq!(dropped, usize::from(tag >= 2));
        }
        assert_eq!(outbox.pop(Class::Consensus), Some(frame(2, 1)));
        assert_eq!(outbox.push(Class::Consensus, frame(9, 100)), Ok(1));
        assert_eq!(outbox.pop(Class::Consensus), Some(frame(9, 100)));
        assert_eq!(outbox.pop(Class::Consensus), None);
    }

    #[test]
    fn a_full_batch_queue_refuses_and_keeps_what_it_has() {
        let outbox = outbox(2, 100);
        assert_eq!(outbox.push(Class::Batch, frame(0, 60)), Ok(0));
        assert_eq!(outbox.push(Class::Batch, frame(1, 60)), Err(Full));
        assert_eq!(outbox.push(Class::Batch, frame(2, 40)), Ok(0));
        assert_eq!(outbox.pop(Class::Batch), Some(frame(0, 60)));
    }

    #[test]
    fn frames_wait_until_one_is_taken_however_many_are_displaced() {
        let outbox = outbox(1, 10);
        let hour = Duration::from_secs(3600);
        let waiting = |since: Instant| outbox.waiting(Class::Consensus, since + hour);
        assert_eq!(waiting(Instant::now()), Duration::ZERO);
        let start = Instant::now();
        for _ in 0..3 {
            outbox.push(Class::Consensus, frame(0, 10)).unwrap();
        }
        let pushed = Instant::now();
        assert!(waiting(start) <= hour && waiting(pushed) >= hour);
        assert_eq!(outbox.waiting(Class::Batch, pushed + hour), Duration::ZERO);
        outbox.pop(Class::Consensus);
        assert_eq!(waiting(pushed), Duration::ZERO);
    }

    #[test]
    fn classes_do_not_share_room() {
        let outbox = outbox(1, 10);
        for class in Class::ALL {
            assert_eq!(outbox.push(class, frame(0, 10)), Ok(0));
        }
    }

    proptest! {
        #[test]
        fn a_queue_stays_within_its_bounds(lengths in prop::collection::vec(1usize..=50, 0..200)) {
            for class in Class::ALL {
                let outbox = outbox(8, 100);
                for length in &lengths {
                    let _ = outbox.push(class, frame(0, *length));
                    let queue = outbox.queues[class.index()].lock();
                    let bytes: usize = queue.frames.iter().map(Bytes::len).sum();
                    prop_assert_eq!(bytes, queue.bytes);
                    prop_assert!(bytes <= 100 && queue.frames.len() <= 8);
                }
            }
        }
    }
}
