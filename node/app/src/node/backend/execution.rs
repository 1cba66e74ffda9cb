//! Take transactions, run calls, estimate gas.

use neura_api::{BackendError, BlockRef, CallOutcome, CallRequest};
use neura_runtime::{BlockContext, CallError, CallStatus, InvalidTransaction, MAX_CALL_GAS};
use neura_storage::{StateView, StorageError};
use neura_types::{Address, B256, Bytes};

use super::{Answer, blocks, internal, storage};
use crate::{
    mempool::PoolError,
    node::{
        chain::Chain,
        intake::{Intake, Refused},
    },
};

/// Runs `work` on the state after a block, with the context of the block that would follow it.
pub(super) fn with_state<T>(
    chain: &Chain,
    at: BlockRef,
    work: impl FnOnce(&StateView<'_>, BlockContext) -> Answer<T>,
) -> Answer<T> {
    let (id, block) = blocks::find(chain, at)?.ok_or(BackendError::UnknownBlock)?;
    let height = block.header.height;
    if height > chain.executed_height() {
        return Err(BackendError::UnknownBlock);
    }
    let view = match at {
        BlockRef::Latest => chain.store.state(),
        _ => chain.store.state_at(height),
    }
    .map_err(|error| match error {
        StorageError::Pruned { .. } => BackendError::StateUnavailable {
            height,
            oldest: chain.store.oldest_height().unwrap_or(height),
        },
        StorageError::NotExecuted { .. } => BackendError::UnknownBlock,
        other => storage(other),
    })?;
    let base_fee = chain
        .store
        .executed(height)
        .map_err(storage)?
        .map_or(0, |record| record.root.next_base_fee);
    work(&view, chain.block_context(id, &block.header, base_fee))
}

fn runtime_request(call: &CallRequest) -> neura_runtime::CallRequest {
    neura_runtime::CallRequest {
        from: call.from.unwrap_or(Address::ZERO),
        to: call.to,
        value: call.value,
        input: call.input.clone(),
        gas: call.gas,
        gas_price: call.max_fee_per_gas,
        priority_fee: call.max_priority_fee_per_gas,
        access_list: call.access_list.clone(),
    }
}

pub(super) fn call(chain: &Chain, call: &CallRequest, at: BlockRef) -> Answer<CallOutcome> {
    let request = runtime_request(call);
    with_state(chain, at, |view, context| {
        let outcome = neura_runtime::call(view, &context, &request)
            .map_err(|error| call_error(error, request.from))?;
        match outcome.status {
            CallStatus::Success => {
                Ok(CallOutcome { output: outcome.output, gas_used: outcome.gas_used })
            }
            CallStatus::Reverted => Err(reverted(outcome.output)),
            CallStatus::Halted(reason) => Err(BackendError::Halted(reason)),
        }
    })
}

pub(super) fn estimate_gas(chain: &Chain, call: &CallRequest, at: BlockRef) -> Answer<u64> {
    let mut request = runtime_request(call);
    request.gas = Some(request.gas.unwrap_or(MAX_CALL_GAS).min(chain.params().block_gas_limit));
    with_state(chain, at, |view, context| {
        neura_runtime::estimate_gas(view, &context, &request)
            .map_err(|error| call_error(error, request.from))
    })
}

fn call_error(error: CallError, from: Address) -> BackendError {
    match error {
        CallError::Invalid(invalid) => refusal(&invalid, from),
        CallError::Reverted(data) => reverted(data),
        CallError::GasRequiredExceedsAllowance(gas) => BackendError::GasExceedsAllowance(gas),
        CallError::Halted(reason) => BackendError::Halted(reason),
        CallError::InsufficientFundsForTransfer => BackendError::Module {
            code: "insufficient_funds".into(),
            detail: "insufficient funds for transfer".into(),
        },
        CallError::Runtime(error) => internal(error),
    }
}

fn reverted(data: Bytes) -> BackendError {
    BackendError::Reverted { data }
}

pub(super) fn submit(intake: &Intake, raw: Bytes) -> Answer<B256> {
    intake.submit(raw).map(|tx| tx.hash).map_err(|refused| match refused {
        Refused::Transaction(error) => BackendError::Transaction(error),
        Refused::State { error, sender } => refusal(&error, sender),
        Refused::Pool(error) => pool_refusal(&error),
        Refused::Internal(error) => internal(error),
        Refused::Store(error) => internal(error),
    })
}

fn refusal(error: &InvalidTransaction, address: Address) -> BackendError {
    match error {
        InvalidTransaction::NonceTooLow { next, got } => {
            BackendError::NonceTooLow { expected: *next, got: *got }
        }
        InvalidTransaction::NonceTooHigh { next, got } => {
            BackendError::NonceTooHigh { expected: *next, got: *got }
        }
        InvalidTransaction::InsufficientFunds { balance, cost } => {
            BackendError::InsufficientFunds { address, have: *balance, want: *cost }
        }
        InvalidTransaction::FeeCapTooLow { max_fee, base_fee } => {
            BackendError::FeeCapTooLow { got: *max_fee, base_fee: *base_fee }
        }
        InvalidTransaction::IntrinsicGas { gas, needed } => {
            BackendError::IntrinsicGas { have: *gas, want: *needed }
        }
        other => BackendError::Module { code: other.code().to_owned(), detail: other.to_string() },
    }
}

fn pool_refusal(error: &PoolError) -> BackendError {
    match error {
        PoolError::AlreadyKnown => BackendError::AlreadyKnown,
        PoolError::Underpriced { .. } => BackendError::ReplacementUnderpriced,
        PoolError::NonceTooHigh { next, got } => {
            BackendError::NonceTooHigh { expected: *next, got: *got }
        }
        PoolError::Full { .. } => BackendError::PoolFull,
        other => BackendError::Module { code: other.code().to_owned(), detail: other.to_string() },
    }
}
