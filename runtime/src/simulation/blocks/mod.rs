//! Simulate blocks, each on the one before (`eth_simulateV1`), as geth does it.

mod assembly;
mod plan;
mod replay;
mod start;
mod transfers;

use std::collections::BTreeMap;

use alloy_consensus::Header;
use alloy_eips::eip7840::BlobParams;
use alloy_primitives::{Address, B256, U256};
use neura_types::{
    StateRead,
    simulation::{CallRequest, SimulatedBlock, SimulatedCall, SimulationRequest},
};
use revm::{DatabaseCommit, context::result::ResultAndState, primitives::hardfork::SpecId};

pub use replay::{Replay, replay};
pub use start::BlockStart;

use super::{
    CallError, MAX_CALL_GAS, Scene,
    database::{AccountAfter, Layered, accounts_after, layered},
    engine::{Engine, Setup, balance_of, environment, overridden},
    outcome_of,
};
use crate::{InvalidTransaction, modules::host::BlockContext, native::Modules};
use assembly::Body;
use plan::Planned;
use transfers::LogCollector;

/// Blocks that one request may span, gaps between them included: geth's limit.
pub const MAX_SIMULATED_BLOCKS: u64 = 256;

/// Why blocks could not be simulated. Codes are those of the specification of `eth_simulateV1`.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SimulationError {
    /// No block is asked for.
    #[error("empty input")]
    Empty,
    /// More blocks than a request may span.
    #[error("too many blocks: at most {MAX_SIMULATED_BLOCKS}")]
    TooManyBlocks,
    /// A number that is not above the one before.
    #[error("block numbers must be in order: {got} <= {before}")]
    NumberOrder {
        /// The number.
        got: u64,
        /// The one before.
        before: u64,
    },
    /// A time that is not after the one before.
    #[error("block timestamps must be in order: {got} <= {before}")]
    TimeOrder {
        /// The time, in seconds.
        got: u64,
        /// The one before.
        before: u64,
    },
    /// A call asks for more gas than its block has left.
    #[error("block gas limit reached: {asked} gas asked for, {left} left")]
    GasLimit {
        /// Gas asked for.
        asked: u64,
        /// Gas left.
        left: u64,
    },
    /// A call could not be run at all.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl SimulationError {
    /// The code of JSON-RPC.
    pub fn code(&self) -> i32 {
        use InvalidTransaction as Invalid;
        match self {
            Self::Empty => -32_602,
            Self::TooManyBlocks => -38_026,
            Self::NumberOrder { .. } => -38_020,
            Self::TimeOrder { .. } => -38_021,
            Self::GasLimit { .. } => -38_015,
            Self::Call(CallError::Invalid(error)) => match error {
                Invalid::NonceTooLow { .. } => -38_010,
                Invalid::NonceTooHigh { .. } => -38_011,
                Invalid::FeeCapTooLow { .. } => -38_012,
                Invalid::IntrinsicGas { .. } | Invalid::FloorDataGas { .. } => -38_013,
                Invalid::InsufficientFunds { .. } => -38_014,
                Invalid::SenderNotEoa(_) => -38_024,
                Invalid::InitCodeTooLarge { .. } => -38_025,
                Invalid::NonceMax(_) | Invalid::TipAboveFeeCap { .. } => -32_602,
                _ => -32_000,
            },
            Self::Call(_) => -32_000,
        }
    }
}

/// The block on which the first simulated one stands.
#[derive(Debug, Clone)]
pub struct SimulationParent {
    /// Its header, in Ethereum's form.
    pub header: Header,
    /// Its hash.
    pub hash: B256,
    /// Base fee of the block after it, in wei per gas.
    pub next_base_fee: u64,
    /// How blobs are priced, on Ethereum.
    pub blobs: BlobParams,
}

/// Who knows what root a changed state would have.
pub trait StateRoot {
    /// Root of the state with these accounts.
    fn root(&self, changed: &BTreeMap<Address, AccountAfter>) -> B256;
}

/// Simulates blocks over the state of a scene, which is that after `parent`.
///
/// # Errors
/// See [`SimulationError`]. A call that is reverted is no error.
pub fn simulate<S: StateRead>(
    scene: &Scene<'_, S>,
    parent: SimulationParent,
    request: &SimulationRequest,
    root: &dyn StateRoot,
) -> Result<Vec<SimulatedBlock>, SimulationError> {
    let planned = plan::plan(&parent.header, &request.blocks)?;
    let mut run = Run {
        context: &scene.context,
        modules: scene.modules,
        spec: scene.spec,
        request,
        root,
        database: Some(layered(scene.state)),
        gas_left: MAX_CALL_GAS,
        parent,
    };
    planned.iter().map(|block| run.block(block)).collect()
}

/// A simulation under way.
struct Run<'s, 'r, S> {
    context: &'r BlockContext,
    modules: &'static dyn Modules,
    spec: SpecId,
    request: &'r SimulationRequest,
    root: &'r dyn StateRoot,
    /// The state so far; taken while a block runs.
    database: Option<Layered<'s, S>>,
    /// Gas that the rest of the request may use.
    gas_left: u64,
    parent: SimulationParent,
}

type BlockEngine<'s, 'm, S> = Engine<'s, 'm, S, LogCollector>;

impl<'s, S: StateRead> Run<'s, '_, S> {
    fn is_ethereum(&self) -> bool {
        !self.modules.is_module(neura_types::system::TASKS)
    }

    fn block(&mut self, planned: &Planned<'_>) -> Result<SimulatedBlock, SimulationError> {
        let mut header = assembly::draft(&self.parent, planned, self.request.validation);
        if self.is_ethereum() {
            assembly::add_ethereum_fields(&mut header, &self.parent, planned, self.spec);
        }
        let context = overridden(self.context, &assembly::as_overrides(&header));
        let taken = self.database.take();
        let mut database = taken.ok_or_else(|| broken("a block did not end"))?;
        let hashes = &mut database.cache.block_hashes;
        hashes.insert(U256::from(self.parent.header.number), self.parent.hash);
        let (modules, spec) = (self.modules, self.spec);
        let setup = Setup { context: &context, modules, spec, difficulty: U256::ZERO };
        let collector = LogCollector::new(self.request.trace_transfers);
        let mut engine = Engine::new(database, setup, &planned.overrides.state, collector)?;
        self.set_rules(&mut engine, &header, planned);
        let start = BlockStart {
            parent_hash: self.parent.hash,
            beacon_root: header.parent_beacon_block_root,
            block_hash: None,
        };
        if self.is_ethereum() {
            start.begin(&mut engine, self.modules)?;
        }
        let body = self.calls(&mut engine, &header, planned)?;
        if self.is_ethereum() {
            start::finish(&mut engine, &body.withdrawals)?;
        }
        let database = engine.into_database();
        header.state_root = self.root.root(&accounts_after(&database, self.spec));
        self.database = Some(database);
        let block = body.assemble(header);
        let next_base_fee = self.next_base_fee(&context, &block.header);
        let (header, hash) = (block.header.clone(), block.hash);
        let blobs = self.parent.blobs;
        self.parent = SimulationParent { header, hash, next_base_fee, blobs };
        Ok(block)
    }

    fn next_base_fee(&self, context: &BlockContext, header: &Header) -> u64 {
        if self.is_ethereum() {
            let params = alloy_eips::eip1559::BaseFeeParams::ethereum();
            return header.next_block_base_fee(params).unwrap_or_default();
        }
        let base_fee = header.base_fee_per_gas.unwrap_or_default();
        crate::fees::next_base_fee(context.params(), base_fee, header.gas_used)
    }

    fn set_rules(
        &self,
        engine: &mut BlockEngine<'s, '_, S>,
        header: &Header,
        planned: &Planned<'_>,
    ) {
        let rules = &mut engine.machine.ctx.cfg;
        rules.disable_eip3607 = true;
        rules.disable_nonce_check = !self.request.validation;
        rules.tx_gas_limit_cap = Some(u64::MAX);
        if let Some(excess) = header.excess_blob_gas {
            engine.set_excess_blob_gas(excess, self.parent.blobs);
        }
        engine.set_blob_price(planned.overrides.block.blob_base_fee);
    }

    fn calls(
        &mut self,
        engine: &mut BlockEngine<'s, '_, S>,
        header: &Header,
        planned: &Planned<'_>,
    ) -> Result<Body, SimulationError> {
        let mut body = Body::new(planned.overrides.block.withdrawals.clone().unwrap_or_default());
        for call in planned.calls {
            let left = header.gas_limit.saturating_sub(body.gas_used);
            let asked = call.gas.unwrap_or(left);
            if asked > left {
                return Err(SimulationError::GasLimit { asked, left });
            }
            let call = self.completed(engine, call, asked.min(self.gas_left))?;
            let done = self.run(engine, &call)?;
            let gas = *done.result.gas();
            self.gas_left = self.gas_left.saturating_sub(gas.tx_gas_used());
            let base_fee = u128::from(header.base_fee_per_gas.unwrap_or_default());
            let fee = call.max_fee_per_gas.unwrap_or(0);
            let tip = call.max_priority_fee_per_gas.unwrap_or(0);
            let max_gas_used = gas.total_gas_spent().max(gas.tx_gas_used());
            let outcome = outcome_of(done.result);
            engine.machine.ctx.journaled_state.database.commit(done.state);
            let shown = std::mem::take(&mut engine.machine.inspector.logs);
            let logs = if outcome.success() { shown } else { Vec::new() };
            let did = SimulatedCall {
                status: outcome.status,
                output: outcome.output,
                gas_used: outcome.gas_used,
                max_gas_used,
                gas_price: if call.has_gas_price {
                    fee
                } else {
                    fee.min(base_fee.saturating_add(tip))
                },
                logs,
            };
            body.add(&call, self.context.chain_id, did, outcome.logs);
        }
        Ok(body)
    }

    /// The call with what it leaves out.
    fn completed(
        &self,
        engine: &mut BlockEngine<'s, '_, S>,
        call: &CallRequest,
        gas: u64,
    ) -> Result<CallRequest, CallError> {
        let from = call.from.unwrap_or(Address::ZERO);
        let database = &mut engine.machine.ctx.journaled_state.database;
        let account = database.load_account(from);
        let account = account.map_err(|error| crate::RuntimeError::from(error.0))?;
        let nonce = call.nonce.unwrap_or(account.info.nonce);
        Ok(CallRequest { gas: Some(gas), nonce: Some(nonce), from: Some(from), ..call.clone() })
    }

    fn run(
        &self,
        engine: &mut BlockEngine<'s, '_, S>,
        call: &CallRequest,
    ) -> Result<ResultAndState, CallError> {
        let price = call.max_fee_per_gas.unwrap_or(0);
        let tip = call.max_priority_fee_per_gas.unwrap_or(0);
        engine.machine.ctx.cfg.disable_base_fee =
            !self.request.validation && price == 0 && tip == 0;
        engine.machine.inspector.logs.clear();
        let mut environment =
            environment(call, call.gas.unwrap_or_default(), self.context.chain_id);
        if call.has_gas_price {
            environment.tx_type = 0;
            environment.gas_priority_fee = None;
        }
        let balance =
            balance_of(&mut engine.machine.ctx.journaled_state.database, environment.caller)?;
        if balance < call.value {
            let invalid = InvalidTransaction::InsufficientFunds { balance, cost: call.value };
            return Err(invalid.into());
        }
        engine.run(environment)
    }
}

fn broken(what: &str) -> CallError {
    crate::RuntimeError::Evm(what.to_owned()).into()
}
