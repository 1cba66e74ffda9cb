//! Blocks, transactions and receipts in Ethereum's encoding.

use alloy_consensus::{Eip658Value, Receipt as EthereumReceipt, ReceiptEnvelope, ReceiptWithBloom};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{B256, Bytes, Log as EvmLog, LogData};
use neura_types::Receipt;

use super::{
    blocks,
    error::{RpcError, RpcResult},
    params::{Params, Quantity},
};
use crate::{backend::EthereumBlock, error::BackendError, shared::AppState};

pub(super) async fn transaction(state: &AppState, params: &Params<'_>) -> RpcResult<Option<Bytes>> {
    let hash: B256 = params.required(0, "hash")?;
    Ok(state.backend.transaction(hash).await?.map(|view| view.transaction.raw))
}

pub(super) async fn transaction_at(
    state: &AppState,
    params: &Params<'_>,
) -> RpcResult<Option<Bytes>> {
    let index: Quantity = params.required(1, "index")?;
    let Ok(index) = usize::try_from(index.0) else { return Ok(None) };
    if let Some(next) = blocks::to_come(state, params).await? {
        return Ok(next.transactions.get(index).map(|tx| tx.raw.clone()));
    }
    let block = blocks::executed(state, params).await?;
    Ok(block.and_then(|block| {
        super::encode::executed(&block).nth(index).map(|(tx, ..)| tx.raw.clone())
    }))
}

pub(super) async fn receipts(state: &AppState, params: &Params<'_>) -> RpcResult<Vec<Bytes>> {
    let block = blocks::executed(state, params).await?.ok_or(BackendError::UnknownBlock)?;
    let roots = block.head.ethereum.as_ref().map(|ethereum| ethereum.roots.clone());
    let mut roots = roots.into_iter().flatten();
    Ok(block.receipts.iter().map(|receipt| encoded_receipt(receipt, roots.next())).collect())
}

/// A receipt as Ethereum encodes it, with a state root in place of its status before Byzantium.
pub fn encoded_receipt(receipt: &Receipt, state_root: Option<B256>) -> Bytes {
    let logs = receipt.logs.iter().map(|log| EvmLog {
        address: log.address,
        data: LogData::new_unchecked(log.topics.clone(), log.data.clone()),
    });
    let bloomed: ReceiptWithBloom<EthereumReceipt> = EthereumReceipt {
        status: state_root.map_or(Eip658Value::Eip658(receipt.success), Eip658Value::PostState),
        cumulative_gas_used: receipt.cumulative_gas_used,
        logs: logs.collect(),
    }
    .with_bloom();
    let envelope = match receipt.tx_type {
        0 => ReceiptEnvelope::Legacy(bloomed),
        1 => ReceiptEnvelope::Eip2930(bloomed),
        3 => ReceiptEnvelope::Eip4844(bloomed),
        4 => ReceiptEnvelope::Eip7702(bloomed),
        _ => ReceiptEnvelope::Eip1559(bloomed),
    };
    envelope.encoded_2718().into()
}

pub(super) async fn header(state: &AppState, params: &Params<'_>) -> RpcResult<Bytes> {
    ethereum(state, params, |block| alloy_rlp::encode(&block.header).into()).await
}

pub(super) async fn block(state: &AppState, params: &Params<'_>) -> RpcResult<Bytes> {
    ethereum(state, params, |block| block.raw.clone()).await
}

async fn ethereum(
    state: &AppState,
    params: &Params<'_>,
    show: impl Fn(&EthereumBlock) -> Bytes,
) -> RpcResult<Bytes> {
    let block = blocks::executed(state, params).await?.ok_or(BackendError::UnknownBlock)?;
    let ethereum = block.head.ethereum.as_ref().ok_or_else(|| {
        RpcError::unsupported(
            "blocks of this chain have no form in RLP: GET /v1/blocks/{id}/raw gives them with their certificates",
        )
    })?;
    Ok(show(ethereum))
}
