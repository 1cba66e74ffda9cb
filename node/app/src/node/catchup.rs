//! Catch up from several peers at once.
//!
//! The core asks for one range of final blocks after the other. When an answer shows that there are many more, the
//! following ranges are fetched ahead, each from another peer, and handed out when the core asks for them. What they
//! hold is checked by the core; a peer that promises blocks and does not deliver loses standing.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use neura_consensus::{FetchRequest, Input, Peer};
use neura_p2p::{NetworkHandle, PeerId, Penalty};
use neura_types::Height;
use parking_lot::Mutex;

use super::{
    driver,
    peers::Peers,
    wire::{self, BlockRequest, BlockResponse, MAX_RANGE_BLOCKS, Request},
};

/// Ranges fetched ahead: four answers of four megabytes keep a link busy and memory small.
const AHEAD: u64 = 4;
/// Peers asked for one range before the core is told that nobody answered.
const MAX_TRIES: usize = 3;

/// A range by its first height.
#[derive(Debug)]
enum Range {
    /// Asked for.
    Coming,
    /// Here.
    Here(PeerId, BlockResponse),
}

/// Fetches ranges of final blocks.
#[derive(Debug)]
pub struct CatchUp {
    network: NetworkHandle,
    peers: Arc<Peers>,
    ahead: Mutex<BTreeMap<Height, Range>>,
    turn: AtomicUsize,
}

impl CatchUp {
    /// Over a network.
    pub fn new(network: NetworkHandle, peers: Arc<Peers>) -> Self {
        Self { network, peers, ahead: Mutex::default(), turn: AtomicUsize::new(0) }
    }

    /// Answers the core's wish for final blocks from a height on: from what is at hand, or by asking the peers that
    /// the core names, then others.
    pub async fn fetch(self: Arc<Self>, from: Height, ask: Vec<Peer>) -> Input {
        let request = FetchRequest::Committed { from, ask: ask.clone() };
        let found = match self.take(from) {
            Some(found) => Some(found),
            None => self.ask_in_turn(from, &ask).await,
        };
        let Some((id, answer)) = found else { return Input::FetchFailed { request } };
        self.read_ahead(from, &answer);
        match self.peers.of(&id) {
            Some(peer) => driver::input(peer, &request, answer),
            None => Input::FetchFailed { request },
        }
    }

    /// A range at hand that contains a height. Those that end below it are of no use any more.
    fn take(&self, from: Height) -> Option<(PeerId, BlockResponse)> {
        let mut ahead = self.ahead.lock();
        let is_past = |range: &Range| match range {
            Range::Here(_, answer) => last_of(answer).is_none_or(|last| last < from),
            Range::Coming => false,
        };
        ahead.retain(|_, range| !is_past(range));
        let start =
            ahead.iter().find(|(start, range)| **start <= from && matches!(range, Range::Here(..)));
        let start = *start?.0;
        match ahead.remove(&start) {
            Some(Range::Here(id, answer)) => Some((id, answer)),
            _ => None,
        }
    }

    async fn ask_in_turn(&self, from: Height, ask: &[Peer]) -> Option<(PeerId, BlockResponse)> {
        let named = ask.iter().filter_map(|peer| self.peers.id(*peer));
        let mut candidates: Vec<PeerId> = named.collect();
        for id in self.others() {
            if !candidates.contains(&id) {
                candidates.push(id);
            }
        }
        for id in candidates.into_iter().take(MAX_TRIES) {
            if let Some(answer) = self.ask(id, from).await {
                return Some((id, answer));
            }
        }
        None
    }

    /// All peers, another one first each time.
    fn others(&self) -> Vec<PeerId> {
        let mut known = self.network.peers();
        if let Some(first) = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(known.len()) {
            known.rotate_left(first);
        }
        known
    }

    /// One peer's answer, if it has something.
    async fn ask(&self, id: PeerId, from: Height) -> Option<BlockResponse> {
        let question = Request::Blocks(BlockRequest::Committed { from, wait_ms: 0 });
        let bytes = match self.network.request(id, wire::encode(&question).into()).await {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::debug!(%id, %error, "no answer");
                self.network.penalise(id, Penalty::Low);
                return None;
            }
        };
        let limit = self.network.limits().max_response_bytes;
        match wire::decode::<BlockResponse>(&bytes, limit) {
            Ok(answer) if answer.proof.is_some() => Some(answer),
            Ok(answer) if answer.committed >= from => {
                tracing::debug!(%id, from, "a peer says that it has blocks and sends none");
                self.network.penalise(id, Penalty::Medium);
                None
            }
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(%id, %error, "malformed answer");
                self.network.penalise(id, Penalty::High);
                None
            }
        }
    }

    /// Asks for the ranges after this answer, if there are many more blocks than it holds.
    fn read_ahead(self: &Arc<Self>, from: Height, answer: &BlockResponse) {
        let Some(last) = last_of(answer) else { return };
        if answer.committed.saturating_sub(last) < MAX_RANGE_BLOCKS {
            self.ahead.lock().clear();
            return;
        }
        let wanted: Vec<Height> = {
            let mut ahead = self.ahead.lock();
            ahead.retain(|start, _| *start > from);
            let newest = ahead.keys().next_back().copied();
            let mut next =
                newest.map_or(last.saturating_add(1), |at| at.saturating_add(MAX_RANGE_BLOCKS));
            let mut wanted = Vec::new();
            while (ahead.len() as u64) < AHEAD && next <= answer.committed {
                ahead.insert(next, Range::Coming);
                wanted.push(next);
                next = next.saturating_add(MAX_RANGE_BLOCKS);
            }
            wanted
        };
        for start in wanted {
            let this = Arc::clone(self);
            tokio::spawn(async move { this.bring(start).await });
        }
    }

    async fn bring(&self, start: Height) {
        let answer = self.ask_in_turn(start, &[]).await;
        let mut ahead = self.ahead.lock();
        // Forgotten meanwhile: the core is past it.
        let Some(range) = ahead.get_mut(&start) else { return };
        match answer {
            Some((id, answer)) => *range = Range::Here(id, answer),
            None => {
                ahead.remove(&start);
            }
        }
    }
}

/// Height of the newest block in an answer.
fn last_of(answer: &BlockResponse) -> Option<Height> {
    answer.blocks.last().map(|block| block.header.height)
}
