//! Run calls over a state that is thrown away: for `eth_call`, gas estimation and readers of contracts.

mod estimate;
mod overrides;
#[cfg(test)]
mod tests;

use alloy_primitives::{Address, Bytes, TxKind, U256};
use neura_types::{Log, StateRead};
use revm::{
    ExecuteEvm,
    context::{
        TxEnv,
        result::{EVMError, ExecutionResult, HaltReason},
    },
    context_interface::transaction::AccessList,
};

pub use estimate::estimate_gas;
pub use overrides::{AccountOverride, OverriddenState};

use crate::{
    error::RuntimeError,
    evm::{Machine, log_of, machine},
    invalid::{CheckedAgainst, InvalidTransaction, from_evm},
    modules::host::BlockContext,
    native::{ChainModules, Modules},
    revert::revert_reason,
};

/// Most gas of a simulated call: bounds the time that a reader can take.
pub const MAX_CALL_GAS: u64 = 50_000_000;

/// A call to simulate. What is left out is zero, and no gas price means that gas is free.
#[derive(Debug, Clone, Default)]
pub struct CallRequest {
    /// Caller; it needs no signature.
    pub from: Address,
    /// Called account; none for a creation.
    pub to: Option<Address>,
    /// Coins sent along, in wei; the caller must own them.
    pub value: U256,
    /// Call data or creation code.
    pub input: Bytes,
    /// Gas limit; at most [`MAX_CALL_GAS`], which also holds if there is none.
    pub gas: Option<u64>,
    /// `gasPrice` or `maxFeePerGas`, in wei; with one above zero the caller must own the fee.
    pub gas_price: Option<u128>,
    /// `maxPriorityFeePerGas`, in wei.
    pub priority_fee: Option<u128>,
    /// EIP-2930 access list.
    pub access_list: AccessList,
}

/// How a simulated call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallStatus {
    /// It returned.
    Success,
    /// It was reverted; the output is the revert data.
    Reverted,
    /// The machine stopped it, with the reason: out of gas, an invalid opcode, ...
    Halted(String),
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
            Self::Runtime(_) => "state_unavailable",
        }
    }
}

/// Simulates a call in the block `context`, over the state before it.
///
/// # Errors
/// If the request breaks a rule of transactions, or the state cannot be read. A call that is reverted is no error.
pub fn call(
    state: &impl StateRead,
    context: &BlockContext,
    request: &CallRequest,
) -> Result<CallOutcome, CallError> {
    call_with(state, context, request, &ChainModules)
}

/// [`call`] with a set of modules.
pub(crate) fn call_with(
    state: &impl StateRead,
    context: &BlockContext,
    request: &CallRequest,
    modules: &dyn Modules,
) -> Result<CallOutcome, CallError> {
    let mut simulator = Simulator::new(state, context, request, modules);
    let gas = request.gas.unwrap_or(MAX_CALL_GAS).min(MAX_CALL_GAS);
    Ok(outcome_of(simulator.run(gas)?))
}

/// A machine that forgets each run, for one request.
struct Simulator<'s, 'm, S: StateRead> {
    machine: Machine<'s, 'm, S>,
    context: &'m BlockContext,
    request: &'m CallRequest,
}

impl<'s, 'm, S: StateRead> Simulator<'s, 'm, S> {
    fn new(
        state: &'s S,
        context: &'m BlockContext,
        request: &'m CallRequest,
        modules: &'m dyn Modules,
    ) -> Self {
        let mut machine = machine(state, context, modules);
        let rules = &mut machine.ctx.cfg;
        rules.disable_nonce_check = true;
        rules.disable_eip3607 = true;
        rules.disable_block_gas_limit = true;
        rules.disable_base_fee = request.gas_price.unwrap_or(0) == 0;
        rules.tx_gas_limit_cap = Some(u64::MAX);
        Self { machine, context, request }
    }

    /// Runs the call with a gas limit, over the state as it was.
    fn run(&mut self, gas: u64) -> Result<ExecutionResult, CallError> {
        match self.machine.transact(self.environment(gas)) {
            Ok(done) => Ok(done.result),
            Err(EVMError::Transaction(error)) => {
                let block = CheckedAgainst {
                    chain_id: self.context.chain_id,
                    base_fee: self.context.base_fee,
                    block_gas_limit: self.context.params().block_gas_limit,
                };
                Err(from_evm(error, &self.machine.ctx.tx, block).into())
            }
            Err(EVMError::Database(error)) => Err(RuntimeError::from(error.0).into()),
            Err(error) => Err(RuntimeError::Evm(error.to_string()).into()),
        }
    }

    fn environment(&self, gas: u64) -> TxEnv {
        let request = self.request;
        let price = request.gas_price.unwrap_or(0);
        let tip = request.priority_fee.filter(|_| price > 0).unwrap_or(0);
        TxEnv {
            tx_type: 2,
            caller: request.from,
            gas_limit: gas,
            gas_price: price,
            kind: request.to.map_or(TxKind::Create, TxKind::Call),
            value: request.value,
            data: request.input.clone(),
            nonce: 0,
            chain_id: Some(self.context.chain_id),
            access_list: request.access_list.clone(),
            gas_priority_fee: Some(tip),
            blob_hashes: Vec::new(),
            max_fee_per_blob_gas: 0,
            authorization_list: Vec::new(),
        }
    }
}

fn outcome_of(result: ExecutionResult) -> CallOutcome {
    let gas_used = result.gas().tx_gas_used();
    match result {
        ExecutionResult::Success { logs, output, .. } => CallOutcome {
            status: CallStatus::Success,
            created: output.address().copied(),
            output: output.into_data(),
            gas_used,
            logs: logs.into_iter().map(log_of).collect(),
        },
        ExecutionResult::Revert { output, .. } => CallOutcome {
            status: CallStatus::Reverted,
            output,
            gas_used,
            logs: Vec::new(),
            created: None,
        },
        ExecutionResult::Halt { reason, .. } => CallOutcome {
            status: CallStatus::Halted(halt_text(&reason)),
            output: Bytes::new(),
            gas_used,
            logs: Vec::new(),
            created: None,
        },
    }
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
        HaltReason::StateChangeDuringStaticCall => "write protection".into(),
        other => other.to_string(),
    }
}
