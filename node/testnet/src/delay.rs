//! A TCP proxy that delays what passes by a constant, and can be cut.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinSet, spawn_blocking},
};

/// Bytes that are read at a time.
const CHUNK: usize = 64 << 10;
/// Chunks on their way per direction: 256 MiB at most, above what any link here carries within its delay. Past it the
/// sender is held back, as by a full buffer.
const IN_FLIGHT: usize = 4_096;

/// Forwards connections to one target. Every byte arrives `delay` after it was taken, in order, without a limit of
/// bandwidth. Dropped, it closes all connections.
#[derive(Debug)]
pub struct DelayProxy {
    addr: SocketAddr,
    open: watch::Sender<bool>,
    far: Ports,
    task: AbortHandle,
}

/// Ports from which a proxy's connections reach the target.
type Ports = Arc<Mutex<BTreeSet<u16>>>;

impl DelayProxy {
    /// Listens on a free port of the loopback address.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start(target: SocketAddr, delay: Duration) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let open = watch::Sender::new(true);
        let far = Ports::default();
        let route = Route { target, delay, far: Arc::clone(&far) };
        let task = tokio::spawn(accept(listener, route, open.subscribe())).abort_handle();
        Ok(Self { addr, open, far, task })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Ports from which its present connections reach the target.
    pub fn far_ports(&self) -> BTreeSet<u16> {
        self.far.lock().clone()
    }

    /// Closes all connections and refuses new ones until it is opened again.
    pub fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }
}

impl Drop for DelayProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where connections go.
#[derive(Debug, Clone)]
struct Route {
    target: SocketAddr,
    delay: Duration,
    far: Ports,
}

async fn accept(listener: TcpListener, route: Route, open: watch::Receiver<bool>) {
    let mut links = JoinSet::new();
    loop {
        // Out of descriptors for a moment: the next connection may find one.
        let Ok((near, _)) = listener.accept().await else { continue };
        while links.try_join_next().is_some() {}
        if !*open.borrow() {
            continue;
        }
        let (mut open, route) = (open.clone(), route.clone());
        links.spawn(async move {
            tokio::select! {
                // A link ends with either side; who sees its end knows why.
                _ = link(near, &route) => {}
                _ = open.wait_for(|open| !open) => {}
            }
        });
    }
}

/// Takes a port from the list when its connection ends, however it does.
struct Listed<'a>(&'a Route, u16);

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.0.far.lock().remove(&self.1);
    }
}

async fn link(near: TcpStream, route: &Route) -> std::io::Result<()> {
    let delay = route.delay;
    // The handshake's way there and back.
    tokio::time::sleep(delay * 2).await;
    let far = TcpStream::connect(route.target).await?;
    let port = far.local_addr()?.port();
    route.far.lock().insert(port);
    let _listed = Listed(route, port);
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let ends = Ends { near: blocking(near)?, far: blocking(far)? };
    let there = carry(ends.near.try_clone()?, ends.far.try_clone()?, delay);
    let back = carry(ends.far.try_clone()?, ends.near.try_clone()?, delay);
    tokio::try_join!(there, back).map(|_| ())
}

fn blocking(stream: TcpStream) -> std::io::Result<std::net::TcpStream> {
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Both sockets of a link. Dropped, it wakes the threads that wait on them.
struct Ends {
    near: std::net::TcpStream,
    far: std::net::TcpStream,
}

impl Drop for Ends {
    fn drop(&mut self) {
        for stream in [&self.near, &self.far] {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Carries one direction until its end or an error. On threads of its own: the runtime's timers count whole
/// milliseconds, rounded up, which would come on top of every delay.
async fn carry(
    from: std::net::TcpStream,
    to: std::net::TcpStream,
    delay: Duration,
) -> std::io::Result<()> {
    let (sender, receiver) = sync_channel::<(Instant, Vec<u8>)>(IN_FLIGHT);
    let take = spawn_blocking(move || take(from, &sender, delay));
    let give = spawn_blocking(move || give(&receiver, to));
    let (taken, given) = tokio::try_join!(take, give)?;
    taken.and(given)
}

fn take(
    mut from: std::net::TcpStream,
    sender: &SyncSender<(Instant, Vec<u8>)>,
    delay: Duration,
) -> std::io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = from.read(&mut buffer)?;
        let chunk = (Instant::now() + delay, buffer[..count].to_vec());
        if count == 0 || sender.send(chunk).is_err() {
            return Ok(());
        }
    }
}

fn give(
    receiver: &Receiver<(Instant, Vec<u8>)>,
    mut to: std::net::TcpStream,
) -> std::io::Result<()> {
    while let Ok((due, bytes)) = receiver.recv() {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        to.write_all(&bytes)?;
    }
    to.shutdown(Shutdown::Write)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    // The test sees what came back.
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        addr
    }

    #[tokio::test]
    async fn bytes_pass_in_order_and_not_before_their_time() {
        let delay = Duration::from_millis(40);
        let proxy = DelayProxy::start(echo().await, delay).await.unwrap();
        let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
        let sent: Vec<u8> = (0..1u32 << 18).flat_map(u32::to_le_bytes).collect();
        let (mut from, mut to) = stream.split();
        let begun = Instant::now();
        let mut back = vec![0; sent.len()];
        let (written, read) = tokio::join!(to.write_all(&sent), from.read_exact(&mut back));
        written.unwrap();
        read.unwrap();
        assert_eq!(back, sent);
        assert!(begun.elapsed() >= delay * 2, "a delay is a lower bound");
    }

    #[tokio::test]
    async fn a_cut_link_ends_and_comes_back_when_it_is_opened() {
        let proxy = DelayProxy::start(echo().await, Duration::ZERO).await.unwrap();
        let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
        let mut byte = [7];
        stream.write_all(&byte).await.unwrap();
        stream.read_exact(&mut byte).await.unwrap();
        proxy.set_open(false);
        assert!(stream.read_exact(&mut byte).await.is_err());
        proxy.set_open(true);
        let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
        stream.write_all(&byte).await.unwrap();
        stream.read_exact(&mut byte).await.unwrap();
    }
}
