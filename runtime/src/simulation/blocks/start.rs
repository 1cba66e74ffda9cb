//! What happens in a block before its first transaction and after its last.

use alloy_eips::{
    eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS, eip4895::Withdrawal,
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
};
use alloy_primitives::{Address, B256, Bytes, U256};
use neura_types::StateRead;
use revm::{
    DatabaseCommit, Inspector, SystemCallEvm, context_interface::JournalTr,
    primitives::hardfork::SpecId,
};

use super::{CallError, Engine};
use crate::{
    error::RuntimeError,
    evm::JournalHost,
    native::Modules,
    simulation::engine::{SimulationContext, machine_error},
};

/// Wei of a gwei, in which withdrawals are counted.
const GWEI: u64 = 1_000_000_000;

/// What a block begins with.
#[derive(Debug, Clone, Default)]
pub struct BlockStart {
    /// Hash of the block before it.
    pub parent_hash: B256,
    /// Root of the beacon block before it, on Ethereum.
    pub beacon_root: Option<B256>,
    /// Its own hash, if it has one already.
    pub block_hash: Option<B256>,
}

impl BlockStart {
    /// Does what precedes the transactions: the modules' work, or the system calls of Ethereum where there are no
    /// modules.
    pub(in crate::simulation) fn begin<'s, S: StateRead, I>(
        &self,
        engine: &mut Engine<'s, '_, S, I>,
        modules: &dyn Modules,
    ) -> Result<(), CallError>
    where
        I: Inspector<SimulationContext<'s, S>>,
    {
        if modules.is_module(neura_types::system::TASKS) {
            return begin_modules(engine, modules);
        }
        let spec = engine.machine.ctx.cfg.spec;
        if spec.is_enabled_in(SpecId::PRAGUE) {
            system_call(engine, HISTORY_STORAGE_ADDRESS, self.parent_hash)?;
        }
        match self.beacon_root {
            Some(root) if spec.is_enabled_in(SpecId::CANCUN) => {
                system_call(engine, BEACON_ROOTS_ADDRESS, root).map(|_| ())
            }
            _ => Ok(()),
        }
    }
}

fn begin_modules<'s, S: StateRead, I>(
    engine: &mut Engine<'s, '_, S, I>,
    modules: &dyn Modules,
) -> Result<(), CallError>
where
    I: Inspector<SimulationContext<'s, S>>,
{
    let context = engine.context;
    let mut host = JournalHost::free(&mut engine.machine.ctx, context);
    modules
        .begin_block(&mut host)
        .map_err(|fault| RuntimeError::Module { stage: "block start", fault })?;
    let journal = &mut engine.machine.ctx.journaled_state;
    let state = journal.finalize();
    journal.database.commit(state);
    Ok(())
}

/// Does what follows the transactions on Ethereum: queues of requests, whose answers it returns, then withdrawals.
pub(in crate::simulation) fn finish<'s, S: StateRead, I>(
    engine: &mut Engine<'s, '_, S, I>,
    withdrawals: &[Withdrawal],
) -> Result<[Bytes; 2], CallError>
where
    I: Inspector<SimulationContext<'s, S>>,
{
    let mut requests = [Bytes::new(), Bytes::new()];
    if engine.machine.ctx.cfg.spec.is_enabled_in(SpecId::PRAGUE) {
        requests = [
            system_call(engine, WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, Bytes::new())?,
            system_call(engine, CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, Bytes::new())?,
        ];
    }
    let database = &mut engine.machine.ctx.journaled_state.database;
    for withdrawal in withdrawals {
        let account = database.load_account(withdrawal.address);
        let mut info = account.map_err(|error| RuntimeError::from(error.0))?.info.clone();
        let amount = U256::from(withdrawal.amount).saturating_mul(U256::from(GWEI));
        info.balance = info.balance.saturating_add(amount);
        database.insert_account_info(withdrawal.address, info);
    }
    Ok(requests)
}

fn system_call<'s, S: StateRead, I>(
    engine: &mut Engine<'s, '_, S, I>,
    contract: Address,
    input: impl Into<Bytes>,
) -> Result<Bytes, CallError>
where
    I: Inspector<SimulationContext<'s, S>>,
{
    let done = engine.machine.system_call(contract, input.into()).map_err(machine_error)?;
    engine.machine.ctx.journaled_state.database.commit(done.state);
    Ok(done.result.into_output().unwrap_or_default())
}
