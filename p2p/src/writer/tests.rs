use std::io;

use bytes::Bytes;
use futures::{AsyncReadExt, io::Cursor};
use parking_lot::Mutex;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use super::*;
use crate::{Limits, frame};

type Duplex = Compat<tokio::io::DuplexStream>;

/// A duplex pipe of so many bytes.
fn pipe(bytes: usize) -> (Duplex, Duplex) {
    let (near, far) = tokio::io::duplex(bytes);
    (near.compat(), far.compat())
}

struct Harness {
    outbox: Arc<Outbox>,
    streams: mpsc::Sender<Install<Duplex>>,
    broken: Broken,
}

fn harness() -> Harness {
    let outbox = Arc::new(Outbox::new(&Limits::default()));
    let (streams, installs) = mpsc::channel(4);
    let broken = Broken::default();
    let writer = Writer::new(outbox.clone(), installs, broken.clone(), Metrics::new());
    tokio::spawn(writer);
    Harness { outbox, streams, broken }
}

async fn next_frame(stream: &mut Duplex) -> Vec<u8> {
    let length = frame::read_length(stream, 1 << 24).await.unwrap();
    frame::read_body(stream, length).await.unwrap()
}

#[tokio::test]
async fn frames_of_all_sizes_arrive_whole_and_in_order() {
    let Harness { outbox, streams, .. } = harness();
    let (near, mut far) = pipe(1000);
    streams.send((Class::Proposal, Some(near))).await.unwrap();
    let sizes = [1, 5, 4096, 4097, 100_000, 2, 3, 50_000, 9];
    for (tag, size) in sizes.into_iter().enumerate() {
        outbox.push(Class::Proposal, Bytes::from(vec![tag as u8; size])).unwrap();
    }
    for (tag, size) in sizes.into_iter().enumerate() {
        assert_eq!(next_frame(&mut far).await, vec![tag as u8; size]);
    }
}

#[tokio::test]
async fn a_frame_cut_off_is_sent_again_whole_on_the_next_stream() {
    let Harness { outbox, streams, .. } = harness();
    let (near, mut far) = pipe(1000);
    streams.send((Class::Batch, Some(near))).await.unwrap();
    outbox.push(Class::Batch, Bytes::from(vec![7; 50_000])).unwrap();
    far.read_exact(&mut [0; 5000]).await.unwrap();
    drop(far);
    let (near, mut far) = pipe(1000);
    streams.send((Class::Batch, Some(near))).await.unwrap();
    assert_eq!(next_frame(&mut far).await, vec![7; 50_000]);
}

#[tokio::test]
async fn a_replaced_stream_hands_over_what_it_holds() {
    let Harness { outbox, streams, .. } = harness();
    let (near, mut old) = pipe(1000);
    streams.send((Class::Consensus, Some(near))).await.unwrap();
    outbox.push(Class::Consensus, Bytes::from_static(b"one")).unwrap();
    assert_eq!(next_frame(&mut old).await, b"one");
    let (near, mut new) = pipe(1000);
    streams.send((Class::Consensus, None)).await.unwrap();
    streams.send((Class::Consensus, Some(near))).await.unwrap();
    outbox.push(Class::Consensus, Bytes::from_static(b"two")).unwrap();
    assert_eq!(next_frame(&mut new).await, b"two");
    assert_eq!(old.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_stream_closed_by_the_peer_is_reported_even_when_idle() {
    let Harness { streams, broken, .. } = harness();
    let (near, far) = pipe(1000);
    streams.send((Class::Consensus, Some(near))).await.unwrap();
    drop(far);
    while !broken[Class::Consensus.index()].load(Ordering::Acquire) {
        tokio::task::yield_now().await;
    }
    assert!(!broken[Class::Batch.index()].load(Ordering::Acquire));
}

#[tokio::test]
async fn a_stalled_class_does_not_hold_up_another() {
    let Harness { outbox, streams, .. } = harness();
    let (stalled, _unread) = pipe(10);
    let (near, mut far) = pipe(1000);
    streams.send((Class::Consensus, Some(stalled))).await.unwrap();
    streams.send((Class::Batch, Some(near))).await.unwrap();
    outbox.push(Class::Consensus, Bytes::from(vec![0; 1000])).unwrap();
    outbox.push(Class::Batch, Bytes::from_static(b"batch")).unwrap();
    assert_eq!(next_frame(&mut far).await, b"batch");
}

/// A stream that takes everything and notes the order in which classes wrote.
struct Recorder {
    class: Class,
    order: Arc<Mutex<Vec<Class>>>,
}

impl AsyncRead for Recorder {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}

impl AsyncWrite for Recorder {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.order.lock().push(self.class);
        Pin::new(&mut Cursor::new(vec![0; bytes.len()])).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn urgent_classes_are_written_first() {
    let outbox = Arc::new(Outbox::new(&Limits::default()));
    let (streams, installs) = mpsc::channel(4);
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut writer = Writer::new(outbox.clone(), installs, Broken::default(), Metrics::new());
    for class in Class::ALL.into_iter().rev() {
        let recorder = Recorder { class, order: order.clone() };
        streams.try_send((class, Some(recorder))).unwrap();
        (0..2).for_each(|_| {
            outbox.push(class, Bytes::from(vec![0; 10_000])).unwrap();
        });
    }
    futures::future::poll_fn(|cx| {
        assert!(Pin::new(&mut writer).poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    // Each frame takes two writes: its header, then its body.
    let expected: Vec<_> = Class::ALL.into_iter().flat_map(|class| [class; 4]).collect();
    assert_eq!(*order.lock(), expected);
}
