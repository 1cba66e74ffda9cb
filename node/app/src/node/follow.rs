//! Follow the chain without voting: ask peers for final blocks, again and again.

use std::{sync::Arc, time::Duration};

use neura_consensus::{FetchRequest, Input};
use neura_p2p::NetworkHandle;
use tokio::sync::mpsc;

use super::{
    chain::Chain,
    driver,
    peers::Peers,
    wire::{self, BlockRequest, BlockResponse, Request},
};

/// How long a peer may hold a request until it has something new.
const WAIT_MS: u64 = 2_000;
/// Pause when no peer answers.
const RETRY: Duration = Duration::from_millis(250);
/// How long to wait for the core to take a range before asking on.
const SETTLE: Duration = Duration::from_secs(5);

/// Runs until the driver stops. Peers are asked in turn, so that one that withholds blocks delays and does not stop.
pub async fn run(
    chain: Arc<Chain>,
    network: NetworkHandle,
    peers: Arc<Peers>,
    answers: mpsc::Sender<Input>,
) {
    let mut turn = 0usize;
    while !chain.failure.is_stopping() {
        let known = network.peers();
        if known.is_empty() {
            tokio::time::sleep(RETRY).await;
            continue;
        }
        turn = turn.wrapping_add(1);
        let id = known[turn % known.len()];
        let from = chain.committed_height().saturating_add(1);
        let question =
            wire::encode(&Request::Blocks(BlockRequest::Committed { from, wait_ms: WAIT_MS }));
        let answer = network.request(id, question.into()).await.ok().and_then(|bytes| {
            wire::decode::<BlockResponse>(&bytes, network.limits().max_response_bytes).ok()
        });
        let (Some(answer), Some(peer)) = (answer, peers.of(&id)) else {
            tokio::time::sleep(RETRY).await;
            continue;
        };
        let Some(last) = answer.blocks.last().map(|block| block.header.height) else { continue };
        let request = FetchRequest::Committed { from, ask: Vec::new() };
        if answers.send(driver::input(peer, &request, answer)).await.is_err() {
            return;
        }
        let mut committed = chain.committed.subscribe();
        // If the core refuses the range, the next peer is asked.
        let _ = tokio::time::timeout(SETTLE, committed.wait_for(|height| *height >= last)).await;
    }
}
