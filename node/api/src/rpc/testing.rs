//! Methods for chains that are there for tests (`testing_*`).

use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B256, Bloom, Bytes, U64, U256};
use serde::{Deserialize, Serialize};

use super::{
    encode::{self, EthWithdrawal},
    error::RpcResult,
    evm,
    params::Params,
};
use crate::{
    backend::{BuildRequest, BuiltBlock},
    shared::AppState,
};

/// What a block is to have besides its transactions.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attributes {
    timestamp: U64,
    prev_randao: B256,
    suggested_fee_recipient: Address,
    #[serde(default)]
    withdrawals: Option<Vec<Withdrawal>>,
    #[serde(default)]
    parent_beacon_block_root: Option<B256>,
}

/// Answer of `testing_buildBlockV1`: what the engine interface gives for a payload.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Built {
    execution_payload: Payload,
    block_value: U256,
    blobs_bundle: NoBlobs,
    execution_requests: [Bytes; 0],
    should_override_builder: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    parent_hash: B256,
    fee_recipient: Address,
    state_root: B256,
    receipts_root: B256,
    logs_bloom: Bloom,
    prev_randao: B256,
    block_number: U64,
    gas_limit: U64,
    gas_used: U64,
    timestamp: U64,
    extra_data: Bytes,
    base_fee_per_gas: U256,
    block_hash: B256,
    transactions: Vec<Bytes>,
    withdrawals: Vec<EthWithdrawal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob_gas_used: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    excess_blob_gas: Option<U64>,
}

/// Blobs are not kept: a transaction's are with who sent it.
#[derive(Debug, Default, Serialize)]
struct NoBlobs {
    commitments: [Bytes; 0],
    proofs: [Bytes; 0],
    blobs: [Bytes; 0],
}

pub(super) async fn build_block(state: &AppState, params: &Params<'_>) -> RpcResult<Built> {
    let attributes: Attributes = params.required(1, "payload attributes")?;
    let request = BuildRequest {
        parent: params.required(0, "parent")?,
        time: attributes.timestamp.to(),
        fee_recipient: attributes.suggested_fee_recipient,
        prev_randao: attributes.prev_randao,
        beacon_root: attributes.parent_beacon_block_root,
        withdrawals: attributes.withdrawals.unwrap_or_default(),
        transactions: params.optional(2, "transactions")?,
        extra_data: params.optional::<Bytes>(3, "extra data")?.unwrap_or_default(),
    };
    let work = |backend: std::sync::Arc<dyn crate::Backend>| async move {
        backend.build_block(request).await
    };
    Ok(show(evm::run(state, params, work).await?))
}

fn show(built: BuiltBlock) -> Built {
    let BuiltBlock { header, hash, transactions, withdrawals, value } = built;
    let execution_payload = Payload {
        parent_hash: header.parent_hash,
        fee_recipient: header.beneficiary,
        state_root: header.state_root,
        receipts_root: header.receipts_root,
        logs_bloom: header.logs_bloom,
        prev_randao: header.mix_hash,
        block_number: U64::from(header.number),
        gas_limit: U64::from(header.gas_limit),
        gas_used: U64::from(header.gas_used),
        timestamp: U64::from(header.timestamp),
        extra_data: header.extra_data,
        base_fee_per_gas: U256::from(header.base_fee_per_gas.unwrap_or_default()),
        block_hash: hash,
        transactions,
        withdrawals: withdrawals.iter().map(encode::withdrawal).collect(),
        blob_gas_used: header.blob_gas_used.map(U64::from),
        excess_blob_gas: header.excess_blob_gas.map(U64::from),
    };
    Built {
        execution_payload,
        block_value: value,
        blobs_bundle: NoBlobs::default(),
        execution_requests: [],
        should_override_builder: false,
    }
}
