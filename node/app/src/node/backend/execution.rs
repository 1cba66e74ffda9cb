//! Take transactions, find states.

use neura_api::{BackendError, BlockRef};
use neura_runtime::{BlockContext, InvalidTransaction};
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
    let (_, block) = blocks::find(chain, at)?.ok_or(BackendError::UnknownBlock)?;
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
    work(&view, chain.block_context(&block.header, base_fee))
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

pub(super) fn refusal(error: &InvalidTransaction, address: Address) -> BackendError {
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
