//! Answer other nodes' requests for blocks.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use neura_types::{B256, Block, Bytes, Height, block::BlockId, codec};

use super::{
    backend::BlobKeeper,
    chain::Chain,
    wire::{
        BatchAnswer, BlobAnswer, BlobRequest, BlockRequest, BlockResponse, MAX_BATCHES_ASKED,
        MAX_BLOB_PART, MAX_RANGE_BLOCKS, MAX_RANGE_BYTES, MAX_WAIT_MS,
    },
};

/// Answers a request; waits for blocks that do not exist yet as long as the request allows.
///
/// # Errors
/// If the store fails.
pub async fn blocks(chain: Arc<Chain>, request: BlockRequest) -> Result<BlockResponse> {
    if let BlockRequest::Committed { from, wait_ms } = request {
        let wait = Duration::from_millis(wait_ms.min(MAX_WAIT_MS));
        let mut committed = chain.committed.subscribe();
        // Running out of time is an answer too: nothing new.
        let _ = tokio::time::timeout(wait, committed.wait_for(|height| *height >= from)).await;
    }
    tokio::task::spawn_blocking(move || match request {
        BlockRequest::Committed { from, .. } => committed_from(&chain, from),
        BlockRequest::Ancestors { of, above } => ancestors(&chain, of, above),
    })
    .await?
}

/// Answers with those of the batches asked for that this node has.
///
/// # Errors
/// If the store fails.
pub async fn batches(chain: Arc<Chain>, digests: Vec<B256>) -> Result<BatchAnswer> {
    tokio::task::spawn_blocking(move || {
        let (mut found, mut size) = (Vec::new(), 0usize);
        for digest in digests.into_iter().take(MAX_BATCHES_ASKED) {
            let Some(bytes) = chain.batches.bytes(digest)? else { continue };
            size += bytes.len();
            if size > MAX_RANGE_BYTES && !found.is_empty() {
                break;
            }
            found.push(bytes);
        }
        Ok(BatchAnswer(found))
    })
    .await?
}

/// Answers with part of a blob that this node has; none if it has none of it.
///
/// # Errors
/// If the store fails.
pub async fn blob(blobs: &BlobKeeper, request: BlobRequest) -> Result<Option<BlobAnswer>> {
    let Some(bytes) = blobs.own(request.hash).await? else { return Ok(None) };
    let start = usize::try_from(request.offset)?;
    let end = bytes.len().min(start.saturating_add(MAX_BLOB_PART));
    let size = bytes.len() as u64;
    Ok((start < end).then(|| BlobAnswer { size, bytes: bytes.0.slice(start..end).into() }))
}

/// Blocks from a height on up to the last that a stored proof proves final within the limits of one answer. If the
/// next proof lies beyond them, the proof alone.
fn committed_from(chain: &Chain, from: Height) -> Result<BlockResponse> {
    let committed = chain.committed_height();
    let mut answer = BlockResponse { committed, ..BlockResponse::default() };
    let last = committed.min(from.saturating_add(MAX_RANGE_BLOCKS - 1));
    let (mut bytes, mut proven) = (0usize, 0usize);
    for height in from..=last {
        let Some((_, block)) = chain.block_at(height)? else { break };
        bytes += size(&block);
        if bytes > MAX_RANGE_BYTES && !answer.blocks.is_empty() {
            break;
        }
        answer.blocks.push(Block::clone(&block));
        if let Some((_, proof)) = chain.store.commit_proof_at_or_after(height, height)? {
            proven = answer.blocks.len();
            answer.proof = Some(proof.into());
        }
        // Who asks knows the set of this epoch: the next one's proofs are of no use before its end is final.
        if block.header.next_epoch.is_some() {
            break;
        }
    }
    answer.blocks.truncate(proven);
    if answer.proof.is_none() && from <= committed {
        let end = chain.epochs.at(from).map_or(committed, |epoch| epoch.last.min(committed));
        answer.proof =
            chain.store.commit_proof_at_or_after(from, end)?.map(|(_, proof)| Bytes::from(proof));
    }
    Ok(answer)
}

fn ancestors(chain: &Chain, of: BlockId, above: Height) -> Result<BlockResponse> {
    let mut answer =
        BlockResponse { committed: chain.committed_height(), ..BlockResponse::default() };
    let (mut next, mut bytes) = (of, 0usize);
    while (answer.blocks.len() as u64) < MAX_RANGE_BLOCKS {
        let Some(block) = chain.store.block(next)? else { break };
        bytes += size(&block);
        if block.header.height <= above || bytes > MAX_RANGE_BYTES && !answer.blocks.is_empty() {
            break;
        }
        next = block.header.parent;
        answer.blocks.push(block);
    }
    Ok(answer)
}

/// Bytes of a block in an answer, certificates estimated by their encoding.
fn size(block: &Block) -> usize {
    let body: usize = block.payload.iter().map(|item| item.len().saturating_add(4)).sum();
    body.saturating_add(
        codec::encode(&(&block.header, &block.justify, &block.timeout, &block.batches)).len(),
    )
}
