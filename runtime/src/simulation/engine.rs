//! A machine over a state that is thrown away, with an inspector that looks on.

use alloy_eips::eip7840::BlobParams;
use alloy_primitives::{Address, TxKind, U256};
use neura_types::{
    StateRead,
    simulation::{BlockOverrides, CallRequest, StateOverrides},
};
use revm::{
    Inspector,
    context::{
        BlockEnv, CfgEnv, Context, Evm, TxEnv,
        either::Either,
        result::{EVMError, ResultAndState},
    },
    context_interface::block::BlobExcessGasAndPrice,
    handler::{EthFrame, instructions::EthInstructions},
    inspector::InspectEvm,
    interpreter::interpreter::EthInterpreter,
    primitives::hardfork::SpecId,
};

use super::{
    CallError,
    database::{Layered, override_accounts},
    precompiles::MovedPrecompiles,
};
use crate::{
    error::RuntimeError,
    evm::{ChainPrecompiles, ContextOf, DatabaseError, SPEC, block_environment},
    invalid::{CheckedAgainst, from_evm},
    modules::host::BlockContext,
    native::{ChainModules, Modules, NoModules},
    wasm,
};

/// By which rules a simulation runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rules {
    /// This chain's, with its native modules.
    #[default]
    Chain,
    /// Ethereum's of a hardfork, without the modules.
    Ethereum(SpecId),
}

impl Rules {
    pub(super) fn spec(self) -> SpecId {
        match self {
            Self::Chain => SPEC,
            Self::Ethereum(spec) => spec,
        }
    }

    pub(super) fn modules(self) -> &'static dyn Modules {
        match self {
            Self::Chain => &ChainModules,
            Self::Ethereum(_) => &NoModules,
        }
    }
}

/// What a simulated machine sees besides its code.
pub(super) type SimulationContext<'s, S> = ContextOf<Layered<'s, S>>;

type SimulationMachine<'s, 'm, S, I> = Evm<
    SimulationContext<'s, S>,
    I,
    EthInstructions<EthInterpreter, SimulationContext<'s, S>>,
    MovedPrecompiles<'m>,
    EthFrame<EthInterpreter>,
>;

/// A machine for one block.
pub(super) struct Engine<'s, 'm, S: StateRead, I> {
    pub(super) machine: SimulationMachine<'s, 'm, S, I>,
    pub(super) context: &'m BlockContext,
}

/// What a block is run with.
pub(super) struct Setup<'m> {
    pub(super) context: &'m BlockContext,
    pub(super) modules: &'m dyn Modules,
    pub(super) spec: SpecId,
    /// Difficulty of the block, on Ethereum before its merge.
    pub(super) difficulty: U256,
}

impl<'s, 'm, S: StateRead, I> Engine<'s, 'm, S, I>
where
    I: Inspector<SimulationContext<'s, S>>,
{
    /// A machine that runs blocks' transactions by all the rules.
    pub(super) fn new(
        mut database: Layered<'s, S>,
        setup: Setup<'m>,
        overrides: &StateOverrides,
        inspector: I,
    ) -> Result<Self, CallError> {
        let Setup { context, modules, spec, difficulty } = setup;
        let precompiles = MovedPrecompiles::new::<SimulationContext<'s, S>>(
            ChainPrecompiles::new(spec, context, modules),
            modules,
            overrides,
        )?;
        override_accounts(&mut database, overrides)?;
        let mut config = CfgEnv::new_with_spec(spec).with_chain_id(context.chain_id);
        let instructions = wasm::instructions(&mut config, modules);
        let context_of_machine: SimulationContext<'s, S> = Context::new(database, spec);
        let block = BlockEnv { difficulty, ..block_environment(context) };
        let machine = Evm::new_with_inspector(
            context_of_machine.with_cfg(config).with_block(block),
            inspector,
            instructions,
            precompiles,
        );
        Ok(Self { machine, context })
    }

    /// Relaxes the rules for calls, which nobody signed.
    pub(super) fn relax(&mut self) {
        let rules = &mut self.machine.ctx.cfg;
        rules.disable_nonce_check = true;
        rules.disable_eip3607 = true;
        rules.disable_block_gas_limit = true;
        rules.tx_gas_limit_cap = Some(u64::MAX);
    }

    /// A call that offers no price pays none: its block has no base fee.
    pub(super) fn set_price(&mut self, price: Option<u128>) {
        let is_free = price.unwrap_or(0) == 0;
        self.machine.ctx.cfg.disable_base_fee = is_free;
        if is_free {
            self.machine.ctx.block.basefee = 0;
        }
    }

    /// Sets the fee of blobs, if it is overridden.
    pub(super) fn set_blob_price(&mut self, price: Option<u128>) {
        if let Some(price) = price {
            self.machine.ctx.block.blob_excess_gas_and_price =
                Some(BlobExcessGasAndPrice { excess_blob_gas: 0, blob_gasprice: price });
        }
    }

    /// Sets the fee of blobs that follows from what blocks before had of them.
    pub(super) fn set_excess_blob_gas(&mut self, excess_blob_gas: u64, blobs: BlobParams) {
        let blob_gasprice = blobs.calc_blob_fee(excess_blob_gas);
        self.machine.ctx.block.blob_excess_gas_and_price =
            Some(BlobExcessGasAndPrice { excess_blob_gas, blob_gasprice });
    }

    /// Runs a transaction, and keeps nothing of it.
    pub(super) fn run(&mut self, transaction: TxEnv) -> Result<ResultAndState, CallError> {
        match self.machine.inspect_tx(transaction) {
            Ok(done) => Ok(done),
            Err(EVMError::Transaction(error)) => {
                let block = CheckedAgainst {
                    chain_id: self.context.chain_id,
                    base_fee: self.machine.ctx.block.basefee,
                    block_gas_limit: self.machine.ctx.block.gas_limit,
                };
                Err(from_evm(error, &self.machine.ctx.tx, block).into())
            }
            Err(error) => Err(machine_error(error)),
        }
    }

    /// The state with all that was committed.
    pub(super) fn into_database(self) -> Layered<'s, S> {
        self.machine.ctx.journaled_state.database
    }
}

/// A failure that is nobody's transaction's.
pub(super) fn machine_error(error: EVMError<DatabaseError>) -> CallError {
    match error {
        EVMError::Database(error) => RuntimeError::from(error.0).into(),
        error => RuntimeError::Evm(error.to_string()).into(),
    }
}

/// A block's context as overrides make it.
pub(super) fn overridden(context: &BlockContext, changed: &BlockOverrides) -> BlockContext {
    let mut context = context.clone();
    context.height = changed.number.unwrap_or(context.height);
    context.timestamp_ms =
        changed.time.map_or(context.timestamp_ms, |seconds| seconds.saturating_mul(1_000));
    context.proposer = changed.fee_recipient.unwrap_or(context.proposer);
    context.randomness = changed.prev_randao.unwrap_or(context.randomness);
    context.base_fee = changed.base_fee.unwrap_or(context.base_fee);
    if let Some(limit) = changed.gas_limit {
        let mut epoch = (*context.epoch).clone();
        epoch.params.block_gas_limit = limit;
        context.epoch = epoch.into();
    }
    context
}

/// A call in the machine's terms.
pub(super) fn environment(request: &CallRequest, gas_limit: u64, chain_id: u64) -> TxEnv {
    let price = request.max_fee_per_gas.unwrap_or(0);
    let tip = request.max_priority_fee_per_gas.filter(|_| price > 0).unwrap_or(0);
    let tx_type = match (request.blob_hashes.is_empty(), request.authorizations.is_empty()) {
        (false, _) => 3,
        (true, false) => 4,
        (true, true) => 2,
    };
    TxEnv {
        tx_type,
        caller: request.from.unwrap_or(Address::ZERO),
        gas_limit,
        gas_price: price,
        kind: request.to.map_or(TxKind::Create, TxKind::Call),
        value: request.value,
        data: request.input.clone(),
        nonce: request.nonce.unwrap_or(0),
        chain_id: Some(chain_id),
        access_list: request.access_list.clone(),
        gas_priority_fee: Some(tip),
        blob_hashes: request.blob_hashes.clone(),
        max_fee_per_blob_gas: request.max_fee_per_blob_gas.unwrap_or(0),
        authorization_list: request.authorizations.iter().cloned().map(Either::Left).collect(),
    }
}

/// Balance of an account as a simulation sees it.
pub(super) fn balance_of<S: StateRead>(
    database: &mut Layered<'_, S>,
    address: Address,
) -> Result<U256, CallError> {
    let account = database.load_account(address);
    Ok(account.map_err(|error| RuntimeError::from(error.0))?.info.balance)
}
