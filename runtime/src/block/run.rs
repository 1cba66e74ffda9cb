//! The running of one block.

use alloy_primitives::{Bytes, U256};
use neura_types::{Receipt, StateRead, Transaction, system};
use revm::{
    context::result::{EVMError, ExecutionResult},
    context_interface::JournalTr,
    handler::Handler,
};

use super::{
    Execution, MAX_REVERT_BYTES,
    ahead::{Ahead, Decoded, Lookahead, may_pay},
    history,
};
use crate::{
    chain::{BURNED_SLOT, NEXT_BASE_FEE_SLOT},
    error::RuntimeError,
    evm::{
        BlockHandler, Effects, JournalHost, Machine, callee, log_of, machine,
        transaction_environment,
    },
    fees,
    invalid::{CheckedAgainst, InvalidTransaction, from_evm},
    modules::host::{BlockContext, Fault, Host},
    native::Modules,
};

/// A block half executed: the machine with its journal, and what came out so far.
pub(super) struct BlockRun<'s, 'm, S: StateRead> {
    state: &'s S,
    machine: Machine<'s, 'm, S>,
    context: &'m BlockContext,
    effects: Effects,
    done: Execution,
}

impl<'s, 'm, S: StateRead + Sync> BlockRun<'s, 'm, S> {
    pub(super) fn new(state: &'s S, context: &'m BlockContext, modules: &'m dyn Modules) -> Self {
        Self {
            state,
            machine: machine(state, context, modules),
            context,
            effects: Effects::default(),
            done: Execution {
                changes: Default::default(),
                receipts: Vec::new(),
                included: Vec::new(),
                skipped: Vec::new(),
                block_logs: Vec::new(),
                gas_used: 0,
                base_fee: context.base_fee,
                next_base_fee: context.base_fee,
            },
        }
    }

    /// Runs the modules' work at the start of the block, and notes the blocks before it unless it is idle.
    pub(super) fn begin(
        &mut self,
        modules: &dyn Modules,
        has_transactions: bool,
    ) -> Result<(), RuntimeError> {
        let (state, height) = (self.state, self.context.height);
        self.outside_transactions("block start", |host| {
            if has_transactions {
                history::write(state, height, host)?;
            }
            modules.begin_block(host)
        })
    }

    /// Runs the transactions in their order, the next ones ahead of their turn where that pays.
    pub(super) fn transactions(
        &mut self,
        mut next: &[Decoded],
        modules: &dyn Modules,
        mut lookahead: Lookahead,
    ) -> Result<(), RuntimeError> {
        let mut index = 0u32;
        while !next.is_empty() {
            let (wave, later) = next.split_at(lookahead.wave(next, self.remaining_gas()));
            let block = (&self.machine.ctx.journaled_state.state, &self.effects);
            let ahead = lookahead.run(self.state, block, wave, (self.context, modules))?;
            let ran = if ahead.is_empty() { 0 } else { wave.iter().filter(|t| may_pay(t)).count() };
            let mut taken = 0usize;
            let mut ahead = ahead.into_iter();
            for transaction in wave {
                let ahead = ahead.next().flatten();
                match transaction {
                    Err(error) => self.skip(index, error.into()),
                    Ok(transaction) => {
                        let was_ahead = self.transaction(index, transaction, ahead)?;
                        taken = taken.saturating_add(usize::from(was_ahead));
                    }
                }
                index = index.saturating_add(1);
            }
            lookahead.learn(ran, taken);
            next = later;
        }
        Ok(())
    }

    fn remaining_gas(&self) -> u64 {
        self.context.params().block_gas_limit.saturating_sub(self.done.gas_used)
    }

    /// Runs one transaction, or skips it. Says whether what it did ahead of its turn was taken over.
    fn transaction(
        &mut self,
        index: u32,
        transaction: &Transaction,
        ahead: Option<Ahead>,
    ) -> Result<bool, RuntimeError> {
        let limit = self.context.params().block_gas_limit;
        let remaining = self.remaining_gas();
        let gas = transaction.gas_limit;
        if gas > remaining && gas <= limit {
            self.skip(index, InvalidTransaction::GasLimitReached { remaining, gas });
            return Ok(false);
        }
        if let Some(ahead) =
            ahead.filter(|ahead| ahead.holds(&self.machine.ctx.journaled_state.state))
        {
            return self.take_over(index, transaction, ahead).map(|()| true);
        }
        self.machine.ctx.tx = transaction_environment(transaction);
        match BlockHandler::new(&mut self.effects).run(&mut self.machine) {
            Ok(result) => self.include(index, transaction, result),
            Err(EVMError::Transaction(error)) => {
                let block = CheckedAgainst {
                    chain_id: self.context.chain_id,
                    base_fee: self.context.base_fee,
                    block_gas_limit: limit,
                };
                let reason = from_evm(error, &self.machine.ctx.tx, block);
                self.skip(index, reason);
            }
            Err(EVMError::Database(error)) => return Err(error.0.into()),
            Err(error) => return Err(RuntimeError::Evm(error.to_string())),
        }
        Ok(false)
    }

    /// Makes what a transaction did ahead of its turn part of the block, and pays its tip.
    fn take_over(
        &mut self,
        index: u32,
        transaction: &Transaction,
        ahead: Ahead,
    ) -> Result<(), RuntimeError> {
        let Ahead { result, effects, state, .. } = ahead;
        let journal = &mut self.machine.ctx.journaled_state;
        self.effects.take_over(effects, state, &mut journal.state);
        let base_fee = self.context.base_fee;
        let price = transaction.effective_gas_price(base_fee).unwrap_or_default();
        let tip = U256::from(price.saturating_sub(u128::from(base_fee)))
            .saturating_mul(U256::from(result.gas().tx_gas_used()));
        journal
            .balance_incr(self.context.proposer, tip)
            .map_err(|error| RuntimeError::from(error.0))?;
        self.effects.record(&journal.inner);
        self.effects.forget_emptied(&mut journal.inner.state);
        journal.commit_tx();
        self.include(index, transaction, result);
        Ok(())
    }

    /// Notes that a transaction is left out.
    pub(super) fn skip(&mut self, index: u32, reason: InvalidTransaction) {
        self.done.skipped.push((index, reason));
    }

    fn include(&mut self, index: u32, transaction: &Transaction, result: ExecutionResult) {
        let gas_used = result.gas().tx_gas_used();
        self.done.gas_used = self.done.gas_used.saturating_add(gas_used);
        let price = transaction.effective_gas_price(self.context.base_fee).unwrap_or_default();
        let mut receipt = Receipt {
            tx_hash: transaction.hash,
            tx_type: transaction.tx_type,
            from: transaction.sender,
            to: callee(transaction.to),
            contract: None,
            success: false,
            gas_used,
            cumulative_gas_used: self.done.gas_used,
            effective_gas_price: U256::from(price),
            logs: Vec::new(),
            revert_data: Bytes::new(),
        };
        match result {
            ExecutionResult::Success { logs, output, .. } => {
                receipt.success = true;
                receipt.contract = output.address().copied();
                receipt.logs = logs.into_iter().map(log_of).collect();
            }
            ExecutionResult::Revert { output, .. } => {
                receipt.revert_data = kept_revert_data(&output);
            }
            ExecutionResult::Halt { .. } => {}
        }
        self.done.included.push(index);
        self.done.receipts.push(receipt);
    }

    /// Settles the fees, runs the modules' work at the end of the block and gathers the changes.
    pub(super) fn finish(mut self, modules: &dyn Modules) -> Result<Execution, RuntimeError> {
        let stage = "block end";
        self.settle_fees()?;
        self.outside_transactions(stage, |host| modules.end_block(host))?;
        let next =
            fees::next_base_fee(self.context.params(), self.context.base_fee, self.done.gas_used);
        self.done.next_base_fee = next;
        self.outside_transactions(stage, |host| {
            host.store(system::CHAIN, NEXT_BASE_FEE_SLOT, U256::from(next))
        })?;
        let state = self.machine.ctx.journaled_state.finalize();
        self.done.changes = self.effects.into_changes(&state);
        Ok(self.done)
    }

    /// The machine has taken the base fees from the senders: one part is counted as burned, the other credited.
    fn settle_fees(&mut self) -> Result<(), RuntimeError> {
        let split =
            fees::split_base_fees(self.context.params(), self.context.base_fee, self.done.gas_used)
                .ok_or_else(|| RuntimeError::Evm("the block's base fees pass 2^128 wei".into()))?;
        if split.rewards.0 > 0 {
            let journal = &mut self.machine.ctx.journaled_state;
            journal
                .balance_incr(system::REWARDS, split.rewards.to_u256())
                .map_err(|error| RuntimeError::from(error.0))?;
        }
        let burned = split.burned.to_u256().saturating_add(self.effects.burned());
        if burned.is_zero() {
            return Ok(());
        }
        self.outside_transactions("block end", |host| {
            let before = host.load(system::CHAIN, BURNED_SLOT)?;
            host.store(system::CHAIN, BURNED_SLOT, before.saturating_add(burned))
        })
    }

    /// Does free work on the journal and records it like a transaction of its own.
    fn outside_transactions(
        &mut self,
        stage: &'static str,
        work: impl FnOnce(&mut dyn Host) -> Result<(), Fault>,
    ) -> Result<(), RuntimeError> {
        let mut host = JournalHost::free(&mut self.machine.ctx, self.context);
        work(&mut host).map_err(|fault| RuntimeError::Module { stage, fault })?;
        let journal = &mut self.machine.ctx.journaled_state;
        self.effects.record(&journal.inner);
        self.done.block_logs.extend(journal.take_logs().into_iter().map(log_of));
        journal.commit_tx();
        Ok(())
    }
}

fn kept_revert_data(output: &Bytes) -> Bytes {
    output.get(..MAX_REVERT_BYTES).map_or_else(|| output.clone(), Bytes::copy_from_slice)
}
