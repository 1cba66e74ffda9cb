//! Ask peers, and remember who answered badly.

use std::{collections::BTreeMap, fmt::Display, sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use neura_p2p::{NetworkHandle, PeerId, Penalty};
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};

use super::wire::SnapshotRequest;
use crate::node::wire::{self, Request};

/// How long one peer is waited for before the next is asked the same: the silent hold nobody up, and little is sent in
/// vain.
const STAGGER: Duration = Duration::from_millis(200);
/// What a false answer counts; none at all counts one.
const FALSE_ANSWER: u32 = 10;

/// The peers that are asked.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    network: NetworkHandle,
    faults: Arc<Mutex<BTreeMap<PeerId, u32>>>,
}

impl Sources {
    /// The peers of a network.
    pub(super) fn new(network: NetworkHandle) -> Self {
        Self { network, faults: Arc::default() }
    }

    /// Those that are connected, the best first.
    pub(super) fn peers(&self) -> Vec<PeerId> {
        let mut peers = self.network.peers();
        let faults = self.faults.lock();
        peers.sort_by_key(|peer| faults.get(peer).copied().unwrap_or_default());
        peers
    }

    /// Asks one peer; none if it does not answer, or with something else.
    pub(super) async fn ask<T>(&self, peer: PeerId, request: SnapshotRequest) -> Option<T>
    where
        T: DeserializeOwned + Serialize,
    {
        let question = wire::encode(&Request::Snapshot(request));
        match self.network.request(peer, question.into()).await {
            Ok(bytes) => {
                let answer = wire::decode(&bytes, self.network.limits().max_response_bytes);
                answer.inspect_err(|error| self.accuse(peer, "an answer that is none", error)).ok()
            }
            Err(error) => {
                tracing::debug!(%peer, %error, "no answer");
                self.count(peer, 1);
                None
            }
        }
    }

    /// Asks one peer after the other, the best first, until there is an answer that is of use.
    pub(super) async fn first<T, U>(
        &self,
        request: SnapshotRequest,
        mut of_use: impl FnMut(PeerId, T) -> Option<U>,
    ) -> Option<U>
    where
        T: DeserializeOwned + Serialize,
    {
        let turns = self.peers().into_iter().zip(0u32..);
        let ask = |(peer, turn): (PeerId, u32)| async move {
            tokio::time::sleep(STAGGER.saturating_mul(turn)).await;
            (peer, self.ask::<T>(peer, request).await)
        };
        let mut answers: FuturesUnordered<_> = turns.map(ask).collect();
        while let Some((peer, answer)) = answers.next().await {
            if let Some(found) = answer.and_then(|answer| of_use(peer, answer)) {
                return Some(found);
            }
        }
        None
    }

    /// Holds a false answer against a peer.
    pub(super) fn accuse(&self, peer: PeerId, what: &str, reason: &dyn Display) {
        tracing::warn!(%peer, %reason, "a peer gives {what}");
        self.network.penalise(peer, Penalty::High);
        self.count(peer, FALSE_ANSWER);
    }

    fn count(&self, peer: PeerId, faults: u32) {
        let mut known = self.faults.lock();
        let count = known.entry(peer).or_default();
        *count = count.saturating_add(faults);
    }
}
