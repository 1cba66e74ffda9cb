//! Methods about blocks, transactions and receipts. What is not there is `null`; so is what is not executed yet.

use std::sync::Arc;

use alloy_consensus::Header;
use alloy_primitives::{B256, U64};
use neura_types::rest::Finality;

use super::{
    encode::{self, EthBlock, EthHeader, EthReceipt, EthTransaction, EthUncle, Place},
    error::RpcResult,
    params::{BlockId, Params, Quantity},
    pending::{self, NextBlock},
};
use crate::{
    backend::{BlockRef, BlockView, Included},
    error::BackendError,
    shared::AppState,
};

pub(super) async fn number(state: &AppState) -> RpcResult<U64> {
    let head = state.backend.head(BlockRef::Latest).await?.ok_or(BackendError::UnknownBlock)?;
    Ok(U64::from(head.header.height))
}

/// The executed block that the first parameter names; none that is yet to come.
pub(super) async fn executed(
    state: &AppState,
    params: &Params<'_>,
) -> RpcResult<Option<Arc<BlockView>>> {
    let id: BlockId = params.required(0, "block")?;
    if id.to_ref() == BlockRef::Pending {
        return Ok(None);
    }
    let block = state.backend.block(id.to_ref()).await?;
    Ok(block.filter(|block| block.head.executed.is_some()))
}

/// The block to come, if the first parameter names it.
pub(super) async fn to_come(state: &AppState, params: &Params<'_>) -> RpcResult<Option<NextBlock>> {
    let id: BlockId = params.required(0, "block")?;
    match id.to_ref() {
        BlockRef::Pending => pending::next(state).await.map(Some),
        _ => Ok(None),
    }
}

pub(super) async fn block(state: &AppState, params: &Params<'_>) -> RpcResult<Option<EthBlock>> {
    let full = params.optional::<bool>(1, "full transactions")?.unwrap_or(false);
    if let Some(next) = to_come(state, params).await? {
        return Ok(Some(encode::next_block(&next, full)));
    }
    Ok(executed(state, params).await?.and_then(|block| encode::block(&block, full)))
}

pub(super) async fn header(state: &AppState, params: &Params<'_>) -> RpcResult<Option<EthHeader>> {
    if let Some(next) = to_come(state, params).await? {
        return Ok(Some(encode::next_header(&next)));
    }
    Ok(executed(state, params).await?.and_then(|block| encode::header(&block)))
}

pub(super) async fn transaction_count(
    state: &AppState,
    params: &Params<'_>,
) -> RpcResult<Option<U64>> {
    if let Some(next) = to_come(state, params).await? {
        return Ok(Some(U64::from(next.transactions.len())));
    }
    Ok(executed(state, params).await?.map(|block| U64::from(block.receipts.len())))
}

pub(super) async fn transaction(
    state: &AppState,
    params: &Params<'_>,
) -> RpcResult<Option<EthTransaction>> {
    let hash: B256 = params.required(0, "hash")?;
    let Some(view) = state.backend.transaction(hash).await? else { return Ok(None) };
    let Some(included) = &view.included else {
        return Ok(Some(encode::transaction(&view.transaction, None)));
    };
    Ok(match (&included.receipt, included.finality) {
        (Some(receipt), _) => {
            Some(encode::transaction(&view.transaction, Some((place(included), receipt))))
        }
        // Its block is not executed, hence not shown yet: it still waits.
        (None, Finality::Pending | Finality::Ordered) => {
            Some(encode::transaction(&view.transaction, None))
        }
        (None, Finality::Executed | Finality::Certified) => None,
    })
}

fn place(included: &Included) -> Place {
    Place {
        block: included.block,
        height: included.height,
        timestamp_ms: included.timestamp_ms,
        index: included.index,
        first_log: included.first_log,
        blob_price: included.blob_price,
        state_root: included.state_root,
    }
}

pub(super) async fn transaction_at(
    state: &AppState,
    params: &Params<'_>,
) -> RpcResult<Option<EthTransaction>> {
    let index: Quantity = params.required(1, "index")?;
    let Ok(index) = usize::try_from(index.0) else { return Ok(None) };
    if let Some(next) = to_come(state, params).await? {
        return Ok(next.transactions.get(index).map(|tx| encode::transaction(tx, None)));
    }
    let block = executed(state, params).await?;
    Ok(block.and_then(|block| {
        let (tx, receipt, place) = encode::executed(&block).nth(index)?;
        Some(encode::transaction(tx, Some((place, receipt))))
    }))
}

pub(super) async fn receipt(
    state: &AppState,
    params: &Params<'_>,
) -> RpcResult<Option<EthReceipt>> {
    receipt_of(state, params.required(0, "hash")?).await
}

/// The receipt of a transaction that was executed.
pub(super) async fn receipt_of(state: &AppState, hash: B256) -> RpcResult<Option<EthReceipt>> {
    let Some(view) = state.backend.transaction(hash).await? else { return Ok(None) };
    Ok(view.included.and_then(|included| {
        let receipt = included.receipt.as_ref()?;
        Some(encode::receipt(&view.transaction, receipt, place(&included)))
    }))
}

pub(super) async fn receipts(
    state: &AppState,
    params: &Params<'_>,
) -> RpcResult<Option<Vec<EthReceipt>>> {
    if params.required::<BlockId>(0, "block")?.to_ref() == BlockRef::Pending {
        return Err(pending::not_executed("pending receipts is not available"));
    }
    Ok(executed(state, params).await?.map(|block| encode::receipts(&block)))
}

/// Headers of a block's uncles: only imported chains have such.
async fn uncles(state: &AppState, params: &Params<'_>) -> RpcResult<Option<Vec<Header>>> {
    let id: BlockId = params.required(0, "block")?;
    let head = state.backend.head(id.to_ref()).await?;
    Ok(head.map(|head| head.ethereum.map(|block| block.uncles.clone()).unwrap_or_default()))
}

pub(super) async fn uncle_count(state: &AppState, params: &Params<'_>) -> RpcResult<Option<U64>> {
    Ok(uncles(state, params).await?.map(|uncles| U64::from(uncles.len())))
}

pub(super) async fn uncle(state: &AppState, params: &Params<'_>) -> RpcResult<Option<EthUncle>> {
    let index: Quantity = params.required(1, "index")?;
    let Ok(index) = usize::try_from(index.0) else { return Ok(None) };
    Ok(uncles(state, params).await?.and_then(|all| all.get(index).map(encode::uncle)))
}
