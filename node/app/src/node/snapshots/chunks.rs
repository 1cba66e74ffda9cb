//! Fetch the chunks of a snapshot from all peers at once.
//!
//! A chunk is checked by itself against the certified root, so whoever sends a false one is found out, and nobody else. A
//! peer that is slow holds up its own few requests; in the end others are asked for the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use neura_p2p::PeerId;
use neura_storage::{SnapshotError, SnapshotImport};
use neura_types::{B256, Bytes};
use tokio::time::Instant;

use super::{sources::Sources, wire::SnapshotRequest};

/// Chunks under way at once: spread over the peers.
const CHUNKS_AT_ONCE: usize = 8;
/// Of them with one peer: the next request waits there while an answer is on the way.
const CHUNKS_PER_PEER: usize = 4;
/// How long a peer rests that has nothing to give.
const REST: Duration = Duration::from_secs(2);
/// After so long another peer is asked for the same.
const SLOW: Duration = Duration::from_secs(2);
/// Distance of two looks at who could be asked.
const LOOK: Duration = Duration::from_millis(250);
/// So long without any chunk and nobody serves the snapshot any more: some answers that did not come in time.
const MAX_IDLE: Duration = Duration::from_secs(30);
/// In so long,
const WINDOW: Duration = Duration::from_secs(60);
/// this much of the state must come, else its peers only pretend to serve it: a chunk a minute.
const MIN_WINDOW_BYTES: u64 = 1 << 20;

/// Fetches what is missing; false if nobody serves it any more, or only drop by drop.
///
/// # Errors
/// If the disk fails.
pub(super) async fn fetch(sources: &Sources, import: &Arc<SnapshotImport>) -> Result<bool> {
    let mut fetch = Fetch {
        sources,
        import,
        work: FuturesUnordered::new(),
        asked: Vec::new(),
        resting: BTreeMap::new(),
        false_peers: BTreeSet::new(),
    };
    let fetched = fetch.run().await?;
    if !fetched {
        // What comes late must not get into the import that follows; one that is whole takes nothing more.
        while fetch.work.next().await.is_some() {}
    }
    Ok(fetched)
}

/// A request under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    path: B256,
    peer: PeerId,
    since: Instant,
}

/// What became of a request.
enum Outcome {
    /// A chunk with so many bytes of the state that were not there.
    Took(u64),
    Nothing,
    False(&'static str),
}

struct Fetch<'a> {
    sources: &'a Sources,
    import: &'a Arc<SnapshotImport>,
    work: FuturesUnordered<BoxFuture<'a, (Asked, Result<Outcome>)>>,
    asked: Vec<Asked>,
    /// Until when peers are not asked.
    resting: BTreeMap<PeerId, Instant>,
    /// Peers that sent what is no chunk of this state.
    false_peers: BTreeSet<PeerId>,
}

impl Fetch<'_> {
    async fn run(&mut self) -> Result<bool> {
        let mut pace = Pace::new(Instant::now());
        while !self.import.is_whole() {
            while let Some(asked) = self.next() {
                self.asked.push(asked);
                self.work.push(request(self.sources.clone(), Arc::clone(self.import), asked));
            }
            tokio::select! {
                Some((asked, outcome)) = self.work.next() => {
                    self.asked.retain(|other| *other != asked);
                    let taken = self.note(asked.peer, outcome?);
                    pace.note(taken, Instant::now());
                }
                () = tokio::time::sleep(LOOK) => {}
            }
            if pace.has_stalled(Instant::now()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whom to ask next, and for what.
    fn next(&self) -> Option<Asked> {
        if self.asked.len() >= CHUNKS_AT_ONCE {
            return None;
        }
        let since = Instant::now();
        let busy = |peer: &PeerId| self.asked.iter().filter(|asked| asked.peer == *peer).count();
        let rests = |peer: &PeerId| self.resting.get(peer).is_some_and(|until| *until > since);
        let mut peers = self.sources.peers();
        peers.retain(|peer| {
            busy(peer) < CHUNKS_PER_PEER && !rests(peer) && !self.false_peers.contains(peer)
        });
        // The better ones come first among equals.
        peers.sort_by_key(busy);
        let under_way = self.asked.iter().map(|asked| asked.path).collect();
        if let Some(path) = self.import.wanted(&under_way) {
            return peers.first().map(|peer| Asked { path, peer: *peer, since });
        }
        let slow = self.asked.iter().filter(|asked| {
            since.duration_since(asked.since) > SLOW && !self.import.holds(&asked.path)
        });
        // One that was slow is not asked a second time, but somebody who was not asked for this yet.
        let mut again = slow.filter_map(|slow| {
            let fresh = |peer: &&PeerId| {
                !self.asked.iter().any(|asked| (asked.path, asked.peer) == (slow.path, **peer))
            };
            peers.iter().find(fresh).map(|peer| Asked { path: slow.path, peer: *peer, since })
        });
        again.next()
    }

    /// Remembers how a peer answered; returns the bytes that came.
    fn note(&mut self, peer: PeerId, outcome: Outcome) -> u64 {
        match outcome {
            Outcome::Took(bytes) => bytes,
            Outcome::Nothing => {
                self.resting.insert(peer, Instant::now() + REST);
                0
            }
            Outcome::False(reason) => {
                self.sources.accuse(peer, "a wrong chunk", &reason);
                self.false_peers.insert(peer);
                0
            }
        }
    }
}

fn request(
    sources: Sources,
    import: Arc<SnapshotImport>,
    asked: Asked,
) -> BoxFuture<'static, (Asked, Result<Outcome>)> {
    async move { (asked, take(&sources, import, asked).await) }.boxed()
}

async fn take(sources: &Sources, import: Arc<SnapshotImport>, asked: Asked) -> Result<Outcome> {
    let Asked { path, peer, .. } = asked;
    let request = SnapshotRequest::Chunk { height: import.manifest().height(), path };
    let answer = sources.ask::<Option<Bytes>>(peer, request).await;
    let Some(bytes) = answer.flatten() else { return Ok(Outcome::Nothing) };
    let taken = tokio::task::spawn_blocking(move || import.put_chunk(&bytes)).await?;
    Ok(match taken {
        Ok(taken) if taken.span.contains(&path) => Outcome::Took(taken.new_bytes),
        Ok(_) => Outcome::False("it covers other paths than the one asked for"),
        Err(SnapshotError::Chunk(reason)) => Outcome::False(reason),
        Err(error) => return Err(error.into()),
    })
}

/// Whether a snapshot comes fast enough to be worth waiting for.
#[derive(Debug)]
struct Pace {
    newest: Instant,
    window: Instant,
    bytes: u64,
}

impl Pace {
    const fn new(now: Instant) -> Self {
        Self { newest: now, window: now, bytes: 0 }
    }

    fn note(&mut self, bytes: u64, now: Instant) {
        if bytes > 0 {
            self.newest = now;
            self.bytes = self.bytes.saturating_add(bytes);
        }
    }

    fn has_stalled(&mut self, now: Instant) -> bool {
        if now.duration_since(self.newest) > MAX_IDLE {
            return true;
        }
        if now.duration_since(self.window) <= WINDOW {
            return false;
        }
        self.window = now;
        std::mem::take(&mut self.bytes) < MIN_WINDOW_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds at which bytes come; the second at which it is over.
    fn stalls(comes: &[(u64, u64)], until: u64) -> Option<u64> {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut pace = Pace::new(start);
        (0..until).find(|second| {
            let come = comes.iter().filter(|(when, _)| when == second);
            come.for_each(|(_, bytes)| pace.note(*bytes, at(*second)));
            pace.has_stalled(at(*second))
        })
    }

    #[test]
    fn a_snapshot_is_given_up_if_nothing_comes_or_only_drops() {
        assert_eq!(stalls(&[], 100), Some(31));
        assert_eq!(stalls(&[(20, 1 << 20)], 100), Some(51));
        let drops: Vec<_> = (0..1_000).map(|second| (second, 1_000)).collect();
        assert_eq!(stalls(&drops, 1_000), Some(61));
        let chunks: Vec<_> = (0..1_000).step_by(20).map(|second| (second, 1 << 20)).collect();
        assert_eq!(stalls(&chunks, 1_000), None);
        let nothing_new: Vec<_> = (0..1_000).map(|second| (second, 0)).collect();
        assert_eq!(stalls(&nothing_new, 1_000), Some(31));
    }
}
