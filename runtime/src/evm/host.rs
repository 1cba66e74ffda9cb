//! Give the native modules their view of the machine: every act is priced, then journalled.

use alloy_primitives::{Address, Bytes, Log as EvmLog, LogData, U256};
use neura_types::{Amount, Log, system};
use revm::{
    context_interface::{
        ContextTr, JournalTr,
        journaled_state::{JournalLoadError, account::JournaledAccountTr},
    },
    interpreter::CallInput,
};

use super::gas::{
    COLD_ACCOUNT_GAS, COLD_WORD_GAS, NEW_ACCOUNT_GAS, TRANSFER_GAS, WARM_GAS, WORD_CHANGED_GAS,
    WORD_CREATED_GAS, of_log,
};
use crate::{
    chain::BURNED_SLOT,
    modules::host::{BlockContext, Fault, Host},
};

/// Gas that a call has left; nothing is counted outside of transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meter {
    /// What is left.
    Left(u64),
    /// Block start, block end and genesis: bounded by the modules' own rules.
    Free,
}

impl Meter {
    /// Takes `gas` away, or everything that is left if it does not suffice.
    pub(crate) fn charge(&mut self, gas: u64) -> Result<(), Fault> {
        let Self::Left(left) = self else { return Ok(()) };
        match left.checked_sub(gas) {
            Some(rest) => {
                *left = rest;
                Ok(())
            }
            None => {
                *left = 0;
                Err(Fault::OutOfGas)
            }
        }
    }

    fn covers(&self, gas: u64) -> bool {
        match self {
            Self::Left(left) => *left >= gas,
            Self::Free => true,
        }
    }
}

/// A [`Host`] over the journal of a machine.
#[derive(Debug)]
pub(crate) struct JournalHost<'a, C> {
    context: &'a mut C,
    block: &'a BlockContext,
    meter: Meter,
    is_static: bool,
}

impl<'a, C: ContextTr> JournalHost<'a, C> {
    /// For a call inside a transaction, with the gas of its frame.
    pub(crate) fn metered(
        context: &'a mut C,
        block: &'a BlockContext,
        gas: u64,
        is_static: bool,
    ) -> Self {
        Self { context, block, meter: Meter::Left(gas), is_static }
    }

    /// For work outside of transactions.
    pub(crate) fn free(context: &'a mut C, block: &'a BlockContext) -> Self {
        Self { context, block, meter: Meter::Free, is_static: false }
    }

    /// Gas that is left; none outside of transactions.
    pub(crate) fn gas_left(&self) -> u64 {
        match self.meter {
            Meter::Left(left) => left,
            Meter::Free => 0,
        }
    }

    /// A copy of a call's input, which may lie in the caller's memory.
    pub(crate) fn input(&self, input: &CallInput) -> Bytes {
        input.bytes(self.context)
    }

    fn check_writable(&self) -> Result<(), Fault> {
        if self.is_static { Err(Fault::ReadOnly) } else { Ok(()) }
    }

    /// Reads a word with its value from before the transaction. Without the gas for the store, the store is not asked.
    fn word(&mut self, module: Address, slot: U256) -> Result<(U256, U256), Fault> {
        self.meter.charge(WARM_GAS)?;
        let skip_cold = !self.meter.covers(COLD_WORD_GAS);
        let journal = self.context.journal_mut();
        let mut account = journal.load_account_mut(module).map_err(fatal)?;
        let word = account
            .data
            .sload(slot, skip_cold)
            .map_err(|error| load_fault(&mut self.meter, error))?;
        let (original, present) = (word.data.original_value(), word.data.present_value());
        if word.is_cold {
            self.meter.charge(COLD_WORD_GAS)?;
        }
        Ok((original, present))
    }
}

fn insufficient(account: Address, balance: U256, needed: Amount) -> Fault {
    let message = format!("{account} has {balance} wei, {} are needed", needed.0);
    Fault::refused("insufficient_balance", message)
}

fn fatal(error: impl std::fmt::Display) -> Fault {
    Fault::Fatal(error.to_string())
}

/// A lookup that was skipped for want of gas exhausts the meter, whatever the module makes of the fault.
fn load_fault<E: std::fmt::Display>(meter: &mut Meter, error: JournalLoadError<E>) -> Fault {
    match error {
        JournalLoadError::DBError(error) => fatal(error),
        JournalLoadError::ColdLoadSkipped => {
            *meter = Meter::Left(0);
            Fault::OutOfGas
        }
    }
}

impl<C: ContextTr> Host for JournalHost<'_, C> {
    fn block(&self) -> &BlockContext {
        self.block
    }

    fn load(&mut self, module: Address, slot: U256) -> Result<U256, Fault> {
        self.word(module, slot).map(|(_, present)| present)
    }

    fn store(&mut self, module: Address, slot: U256, value: U256) -> Result<(), Fault> {
        self.check_writable()?;
        let (original, present) = self.word(module, slot)?;
        if present == value {
            return Ok(());
        }
        if present == original {
            let price = if original.is_zero() { WORD_CREATED_GAS } else { WORD_CHANGED_GAS };
            self.meter.charge(price)?;
        }
        let journal = self.context.journal_mut();
        journal.sstore(module, slot, value).map_err(fatal)?;
        Ok(())
    }

    fn balance(&mut self, account: Address) -> Result<U256, Fault> {
        self.meter.charge(WARM_GAS)?;
        let skip_cold = !self.meter.covers(COLD_ACCOUNT_GAS);
        let journal = self.context.journal_mut();
        let loaded = journal
            .load_account_mut_skip_cold_load(account, skip_cold)
            .map_err(|error| load_fault(&mut self.meter, error))?;
        let balance = *loaded.data.balance();
        if loaded.is_cold {
            self.meter.charge(COLD_ACCOUNT_GAS)?;
        }
        Ok(balance)
    }

    fn transfer(&mut self, from: Address, to: Address, amount: Amount) -> Result<(), Fault> {
        self.check_writable()?;
        self.meter.charge(TRANSFER_GAS)?;
        let journal = self.context.journal_mut();
        let balance = journal.load_account(from).map_err(fatal)?.data.info.balance;
        let is_new = journal.load_account(to).map_err(fatal)?.data.is_empty();
        if balance < amount.to_u256() {
            return Err(insufficient(from, balance, amount));
        }
        if is_new && amount != Amount::ZERO {
            self.meter.charge(NEW_ACCOUNT_GAS)?;
        }
        match self.context.journal_mut().transfer_loaded(from, to, amount.to_u256()) {
            None => Ok(()),
            Some(error) => {
                Err(Fault::Fatal(format!("moving {} wei from {from} to {to}: {error:?}", amount.0)))
            }
        }
    }

    fn burn(&mut self, from: Address, amount: Amount) -> Result<(), Fault> {
        self.check_writable()?;
        self.meter.charge(TRANSFER_GAS)?;
        let journal = self.context.journal_mut();
        let mut account = journal.load_account_mut(from).map_err(fatal)?;
        if !account.data.decr_balance(amount.to_u256()) {
            let balance = *account.data.balance();
            return Err(insufficient(from, balance, amount));
        }
        drop(account);
        let burned = self.load(system::CHAIN, BURNED_SLOT)?;
        self.store(system::CHAIN, BURNED_SLOT, burned.saturating_add(amount.to_u256()))
    }

    fn emit(&mut self, log: Log) -> Result<(), Fault> {
        self.check_writable()?;
        self.meter.charge(of_log(log.topics.len(), log.data.len()))?;
        let data = LogData::new(log.topics, log.data)
            .ok_or_else(|| Fault::Fatal("an event of a module has more than four topics".into()))?;
        self.context.journal_mut().log(EvmLog { address: log.address, data });
        Ok(())
    }

    fn charge(&mut self, gas: u64) -> Result<(), Fault> {
        self.meter.charge(gas)
    }
}
