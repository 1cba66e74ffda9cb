//! Execute final blocks in order, on a thread of their own, and publish the results.

use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use neura_api::Event;
use neura_runtime::{Attendance, BlockContext, BlockInput, Execution, InvalidTransaction};
use neura_storage::ExecutedBlock;
use neura_types::{
    Address, B256, Block, BlockId, Bytes, ExecutedRoot, Height, StateRead, Transaction,
    TransactionError, hash::keccak, state::Changed,
};
use rayon::prelude::*;

use super::{batches::Frame, chain::Chain, views, workload};

/// Heights that pruning may remove after each executed block: keeps up with the chain without stalling it.
const PRUNE_PER_BLOCK: usize = 4;

/// Blocks beyond the next one whose batches are fetched with its own, when they are missing.
const BLOCKS_AHEAD: Height = 16;
/// A bound on waiting for batches before asking again, should too many have been wanted.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A transaction of a block, decoded.
pub type Decoded = Result<Arc<Transaction>, TransactionError>;

/// What the executor does with a block's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Runs its transactions on so many threads.
    Execute(NonZeroUsize),
    /// Takes it as opaque bytes: for measuring the ordering alone.
    OrderOnly,
}

impl Mode {
    /// Of a node that only orders, or that executes on so many threads.
    pub fn of(only_orders: bool, threads: NonZeroUsize) -> Self {
        if only_orders { Self::OrderOnly } else { Self::Execute(threads) }
    }
}

/// A block that was executed and is not committed to the store yet.
struct Executed {
    height: Height,
    id: BlockId,
    block: Arc<Block>,
    proposer: Address,
    transactions: Vec<Decoded>,
    /// None if the blocks are ordered only.
    execution: Option<Execution>,
}

/// Runs until the node stops. While blocks wait, one is executed while the one before it is committed.
pub async fn run(chain: Arc<Chain>, mode: Mode) {
    let mut committed = chain.committed.subscribe();
    let mut last: Option<Executed> = None;
    loop {
        let target = *committed.borrow_and_update();
        while last.is_some() || chain.executed_height() < target {
            if chain.failure.is_stopping() {
                return;
            }
            let height = last.as_ref().map_or(chain.executed_height(), |last| last.height);
            let height = height.saturating_add(1);
            let next = match &last {
                Some(_) => ready(&chain, height),
                None => await_batches(&chain, height).await,
            };
            let done = match (next, last.take()) {
                (Ok(true), before) => advance(&chain, height, before, mode).map(Some),
                (Ok(false), Some(before)) => finish(&chain, &before).map(|()| None),
                (Ok(false), None) => return,
                (Err(error), _) => Err(error),
            };
            match done {
                Ok(executed) => last = executed,
                Err(error) => {
                    tracing::error!(height, error = %format!("{error:#}"), "execution stops");
                    chain.failure.stop(format!("executing block {height}: {error:#}"));
                    return;
                }
            }
            tokio::task::yield_now().await;
        }
        if chain.failure.is_stopping() || committed.changed().await.is_err() {
            return;
        }
    }
}

/// Whether a block is final and its batches are here.
fn ready(chain: &Chain, height: Height) -> Result<bool> {
    if height > chain.committed_height() {
        return Ok(false);
    }
    let Some((_, block)) = chain.block_at(height)? else { return Ok(false) };
    Ok(chain.batches.absent(&block.batches)?.is_empty())
}

/// Executes a block, while the one before it is committed if it is not yet.
fn advance(
    chain: &Chain,
    height: Height,
    before: Option<Executed>,
    mode: Mode,
) -> Result<Executed> {
    // What it shows does not depend on whether the commit has come through.
    let view = chain.store.state()?;
    let base_fee = chain.next_base_fee.load(Ordering::Relaxed);
    let Some(before) = before else { return execute(chain, (&view, base_fee), height, mode) };
    let execution = before.execution.as_ref();
    let state = Changed { state: &view, changes: execution.map(|execution| &execution.changes) };
    // The chain's own is that of the block before only once the commit has come through.
    let base_fee = execution.map_or(base_fee, |execution| execution.next_base_fee);
    std::thread::scope(|scope| {
        let committing = scope.spawn(|| finish(chain, &before));
        let executed = execute(chain, (&state, base_fee), height, mode);
        committing.join().map_err(|_| anyhow!("the commit of the block before panicked"))??;
        executed
    })
}

/// Waits until the batches of a final block are here; those of the blocks that follow are asked for with them. Says
/// whether the node goes on.
async fn await_batches(chain: &Chain, height: Height) -> Result<bool> {
    let mut arrivals = chain.batches.arrivals();
    loop {
        let last = height.saturating_add(BLOCKS_AHEAD).min(chain.committed_height());
        for wanted in height..=last {
            let Some((_, block)) = chain.block_at(wanted)? else { break };
            let missing = chain.batches.absent(&block.batches)?;
            if missing.is_empty() && wanted == height {
                return Ok(true);
            }
            chain.batches.want(&missing, block.header.proposer, None);
        }
        tokio::select! {
            _ = arrivals.changed() => {}
            _ = chain.failure.wait() => return Ok(false),
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// Executes a final block over the state before it, at the base fee that the block before it left.
fn execute(
    chain: &Chain,
    (state, base_fee): (&(impl StateRead + Sync), u64),
    height: Height,
    mode: Mode,
) -> Result<Executed> {
    let (id, block) = chain.block_at(height)?.context("the store has no such block")?;
    let header = &block.header;
    let Mode::Execute(threads) = mode else {
        let (proposer, transactions) = (Address::ZERO, Vec::new());
        return Ok(Executed { height, id, block, proposer, transactions, execution: None });
    };
    let transactions = transactions_of(chain, &block)?;
    let epoch = chain.epochs.at(height).context("the block's epoch is not known")?;
    let context = BlockContext {
        attendance: Attendance::of(&block, &epoch.set),
        epoch,
        ..chain.block_context(header, base_fee)
    };
    let input = BlockInput { context: &context, transactions: &transactions };
    let execution = Some(neura_runtime::execute_on(state, &input, threads)?);
    Ok(Executed { height, id, block, proposer: context.proposer, transactions, execution })
}

/// Commits an executed block and publishes what came of it.
fn finish(chain: &Chain, executed: &Executed) -> Result<()> {
    let (height, block) = (executed.height, &executed.block);
    check_certified_root(chain, block)?;
    let root = match &executed.execution {
        Some(execution) => commit(chain, executed, execution)?,
        None => ExecutedRoot { height, ..ExecutedRoot::default() },
    };
    learn_epoch(chain, height)?;
    chain.set_root(root);
    chain.batches.executed(height);
    chain.certified.fetch_max(block.header.executed.height, Ordering::Relaxed);
    chain.executed.send_replace(height);
    chain.wake.notify_one();
    Ok(())
}

/// The state at the end of an epoch fixes the epoch after the next one.
fn learn_epoch(chain: &Chain, height: Height) -> Result<()> {
    let Some(ended) = chain.epochs.at(height).filter(|epoch| epoch.last == height) else {
        return Ok(());
    };
    let next = ended.epoch.saturating_add(2);
    let state = chain.store.state()?;
    let config = neura_runtime::epoch_config(&state, next)?
        .with_context(|| format!("the state after block {height} does not fix epoch {next}"))?;
    chain.epochs.learn(config);
    Ok(())
}

/// A final header that names another result than ours means that this node, or more than a third of the validators,
/// computes wrongly: nothing that this node says could be trusted any more.
fn check_certified_root(chain: &Chain, block: &Block) -> Result<()> {
    let certified = block.header.executed;
    let Some(own) = chain.root(certified.height) else { return Ok(()) };
    if own != certified {
        bail!(
            "the validators certify another result than this node's for height {}: they say {certified:?}, \
             this node computed {own:?}. Keep the data folder for examination; a fresh sync may recover the node",
            certified.height
        );
    }
    Ok(())
}

/// Decodes a body: what the pool has verified already is taken from there.
pub fn decode_body(chain: &Chain, body: &[Bytes]) -> Vec<Decoded> {
    let hashes: Vec<B256> = body.iter().map(|raw| keccak(raw)).collect();
    let known: Vec<Option<Arc<Transaction>>> = {
        let pool = chain.mempool.lock();
        hashes.iter().map(|hash| pool.get(hash)).collect()
    };
    let chain_id = chain.genesis.chain_id;
    body.par_iter()
        .zip(known)
        .map(|(raw, known)| match known {
            Some(tx) => Ok(tx),
            None => Transaction::decode(raw.clone(), chain_id).map(Arc::new),
        })
        .collect()
}

/// The transactions of a block in order: those of its batches, as they were verified when they came, then its own.
fn transactions_of(chain: &Chain, block: &Block) -> Result<Vec<Decoded>> {
    let mut transactions = Vec::new();
    for batch in &block.batches {
        match chain.batches.get(&batch.digest) {
            Some(held) => transactions.extend(held.transactions.iter().cloned()),
            None => {
                let bytes = chain.batches.bytes(batch.digest)?.context("a batch is missing")?;
                let frame = Frame::parse(bytes).context("a stored batch is damaged")?;
                transactions.extend(decode_body(chain, &frame.items()));
            }
        }
    }
    transactions.extend(decode_body(chain, &block.payload));
    Ok(transactions)
}

fn commit(chain: &Chain, executed: &Executed, execution: &Execution) -> Result<ExecutedRoot> {
    let Executed { height, id, block, proposer, transactions, .. } = executed;
    let root = chain.store.commit_executed(&ExecutedBlock {
        id: *id,
        height: *height,
        timestamp_ms: block.header.timestamp_ms,
        gas_used: execution.gas_used,
        base_fee: execution.base_fee,
        next_base_fee: execution.next_base_fee,
        proposer: *proposer,
        receipts: &execution.receipts,
        included: &execution.included,
        block_logs: &execution.block_logs,
        changes: &execution.changes,
    })?;
    ensure!(root.height == *height, "the store executed height {}", root.height);
    chain.store.prune(PRUNE_PER_BLOCK)?;
    chain.next_base_fee.store(execution.next_base_fee, Ordering::Relaxed);
    chain.receipts.fetch_add(execution.receipts.len() as u64, Ordering::Relaxed);
    for (index, reason) in &execution.skipped {
        tracing::debug!(height, index, %reason, "transaction skipped");
    }
    settle_pool(chain, transactions, execution);
    announce(chain, *id, block, root, transactions, execution);
    Ok(root)
}

/// Takes out of the pool what the block executed and what can never be executed, and moves the pool's idea of the
/// nonces of those who signed on. What was skipped for a reason that can pass waits for another block: else whoever proposes could
/// delete others' transactions by naming them out of order.
fn settle_pool(chain: &Chain, transactions: &[Decoded], execution: &Execution) {
    let at = |index: &u32| transactions.get(*index as usize).and_then(|tx| tx.as_ref().ok());
    let hopeless = execution.skipped.iter().filter(|(_, reason)| {
        // Coins may come, but until then such a transaction would be proposed again and again.
        !reason.is_temporary() || matches!(reason, InvalidTransaction::InsufficientFunds { .. })
    });
    let done = execution.included.iter().chain(hopeless.map(|(index, _)| index));
    let signers = transactions.iter().flatten().flat_map(|tx| {
        let authorities = tx.delegations.iter().filter_map(|delegation| delegation.authority);
        std::iter::once(tx.sender).chain(authorities)
    });
    let signers: BTreeSet<Address> = signers.collect();
    let nonces = signers.into_iter().filter_map(|signer| {
        let account = execution.changes.accounts.get(&signer)?.as_ref()?;
        Some((signer, account.nonce))
    });
    chain.mempool.lock().on_executed(done.filter_map(at).map(|tx| tx.hash), nonces);
    let skipped = execution.skipped.iter().filter_map(|(index, _)| at(index));
    workload::release(chain, skipped.map(|tx| tx.hash));
}

fn announce(
    chain: &Chain,
    id: BlockId,
    block: &Block,
    root: ExecutedRoot,
    transactions: &[Decoded],
    execution: &Execution,
) {
    if chain.events.receiver_count() == 0 {
        return;
    }
    let block = views::executed_view(chain, id, block, root, transactions, execution);
    let tasks = views::task_changes(&block.receipts, &execution.block_logs, root.height);
    // No receiver is no failure: they come and go.
    let _ = chain.events.send(Event::Executed { block: Arc::new(block), tasks });
}
