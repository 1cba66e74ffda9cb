//! Build the first state of a chain from its genesis file.

mod contracts;

use std::sync::Arc;

use alloy_eips::eip2935::{HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE};
use alloy_primitives::{Address, B256, Bytes, U256};
use neura_types::{
    Amount, EpochConfig, Genesis, StateChanges, hash::keccak, state::MemoryState, system,
};
use revm::{
    bytecode::Bytecode,
    context_interface::{JournalTr, journaled_state::account::JournaledAccountTr},
};

use crate::{
    chain::{GENESIS_SUPPLY_SLOT, NEXT_BASE_FEE_SLOT, check_supply},
    error::RuntimeError,
    evm::{DatabaseError, Effects, JournalHost, Machine, machine},
    modules::host::{Attendance, BlockContext, Fault, Host},
    native::{ChainModules, Modules},
};

/// Code of a system account: INVALID. It never runs, as the module answers first; it makes EXTCODESIZE positive, which
/// Solidity demands of what it calls.
const SYSTEM_CODE: [u8; 1] = [0xfe];

/// The changes that turn an empty state into that of block 0.
///
/// # Errors
/// If the genesis file breaks a rule, or the modules' records change the supply.
pub fn genesis_changes(genesis: &Genesis) -> Result<StateChanges, RuntimeError> {
    genesis_changes_with(genesis, &ChainModules)
}

/// [`genesis_changes`] with a set of modules.
pub(crate) fn genesis_changes_with(
    genesis: &Genesis,
    modules: &dyn Modules,
) -> Result<StateChanges, RuntimeError> {
    let invalid = |error: String| RuntimeError::Genesis(error);
    genesis.validate().map_err(|error| invalid(error.to_string()))?;
    let supply = genesis.supply().map_err(|error| invalid(error.to_string()))?;
    let context = genesis_context(genesis)?;
    let empty = MemoryState::default();
    let mut machine = machine(&empty, &context, modules);
    let stake = genesis.stake().map_err(|error| invalid(error.to_string()))?;
    write_accounts(&mut machine, genesis, stake).map_err(|error| RuntimeError::from(error.0))?;
    let mut host = JournalHost::free(&mut machine.ctx, &context);
    write_chain_records(&mut host, genesis, supply.to_u256())
        .and_then(|()| modules.genesis(genesis, &mut host))
        .map_err(|fault| RuntimeError::Module { stage: "genesis", fault })?;
    let mut effects = Effects::default();
    effects.record(&machine.ctx.journaled_state.inner);
    let changes = effects.into_changes(&machine.ctx.journaled_state.finalize());
    let mut first = MemoryState::default();
    first.apply(&changes);
    check_supply(&first, first.accounts().map(|(_, account)| account))?;
    Ok(changes)
}

/// What the modules see of block 0.
pub(crate) fn genesis_context(genesis: &Genesis) -> Result<BlockContext, RuntimeError> {
    let epoch = EpochConfig::genesis(genesis, 0)
        .map_err(|error| RuntimeError::Genesis(error.to_string()))?;
    Ok(BlockContext {
        chain_id: genesis.chain_id,
        genesis: genesis.hash(),
        height: 0,
        timestamp_ms: genesis.timestamp_ms,
        proposer: Address::ZERO,
        randomness: B256::ZERO,
        base_fee: genesis.params.initial_base_fee,
        treasury: genesis.treasury,
        epoch: Arc::new(epoch),
        attendance: Attendance::default(),
    })
}

fn write_accounts(
    machine: &mut Machine<'_, '_, MemoryState>,
    genesis: &Genesis,
    stake: Amount,
) -> Result<(), DatabaseError> {
    let journal = &mut machine.ctx.journaled_state;
    journal.balance_incr(system::STAKING, stake.to_u256())?;
    for account in &genesis.accounts {
        journal.balance_incr(account.address, account.balance.to_u256())?;
    }
    let code = Bytecode::new_legacy(SYSTEM_CODE.into());
    let hash = keccak(&SYSTEM_CODE);
    for (module, _) in system::MODULES {
        let mut account = journal.load_account_mut(module)?;
        account.data.set_code(hash, code.clone());
    }
    let history: (_, &[u8]) = (HISTORY_STORAGE_ADDRESS, &HISTORY_STORAGE_CODE);
    for (address, code) in std::iter::once(history).chain(contracts::contracts()) {
        let mut account = journal.load_account_mut(address)?;
        let bytecode = Bytecode::new_legacy(Bytes::copy_from_slice(code));
        account.data.set_code(keccak(code), bytecode);
        // As if it had been deployed like on Ethereum: nothing else can be created there.
        account.data.bump_nonce();
    }
    Ok(())
}

fn write_chain_records(host: &mut dyn Host, genesis: &Genesis, supply: U256) -> Result<(), Fault> {
    host.store(system::CHAIN, GENESIS_SUPPLY_SLOT, supply)?;
    host.store(system::CHAIN, NEXT_BASE_FEE_SLOT, U256::from(genesis.params.initial_base_fee))
}
