//! Ask peers for blocks that the core lacks.

use std::sync::Arc;

use neura_consensus::{FetchRequest, Input, Peer};
use neura_p2p::NetworkHandle;
use neura_types::{Block, codec};

use crate::node::{
    peers::Peers,
    wire::{self, BlockRequest, BlockResponse, Request},
};

/// Peers asked one after the other before the core is told that nobody answered.
const MAX_TRIES: usize = 3;

/// Asks the named peers, or any, until one has something; returns the core's input.
pub(super) async fn fetch(network: &NetworkHandle, peers: &Peers, request: FetchRequest) -> Input {
    let (question, ask) = match &request {
        FetchRequest::Ancestors { of, down_to, ask } => {
            (BlockRequest::Ancestors { of: *of, above: *down_to }, ask)
        }
        FetchRequest::Committed { from, ask } => {
            (BlockRequest::Committed { from: *from, wait_ms: 0 }, ask)
        }
    };
    for peer in candidates(network, peers, ask) {
        let Some(id) = peers.id(peer) else { continue };
        match network.request(id, wire::encode(&Request::Blocks(question.clone())).into()).await {
            Ok(bytes) => {
                let limit = network.limits().max_response_bytes;
                match wire::decode::<BlockResponse>(&bytes, limit) {
                    Ok(answer) if !answer.blocks.is_empty() || answer.proof.is_some() => {
                        return input(peer, &request, answer);
                    }
                    Ok(_) => {}
                    Err(error) => tracing::debug!(?peer, %error, "malformed answer"),
                }
            }
            Err(error) => tracing::debug!(?peer, %error, "no answer"),
        }
    }
    Input::FetchFailed { request }
}

/// The peers that the core names, then others.
fn candidates(network: &NetworkHandle, peers: &Peers, ask: &[Peer]) -> Vec<Peer> {
    let mut list: Vec<Peer> = ask.to_vec();
    for id in network.peers() {
        if let Some(peer) = peers.of(&id)
            && !list.contains(&peer)
        {
            list.push(peer);
        }
    }
    list.truncate(MAX_TRIES);
    list
}

/// The core's input for an answer to `request`.
pub(crate) fn input(from: Peer, request: &FetchRequest, answer: BlockResponse) -> Input {
    let mut blocks: Vec<Arc<Block>> = answer.blocks.into_iter().map(Arc::new).collect();
    match request {
        FetchRequest::Ancestors { of, .. } => {
            blocks.sort_by_key(|block| block.header.height);
            Input::Ancestors { from, of: *of, blocks }
        }
        FetchRequest::Committed { .. } => {
            let proof = answer.proof.and_then(|bytes| codec::decode(&bytes).ok());
            Input::Committed { from, blocks, proof }
        }
    }
}
