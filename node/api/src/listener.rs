//! Accept connections up to a limit, share them among those who call, and drop those whose peer stalls.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv6Addr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::{Instant, Sleep, sleep_until},
};

use crate::limits::{IDLE_CONNECTION, MAX_CONNECTIONS, WRITE_STALL};

/// Waits this long after a failed accept, as the cause (no descriptors left) lasts a while.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A listener that holds at most [`MAX_CONNECTIONS`]. Nobody waits for a place: beyond, each newcomer takes that of the
/// connection that was not answered for longest, among those of the origin that holds the most. So who opens many and
/// asks nothing displaces himself.
#[derive(Debug)]
pub(crate) struct Door {
    inner: TcpListener,
    places: Arc<Places>,
}

impl Door {
    pub(crate) fn new(inner: TcpListener) -> Self {
        Self { inner, places: Arc::default() }
    }

    pub(crate) async fn accept(&self) -> Connection {
        loop {
            match self.inner.accept().await {
                Ok((stream, peer)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, %peer, "cannot set TCP_NODELAY");
                    }
                    return Connection::new(stream, self.places.take(origin(peer.ip())));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Who calls: an IPv4 address, or the /64 network of an IPv6 address, which one machine has to itself.
fn origin(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
        ip => ip,
    }
}

/// The connections that are held.
#[derive(Debug, Default)]
struct Places {
    taken: Mutex<BTreeMap<u64, Entry>>,
    /// Counts what happens: places taken, and answers.
    turn: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    origin: IpAddr,
    /// Turn of the newest answer, or of the beginning.
    answered: Arc<AtomicU64>,
    /// Ends the connection when it is dropped.
    _hold: oneshot::Sender<()>,
}

impl Places {
    /// A place for a newcomer.
    fn take(self: &Arc<Self>, origin: IpAddr) -> Place {
        let id = self.turn.fetch_add(1, Ordering::Relaxed);
        let answered = Arc::new(AtomicU64::new(id));
        let (hold, lost) = oneshot::channel();
        let entry = Entry { origin, answered: Arc::clone(&answered), _hold: hold };
        let mut taken = self.taken.lock();
        if taken.len() >= MAX_CONNECTIONS
            && let Some(displaced) = displaced(&taken)
        {
            taken.remove(&displaced);
            tracing::debug!(by = %origin, "a connection gives way to another");
        }
        taken.insert(id, entry);
        Place { places: Arc::clone(self), id, answered, lost: Some(lost) }
    }
}

/// Whose place a newcomer takes.
fn displaced(taken: &BTreeMap<u64, Entry>) -> Option<u64> {
    let mut held: BTreeMap<IpAddr, usize> = BTreeMap::new();
    for entry in taken.values() {
        *held.entry(entry.origin).or_default() += 1;
    }
    let (most, _) = held.into_iter().max_by_key(|(_, count)| *count)?;
    let of_most = taken.iter().filter(|(_, entry)| entry.origin == most);
    of_most.min_by_key(|(_, entry)| entry.answered.load(Ordering::Relaxed)).map(|(id, _)| *id)
}

/// A connection's place; it is free again once this is dropped.
#[derive(Debug)]
struct Place {
    places: Arc<Places>,
    id: u64,
    answered: Arc<AtomicU64>,
    /// Resolves when another takes the place; none after that, as it resolves once.
    lost: Option<oneshot::Receiver<()>>,
}

impl Place {
    fn answer(&self) {
        let turn = self.places.turn.fetch_add(1, Ordering::Relaxed);
        self.answered.store(turn, Ordering::Relaxed);
    }

    fn is_lost(&mut self, cx: &mut Context<'_>) -> bool {
        if self.lost.as_mut().is_some_and(|lost| Pin::new(lost).poll(cx).is_ready()) {
            self.lost = None;
        }
        self.lost.is_none()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken.lock().remove(&self.id);
    }
}

/// A connection with its place. Reads fail after [`IDLE_CONNECTION`] without any traffic, writes after
/// [`WRITE_STALL`] in which the peer took nothing, both when another takes the place.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    idle: Pin<Box<Sleep>>,
    stall: Option<Pin<Box<Sleep>>>,
    place: Place,
}

impl Connection {
    fn new(stream: TcpStream, place: Place) -> Self {
        let idle = Box::pin(sleep_until(Instant::now() + IDLE_CONNECTION));
        Self { stream, idle, stall: None, place }
    }

    fn moved(&mut self) {
        self.idle.as_mut().reset(Instant::now() + IDLE_CONNECTION);
    }

    /// Passes a write's outcome on, unless the peer has stalled for too long.
    fn watch_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.place.is_lost(cx) {
            return Poll::Ready(Err(displaced_by_another()));
        }
        if outcome.is_ready() {
            self.stall = None;
            self.place.answer();
            self.moved();
            return outcome;
        }
        let stall =
            self.stall.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + WRITE_STALL)));
        match stall.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(timed_out("the peer does not read"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

fn displaced_by_another() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the connection gave way to another")
}

fn timed_out(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.place.is_lost(cx) {
            return Poll::Ready(Err(displaced_by_another()));
        }
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if outcome.is_ready() {
            self.moved();
            return outcome;
        }
        match self.idle.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(timed_out("the connection is idle"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch_write(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.watch_write(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        origin(text.parse().unwrap())
    }

    fn is_lost(place: &mut Place) -> bool {
        place.is_lost(&mut Context::from_waker(std::task::Waker::noop()))
    }

    #[test]
    fn a_newcomer_displaces_whoever_holds_most_and_was_answered_least_recently() {
        let places = Arc::new(Places::default());
        let mut few: Vec<_> = (0..3).map(|_| places.take(ip("192.0.2.1"))).collect();
        let many = MAX_CONNECTIONS - few.len();
        let mut many: Vec<_> = (0..many).map(|_| places.take(ip("192.0.2.2"))).collect();
        many[0].answer();
        let mut newcomers: Vec<_> =
            ["192.0.2.3", "192.0.2.1"].iter().map(|text| places.take(ip(text))).collect();
        assert!(!few.iter_mut().chain(&mut newcomers).any(is_lost));
        let lost: Vec<_> = many.iter_mut().map(is_lost).collect();
        assert_eq!(lost.iter().filter(|lost| **lost).count(), 2);
        assert_eq!(lost[..4], [false, true, true, false], "the first one was answered since");
        assert_eq!(
            many.iter_mut().filter_map(|place| is_lost(place).then_some(())).count(),
            2,
            "for good"
        );
        assert_eq!(places.taken.lock().len(), MAX_CONNECTIONS);
        drop((few, many, newcomers));
        assert_eq!(places.taken.lock().len(), 0);
    }

    #[test]
    fn addresses_of_one_network_are_one_origin() {
        assert_eq!(ip("2001:db8:1:2::1"), ip("2001:db8:1:2:ffff::9"));
        assert_ne!(ip("2001:db8:1:2::1"), ip("2001:db8:1:3::1"));
        assert_eq!(ip("::ffff:192.0.2.1"), ip("192.0.2.1"));
        assert_ne!(ip("192.0.2.1"), ip("192.0.2.2"));
    }
}
