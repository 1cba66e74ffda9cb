//! Start from a snapshot that peers serve.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use futures::{StreamExt, stream};
use neura_p2p::{NetworkHandle, PeerId, Penalty};
use neura_storage::{EpochRecord, Manifest, SnapshotError, SnapshotImport, Store};
use neura_types::{Block, Bytes, Genesis, codec};

use super::{
    trust::Trust,
    wire::{Epochs, SnapshotRequest},
};
use crate::node::wire::{self, Request};

/// Chunks under way at once: spread over the peers.
const CHUNKS_AT_ONCE: usize = 8;
/// Pause when no peer has what is needed.
const RETRY: Duration = Duration::from_millis(500);
/// Rounds without any progress before the import is given up.
const MAX_IDLE_ROUNDS: usize = 120;

/// Fills a fresh store from a snapshot of the chain; goes on where an earlier run stopped. Waits for peers that serve
/// one.
///
/// # Errors
/// If no peer serves a snapshot for a minute, or the disk fails.
pub async fn import(
    store: &Store,
    genesis: &Genesis,
    genesis_block: &Block,
    network: &NetworkHandle,
) -> Result<()> {
    let peers = Sources { network: network.clone() };
    let (manifest, trust) = peers.snapshot(genesis, genesis_block, store).await?;
    tracing::info!(
        height = manifest.height(),
        chunks = manifest.chunks.len(),
        "importing a snapshot"
    );
    let import = Arc::new(SnapshotImport::begin(store, manifest)?);
    peers.chunks(&import).await?;
    let base = peers.base(import.manifest()).await?;
    import.finish(genesis_block, &base)?;
    for record in trust.records() {
        store.put_epoch(&record)?;
    }
    Ok(())
}

/// The peers that are asked.
#[derive(Debug, Clone)]
struct Sources {
    network: NetworkHandle,
}

impl Sources {
    async fn ask<T: serde::de::DeserializeOwned + serde::Serialize>(
        &self,
        peer: PeerId,
        request: SnapshotRequest,
    ) -> Option<T> {
        let question = wire::encode(&Request::Snapshot(request));
        let bytes = match self.network.request(peer, question.into()).await {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::debug!(%peer, %error, "no answer");
                return None;
            }
        };
        wire::decode(&bytes, self.network.limits().max_response_bytes).ok().or_else(|| {
            self.network.penalise(peer, Penalty::High);
            None
        })
    }

    /// A snapshot that is proved to be the chain's, by the peers' records of its epochs. An interrupted import is
    /// preferred while someone still serves it.
    async fn snapshot(
        &self,
        genesis: &Genesis,
        genesis_block: &Block,
        store: &Store,
    ) -> Result<(Manifest, Trust)> {
        let begun = SnapshotImport::resume(store)?.map(|import| import.manifest().clone());
        for _ in 0..MAX_IDLE_ROUNDS {
            for peer in self.network.peers() {
                let Some(Some(bytes)) =
                    self.ask::<Option<Bytes>>(peer, SnapshotRequest::Newest).await
                else {
                    continue;
                };
                let offered = begun.clone().map_or_else(|| Manifest::decode(&bytes), Ok);
                let manifest = match offered {
                    Ok(manifest) => manifest,
                    Err(error) => {
                        tracing::warn!(%peer, %error, "a peer offers a broken snapshot");
                        self.network.penalise(peer, Penalty::High);
                        continue;
                    }
                };
                match self.trust(peer, genesis, genesis_block, &manifest).await {
                    Ok(trust) => return Ok((manifest, trust)),
                    Err(error) => {
                        let reason = format!("{error:#}");
                        tracing::warn!(%peer, reason, "a peer's snapshot is not proved");
                        self.network.penalise(peer, Penalty::High);
                    }
                }
            }
            tokio::time::sleep(RETRY).await;
        }
        bail!(
            "no peer serves a snapshot of this chain: start without --snapshot-sync, or name a peer that makes snapshots"
        )
    }

    async fn trust(
        &self,
        peer: PeerId,
        genesis: &Genesis,
        genesis_block: &Block,
        manifest: &Manifest,
    ) -> Result<Trust> {
        let mut trust = Trust::genesis(genesis, genesis_block.id())?;
        let target = manifest.proved().context("the snapshot has no headers")?.0.epoch;
        while trust.epoch() < target {
            let from = trust.epoch();
            let encoded: Epochs = self
                .ask(peer, SnapshotRequest::Epochs { from })
                .await
                .context("the peer does not answer with its epochs")?;
            let records: Vec<EpochRecord> =
                encoded.iter().map(|bytes| codec::decode(bytes)).collect::<Result<_, _>>()?;
            let configs: Vec<_> = records.iter().map(|record| record.config.clone()).collect();
            for (record, next) in records.into_iter().zip(configs.iter().skip(1)) {
                if trust.epoch() < target {
                    trust.pass(record, next)?;
                }
            }
            if trust.epoch() == from {
                bail!("the peer's epochs end before epoch {target}");
            }
        }
        trust.check(manifest)?;
        Ok(trust)
    }

    /// Fetches the missing chunks from all peers in turn; what one sends wrongly another is asked for.
    async fn chunks(&self, import: &Arc<SnapshotImport>) -> Result<()> {
        let height = import.manifest().height();
        let mut idle = 0;
        while !import.missing().is_empty() {
            let peers = self.network.peers();
            if peers.is_empty() || idle > MAX_IDLE_ROUNDS {
                if idle > MAX_IDLE_ROUNDS {
                    bail!(
                        "nobody serves the rest of the snapshot: start again to take a newer one"
                    );
                }
                idle += 1;
                tokio::time::sleep(RETRY).await;
                continue;
            }
            let missing = import.missing();
            let before = missing.len();
            let work = missing.into_iter().enumerate().map(|(turn, index)| {
                let peer = peers[(turn + idle) % peers.len()];
                let import = Arc::clone(import);
                async move {
                    let request = SnapshotRequest::Chunk { height, index };
                    let Some(Some(bytes)) = self.ask::<Option<Bytes>>(peer, request).await else {
                        return Ok(());
                    };
                    let put = tokio::task::spawn_blocking(move || import.put_chunk(index, &bytes));
                    match put.await? {
                        Err(error @ SnapshotError::Chunk { .. }) => {
                            tracing::warn!(%peer, %error, "a peer sends a wrong chunk");
                            self.network.penalise(peer, Penalty::High);
                            Ok(())
                        }
                        other => anyhow::Ok(other?),
                    }
                }
            });
            let results: Vec<Result<()>> =
                stream::iter(work).buffer_unordered(CHUNKS_AT_ONCE).collect().await;
            results.into_iter().collect::<Result<()>>()?;
            if import.missing().len() == before {
                idle += 1;
                tokio::time::sleep(RETRY).await;
            } else {
                idle = 0;
            }
        }
        Ok(())
    }

    async fn base(&self, manifest: &Manifest) -> Result<Block> {
        let (_, wanted) = manifest.block().context("the snapshot has no headers")?;
        for _ in 0..MAX_IDLE_ROUNDS {
            for peer in self.network.peers() {
                let request = SnapshotRequest::Base { height: manifest.height() };
                let answer: Option<Option<Bytes>> = self.ask(peer, request).await;
                let block = answer.flatten().and_then(|bytes| codec::decode::<Block>(&bytes).ok());
                if let Some(block) = block.filter(|b| b.id() == wanted && b.payload_matches()) {
                    return Ok(block);
                }
            }
            tokio::time::sleep(RETRY).await;
        }
        bail!("nobody serves the block that the snapshot follows")
    }
}
