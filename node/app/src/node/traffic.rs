//! Take what the network brings, apart from consensus: transactions, requests for blocks and blobs.

use std::{sync::Arc, time::Duration};

use neura_consensus::Peer;
use neura_p2p::{Event, Events, NetworkHandle, PeerId, ReplyHandle};

use super::{
    backend::BlobKeeper,
    batches::{Frame, Incoming, Inlet},
    chain::Chain,
    intake::Intake,
    notes::Notes,
    peers::Peers,
    serve,
    snapshots::Snapshots,
    wire::{self, MAX_REQUEST_BYTES, Request},
};

/// How long a validator stays out that sends what is no batch.
const FAULT_BAN: Duration = Duration::from_secs(30);

/// Takes batches from their authors.
#[derive(Debug)]
pub struct BatchDoor {
    /// Which peer is which validator.
    pub peers: Arc<Peers>,
    /// Where batches go.
    pub inlet: Inlet,
}

impl BatchDoor {
    async fn take(&self, network: &NetworkHandle, from: PeerId, bytes: bytes::Bytes) {
        let frame = match Frame::parse(bytes.into()) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::warn!(%from, %error, "peer banned: it sent what is no batch");
                return network.ban(from, FAULT_BAN).await;
            }
        };
        // At the beginning of an epoch a sender may still, or already, have another index.
        let author = frame.reference.author;
        if self.peers.of(&from) != Some(Peer::Validator(author)) {
            return tracing::debug!(%from, author, "batch of another than its sender");
        }
        // Fails only when the node stops.
        let _ = self.inlet.send(Incoming::Pushed(frame)).await;
    }
}

/// What other nodes are served from, beside the chain.
#[derive(Debug, Clone)]
pub struct Stores {
    /// The off-chain store.
    pub blobs: Arc<BlobKeeper>,
    /// States of earlier blocks.
    pub snapshots: Arc<Snapshots>,
    /// What providers say to owners.
    pub notes: Arc<Notes>,
}

/// Runs until the network stops.
pub async fn run(
    chain: Arc<Chain>,
    network: NetworkHandle,
    mut events: Events,
    intake: Intake,
    batches: BatchDoor,
    stores: Stores,
) {
    while let Some(event) = events.next().await {
        match event {
            Event::Message { from, bytes, .. } => batches.take(&network, from, bytes).await,
            Event::Gossip { from, id, bytes } => {
                let verdict = intake.take_bundle(bytes.into()).await;
                network.report(id, from, verdict);
            }
            Event::Request { bytes, reply, .. } => {
                let (of_chain, stores) = (Arc::clone(&chain), stores.clone());
                chain.spawn(async move { answer(of_chain, stores, &bytes, reply).await });
            }
            // The driver's.
            Event::Connected(_) | Event::Disconnected(_) | Event::Banned { .. } => {}
        }
    }
}

async fn answer(
    chain: Arc<Chain>,
    Stores { blobs, snapshots, notes }: Stores,
    bytes: &[u8],
    reply: ReplyHandle,
) {
    // A reply that is dropped refuses the request.
    let Ok(request) = wire::decode::<Request>(bytes, MAX_REQUEST_BYTES) else { return };
    let answer = match request {
        Request::Blocks(request) => serve::blocks(chain, request).await.map(|a| wire::encode(&a)),
        Request::Batches(digests) => serve::batches(chain, digests).await.map(|a| wire::encode(&a)),
        Request::Snapshot(request) => {
            let answer = tokio::task::spawn_blocking(move || snapshots.answer(request)).await;
            answer.unwrap_or_else(|error| Err(error.into()))
        }
        Request::Blob(request) => serve::blob(&blobs, request).await.map(|a| wire::encode(&a)),
        Request::Notes(request) => Ok(wire::encode(&notes.newer(&request))),
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
