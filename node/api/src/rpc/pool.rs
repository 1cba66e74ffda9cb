//! Methods about transactions that wait (`txpool_*`).

use std::collections::BTreeMap;

use alloy_primitives::{Address, U64};
use neura_types::Transaction;
use serde::Serialize;

use super::{
    encode::{self, EthTransaction},
    error::RpcResult,
    params::Params,
};
use crate::{backend::PoolContent, limits::MAX_POOL_CONTENT, shared::AppState};

/// Something of the pool's two parts.
#[derive(Debug, Serialize)]
pub(super) struct Parts<T> {
    pending: T,
    queued: T,
}

type ByNonce<T> = BTreeMap<String, T>;
type BySender<T> = BTreeMap<Address, ByNonce<T>>;

pub(super) async fn status(state: &AppState) -> RpcResult<Parts<U64>> {
    let (pending, queued) = state.backend.pool_status().await?;
    Ok(Parts { pending: U64::from(pending), queued: U64::from(queued) })
}

pub(super) async fn content(state: &AppState) -> RpcResult<Parts<BySender<EthTransaction>>> {
    by_sender(state, |tx| encode::transaction(tx, None)).await
}

pub(super) async fn inspect(state: &AppState) -> RpcResult<Parts<BySender<String>>> {
    by_sender(state, summary).await
}

pub(super) async fn content_from(
    state: &AppState,
    params: &Params<'_>,
) -> RpcResult<Parts<ByNonce<EthTransaction>>> {
    let sender: Address = params.required(0, "address")?;
    let PoolContent { pending, queued } =
        state.backend.pool_content(Some(sender), MAX_POOL_CONTENT).await?;
    let by_nonce = |all: Vec<std::sync::Arc<Transaction>>| {
        all.iter().map(|tx| (tx.nonce.to_string(), encode::transaction(tx, None))).collect()
    };
    Ok(Parts { pending: by_nonce(pending), queued: by_nonce(queued) })
}

async fn by_sender<T>(
    state: &AppState,
    show: impl Fn(&Transaction) -> T,
) -> RpcResult<Parts<BySender<T>>> {
    let PoolContent { pending, queued } =
        state.backend.pool_content(None, MAX_POOL_CONTENT).await?;
    let group = |all: Vec<std::sync::Arc<Transaction>>| {
        let mut senders: BySender<T> = BTreeMap::new();
        for tx in all {
            senders.entry(tx.sender).or_default().insert(tx.nonce.to_string(), show(&tx));
        }
        senders
    };
    Ok(Parts { pending: group(pending), queued: group(queued) })
}

/// A transaction in one line, as geth puts it.
fn summary(tx: &Transaction) -> String {
    let to = tx.to.to().map_or_else(|| "contract creation".to_owned(), Address::to_string);
    let (value, gas, price) = (tx.value, tx.gas_limit, tx.max_fee_per_gas);
    format!("{to}: {value} wei + {gas} gas × {price} wei")
}
