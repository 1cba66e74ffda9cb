//! Methods that read the state, run calls on it, or send what changes it.

use alloy_primitives::{Address, B256, Bytes, U64, U256};

use super::{
    error::{RpcError, RpcResult},
    params::{CallParams, Params, Quantity},
};
use crate::{
    backend::{BlockRef, CallRequest},
    error::BackendError,
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
    let tag: Option<serde_json::Value> = params.optional(1, "block")?;
    if tag.is_some_and(|tag| tag == "pending") {
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

pub(super) fn no_proof() -> RpcError {
    RpcError::unsupported(
        "eth_getProof is not supported: the state tree is not Ethereum's; \
         GET /v1/accounts/{address}?proof=true gives a proof of this chain's",
    )
}

pub(super) async fn call(state: &AppState, params: &Params<'_>) -> RpcResult<Bytes> {
    let (request, block) = call_request(state, params).await?;
    let _slot = evm_slot(state).await?;
    Ok(state.backend.call(request, block).await?.output)
}

pub(super) async fn estimate_gas(state: &AppState, params: &Params<'_>) -> RpcResult<U64> {
    let (request, block) = call_request(state, params).await?;
    let _slot = evm_slot(state).await?;
    Ok(U64::from(state.backend.estimate_gas(request, block).await?))
}

/// Waits for its turn, within the time of the call.
async fn evm_slot(state: &AppState) -> RpcResult<tokio::sync::SemaphorePermit<'_>> {
    let closed = |_| BackendError::Unavailable("the node is stopping".into());
    Ok(state.evm_slots.acquire().await.map_err(closed)?)
}

async fn call_request(state: &AppState, params: &Params<'_>) -> RpcResult<(CallRequest, BlockRef)> {
    let draft: CallParams = params.required(0, "transaction")?;
    let block = params.block(1)?.to_ref();
    // An override that is ignored gives a wrong answer; a refusal does not.
    for (index, name) in [(2, "state"), (3, "block")] {
        if params.is_given(index) {
            return Err(RpcError::unsupported(format!("{name} overrides are not supported")));
        }
    }
    let chain_id = state.backend.status().await?.chain_id;
    Ok((draft.into_request(chain_id)?, block))
}

pub(super) async fn send(state: &AppState, params: &Params<'_>) -> RpcResult<B256> {
    let raw: Bytes = params.required(0, "transaction")?;
    Ok(state.backend.submit(raw).await?)
}
