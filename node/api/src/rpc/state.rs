//! Methods that read the state, run calls on it, or send what changes it.

use std::{collections::BTreeMap, time::Duration};

use alloy_primitives::{Address, B256, Bytes, U64, U256};

use super::{
    blocks,
    encode::EthReceipt,
    error::{RpcError, RpcResult},
    params::{Params, Quantity},
};
use crate::{
    backend::BlockRef,
    events::Notice,
    limits::{DEFAULT_SYNC_WAIT, MAX_STORAGE_VALUES, MAX_SYNC_WAIT},
    shared::AppState,
};

pub(super) async fn balance(state: &AppState, params: &Params<'_>) -> RpcResult<U256> {
    let address: Address = params.required(0, "address")?;
    let block = params.block(1)?.to_ref();
    Ok(state.backend.account(address, block).await?.balance)
}

pub(super) async fn transaction_count(state: &AppState, params: &Params<'_>) -> RpcResult<U64> {
    let address: Address = params.required(0, "address")?;
    let block = params.block(1)?.to_ref();
    let nonce = state.backend.account(address, block).await?.nonce;
    if block == BlockRef::Pending {
        let pending = state.backend.pending_nonce(address).await?;
        return Ok(U64::from(pending.max(nonce)));
    }
    Ok(U64::from(nonce))
}

pub(super) async fn code(state: &AppState, params: &Params<'_>) -> RpcResult<Bytes> {
    let address: Address = params.required(0, "address")?;
    let block = params.block(1)?.to_ref();
    Ok(state.backend.code(address, block).await?)
}

pub(super) async fn storage(state: &AppState, params: &Params<'_>) -> RpcResult<B256> {
    let address: Address = params.required(0, "address")?;
    let slot: Quantity = params.required(1, "slot")?;
    let block = params.block(2)?.to_ref();
    Ok(B256::from(state.backend.storage(address, slot.0, block).await?))
}

/// Words of several accounts (`eth_getStorageValues`).
pub(super) async fn storage_values(
    state: &AppState,
    params: &Params<'_>,
) -> RpcResult<BTreeMap<Address, Vec<B256>>> {
    let asked: BTreeMap<Address, Vec<Quantity>> = params.required(0, "requests")?;
    let block = params.block(1)?.to_ref();
    let slots: usize = asked.values().map(Vec::len).sum();
    if slots == 0 {
        return Err(RpcError::params("empty request"));
    }
    if slots > MAX_STORAGE_VALUES {
        return Err(RpcError::params(format!("too many slots: at most {MAX_STORAGE_VALUES}")));
    }
    let mut values = BTreeMap::new();
    for (address, slots) in asked {
        let mut words = Vec::with_capacity(slots.len());
        for slot in slots {
            words.push(B256::from(state.backend.storage(address, slot.0, block).await?));
        }
        values.insert(address, words);
    }
    Ok(values)
}

pub(super) async fn send(state: &AppState, params: &Params<'_>) -> RpcResult<B256> {
    let raw: Bytes = params.required(0, "transaction")?;
    Ok(state.backend.submit(raw).await?)
}

/// Code of a transaction that is taken and was not executed in time (EIP-7966).
const NOT_EXECUTED_IN_TIME: i32 = 4;

/// Sends a transaction and waits for its receipt (EIP-7966).
pub(super) async fn send_and_wait(state: &AppState, params: &Params<'_>) -> RpcResult<EthReceipt> {
    let raw: Bytes = params.required(0, "transaction")?;
    let asked: Option<Quantity> = params.optional(1, "timeout in milliseconds")?;
    let wait = match asked {
        None => DEFAULT_SYNC_WAIT,
        Some(asked) => {
            let millis = u64::try_from(asked.0).unwrap_or(u64::MAX);
            Duration::from_millis(millis).min(MAX_SYNC_WAIT)
        }
    };
    // Before it is sent, so that no block is missed.
    let mut blocks = state.hub.notices();
    let hash = state.backend.submit(raw).await?;
    let waiting = async {
        loop {
            if let Some(receipt) = blocks::receipt_of(state, hash).await? {
                return Ok(receipt);
            }
            while let Ok(Notice::Pending(_)) = blocks.recv().await.as_deref() {}
        }
    };
    match tokio::time::timeout(wait, waiting).await {
        Ok(answer) => answer,
        Err(_) => {
            let millis = wait.as_millis();
            let text = format!(
                "The transaction was added to the transaction pool but wasn't processed in {millis}ms."
            );
            let mut error = RpcError::new(NOT_EXECUTED_IN_TIME, text);
            error.data = Some(serde_json::json!(hash));
            Err(error)
        }
    }
}
