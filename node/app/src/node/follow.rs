//! Follow the chain without voting: ask peers for final blocks, again and again.

use std::{sync::Arc, time::Duration};

use neura_consensus::{FetchRequest, Input};
use neura_p2p::NetworkHandle;
use neura_types::Height;
use tokio::sync::mpsc;

use super::{
    catchup::CatchUp,
    chain::Chain,
    driver,
    peers::Peers,
    wire::{self, BlockRequest, BlockResponse, MAX_RANGE_BLOCKS, Request},
};

/// How long a peer may hold a request until it has something new.
const WAIT_MS: u64 = 2_000;
/// Pause when no peer answers.
const RETRY: Duration = Duration::from_millis(250);
/// How long to wait for the core to take a range before asking on.
const SETTLE: Duration = Duration::from_secs(5);

/// Asks for what this node does not hear of by itself.
#[derive(Debug)]
pub struct Follower {
    /// The chain.
    pub chain: Arc<Chain>,
    /// The network.
    pub network: NetworkHandle,
    /// Names of peers.
    pub peers: Arc<Peers>,
    /// Fetches many ranges at once.
    pub catch_up: Arc<CatchUp>,
    /// Takes the answers to the core.
    pub answers: mpsc::Sender<Input>,
}

impl Follower {
    /// Runs until the driver stops. Peers are asked in turn, so that one that withholds blocks delays and does not stop.
    pub async fn run(self) {
        let chain = &self.chain;
        let mut turn = 0usize;
        // Height of the newest final block that a peer has told of.
        let mut known = 0;
        while !chain.failure.is_stopping() {
            // Who signs hears of final blocks by itself; who is between two epochs cannot take any.
            chain.observes().await;
            chain.in_epoch().await;
            let from = chain.committed_height().saturating_add(1);
            let input = if known > from.saturating_add(MAX_RANGE_BLOCKS) {
                Arc::clone(&self.catch_up).fetch(from, Vec::new()).await
            } else {
                turn = turn.wrapping_add(1);
                match self.wait_for(from, turn).await {
                    Some((input, committed)) => {
                        known = committed;
                        input
                    }
                    None => {
                        tokio::time::sleep(RETRY).await;
                        continue;
                    }
                }
            };
            let Input::Committed { blocks, .. } = &input else {
                known = 0;
                tokio::time::sleep(RETRY).await;
                continue;
            };
            let Some(last) = blocks.last().map(|block| block.header.height) else { continue };
            if self.answers.send(input).await.is_err() {
                return;
            }
            let mut committed = chain.committed.subscribe();
            // If the core refuses the range, the next peer is asked.
            let _ =
                tokio::time::timeout(SETTLE, committed.wait_for(|height| *height >= last)).await;
        }
    }

    /// Asks a peer, which may hold the question until there is something new.
    async fn wait_for(&self, from: Height, turn: usize) -> Option<(Input, Height)> {
        let known = self.network.peers();
        let id = *known.get(turn.checked_rem(known.len())?)?;
        let question = Request::Blocks(BlockRequest::Committed { from, wait_ms: WAIT_MS });
        let bytes = self.network.request(id, wire::encode(&question).into()).await.ok()?;
        let limit = self.network.limits().max_response_bytes;
        let answer = wire::decode::<BlockResponse>(&bytes, limit).ok()?;
        let committed = answer.committed;
        let request = FetchRequest::Committed { from, ask: Vec::new() };
        Some((driver::input(self.peers.of(&id)?, &request, answer), committed))
    }
}
