//! Methods of the explorer Otterscan (`ots_*`), as far as no index over all transactions is needed.

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    blocks,
    encode::{self, EthReceipt, EthTransaction},
    error::{RpcError, RpcResult},
    evm,
    params::{Params, Quantity},
};
use crate::{backend::BlockView, limits::MAX_PAGE, shared::AppState};

/// Version of these methods.
pub(super) const API_LEVEL: u64 = 8;

pub(super) async fn has_code(state: &AppState, params: &Params<'_>) -> RpcResult<bool> {
    let address: Address = params.required(0, "address")?;
    let block = params.block(1)?.to_ref();
    Ok(!state.backend.code(address, block).await?.is_empty())
}

/// A block with what its transactions paid.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Details {
    block: Value,
    issuance: Value,
    total_fees: U256,
}

pub(super) async fn details(state: &AppState, params: &Params<'_>) -> RpcResult<Option<Details>> {
    let Some(block) = blocks::executed(state, params).await? else { return Ok(None) };
    let fees = block.receipts.iter().fold(U256::ZERO, |sum, receipt| {
        let paid = receipt.effective_gas_price.saturating_mul(U256::from(receipt.gas_used));
        sum.saturating_add(paid)
    });
    let issuance = json!({ "blockReward": "0x0", "uncleReward": "0x0", "issuance": "0x0" });
    Ok(Some(Details { block: without_transactions(&block), issuance, total_fees: fees }))
}

fn without_transactions(block: &BlockView) -> Value {
    let mut shown = json!(encode::block(block, false));
    if let Some(members) = shown.as_object_mut() {
        members.remove("transactions");
        members.remove("logsBloom");
        members.insert("transactionCount".into(), json!(block.receipts.len()));
    }
    shown
}

/// A page of a block's transactions, last ones first, with their receipts.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    fullblock: Value,
    receipts: Vec<EthReceipt>,
}

pub(super) async fn page(state: &AppState, params: &Params<'_>) -> RpcResult<Option<Page>> {
    let number: Quantity = params.required(1, "page number")?;
    let size: Quantity = params.required(2, "page size")?;
    let size = usize::try_from(size.0).unwrap_or(usize::MAX).min(MAX_PAGE);
    let number = usize::try_from(number.0).unwrap_or(usize::MAX);
    let Some(block) = blocks::executed(state, params).await? else { return Ok(None) };
    let end = block.receipts.len().saturating_sub(number.saturating_mul(size));
    let start = end.saturating_sub(size);
    let part = || encode::executed(&block).skip(start).take(end - start);
    let transactions: Vec<EthTransaction> = part()
        .map(|(tx, receipt, place)| encode::transaction(tx, Some((place, receipt))))
        .collect();
    let receipts = part().map(|(tx, receipt, place)| encode::receipt(tx, receipt, place)).collect();
    let mut fullblock = without_transactions(&block);
    if let Some(members) = fullblock.as_object_mut() {
        members.insert("transactions".into(), json!(transactions));
    }
    Ok(Some(Page { fullblock, receipts }))
}

/// What a failed transaction returned; empty for others.
pub(super) async fn error_of(state: &AppState, params: &Params<'_>) -> RpcResult<Bytes> {
    let hash: B256 = params.required(0, "hash")?;
    let included = state.backend.transaction(hash).await?.and_then(|view| view.included);
    let receipt = included.and_then(|included| included.receipt);
    Ok(receipt.map(|receipt| receipt.revert_data).unwrap_or_default())
}

async fn calls_of(state: &AppState, params: &Params<'_>) -> RpcResult<Value> {
    let hash: B256 = params.required(0, "hash")?;
    evm::trace_one(state, params, hash, json!({ "tracer": "callTracer" })).await
}

/// The calls of a transaction, each with its depth.
pub(super) async fn trace(state: &AppState, params: &Params<'_>) -> RpcResult<Vec<Value>> {
    let root = calls_of(state, params).await?;
    let mut entries = Vec::new();
    walk(&root, 0, &mut |frame, depth| {
        let mut entry = json!({
            "type": frame["type"],
            "depth": depth,
            "from": frame["from"],
            "to": frame["to"],
            "value": frame["value"],
            "input": frame["input"],
        });
        if let (Some(entry), Some(output)) = (entry.as_object_mut(), frame.get("output")) {
            entry.insert("output".into(), output.clone());
        }
        entries.push(entry);
    });
    Ok(entries)
}

/// Movements of coins inside of a transaction, and contracts made and destroyed.
pub(super) async fn internal(state: &AppState, params: &Params<'_>) -> RpcResult<Vec<Value>> {
    let root = calls_of(state, params).await?;
    let mut found = Vec::new();
    walk(&root, 0, &mut |frame, depth| {
        let kind = match frame["type"].as_str().unwrap_or_default() {
            "CALL" if depth > 0 && frame["value"] != "0x0" && frame["value"].is_string() => 0,
            "SELFDESTRUCT" => 1,
            "CREATE" if depth > 0 => 2,
            "CREATE2" if depth > 0 => 3,
            _ => return,
        };
        let value = if frame["value"].is_null() { json!("0x0") } else { frame["value"].clone() };
        found.push(json!({
            "type": kind, "from": frame["from"], "to": frame["to"], "value": value,
        }));
    });
    Ok(found)
}

/// Visits a frame and those within it, in order, without recursion: frames nest a thousand deep.
fn walk(root: &Value, depth: u64, visit: &mut impl FnMut(&Value, u64)) {
    let mut open = vec![(root, depth)];
    while let Some((frame, depth)) = open.pop() {
        visit(frame, depth);
        let inner = frame["calls"].as_array().map(Vec::as_slice).unwrap_or_default();
        open.extend(inner.iter().rev().map(|call| (call, depth + 1)));
    }
}

/// Says why a method that needs an index over all transactions does not answer.
pub(super) fn no_index(method: &str) -> RpcError {
    RpcError::unsupported(format!(
        "{method} is not supported: this node keeps no index of transactions by account; eth_getLogs finds events"
    ))
}
