//! The sending side of one class.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::{Class, Metrics, frame, outbox::Outbox};

/// Frames up to this length are copied together, so that a burst of votes is one write.
const SMALL_FRAME_BYTES: usize = 4 * 1024;
/// Frames are copied together up to about so many bytes.
const COALESCE_BYTES: usize = 16 * 1024;
/// How long a replaced stream may take to hand over what it holds.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a lane did.
pub(super) enum Step {
    /// The stream took so many bytes.
    Wrote(usize),
    /// Nothing to send, no stream, or a stream that takes nothing now; the task will be woken.
    Waits,
    /// The stream failed or was closed by the peer.
    Failed,
}

/// A class's stream and the frames being written to it.
pub(super) struct Lane<S> {
    class: Class,
    stream: Option<S>,
    /// Whole small frames, or the header of `body`.
    staged: Vec<u8>,
    /// A large frame, written after `staged` without being copied.
    body: Bytes,
    /// Bytes of `staged` and `body` that the stream has taken.
    written: usize,
    /// Frames in `staged` and `body`.
    frames: usize,
    /// Bytes were written since the last flush.
    unflushed: bool,
}

impl<S> Lane<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    pub(super) fn new(class: Class) -> Self {
        Self {
            class,
            stream: None,
            staged: Vec::new(),
            body: Bytes::new(),
            written: 0,
            frames: 0,
            unflushed: false,
        }
    }

    pub(super) const fn class(&self) -> Class {
        self.class
    }

    /// Goes over to a new stream, or waits for one. Frames begun on the old one are written again
    /// from their start: the peer drops the part that it has.
    pub(super) fn install(&mut self, stream: Option<S>) {
        let between_frames = self.written == 0;
        let old = std::mem::replace(&mut self.stream, stream);
        if let Some(mut old) = old
            && between_frames
        {
            // Closed in order, so that what it holds still arrives.
            tokio::spawn(async move { tokio::time::timeout(CLOSE_TIMEOUT, old.close()).await });
        }
        self.written = 0;
        self.unflushed = false;
    }

    /// Writes once, if there is something to write and the stream takes it.
    pub(super) fn step(
        &mut self,
        cx: &mut Context<'_>,
        outbox: &Outbox,
        metrics: &Metrics,
    ) -> Step {
        if self.stream.is_none() {
            return Step::Waits;
        }
        if self.pending() == 0 {
            self.stage(outbox);
        }
        let result = if self.pending() == 0 { self.rest(cx) } else { self.write(cx) };
        match result {
            Poll::Pending => Step::Waits,
            Poll::Ready(Ok(bytes)) if bytes > 0 => {
                self.advance(bytes, metrics);
                Step::Wrote(bytes)
            }
            Poll::Ready(_) => {
                self.stream = None;
                self.written = 0;
                Step::Failed
            }
        }
    }

    /// Takes the next frames from the outbox: several small ones, or one large one.
    fn stage(&mut self, outbox: &Outbox) {
        while self.staged.len() < COALESCE_BYTES {
            let Some(frame) = outbox.pop(self.class) else { break };
            self.frames += 1;
            self.staged.extend_from_slice(&frame::header(frame.len()));
            if frame.len() > SMALL_FRAME_BYTES {
                self.body = frame;
                break;
            }
            self.staged.extend_from_slice(&frame);
        }
    }

    fn pending(&self) -> usize {
        self.staged.len() + self.body.len() - self.written
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        let Some(stream) = self.stream.as_mut() else { return Poll::Pending };
        let bytes = match self.written.checked_sub(self.staged.len()) {
            None => &self.staged[self.written..],
            Some(written) => &self.body[written..],
        };
        Pin::new(stream).poll_write(cx, bytes)
    }

    /// With nothing to write: flushes, and notices when the peer closes. The peer never sends
    /// anything on this stream, so whatever can be read is an end.
    fn rest(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        let Some(stream) = self.stream.as_mut() else { return Poll::Pending };
        if self.unflushed {
            match Pin::new(&mut *stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => {}
            }
        }
        Pin::new(stream).poll_read(cx, &mut [0; 1]).map(|_| Ok(0))
    }

    fn advance(&mut self, bytes: usize, metrics: &Metrics) {
        self.written += bytes;
        self.unflushed = true;
        if self.pending() == 0 {
            let payload = self.written - self.frames * frame::HEADER_BYTES;
            metrics.direct(self.class).sent(self.frames, payload);
            self.staged.clear();
            self.body = Bytes::new();
            self.written = 0;
            self.frames = 0;
        }
    }
}
