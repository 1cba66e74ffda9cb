//! `eth_fillTransaction`: what the draft of a transaction leaves open, filled in as geth does.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::{eip2718::Encodable2718, eip7702::SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U64, U128, U256, keccak256};
use neura_types::simulation::{CallRequest, Overrides};
use serde::Serialize;

use super::{
    encode::{EthAccess, EthAuthorization, access_items, authorization},
    error::{RpcError, RpcResult, SERVER},
    evm,
    params::{CallParams, Params},
};
use crate::{
    backend::{BlockRef, CallAt},
    shared::AppState,
};

/// A transaction that nobody signed yet.
#[derive(Debug, Serialize)]
pub(super) struct Filled {
    raw: Bytes,
    tx: Draft,
}

/// Its members, as geth shows those of a transaction without a place; the signature is zeros.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Draft {
    #[serde(rename = "type")]
    tx_type: U64,
    chain_id: U64,
    nonce: U64,
    to: Option<Address>,
    gas: U64,
    gas_price: Option<U128>,
    max_priority_fee_per_gas: Option<U128>,
    max_fee_per_gas: Option<U128>,
    value: U256,
    input: Bytes,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_list: Option<Vec<EthAccess>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_list: Option<Vec<EthAuthorization>>,
    v: U256,
    r: U256,
    s: U256,
    #[serde(skip_serializing_if = "Option::is_none")]
    y_parity: Option<U64>,
    hash: B256,
}

/// What is filled in.
struct Terms {
    chain_id: u64,
    nonce: u64,
    gas: u64,
    /// In wei per gas; of the old types the price.
    max_fee: u128,
    /// In wei per gas.
    tip: u128,
}

pub(super) async fn fill(state: &AppState, params: &Params<'_>) -> RpcResult<Filled> {
    let draft: CallParams = params.required(0, "transaction")?;
    if draft.contradicts_itself() {
        return Err(refused(
            "both \"data\" and \"input\" are set and not equal. Please use \"input\" to pass transaction call data",
        ));
    }
    let chain_id = state.backend.status().await?.chain_id;
    let call = draft.into_request(chain_id)?;
    if call.to.is_none() && call.input.is_empty() {
        return Err(refused("contract creation without any data provided"));
    }
    if !call.blob_hashes.is_empty() {
        return Err(RpcError::unsupported("blob transactions are not taken on this chain"));
    }
    let (max_fee, tip) = price(state, &call).await?;
    let nonce = match call.nonce {
        Some(nonce) => nonce,
        None => state.backend.pending_nonce(call.from.unwrap_or_default()).await?,
    };
    let gas = match call.gas {
        Some(gas) => gas,
        None => estimate(state, params, &call).await?,
    };
    show(&call, &Terms { chain_id, nonce, gas, max_fee, tip })
}

fn refused(text: impl Into<String>) -> RpcError {
    RpcError::new(SERVER, text)
}

/// What it offers per gas, and how much of that as a tip: what is not said, enough for base fees that double.
async fn price(state: &AppState, call: &CallRequest) -> RpcResult<(u128, u128)> {
    if call.has_gas_price {
        let price = call.max_fee_per_gas.unwrap_or(0);
        return match price {
            0 => Err(refused("gasPrice must be non-zero after london fork")),
            _ => Ok((price, price)),
        };
    }
    if call.max_fee_per_gas == Some(0) {
        return Err(refused("maxFeePerGas must be non-zero"));
    }
    let fees = state.backend.fees().await?;
    let tip = call.max_priority_fee_per_gas.unwrap_or(fees.priority_fee);
    let doubled = u128::from(fees.next_base_fee).saturating_mul(2);
    let max_fee = call.max_fee_per_gas.unwrap_or(tip.saturating_add(doubled));
    if max_fee < tip {
        return Err(refused(format!("maxFeePerGas ({max_fee}) < maxPriorityFeePerGas ({tip})")));
    }
    Ok((max_fee, tip))
}

async fn estimate(state: &AppState, params: &Params<'_>, call: &CallRequest) -> RpcResult<u64> {
    // For free, as what the sender can pay for is judged when it sends.
    let free = CallRequest {
        max_fee_per_gas: None,
        max_priority_fee_per_gas: None,
        has_gas_price: false,
        ..call.clone()
    };
    let call = CallAt { call: free, overrides: Overrides::default(), at: BlockRef::Latest };
    evm::run(state, params, |backend| async move { backend.estimate_gas(call).await }).await
}

fn show(call: &CallRequest, terms: &Terms) -> RpcResult<Filled> {
    let is_old = call.has_gas_price && call.authorizations.is_empty();
    let tx_type = match (is_old, call.access_list.is_empty(), call.authorizations.is_empty()) {
        (true, true, _) => 0u8,
        (true, false, _) => 1,
        (false, _, true) => 2,
        (false, _, false) => 4,
    };
    let raw: Bytes = match tx_type {
        // What is signed of a legacy transaction ends in a chain and two zeros, where v, r and s go.
        0 => legacy_kind(call, terms).encoded_for_signing().into(),
        1 => unsigned(access_list_kind(call, terms)),
        2 => unsigned(dynamic_kind(call, terms)),
        _ => unsigned(delegating_kind(call, terms)?),
    };
    let signed =
        call.authorizations.iter().map(|signed: &SignedAuthorization| authorization(signed));
    let tx = Draft {
        tx_type: U64::from(tx_type),
        chain_id: U64::from(terms.chain_id),
        nonce: U64::from(terms.nonce),
        to: call.to,
        gas: U64::from(terms.gas),
        gas_price: is_old.then(|| U128::from(terms.max_fee)),
        max_priority_fee_per_gas: (!is_old).then(|| U128::from(terms.tip)),
        max_fee_per_gas: (!is_old).then(|| U128::from(terms.max_fee)),
        value: call.value,
        input: call.input.clone(),
        access_list: (tx_type > 0).then(|| access_items(&call.access_list)),
        authorization_list: (tx_type == 4).then(|| signed.collect()),
        v: U256::ZERO,
        r: U256::ZERO,
        s: U256::ZERO,
        y_parity: (tx_type > 0).then_some(U64::ZERO),
        hash: keccak256(&raw),
    };
    Ok(Filled { raw, tx })
}

fn kind(call: &CallRequest) -> TxKind {
    call.to.map_or(TxKind::Create, TxKind::Call)
}

/// An envelope with zeros for a signature.
fn unsigned<T: SignableTransaction<Signature>>(transaction: T) -> Bytes
where
    alloy_consensus::Signed<T>: Encodable2718,
{
    let nobody = Signature::new(U256::ZERO, U256::ZERO, false);
    transaction.into_signed(nobody).encoded_2718().into()
}

/// With chain 0 for v.
fn legacy_kind(call: &CallRequest, terms: &Terms) -> TxLegacy {
    TxLegacy {
        chain_id: Some(0),
        nonce: terms.nonce,
        gas_price: terms.max_fee,
        gas_limit: terms.gas,
        to: kind(call),
        value: call.value,
        input: call.input.clone(),
    }
}

fn access_list_kind(call: &CallRequest, terms: &Terms) -> TxEip2930 {
    TxEip2930 {
        chain_id: terms.chain_id,
        nonce: terms.nonce,
        gas_price: terms.max_fee,
        gas_limit: terms.gas,
        to: kind(call),
        value: call.value,
        access_list: call.access_list.clone(),
        input: call.input.clone(),
    }
}

fn dynamic_kind(call: &CallRequest, terms: &Terms) -> TxEip1559 {
    TxEip1559 {
        chain_id: terms.chain_id,
        nonce: terms.nonce,
        gas_limit: terms.gas,
        max_fee_per_gas: terms.max_fee,
        max_priority_fee_per_gas: terms.tip,
        to: kind(call),
        value: call.value,
        access_list: call.access_list.clone(),
        input: call.input.clone(),
    }
}

fn delegating_kind(call: &CallRequest, terms: &Terms) -> RpcResult<TxEip7702> {
    let to = call
        .to
        .ok_or_else(|| refused("a transaction that sets code creates no contract: state to"))?;
    Ok(TxEip7702 {
        chain_id: terms.chain_id,
        nonce: terms.nonce,
        gas_limit: terms.gas,
        max_fee_per_gas: terms.max_fee,
        max_priority_fee_per_gas: terms.tip,
        to,
        value: call.value,
        access_list: call.access_list.clone(),
        authorization_list: call.authorizations.clone(),
        input: call.input.clone(),
    })
}
