//! Take what the network brings, apart from consensus: transactions, requests for blocks and blobs.

use std::sync::Arc;

use neura_p2p::{Event, Events, NetworkHandle, ReplyHandle};

use super::{
    backend::BlobKeeper,
    chain::Chain,
    intake::Intake,
    serve,
    wire::{self, MAX_REQUEST_BYTES, Request},
};

/// Runs until the network stops.
pub async fn run(
    chain: Arc<Chain>,
    network: NetworkHandle,
    mut events: Events,
    intake: Intake,
    blobs: Arc<BlobKeeper>,
) {
    while let Some(event) = events.next().await {
        match event {
            Event::Message { bytes, .. } => {
                intake.take_bundle(bytes.into()).await;
            }
            Event::Gossip { from, id, bytes } => {
                let verdict = intake.take_bundle(bytes.into()).await;
                network.report(id, from, verdict);
            }
            Event::Request { bytes, reply, .. } => {
                let (served, blobs) = (Arc::clone(&chain), Arc::clone(&blobs));
                chain.spawn(async move { answer(served, blobs, &bytes, reply).await });
            }
            // The driver's.
            Event::Connected(_) | Event::Disconnected(_) | Event::Banned { .. } => {}
        }
    }
}

async fn answer(chain: Arc<Chain>, blobs: Arc<BlobKeeper>, bytes: &[u8], reply: ReplyHandle) {
    // A reply that is dropped refuses the request.
    let Ok(request) = wire::decode::<Request>(bytes, MAX_REQUEST_BYTES) else { return };
    let answer = match request {
        Request::Blocks(request) => serve::blocks(chain, request).await.map(|a| wire::encode(&a)),
        Request::Blob(request) => serve::blob(&blobs, request).await.map(|a| wire::encode(&a)),
    };
    match answer {
        Ok(answer) => {
            if let Err(error) = reply.send(answer.into()) {
                tracing::debug!(%error, "answer not sent");
            }
        }
        Err(error) => tracing::error!(%error, "a request could not be served"),
    }
}
