//! Simulate calls and blocks, and trace those that were executed.

use std::collections::BTreeMap;

use alloy_eips::eip7840::BlobParams;
use neura_api::{BackendError, BlockRef, CallAt, CallOutcome};
use neura_runtime::{
    AccountAfter, Attendance, BlockContext, BlockStart, CallError, MAX_CALL_GAS, Scene,
    SimulationError, SimulationParent, StateRoot, TraceError, TraceOptions,
};
use neura_storage::{ExecutedRecord, StateView};
use neura_types::{
    Address, B256, Block, BlockId, Transaction,
    simulation::{AccessListOutcome, CallRequest, CallStatus, SimulatedBlock, SimulationRequest},
};
use serde_json::Value;

use super::{
    Answer, blocks,
    execution::{refusal, with_state},
    internal, storage,
};
use crate::node::{chain::Chain, views};

fn scene<'s, 'v>(
    view: &'s StateView<'v>,
    context: &BlockContext,
    call: &CallAt,
) -> Scene<'s, StateView<'v>> {
    Scene::new(view, context).with(call.overrides.clone())
}

pub(super) fn call(chain: &Chain, call: &CallAt) -> Answer<CallOutcome> {
    with_state(chain, call.at, |view, context| {
        let outcome = neura_runtime::call(&scene(view, &context, call), &call.call)
            .map_err(|error| call_error(error, &call.call))?;
        match outcome.status {
            CallStatus::Success => {
                Ok(CallOutcome { output: outcome.output, gas_used: outcome.gas_used })
            }
            CallStatus::Reverted => Err(BackendError::Reverted { data: outcome.output }),
            CallStatus::Halted(reason) => Err(BackendError::Halted(reason)),
        }
    })
}

pub(super) fn estimate_gas(chain: &Chain, call: &CallAt) -> Answer<u64> {
    let block_limit = chain.params().block_gas_limit;
    let gas = call.call.gas.unwrap_or(MAX_CALL_GAS).min(block_limit);
    let request = CallRequest { gas: Some(gas), ..call.call.clone() };
    with_state(chain, call.at, |view, context| {
        neura_runtime::estimate_gas(&scene(view, &context, call), &request)
            .map_err(|error| call_error(error, &request))
    })
}

pub(super) fn create_access_list(chain: &Chain, call: &CallAt) -> Answer<AccessListOutcome> {
    with_state(chain, call.at, |view, context| {
        neura_runtime::create_access_list(&scene(view, &context, call), &call.call)
            .map_err(|error| call_error(error, &call.call))
    })
}

/// A call's failure in the words of the interfaces.
pub fn call_error(error: CallError, call: &CallRequest) -> BackendError {
    match error {
        CallError::Invalid(invalid) => refusal(&invalid, call.from.unwrap_or_default()),
        CallError::Reverted(data) => BackendError::Reverted { data },
        CallError::GasRequiredExceedsAllowance(gas) => BackendError::GasExceedsAllowance(gas),
        CallError::Halted(reason) => BackendError::Halted(reason),
        CallError::InsufficientFundsForTransfer => BackendError::Module {
            code: "insufficient_funds".into(),
            detail: "insufficient funds for transfer".into(),
        },
        error @ CallError::Override(_) => {
            BackendError::Module { code: error.code().into(), detail: error.to_string() }
        }
        CallError::Runtime(error) => internal(error),
    }
}

/// The state tree is not Ethereum's, and what it would be after a simulation is not computed.
struct NoRoot;

impl StateRoot for NoRoot {
    fn root(&self, _: &BTreeMap<Address, AccountAfter>) -> B256 {
        B256::ZERO
    }
}

pub(super) fn simulate(
    chain: &Chain,
    request: &SimulationRequest,
    at: BlockRef,
) -> Answer<Vec<SimulatedBlock>> {
    let head = blocks::head(chain, at)?.ok_or(BackendError::UnknownBlock)?;
    with_state(chain, at, |view, context| {
        let executed = head.executed.as_ref().ok_or(BackendError::UnknownBlock)?;
        let header = alloy_consensus::Header {
            number: context.height,
            timestamp: context.timestamp_ms / 1_000,
            gas_limit: context.params().block_gas_limit,
            beneficiary: context.proposer,
            base_fee_per_gas: Some(executed.base_fee),
            ..alloy_consensus::Header::default()
        };
        let parent = SimulationParent {
            header,
            hash: head.id,
            next_base_fee: context.base_fee,
            blobs: BlobParams::osaka(),
        };
        neura_runtime::simulate(&Scene::new(view, &context), parent, request, &NoRoot)
            .map_err(simulation_error)
    })
}

/// A simulation's failure in the words of the interfaces.
pub fn simulation_error(error: SimulationError) -> BackendError {
    match error {
        SimulationError::Call(CallError::Runtime(error)) => internal(error),
        error => BackendError::Simulation { code: error.code(), message: error.to_string() },
    }
}

/// A trace's failure in the words of the interfaces.
pub fn trace_error(error: TraceError, call: &CallRequest) -> BackendError {
    match error {
        TraceError::Call(error) => call_error(error, call),
        error => BackendError::Trace(error.to_string()),
    }
}

pub(super) fn trace_call(chain: &Chain, call: &CallAt, options: Value) -> Answer<Value> {
    with_state(chain, call.at, |view, context| {
        let scene = scene(view, &context, call);
        neura_runtime::trace_call(&scene, &call.call, &TraceOptions::new(options))
            .map_err(|error| trace_error(error, &call.call))
    })
}

pub(super) fn trace_block(
    chain: &Chain,
    block: BlockRef,
    only: Option<B256>,
    options: Value,
) -> Answer<Option<Vec<(B256, Value)>>> {
    let Some((id, block)) = blocks::find(chain, block)? else { return Ok(None) };
    let height = block.header.height;
    let Some(record) = chain.store.executed(height).map_err(storage)? else { return Ok(None) };
    let Some(before) = height.checked_sub(1) else {
        return Err(BackendError::Trace("genesis is not traceable".into()));
    };
    let transactions = executed_transactions(chain, id, &block, &record)?;
    with_state(chain, BlockRef::Height(before), |view, _| {
        let base = chain.block_context(&block.header, record.base_fee);
        let attendance = Attendance::of(&block, base.validators());
        let context = BlockContext { attendance, ..base };
        let start = BlockStart {
            parent_hash: block.header.parent,
            beacon_root: None,
            block_hash: Some(id),
        };
        let options = TraceOptions::new(options);
        let scene = Scene::new(view, &context);
        neura_runtime::trace_block(&scene, &start, &transactions, only, &options)
            .map(Some)
            .map_err(|error| trace_error(error, &CallRequest::default()))
    })
}

/// The transactions of a block that have receipts, in order.
fn executed_transactions(
    chain: &Chain,
    id: BlockId,
    block: &Block,
    record: &ExecutedRecord,
) -> Answer<Vec<Transaction>> {
    let receipts = chain.store.receipts(block.header.height).map_err(storage)?.unwrap_or_default();
    let view = views::view(chain, id, block, Some(record), receipts).map_err(storage)?;
    let mut bodies = view.transactions.into_iter();
    Ok(view
        .receipts
        .iter()
        .filter_map(|receipt| bodies.find(|tx| tx.hash == receipt.tx_hash))
        .collect())
}
