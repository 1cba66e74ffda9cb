//! Run calls over a state that is thrown away: for `eth_call` and its kin, gas estimation, tracing, simulated blocks,
//! and readers of contracts.

mod access;
mod blocks;
mod database;
mod engine;
mod estimate;
mod precompiles;
#[cfg(test)]
mod tests;
mod trace;

use alloy_primitives::{Address, Bytes, U256};
use neura_types::{
    Log, StateRead,
    simulation::{CallRequest, CallStatus, Overrides},
};
use revm::{
    Inspector,
    context::result::{ExecutionResult, HaltReason},
    inspector::NoOpInspector,
    primitives::hardfork::SpecId,
};

pub use access::create_access_list;
pub use blocks::{
    BlockStart, MAX_SIMULATED_BLOCKS, Replay, SimulationError, SimulationParent, StateRoot, replay,
    simulate,
};
pub use database::AccountAfter;
pub use engine::Rules;
pub use estimate::estimate_gas;
pub use trace::{MAX_TRACE_BYTES, TraceError, TraceOptions, trace_block, trace_call};

use crate::{
    error::RuntimeError,
    evm::log_of,
    invalid::InvalidTransaction,
    modules::host::BlockContext,
    native::{ChainModules, Modules},
    revert::revert_reason,
};
use database::layered;
use engine::{Engine, Setup, SimulationContext, environment, overridden};

/// Most gas of a simulated call: bounds the time that a reader can take.
pub const MAX_CALL_GAS: u64 = 50_000_000;

/// What a simulation runs on.
pub struct Scene<'s, S> {
    state: &'s S,
    context: BlockContext,
    overrides: Overrides,
    modules: &'static dyn Modules,
    spec: SpecId,
    difficulty: U256,
}

impl<S> std::fmt::Debug for Scene<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scene").field("context", &self.context).finish_non_exhaustive()
    }
}

impl<'s, S: StateRead> Scene<'s, S> {
    /// A state, and the block that is simulated over it.
    pub fn new(state: &'s S, context: &BlockContext) -> Self {
        let rules = Rules::Chain;
        Self {
            state,
            context: context.clone(),
            overrides: Overrides::default(),
            modules: &ChainModules,
            spec: rules.spec(),
            difficulty: U256::ZERO,
        }
    }

    /// The same with some things different.
    #[must_use]
    pub fn with(mut self, overrides: Overrides) -> Self {
        self.context = overridden(&self.context, &overrides.block);
        self.overrides = overrides;
        self
    }

    /// The same by other rules.
    #[must_use]
    pub fn by(mut self, rules: Rules) -> Self {
        self.modules = rules.modules();
        self.spec = rules.spec();
        self
    }

    /// The same in a block of a difficulty: Ethereum's before the merge have one.
    #[must_use]
    pub fn difficult(mut self, difficulty: U256) -> Self {
        self.difficulty = difficulty;
        self
    }

    #[cfg(test)]
    pub(crate) fn on(mut self, modules: &'static dyn Modules) -> Self {
        self.modules = modules;
        self
    }

    fn setup(&self) -> Setup<'_> {
        let Self { context, modules, spec, difficulty, .. } = self;
        Setup { context, modules: *modules, spec: *spec, difficulty: *difficulty }
    }

    /// A machine for calls, set for the price that one offers.
    fn engine<I>(
        &self,
        price: Option<u128>,
        inspector: I,
    ) -> Result<Engine<'s, '_, S, I>, CallError>
    where
        I: Inspector<SimulationContext<'s, S>>,
    {
        let database = layered(self.state);
        let mut engine = Engine::new(database, self.setup(), &self.overrides.state, inspector)?;
        engine.relax();
        engine.set_price(price);
        engine.set_blob_price(self.overrides.block.blob_base_fee);
        Ok(engine)
    }
}

/// What a simulated call did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallOutcome {
    /// How it ended.
    pub status: CallStatus,
    /// Return or revert data; the deployed code of a creation.
    pub output: Bytes,
    /// Gas used, after refunds.
    pub gas_used: u64,
    /// Events.
    pub logs: Vec<Log>,
    /// Address of the contract created.
    pub created: Option<Address>,
}

impl CallOutcome {
    /// Whether it took effect.
    pub fn success(&self) -> bool {
        self.status == CallStatus::Success
    }
}

/// Why a call could not be simulated, or no gas limit was found.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The request breaks a rule of transactions.
    #[error(transparent)]
    Invalid(#[from] InvalidTransaction),
    /// Estimation only: the call is reverted at any gas limit. The revert data.
    #[error("execution reverted{}", revert_reason(.0).map(|r| format!(": {}", r.message)).unwrap_or_default())]
    Reverted(Bytes),
    /// Estimation only: the call fails otherwise at any gas limit, with the reason.
    #[error("{0}")]
    Halted(String),
    /// Estimation only: more gas is needed than the caller may or can pay for.
    #[error("gas required exceeds allowance ({0})")]
    GasRequiredExceedsAllowance(u64),
    /// The value is more than the caller owns.
    #[error("insufficient funds for transfer")]
    InsufficientFundsForTransfer,
    /// An override that makes no sense.
    #[error("{0}")]
    Override(String),
    /// The state could not be read.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

impl CallError {
    /// A stable code: the same in REST, JSON-RPC and the command line.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(error) => error.code(),
            Self::Reverted(_) => "execution_reverted",
            Self::Halted(_) => "execution_failed",
            Self::GasRequiredExceedsAllowance(_) => "gas_exceeds_allowance",
            Self::InsufficientFundsForTransfer => "insufficient_funds",
            Self::Override(_) => "invalid_override",
            Self::Runtime(_) => "state_unavailable",
        }
    }
}

/// Simulates a call.
///
/// # Errors
/// If the request breaks a rule of transactions, or the state cannot be read. A call that is reverted is no error.
pub fn call<S: StateRead>(
    scene: &Scene<'_, S>,
    request: &CallRequest,
) -> Result<CallOutcome, CallError> {
    let mut engine = scene.engine(request.max_fee_per_gas, NoOpInspector)?;
    let gas = request.gas.unwrap_or(MAX_CALL_GAS).min(MAX_CALL_GAS);
    let done = engine.run(environment(request, gas, scene.context.chain_id))?;
    Ok(outcome_of(done.result))
}

fn outcome_of(result: ExecutionResult) -> CallOutcome {
    let gas_used = result.gas().tx_gas_used();
    let (status, output, logs, created) = match result {
        ExecutionResult::Success { logs, output, .. } => {
            let created = output.address().copied();
            let logs = logs.into_iter().map(log_of).collect();
            (CallStatus::Success, output.into_data(), logs, created)
        }
        ExecutionResult::Revert { output, .. } => (CallStatus::Reverted, output, Vec::new(), None),
        ExecutionResult::Halt { reason, .. } => {
            (CallStatus::Halted(halt_text(&reason)), Bytes::new(), Vec::new(), None)
        }
    };
    CallOutcome { status, output, gas_used, logs, created }
}

/// geth's words where it has the same reason.
fn halt_text(reason: &HaltReason) -> String {
    match reason {
        HaltReason::OutOfGas(_) => "out of gas".into(),
        HaltReason::InvalidFEOpcode => "invalid opcode: INVALID".into(),
        HaltReason::OpcodeNotFound | HaltReason::NotActivated => "invalid opcode".into(),
        HaltReason::CreateContractSizeLimit => "max code size exceeded".into(),
        HaltReason::CreateInitCodeSizeLimit => "max initcode size exceeded".into(),
        HaltReason::CreateCollision => "contract address collision".into(),
        HaltReason::CreateContractStartingWithEF => "invalid code: must not begin with 0xef".into(),
        HaltReason::StateChangeDuringStaticCall | HaltReason::CallNotAllowedInsideStatic => {
            "write protection".into()
        }
        HaltReason::InvalidJump => "invalid jump destination".into(),
        // What adds a word to the stack needs room for it.
        HaltReason::StackOverflow => "stack limit reached 1024 (1023)".into(),
        HaltReason::OutOfOffset => "return data out of bounds".into(),
        HaltReason::NonceOverflow => "nonce uint64 overflow".into(),
        other => other.to_string(),
    }
}
