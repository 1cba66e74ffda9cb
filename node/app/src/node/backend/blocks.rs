//! Read blocks, transactions, logs, proofs.

use std::sync::Arc;

use neura_api::{
    BackendError, BlockHead, BlockRef, BlockView, Included, LogEntry, LogQuery, TransactionView,
};
use neura_storage::{FoundLog, LogFilter, StorageError, TxLocation};
use neura_types::{
    Address, B256, Block, BlockId, Height, Receipt, Transaction, rest::AccountProof,
    state::StateKey,
};

use super::{Answer, internal, storage};
use crate::node::{chain::Chain, views};

/// The block that a reference names.
pub(super) fn find(chain: &Chain, block: BlockRef) -> Answer<Option<(BlockId, Arc<Block>)>> {
    match block {
        BlockRef::Latest | BlockRef::Pending => {
            chain.block_at(chain.executed_height()).map_err(storage)
        }
        BlockRef::Height(height) => chain.block_at(height).map_err(storage),
        BlockRef::Id(id) => {
            let Some(block) = chain.store.block(id).map_err(storage)? else { return Ok(None) };
            let height = block.header.height;
            let final_id = chain.store.block_id_at(height).map_err(storage)?;
            Ok((final_id == Some(id)).then(|| (id, Arc::new(block))))
        }
    }
}

pub(super) fn block(chain: &Chain, block: BlockRef) -> Answer<Option<Arc<BlockView>>> {
    let Some((id, block)) = find(chain, block)? else { return Ok(None) };
    let height = block.header.height;
    let record = chain.store.executed(height).map_err(storage)?;
    let receipts = chain.store.receipts(height).map_err(storage)?.unwrap_or_default();
    let view = views::view(chain, id, &block, record.as_ref(), receipts).map_err(storage)?;
    Ok(Some(Arc::new(view)))
}

pub(super) fn head(chain: &Chain, block: BlockRef) -> Answer<Option<BlockHead>> {
    let Some((id, block)) = find(chain, block)? else { return Ok(None) };
    let record = chain.store.executed(block.header.height).map_err(storage)?;
    Ok(Some(views::head(chain, id, &block, record.as_ref())))
}

pub(super) fn heads(chain: &Chain, before: Option<Height>, limit: u32) -> Answer<Vec<BlockHead>> {
    let top = chain.committed_height().saturating_add(1);
    let end = before.unwrap_or(top).min(top);
    let start = end.saturating_sub(limit.into());
    let mut heads = Vec::new();
    for height in (start..end).rev() {
        match head(chain, BlockRef::Height(height))? {
            Some(head) => heads.push(head),
            None => break,
        }
    }
    Ok(heads)
}

pub(super) fn transaction(chain: &Chain, hash: B256) -> Answer<Option<TransactionView>> {
    if let Some((place, receipt)) = chain.store.receipt(hash).map_err(storage)? {
        return included(chain, place, receipt).map(Some);
    }
    let waiting = chain.mempool.lock().get(&hash);
    Ok(waiting.map(|tx| TransactionView { transaction: Transaction::clone(&tx), included: None }))
}

fn included(chain: &Chain, place: TxLocation, receipt: Receipt) -> Answer<TransactionView> {
    let missing = || internal(format!("block {} is not in the store", place.height));
    let (_, block) = chain.block_at(place.height).map_err(storage)?.ok_or_else(missing)?;
    let body = chain.batches.transactions(&block).map_err(storage)?.ok_or_else(missing)?;
    let raw = body.get(place.payload_index as usize).ok_or_else(missing)?;
    let transaction = Transaction::decode(raw.clone(), chain.genesis.chain_id).map_err(internal)?;
    let record = chain.store.executed(place.height).map_err(storage)?;
    Ok(TransactionView {
        transaction,
        included: Some(Included {
            block: place.block,
            height: place.height,
            timestamp_ms: block.header.timestamp_ms,
            index: place.index.into(),
            finality: views::finality(chain, place.height),
            base_fee: record.map(|record| record.base_fee),
            receipt: Some(receipt),
            first_log: place.first_log_index.into(),
            blob_price: None,
            state_root: None,
        }),
    })
}

pub(super) fn logs(chain: &Chain, query: LogQuery, limit: usize) -> Answer<Vec<LogEntry>> {
    let filter = LogFilter { addresses: query.addresses, topics: query.topics };
    let found =
        chain.store.logs(query.from, query.to, &filter, limit).map_err(|error| match error {
            StorageError::TooManyLogs { .. } => BackendError::TooManyLogs {
                limit,
                from: query.from,
                suggested_to: query.from + (query.to - query.from) / 2,
            },
            StorageError::RangeTooDense { limit, searched } => {
                BackendError::LogsTooDense { limit, from: query.from, suggested_to: searched }
            }
            StorageError::RangeTooWide { .. } => BackendError::InvalidInput(error.to_string()),
            other => storage(other),
        })?;
    Ok(found.into_iter().map(entry).collect())
}

/// Logs of a block's end belong to no transaction; they are shown under the block's id, after all others.
fn entry(found: FoundLog) -> LogEntry {
    let (tx_hash, tx_index) = found.tx.unwrap_or((found.block, u32::MAX));
    LogEntry {
        log: found.log,
        block: found.block,
        height: found.height,
        timestamp_ms: found.timestamp_ms,
        tx_hash,
        tx_index: tx_index.into(),
        log_index: found.log_index.into(),
    }
}

/// Proof against the newest root that a final header names.
pub(super) fn account_proof(chain: &Chain, address: Address) -> Answer<AccountProof> {
    let tip = chain.committed_height();
    let (certifier, block) = chain
        .block_at(tip)
        .map_err(storage)?
        .ok_or_else(|| internal(format!("block {tip} is not in the store")))?;
    let height = block.header.executed.height;
    let proof = chain.store.prove(height, &StateKey::Account(address)).map_err(storage)?;
    Ok(AccountProof {
        height,
        state_root: block.header.executed.state_root,
        certified_by: certifier,
        account: proof.value.map(Into::into),
        proof: proof.proof.into(),
    })
}
