//! Requests and responses: their encoding, and who is served how much.

use std::{collections::HashMap, io, time::Instant};

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{
    PeerId, StreamProtocol,
    request_response::{self, InboundRequestId, ProtocolSupport, ResponseChannel},
};
use tokio::sync::mpsc;

use crate::{Limits, ReplyError, bucket::Buckets, frame};

/// So much of an answer costs a peer one token.
const TOKEN_BYTES: usize = 64 * 1024;
/// Request streams per connection, both directions; more are dropped.
const MAX_STREAMS: usize = 64;

pub(crate) type Behaviour = request_response::Behaviour<Codec>;

/// The behaviour for one protocol name.
pub(crate) fn behaviour(name: StreamProtocol, limits: &Limits) -> Behaviour {
    let codec = Codec {
        max_request_bytes: limits.max_request_bytes,
        max_response_bytes: limits.max_response_bytes,
    };
    let config = request_response::Config::default()
        .with_request_timeout(limits.request_timeout)
        .with_max_concurrent_streams(MAX_STREAMS);
    Behaviour::with_codec(codec, [(name, ProtocolSupport::Full)], config)
}

/// An answer as it stands on the wire: a status byte, then for [`Response::Answer`] a frame that
/// may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Response {
    Answer(Bytes),
    Busy,
    Refused,
}

/// A request as it was received. A malformed one is no read error, because libp2p keeps read errors
/// of requests to itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Whole(Bytes),
    Malformed(String),
}

/// A request on the wire is one frame: 4-byte little-endian length, then so many bytes.
#[derive(Clone, Debug)]
pub(crate) struct Codec {
    pub(crate) max_request_bytes: usize,
    pub(crate) max_response_bytes: usize,
}

const STATUS_ANSWER: u8 = 0;
const STATUS_BUSY: u8 = 1;
const STATUS_REFUSED: u8 = 2;

/// The error kind by which the driver knows a breach of the protocol from a lost connection.
const BREACH: io::ErrorKind = io::ErrorKind::InvalidData;

fn breach(reason: String) -> io::Error {
    io::Error::new(BREACH, reason)
}

/// What the peer did wrong, if the error is its breach of the protocol.
pub(crate) fn breach_of(error: &io::Error) -> Option<String> {
    (error.kind() == BREACH).then(|| error.to_string())
}

async fn read_bounded<T>(io: &mut T, min: usize, max: usize) -> io::Result<Bytes>
where
    T: AsyncRead + Unpin + Send,
{
    let mut header = [0; frame::HEADER_BYTES];
    io.read_exact(&mut header).await?;
    let length = u32::from_le_bytes(header) as usize;
    if !(min..=max).contains(&length) {
        return Err(breach(format!("{length} bytes announced, {min} to {max} are allowed")));
    }
    frame::read_body(io, length).await.map(Bytes::from)
}

impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Request;
    type Response = Response;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        match read_bounded(io, 1, self.max_request_bytes).await {
            Ok(bytes) => Ok(Request::Whole(bytes)),
            Err(error) => breach_of(&error).map(Request::Malformed).ok_or(error),
        }
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Response>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut status = [0];
        io.read_exact(&mut status).await?;
        match status[0] {
            STATUS_ANSWER => {
                read_bounded(io, 0, self.max_response_bytes).await.map(Response::Answer)
            }
            STATUS_BUSY => Ok(Response::Busy),
            STATUS_REFUSED => Ok(Response::Refused),
            unknown => Err(breach(format!("unknown status {unknown}"))),
        }
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        request: Request,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let Request::Whole(bytes) = request else {
            return Err(io::Error::other("a malformed request is not sent on"));
        };
        io.write_all(&frame::header(bytes.len())).await?;
        io.write_all(&bytes).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        response: Response,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        match response {
            Response::Busy => io.write_all(&[STATUS_BUSY]).await,
            Response::Refused => io.write_all(&[STATUS_REFUSED]).await,
            Response::Answer(bytes) => {
                let [a, b, c, d] = frame::header(bytes.len());
                io.write_all(&[STATUS_ANSWER, a, b, c, d]).await?;
                io.write_all(&bytes).await
            }
        }
    }
}

/// An answer on its way to the driver.
pub(crate) struct Reply {
    pub(crate) id: InboundRequestId,
    pub(crate) channel: ResponseChannel<Response>,
    pub(crate) response: Response,
}

/// Takes the reply to one request. Dropped without one, the peer is told that it is refused.
#[derive(Debug)]
pub struct ReplyHandle {
    id: InboundRequestId,
    channel: Option<ResponseChannel<Response>>,
    replies: mpsc::Sender<Reply>,
    max_bytes: usize,
}

impl ReplyHandle {
    pub(crate) const fn new(
        id: InboundRequestId,
        channel: ResponseChannel<Response>,
        replies: mpsc::Sender<Reply>,
        max_bytes: usize,
    ) -> Self {
        Self { id, channel: Some(channel), replies, max_bytes }
    }

    /// Sends the reply, which may be empty.
    ///
    /// # Errors
    /// [`ReplyError::Length`] if it is too large (the peer is told that it is refused),
    /// [`ReplyError::Gone`] if the peer no longer waits.
    pub fn send(mut self, bytes: Bytes) -> Result<(), ReplyError> {
        let (length, max) = (bytes.len(), self.max_bytes);
        if length > max {
            return Err(ReplyError::Length { length, max });
        }
        self.answer(Response::Answer(bytes))
    }

    fn answer(&mut self, response: Response) -> Result<(), ReplyError> {
        let Some(channel) = self.channel.take().filter(ResponseChannel::is_open) else {
            return Err(ReplyError::Gone);
        };
        // There is a place for each request being served, so a full channel means that this one
        // has been given up already.
        self.replies
            .try_send(Reply { id: self.id, channel, response })
            .map_err(|_| ReplyError::Gone)
    }
}

impl Drop for ReplyHandle {
    fn drop(&mut self) {
        if self.channel.is_some() {
            let _ = self.answer(Response::Refused);
        }
    }
}

/// Requests being served and what each peer may still ask.
#[derive(Debug)]
pub(crate) struct Serving {
    by_id: HashMap<InboundRequestId, Served>,
    by_peer: HashMap<PeerId, usize>,
    answer_bytes: usize,
    allowance: Buckets<PeerId>,
    max: usize,
    max_per_peer: usize,
    max_answer_bytes: usize,
}

/// A request being served.
#[derive(Debug)]
struct Served {
    peer: PeerId,
    /// Bytes of its answer, once it is on its way.
    answer_bytes: usize,
}

impl Serving {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            by_id: HashMap::new(),
            by_peer: HashMap::new(),
            answer_bytes: 0,
            allowance: Buckets::new(limits.serve_tokens_per_second, limits.serve_tokens_burst),
            max: limits.max_inbound_requests,
            max_per_peer: limits.max_inbound_requests_per_peer,
            max_answer_bytes: limits.max_answer_bytes,
        }
    }

    /// Whether a request is to be served; it then counts until [`Serving::end`].
    pub(crate) fn begin(&mut self, id: InboundRequestId, peer: PeerId, now: Instant) -> bool {
        let open = self.by_peer.get(&peer).copied().unwrap_or_default();
        let crowded = self.by_id.len() >= self.max.div_ceil(2);
        let max_per_peer = if crowded { 1 } else { self.max_per_peer };
        if self.by_id.len() >= self.max || open >= max_per_peer {
            return false;
        }
        if !self.allowance.take(peer, now) {
            return false;
        }
        self.by_id.insert(id, Served { peer, answer_bytes: 0 });
        self.by_peer.insert(peer, open + 1);
        true
    }

    /// Whether an answer may be sent; it then counts until [`Serving::end`], and to the peer's
    /// allowance.
    pub(crate) fn answer(&mut self, id: InboundRequestId, bytes: usize, now: Instant) -> bool {
        // Given up already: nothing will be sent.
        let Some(served) = self.by_id.get_mut(&id) else { return true };
        if self.answer_bytes + bytes > self.max_answer_bytes {
            return false;
        }
        served.answer_bytes = bytes;
        self.answer_bytes += bytes;
        self.allowance.charge(served.peer, (bytes / TOKEN_BYTES) as u32, now);
        true
    }

    /// The request has been answered or has failed.
    pub(crate) fn end(&mut self, id: InboundRequestId) {
        let Some(Served { peer, answer_bytes }) = self.by_id.remove(&id) else { return };
        self.answer_bytes -= answer_bytes;
        if let Some(open) = self.by_peer.get_mut(&peer) {
            *open -= 1;
            if *open == 0 {
                self.by_peer.remove(&peer);
            }
        }
    }

    /// Bytes of answers on their way.
    pub(crate) const fn answer_bytes(&self) -> usize {
        self.answer_bytes
    }

    pub(crate) fn prune(&mut self, now: Instant) {
        self.allowance.prune(now);
    }

    /// Requests being served.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Peers whose allowance is not full.
    pub(crate) fn allowances(&self) -> usize {
        self.allowance.len()
    }
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, io::Cursor};
    use libp2p::request_response::Codec as _;
    use proptest::prelude::*;

    use super::*;

    const NAME: StreamProtocol = StreamProtocol::new("/test");
    const CODEC: Codec = Codec { max_request_bytes: 64, max_response_bytes: 128 };

    fn read(bytes: &[u8]) -> (io::Result<Request>, io::Result<Response>) {
        block_on(async {
            let mut codec = CODEC;
            (
                codec.read_request(&NAME, &mut Cursor::new(bytes)).await,
                codec.read_response(&NAME, &mut Cursor::new(bytes)).await,
            )
        })
    }

    #[test]
    fn lengths_beyond_the_maximum_are_breaches() {
        let (request, _) = read(&[65, 0, 0, 0, 1]);
        assert!(matches!(request, Ok(Request::Malformed(_))));
        let (_, response) = read(&[STATUS_ANSWER, 129, 0, 0, 0, 1]);
        assert!(breach_of(&response.unwrap_err()).is_some());
        let (_, response) = read(&[3]);
        assert!(breach_of(&response.unwrap_err()).is_some());
    }

    #[test]
    fn a_stream_that_ends_early_is_no_breach() {
        let (request, response) = read(&[]);
        assert!(breach_of(&request.unwrap_err()).is_none());
        assert!(breach_of(&response.unwrap_err()).is_none());
        let (request, _) = read(&[10, 0, 0, 0, 1]);
        assert!(breach_of(&request.unwrap_err()).is_none());
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(bytes in prop::collection::vec(any::<u8>(), 1..64)) {
            let (bytes, mut codec) = (Bytes::from(bytes), CODEC);
            let mut wire = Vec::new();
            block_on(codec.write_request(&NAME, &mut wire, Request::Whole(bytes.clone()))).unwrap();
            prop_assert_eq!(read(&wire).0.unwrap(), Request::Whole(bytes.clone()));
            for response in [Response::Answer(bytes), Response::Busy, Response::Refused] {
                let mut wire = Vec::new();
                block_on(codec.write_response(&NAME, &mut wire, response.clone())).unwrap();
                prop_assert_eq!(read(&wire).1.unwrap(), response);
            }
        }

        #[test]
        fn garbage_gives_bounded_values_or_errors(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let (request, response) = read(&bytes);
            if let Ok(Request::Whole(bytes)) = request {
                prop_assert!((1..=64).contains(&bytes.len()));
            }
            if let Ok(Response::Answer(answer)) = response {
                prop_assert!(answer.len() <= 128);
            }
        }
    }
}
