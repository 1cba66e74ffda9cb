//! Reads the frames of one inbound direct stream.

use std::sync::Arc;

use bytes::Bytes;
use futures::{AsyncRead, io::BufReader};
use libp2p::PeerId;
use tokio::sync::Semaphore;

use crate::{
    Class, ClassLimits, Metrics, Violation,
    events::EventQueue,
    frame::{self, FrameError},
};

/// Small frames are read together, up to so many bytes; bodies above go straight to their place.
const READ_BUFFER_BYTES: usize = 16 * 1024;

/// What a reader needs to know about its stream.
pub(crate) struct Reader {
    pub(crate) peer: PeerId,
    pub(crate) class: Class,
    pub(crate) max_frame_bytes: usize,
    /// Bytes of this peer and class that may wait for the application.
    pub(crate) budget: Arc<Semaphore>,
    pub(crate) events: Arc<EventQueue>,
    pub(crate) metrics: Metrics,
}

impl Reader {
    /// Reads until the stream ends (`Ok`) or breaks the protocol (`Err`). Waits, unread, while the
    /// peer's budget is used up.
    pub(crate) async fn run<S>(self, stream: S) -> Result<(), Violation>
    where
        S: AsyncRead + Unpin,
    {
        let mut stream = BufReader::with_capacity(READ_BUFFER_BYTES, stream);
        let traffic = self.metrics.direct(self.class).clone();
        loop {
            let length = match frame::read_length(&mut stream, self.max_frame_bytes).await {
                Ok(length) => length,
                Err(FrameError::Closed) => return Ok(()),
                Err(FrameError::Length(length)) => {
                    let (class, max) = (self.class, self.max_frame_bytes);
                    return Err(Violation::FrameLength { class, length, max });
                }
            };
            let cost = length.max(ClassLimits::MIN_FRAME_COST) as u32;
            let Ok(permit) = self.budget.clone().acquire_many_owned(cost).await else {
                return Ok(());
            };
            let Ok(body) = frame::read_body(&mut stream, length).await else {
                return Ok(());
            };
            traffic.received(length);
            self.events.push_direct(self.peer, self.class, Bytes::from(body), permit);
        }
    }
}
