//! Ask other nodes for batches that a block names and this node lacks.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use neura_consensus::Peer;
use neura_p2p::{NetworkHandle, PeerId};
use neura_types::B256;
use tokio::{sync::Semaphore, time::timeout};

use super::{Frame, Incoming, Inlet, wants::Question};
use crate::node::{
    chain::Chain,
    peers::Peers,
    wire::{self, BatchAnswer, MAX_BATCHES_ASKED, MAX_RANGE_BYTES, Request},
};

/// Questions under way; their answers together stay below 64 MiB.
const MAX_UNDER_WAY: usize = 16;
/// Questions looked at in one turn.
const MAX_TURN: usize = 512;
/// An answer that takes longer is not waited for.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Look at the clock at least this often.
const IDLE: Duration = Duration::from_secs(60);

/// What the fetcher works with.
#[derive(Debug)]
pub struct Fetcher {
    /// What the node shares.
    pub chain: Arc<Chain>,
    /// The network.
    pub network: NetworkHandle,
    /// Which peer is which validator.
    pub peers: Arc<Peers>,
    /// Takes what is found.
    pub inlet: Inlet,
}

impl Fetcher {
    /// Fetches until the node stops.
    pub async fn run(self) {
        let fetcher = Arc::new(self);
        let free = Arc::new(Semaphore::new(MAX_UNDER_WAY));
        let batches = &fetcher.chain.batches;
        loop {
            let next = batches.wants.lock().next();
            let next = next.unwrap_or_else(|| Instant::now() + IDLE);
            tokio::select! {
                () = batches.wanted.notified() => {}
                () = tokio::time::sleep_until(next.into()) => {}
            }
            let due = batches.wants.lock().due(Instant::now(), MAX_TURN);
            for (peer, digests) in fetcher.plan(due).await {
                let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
                let asking = Arc::clone(&fetcher);
                fetcher.chain.spawn(async move {
                    asking.ask(peer, digests).await;
                    drop(permit);
                });
            }
        }
    }

    /// Whom to ask for what: its author first, then the block's proposer, then everyone in turn. What the store has is
    /// not asked for.
    async fn plan(&self, questions: Vec<Question>) -> Vec<(PeerId, Vec<B256>)> {
        let mut requests: Vec<(PeerId, Vec<B256>)> = Vec::new();
        let mut open: BTreeMap<PeerId, (usize, u64)> = BTreeMap::new();
        for question in questions {
            let batch = question.reference;
            if question.asked == 0 && self.find_in_store(batch.digest).await {
                continue;
            }
            let Some(peer) = self.candidate(&question) else { continue };
            let (at, bytes) = open.entry(peer).or_insert((usize::MAX, 0));
            let full = requests.get(*at).is_none_or(|(_, digests)| {
                digests.len() >= MAX_BATCHES_ASKED
                    || *bytes + u64::from(batch.bytes) > MAX_RANGE_BYTES as u64
            });
            if full {
                (*at, *bytes) = (requests.len(), 0);
                requests.push((peer, Vec::new()));
            }
            *bytes += u64::from(batch.bytes);
            if let Some((_, digests)) = requests.get_mut(*at) {
                digests.push(batch.digest);
            }
        }
        requests
    }

    async fn find_in_store(&self, digest: B256) -> bool {
        let found = self.chain.store.batch_bytes(digest).ok().flatten();
        let frame = found.and_then(|bytes| Frame::parse(bytes.into()).ok());
        match frame {
            Some(frame) => self.inlet.send(Incoming::Needed(frame)).await.is_ok(),
            None => false,
        }
    }

    fn candidate(&self, question: &Question) -> Option<PeerId> {
        let named = [question.reference.author, question.proposer];
        let named = named.into_iter().filter_map(|index| self.peers.id(Peer::Validator(index)));
        let known = self.network.peers();
        let mut list: Vec<PeerId> = named.filter(|id| known.contains(id)).collect();
        list.dedup();
        // Each batch begins with another of the rest.
        let start = usize::from(question.reference.digest[0]);
        let rest = (0..known.len()).filter_map(|step| known.get((start + step) % known.len()));
        list.extend(rest.filter(|id| **id != self.network.local_peer_id()));
        let turn = question.asked as usize % list.len().max(1);
        list.get(turn).copied()
    }

    async fn ask(&self, peer: PeerId, digests: Vec<B256>) {
        let question = wire::encode(&Request::Batches(digests.clone()));
        let answer = timeout(ANSWER_LIMIT, self.network.request(peer, question.into())).await;
        let Ok(Ok(bytes)) = answer else {
            return tracing::debug!(%peer, batches = digests.len(), "no answer");
        };
        let limit = self.network.limits().max_response_bytes;
        let Ok(BatchAnswer(found)) = wire::decode(&bytes, limit) else {
            return tracing::debug!(%peer, "malformed answer");
        };
        for bytes in found.into_iter().take(digests.len()) {
            let Ok(frame) = Frame::parse(bytes) else { continue };
            let digest = frame.reference.digest;
            let wanted =
                digests.contains(&digest) && self.chain.batches.wants.lock().contains(&digest);
            if wanted && self.inlet.send(Incoming::Needed(frame)).await.is_err() {
                return;
            }
        }
    }
}
