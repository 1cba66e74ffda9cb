//! Take transactions, find states.

use neura_api::{BackendError, BlockRef};
use neura_runtime::{BlockContext, InvalidTransaction};
use neura_storage::{StateView, StorageError};
use neura_types::{Address, B256, Bytes};

use super::{Answer, blocks, internal, storage};
use crate::{
    mempool::PoolError,
    node::{
        chain::{Chain, unix_time_ms},
        intake::{Intake, Refused},
    },
};

/// Runs `work` on the state after a block, with the block's own context and the base fee of the one after it; with the
/// context of the block to come, if that is asked for.
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
        BlockRef::Latest | BlockRef::Pending => chain.store.state(),
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
    let context = chain.block_context(&block.header, base_fee);
    work(&view, if at == BlockRef::Pending { following(chain, context) } else { context })
}

/// The context of the block to come. Who proposes it and its randomness are not known before it is there, and stay those of
/// the block before.
fn following(chain: &Chain, context: BlockContext) -> BlockContext {
    let height = context.height.saturating_add(1);
    BlockContext {
        height,
        timestamp_ms: unix_time_ms().max(context.timestamp_ms.saturating_add(1)),
        epoch: chain.epochs.at(height).unwrap_or_else(|| context.epoch.clone()),
        ..context
    }
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
