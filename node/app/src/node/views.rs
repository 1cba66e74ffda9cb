//! Put what the store holds into the shapes that the API shows.

use neura_api::{BlockHead, BlockView, ExecutedHead};
use neura_runtime::Execution;
use neura_storage::{ExecutedRecord, StorageError};
use neura_types::{
    Block, BlockId, ExecutedRoot, Height, Log, Receipt, Transaction,
    abi::{ITasks, SolEvent},
    codec,
    rest::{Finality, TaskChange},
    system,
    task::TaskState,
};

use super::{
    batches,
    chain::Chain,
    executor::{Decoded, decode_body},
};

/// How far the block at a height has come.
pub fn finality(chain: &Chain, height: Height) -> Finality {
    if height <= chain.certified_height() {
        Finality::Certified
    } else if height <= chain.executed_height() {
        Finality::Executed
    } else {
        Finality::Ordered
    }
}

/// A block whose place is final, before execution.
pub fn ordered_head(chain: &Chain, id: BlockId, block: &Block) -> BlockHead {
    BlockHead {
        id,
        header: block.header.clone(),
        proposer: chain.proposer(&block.header),
        transactions: batches::block_items(block),
        size: codec::encode(block).len() as u64
            + block.batches.iter().map(|batch| u64::from(batch.bytes)).sum::<u64>(),
        executed: None,
        finality: Finality::Ordered,
        ethereum: None,
    }
}

/// A block with what execution gave, if it is executed.
pub fn head(
    chain: &Chain,
    id: BlockId,
    block: &Block,
    record: Option<&ExecutedRecord>,
) -> BlockHead {
    BlockHead {
        executed: record.map(|record| executed_head(chain, record.root, record.base_fee)),
        finality: finality(chain, block.header.height),
        ..ordered_head(chain, id, block)
    }
}

fn executed_head(chain: &Chain, root: ExecutedRoot, base_fee: u64) -> ExecutedHead {
    ExecutedHead { root, base_fee, gas_limit: chain.params().block_gas_limit }
}

/// A block with everything in it.
pub fn view(
    chain: &Chain,
    id: BlockId,
    block: &Block,
    record: Option<&ExecutedRecord>,
    receipts: Vec<Receipt>,
) -> Result<BlockView, StorageError> {
    // A block whose batches are not here yet shows none of their transactions.
    let body = chain.batches.transactions(block)?.unwrap_or_default();
    Ok(BlockView {
        head: head(chain, id, block, record),
        transactions: decoded(&decode_body(chain, &body)),
        receipts,
    })
}

fn decoded(transactions: &[Decoded]) -> Vec<Transaction> {
    transactions.iter().flatten().map(|tx| Transaction::clone(tx)).collect()
}

/// The block that was just executed.
pub fn executed_view(
    chain: &Chain,
    id: BlockId,
    block: &Block,
    root: ExecutedRoot,
    transactions: &[Decoded],
    execution: &Execution,
) -> BlockView {
    BlockView {
        head: BlockHead {
            executed: Some(executed_head(chain, root, execution.base_fee)),
            finality: Finality::Executed,
            ..ordered_head(chain, id, block)
        },
        transactions: decoded(transactions),
        receipts: execution.receipts.clone(),
    }
}

/// The tasks that a block changed, in order, those that its end moved on last.
pub fn task_changes(receipts: &[Receipt], block_logs: &[Log], height: Height) -> Vec<TaskChange> {
    receipts
        .iter()
        .flat_map(|receipt| &receipt.logs)
        .chain(block_logs)
        .filter(|log| log.address == system::TASKS)
        .filter_map(|log| task_change(log, height))
        .collect()
}

fn task_change(log: &Log, height: Height) -> Option<TaskChange> {
    let topics = log.topics.iter().copied();
    let change =
        |task, state, owner, provider| Some(TaskChange { task, state, owner, provider, height });
    match *log.topics.first()? {
        ITasks::TaskCreated::SIGNATURE_HASH => {
            let e = ITasks::TaskCreated::decode_raw_log(topics, &log.data).ok()?;
            change(e.taskId, TaskState::Assigned, e.owner, e.provider)
        }
        ITasks::TaskAccepted::SIGNATURE_HASH => {
            let e = ITasks::TaskAccepted::decode_raw_log(topics, &log.data).ok()?;
            change(e.taskId, TaskState::Running, e.owner, e.provider)
        }
        ITasks::CheckpointNoted::SIGNATURE_HASH => {
            let e = ITasks::CheckpointNoted::decode_raw_log(topics, &log.data).ok()?;
            change(e.taskId, TaskState::Running, e.owner, e.provider)
        }
        ITasks::Reassigned::SIGNATURE_HASH => {
            let e = ITasks::Reassigned::decode_raw_log(topics, &log.data).ok()?;
            change(e.taskId, TaskState::Assigned, e.owner, e.to)
        }
        ITasks::ResultSubmitted::SIGNATURE_HASH => {
            let e = ITasks::ResultSubmitted::decode_raw_log(topics, &log.data).ok()?;
            change(e.taskId, TaskState::Submitted, e.owner, e.provider)
        }
        ITasks::ResultChallenged::SIGNATURE_HASH => {
            let e = ITasks::ResultChallenged::decode_raw_log(topics, &log.data).ok()?;
            change(e.taskId, TaskState::Verifying, e.owner, e.provider)
        }
        ITasks::TaskEnded::SIGNATURE_HASH => {
            let e = ITasks::TaskEnded::decode_raw_log(topics, &log.data).ok()?;
            let state = match e.state {
                ITasks::State::Settled => TaskState::Settled,
                ITasks::State::Refunded => TaskState::Refunded,
                ITasks::State::Cancelled => TaskState::Cancelled,
                ITasks::State::Slashed => TaskState::Slashed,
                _ => return None,
            };
            change(e.taskId, state, e.owner, e.provider)
        }
        _ => None,
    }
}
