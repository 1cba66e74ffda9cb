//! Moves frames from a peer's outbox to its streams, most urgent class first.

mod lane;
#[cfg(test)]
mod tests;

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use self::lane::{Lane, Step};
use crate::{Class, Metrics, outbox::Outbox};

/// After so many bytes in one poll, other tasks get their turn.
const YIELD_BYTES: usize = 512 * 1024;

/// Set by the writer for each class whose stream has failed, cleared by whoever reopens it.
pub(crate) type Broken = Arc<[AtomicBool; Class::COUNT]>;

/// A class's next stream; `None` closes the present one before the next is there.
pub(crate) type Install<S> = (Class, Option<S>);

/// The writer to one peer: a future that ends when its [`mpsc::Sender`] of streams is dropped.
///
/// One task writes all classes. Each time a stream has taken some bytes, it looks again at the
/// most urgent class, so a less urgent one sends only while the more urgent ones have nothing to
/// send or cannot send. A stream that is stalled by its receiver holds up no other.
pub(crate) struct Writer<S> {
    outbox: Arc<Outbox>,
    streams: mpsc::Receiver<Install<S>>,
    lanes: [Lane<S>; Class::COUNT],
    broken: Broken,
    metrics: Metrics,
}

impl<S> Writer<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    pub(crate) fn new(
        outbox: Arc<Outbox>,
        streams: mpsc::Receiver<Install<S>>,
        broken: Broken,
        metrics: Metrics,
    ) -> Self {
        Self { outbox, streams, lanes: Class::ALL.map(Lane::new), broken, metrics }
    }

    /// Writes what can be written, then sleeps until a frame, a stream or room comes.
    fn pump(&mut self, cx: &mut Context<'_>) {
        let mut written = 0;
        'urgent: loop {
            for lane in &mut self.lanes {
                match lane.step(cx, &self.outbox, &self.metrics) {
                    Step::Wrote(bytes) => {
                        written += bytes;
                        if written >= YIELD_BYTES {
                            cx.waker().wake_by_ref();
                            return;
                        }
                        continue 'urgent;
                    }
                    Step::Waits => {}
                    Step::Failed => {
                        self.broken[lane.class().index()].store(true, Ordering::Release);
                    }
                }
            }
            return;
        }
    }
}

impl<S> Future for Writer<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            match this.streams.poll_recv(cx) {
                Poll::Ready(Some((class, stream))) => this.lanes[class.index()].install(stream),
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        // Before the queues are looked at, so that no push between is missed.
        this.outbox.register(cx.waker());
        this.pump(cx);
        Poll::Pending
    }
}
