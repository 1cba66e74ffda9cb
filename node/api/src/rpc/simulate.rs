//! `eth_simulateV1`.

use alloy_primitives::{Bytes, U64};
use neura_types::simulation::{
    BlockRequest, CallStatus, Overrides, SimulatedBlock, SimulatedCall, SimulationRequest,
};
use serde::{Deserialize, Serialize};

use super::{
    encode::{self, EthBlock, EthLog},
    error::{RpcError, RpcResult},
    evm,
    overrides::{BlockParams, StateParams},
    params::{CallParams, Params},
};
use crate::{
    backend::{BlockRef, LogEntry},
    limits::MAX_SIMULATED_CALLS,
    revert,
    shared::AppState,
};

/// Code of a reverted call among simulated ones.
const REVERTED: i32 = 3;
/// Code of a call that the machine stopped.
const VM_ERROR: i32 = -32_015;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Request {
    block_state_calls: Vec<BlockCalls>,
    trace_transfers: bool,
    validation: bool,
    return_full_transactions: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BlockCalls {
    block_overrides: Option<BlockParams>,
    state_overrides: Option<StateParams>,
    calls: Option<Vec<CallParams>>,
}

/// A simulated block.
#[derive(Debug, Serialize)]
pub(super) struct Simulated {
    #[serde(flatten)]
    block: EthBlock,
    calls: Vec<CallResult>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CallResult {
    return_data: Bytes,
    logs: Vec<EthLog>,
    gas_used: U64,
    max_used_gas: U64,
    status: U64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<CallFailure>,
}

#[derive(Debug, Serialize)]
struct CallFailure {
    message: String,
    code: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Bytes>,
}

pub(super) async fn simulate(state: &AppState, params: &Params<'_>) -> RpcResult<Vec<Simulated>> {
    let asked: Request = params.required(0, "simulation")?;
    let at = match params.block(1)?.to_ref() {
        // What is simulated is to come in any case.
        BlockRef::Pending => BlockRef::Latest,
        at => at,
    };
    let is_full = asked.return_full_transactions;
    let chain_id = state.backend.status().await?.chain_id;
    let request = check(asked, chain_id)?;
    let blocks =
        evm::run(state, params, move |backend| async move { backend.simulate(request, at).await })
            .await?;
    Ok(blocks.into_iter().map(|block| show(block, is_full)).collect())
}

fn check(asked: Request, chain_id: u64) -> RpcResult<SimulationRequest> {
    let calls: usize =
        asked.block_state_calls.iter().map(|block| block.calls.as_ref().map_or(0, Vec::len)).sum();
    if calls > MAX_SIMULATED_CALLS {
        return Err(RpcError::params(format!(
            "at most {MAX_SIMULATED_CALLS} calls can be simulated at once, not {calls}"
        )));
    }
    let block = |block: BlockCalls| {
        Ok(BlockRequest {
            overrides: Overrides {
                state: block.state_overrides.unwrap_or_default().check()?,
                block: block.block_overrides.unwrap_or_default().check()?,
            },
            calls: block
                .calls
                .unwrap_or_default()
                .into_iter()
                .map(|call| call.into_request(chain_id))
                .collect::<RpcResult<_>>()?,
        })
    };
    Ok(SimulationRequest {
        blocks: asked.block_state_calls.into_iter().map(block).collect::<RpcResult<_>>()?,
        trace_transfers: asked.trace_transfers,
        validation: asked.validation,
    })
}

fn show(simulated: SimulatedBlock, is_full: bool) -> Simulated {
    let mut first_log = 0;
    let mut calls = Vec::with_capacity(simulated.calls.len());
    for (index, call) in simulated.calls.iter().enumerate() {
        let shown = call_result(&simulated, index, call, first_log);
        first_log += encode::count(call.logs.len());
        calls.push(shown);
    }
    Simulated { block: encode::simulated(simulated, is_full), calls }
}

fn call_result(
    block: &SimulatedBlock,
    index: usize,
    call: &SimulatedCall,
    first_log: u64,
) -> CallResult {
    let tx_hash = block.transactions.get(index).map(|tx| tx.hash).unwrap_or_default();
    let logs = call.logs.iter().zip(first_log..).map(|(log, log_index)| {
        encode::log(LogEntry {
            log: log.clone(),
            block: block.hash,
            height: block.header.number,
            timestamp_ms: block.header.timestamp.saturating_mul(1_000),
            tx_hash,
            tx_index: encode::count(index),
            log_index,
        })
    });
    let error = match &call.status {
        CallStatus::Success => None,
        CallStatus::Reverted => Some(CallFailure {
            message: revert::message(&call.output),
            code: REVERTED,
            data: Some(call.output.clone()),
        }),
        CallStatus::Halted(reason) => {
            Some(CallFailure { message: reason.clone(), code: VM_ERROR, data: None })
        }
    };
    CallResult {
        return_data: call.output.clone(),
        logs: logs.collect(),
        gas_used: U64::from(call.gas_used),
        max_used_gas: U64::from(call.max_gas_used),
        status: U64::from(u8::from(error.is_none())),
        error,
    }
}
