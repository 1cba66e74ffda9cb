//! Execute a block: start of the block, its transactions in order, fees, end of the block.

mod ahead;
mod history;
mod run;
#[cfg(test)]
mod tests;

use std::{num::NonZeroUsize, sync::Arc};

use neura_types::{Log, Receipt, StateChanges, StateRead, Transaction, TransactionError};

pub(crate) use ahead::Lookahead;

use crate::{
    error::RuntimeError,
    invalid::InvalidTransaction,
    modules::host::BlockContext,
    native::{ChainModules, Modules},
};

/// Longest revert data kept in a receipt, in bytes: room for a sentence, none for a payload.
pub const MAX_REVERT_BYTES: usize = 1_024;

/// A block to execute.
#[derive(Debug, Clone, Copy)]
pub struct BlockInput<'a> {
    /// The block as contracts see it. Its base fee is not read: the state's own next base fee holds.
    pub context: &'a BlockContext,
    /// The transactions in their order; those that could not be decoded are skipped.
    pub transactions: &'a [Result<Arc<Transaction>, TransactionError>],
}

/// What a block does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// Changes of the state.
    pub changes: StateChanges,
    /// Receipts, in the order of `included`.
    pub receipts: Vec<Receipt>,
    /// Positions in the block of the transactions that have a receipt.
    pub included: Vec<u32>,
    /// Positions of the others, and why; they changed nothing.
    pub skipped: Vec<(u32, InvalidTransaction)>,
    /// Events of the native modules at the block's start and end, outside of any transaction.
    pub block_logs: Vec<Log>,
    /// Gas of all transactions.
    pub gas_used: u64,
    /// Base fee of this block, in wei per gas.
    pub base_fee: u64,
    /// Base fee of the next block, in wei per gas.
    pub next_base_fee: u64,
}

/// Executes a block over the state before it, on this thread.
///
/// # Errors
/// If the state cannot be read or the machine breaks its own rules: the node must stop.
pub fn execute(
    state: &(impl StateRead + Sync),
    input: &BlockInput<'_>,
) -> Result<Execution, RuntimeError> {
    execute_on(state, input, NonZeroUsize::MIN)
}

/// [`execute`] on several threads, with the same result whatever their number: transactions are run ahead of their turn,
/// and again in their turn if what they read has changed.
///
/// # Errors
/// As [`execute`].
pub fn execute_on(
    state: &(impl StateRead + Sync),
    input: &BlockInput<'_>,
    threads: NonZeroUsize,
) -> Result<Execution, RuntimeError> {
    execute_with(state, input, &ChainModules, Lookahead::new(threads))
}

/// [`execute`] with a set of modules.
pub(crate) fn execute_with(
    state: &(impl StateRead + Sync),
    input: &BlockInput<'_>,
    modules: &dyn Modules,
    lookahead: Lookahead,
) -> Result<Execution, RuntimeError> {
    let base_fee = crate::chain::next_base_fee(state)?;
    let context = BlockContext { base_fee, ..input.context.clone() };
    let mut run = run::BlockRun::new(state, &context, modules);
    run.begin(modules, !input.transactions.is_empty())?;
    run.transactions(input.transactions, modules, lookahead)?;
    run.finish(modules)
}
