//! Look on while transactions and calls run (`debug_trace*`), with the tracers of geth.

use alloy_consensus::{Transaction as _, TxEnvelope};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B256, Log as EvmLog, U256};
use neura_types::{StateRead, Transaction, simulation::CallRequest};
use revm::{
    DatabaseCommit, Inspector,
    context::{ContextTr, TxEnv, result::ResultAndState},
    handler::FrameResult,
    inspector::JournalExt,
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, FrameInput, InstructionResult,
        Interpreter,
    },
};
use revm_inspectors::tracing::{
    DebugInspector, DebugInspectorError, TraceLimits, TransactionContext,
};
use serde::Deserialize as _;

use super::{
    CallError, MAX_CALL_GAS, Scene,
    blocks::BlockStart,
    engine::{Engine, SimulationContext, environment},
};
use crate::{error::RuntimeError, evm::transaction_environment};

/// What one trace may record, in bytes: steps with stacks and memory grow fast.
pub const MAX_TRACE_BYTES: usize = 32 << 20;
/// What a recorded step takes without its stack and memory, in bytes.
const STEP_BYTES: usize = 256;
/// EIP-2718 type of transactions with blobs.
const BLOB_TX_TYPE: u8 = 3;
/// Bytes of a word on the stack.
const WORD_BYTES: usize = 32;

/// Which tracer looks on, and what it notes: geth's options.
#[derive(Debug, Clone, Default)]
pub struct TraceOptions(serde_json::Value);

/// Why there is no trace.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TraceError {
    /// The options make no sense.
    #[error("{0}")]
    Options(String),
    /// More would be recorded than a trace may hold.
    #[error(
        "trace exceeds {MAX_TRACE_BYTES} bytes: set limit, disable memory and stack, or use callTracer"
    )]
    TooLarge,
    /// The transaction is not among those of the block that were executed.
    #[error("transaction not found")]
    NotFound,
    /// The call could not be run.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl TraceOptions {
    /// Options as they stand in a request; members without a meaning are ignored.
    pub fn new(options: serde_json::Value) -> Self {
        Self(options)
    }

    fn tracer(&self) -> Result<Bounded, TraceError> {
        let options = match &self.0 {
            serde_json::Value::Null => serde_json::json!({}),
            given => given.clone(),
        };
        let option = |name: &str| options.get(name);
        let flag = |name| option(name).and_then(serde_json::Value::as_bool).unwrap_or(false);
        let with_memory = flag("enableMemory");
        let no_stack = flag("disableStack");
        let name =
            option("tracer").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        let options = Deserialized::deserialize(options)
            .map_err(|error| TraceError::Options(format!("invalid tracer options: {error}")))?;
        let tracer = DebugInspector::new(options).map_err(|error| match error {
            DebugInspectorError::InvalidTracerConfig => {
                TraceError::Options(format!("invalid tracerConfig of {name}"))
            }
            _ => TraceError::Options(format!(
                "tracer not found: {name:?} (callTracer, prestateTracer, 4byteTracer, flatCallTracer, \
                 muxTracer, noopTracer, or none for the struct logger)"
            )),
        })?;
        let records_steps = matches!(tracer, DebugInspector::Default(..));
        Ok(Bounded {
            tracer: limited(tracer),
            per_step: records_steps.then_some((!no_stack, with_memory)),
            recorded: 0,
        })
    }
}

type Deserialized = alloy_rpc_types_trace::geth::GethDebugTracingOptions;

/// The same tracer with a limit on the buffers that it copies.
fn limited(tracer: DebugInspector) -> DebugInspector {
    let limits = TraceLimits::default().set_max_recorded_bytes(Some(MAX_TRACE_BYTES));
    match tracer {
        DebugInspector::CallTracer(inner, config) => {
            DebugInspector::CallTracer(inner.with_limits(limits), config)
        }
        DebugInspector::FlatCallTracer(inner) => {
            DebugInspector::FlatCallTracer(inner.with_limits(limits))
        }
        DebugInspector::Default(inner, config) => {
            DebugInspector::Default(inner.with_limits(limits), config)
        }
        other => other,
    }
}

/// A tracer that ends what it looks on when it has recorded too much.
struct Bounded {
    tracer: DebugInspector,
    /// Whether stack and memory of each step are recorded; none if no steps are.
    per_step: Option<(bool, bool)>,
    recorded: usize,
}

impl Bounded {
    fn is_exceeded(&self) -> bool {
        self.recorded > MAX_TRACE_BYTES
    }
}

impl<C: ContextTr<Journal: JournalExt>> Inspector<C> for Bounded {
    fn initialize_interp(&mut self, interpreter: &mut Interpreter, context: &mut C) {
        self.tracer.initialize_interp(interpreter, context);
    }

    fn step(&mut self, interpreter: &mut Interpreter, context: &mut C) {
        if let Some((stack, memory)) = self.per_step {
            let words = if stack { interpreter.stack.len() } else { 0 };
            let bytes = if memory { interpreter.memory.len() } else { 0 };
            let step = words.saturating_mul(WORD_BYTES).saturating_add(bytes);
            self.recorded = self.recorded.saturating_add(step).saturating_add(STEP_BYTES);
            if self.is_exceeded() {
                interpreter.halt(InstructionResult::MemoryLimitOOG);
                return;
            }
        }
        self.tracer.step(interpreter, context);
    }

    fn step_end(&mut self, interpreter: &mut Interpreter, context: &mut C) {
        if !self.is_exceeded() {
            self.tracer.step_end(interpreter, context);
        }
    }

    fn log(&mut self, context: &mut C, log: EvmLog) {
        self.tracer.log(context, log);
    }

    fn log_full(&mut self, interpreter: &mut Interpreter, context: &mut C, log: EvmLog) {
        self.tracer.log_full(interpreter, context, log);
    }

    fn call(&mut self, context: &mut C, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.tracer.call(context, inputs)
    }

    fn call_end(&mut self, context: &mut C, inputs: &CallInputs, outcome: &mut CallOutcome) {
        self.tracer.call_end(context, inputs, outcome);
    }

    fn create(&mut self, context: &mut C, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.tracer.create(context, inputs)
    }

    fn create_end(&mut self, context: &mut C, inputs: &CreateInputs, outcome: &mut CreateOutcome) {
        self.tracer.create_end(context, inputs, outcome);
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        Inspector::<C>::selfdestruct(&mut self.tracer, contract, target, value);
    }

    fn frame_start(&mut self, context: &mut C, input: &mut FrameInput) -> Option<FrameResult> {
        self.tracer.frame_start(context, input)
    }

    fn frame_end(&mut self, context: &mut C, input: &FrameInput, result: &mut FrameResult) {
        self.tracer.frame_end(context, input, result);
    }
}

/// Traces a call.
///
/// # Errors
/// If the options or the call make no sense, or the trace grows too large.
pub fn trace_call<S: StateRead>(
    scene: &Scene<'_, S>,
    request: &CallRequest,
    options: &TraceOptions,
) -> Result<serde_json::Value, TraceError> {
    let gas = request.gas.unwrap_or(MAX_CALL_GAS).min(MAX_CALL_GAS);
    let mut engine = scene.engine(request.max_fee_per_gas, options.tracer()?)?;
    let transaction = environment(request, gas, scene.context.chain_id);
    let done = engine.run(transaction.clone())?;
    number_logs(&mut engine.machine.inspector.tracer, 0);
    result_of(&mut engine, None, &transaction, &done)
}

/// Gives the logs of a call trace the indexes that receipts give them, and takes those away that were reverted. `first` is
/// how many logs the block has before.
fn number_logs(tracer: &mut DebugInspector, first: u64) {
    let DebugInspector::CallTracer(inner, _) = tracer else { return };
    let nodes = inner.traces_mut().nodes_mut();
    let mut is_kept: Vec<bool> = Vec::with_capacity(nodes.len());
    for node in nodes.iter_mut() {
        // Calls stand behind those that made them.
        let is_within = node.parent.is_none_or(|parent| is_kept.get(parent) == Some(&true));
        is_kept.push(is_within && node.trace.success);
        if is_kept.last() != Some(&true) {
            node.logs.clear();
        }
    }
    let mut logs: Vec<_> = nodes.iter_mut().flat_map(|node| &mut node.logs).collect();
    logs.sort_by_key(|log| log.index);
    for (index, log) in (first..).zip(logs) {
        log.index = index;
    }
}

/// Traces the transactions of a block, or the one named `only`, over the state before the block.
///
/// # Errors
/// As [`trace_call`], and if `only` was not executed in this block.
pub fn trace_block<S: StateRead>(
    scene: &Scene<'_, S>,
    start: &BlockStart,
    transactions: &[Transaction],
    only: Option<B256>,
    options: &TraceOptions,
) -> Result<Vec<(B256, serde_json::Value)>, TraceError> {
    let database = super::layered(scene.state);
    let overrides = &scene.overrides.state;
    let mut engine = Engine::new(database, scene.setup(), overrides, options.tracer()?)?;
    start.begin(&mut engine, scene.modules)?;
    let mut traces = Vec::new();
    let (mut size, mut logs) = (0usize, 0usize);
    for (index, transaction) in transactions.iter().enumerate() {
        let hash = transaction.hash;
        let is_wanted = only.is_none_or(|only| only == hash);
        let environment = environment_of(transaction);
        engine.machine.inspector = options.tracer()?;
        // Left out of the block, as execution left it out.
        let Ok(done) = engine.run(environment.clone()) else { continue };
        if is_wanted {
            let place = TransactionContext {
                block_hash: start.block_hash,
                tx_index: Some(index),
                tx_hash: Some(hash),
            };
            size = size.saturating_add(engine.machine.inspector.recorded);
            if size > MAX_TRACE_BYTES {
                return Err(TraceError::TooLarge);
            }
            let first = u64::try_from(logs).unwrap_or(u64::MAX);
            number_logs(&mut engine.machine.inspector.tracer, first);
            traces.push((hash, result_of(&mut engine, Some(place), &environment, &done)?));
            if only.is_some() {
                break;
            }
        }
        logs = logs.saturating_add(done.result.logs().len());
        engine.machine.ctx.journaled_state.database.commit(done.state);
    }
    if only.is_some() && traces.is_empty() {
        return Err(TraceError::NotFound);
    }
    Ok(traces)
}

/// A transaction in the machine's terms, with blobs, which only imported chains have.
pub(super) fn environment_of(transaction: &Transaction) -> TxEnv {
    let mut environment = transaction_environment(transaction);
    // Imported chains have transactions of before EIP-155, which name no chain.
    environment.chain_id = environment.chain_id.filter(|chain| *chain != 0);
    if transaction.tx_type == BLOB_TX_TYPE
        && let Ok(envelope) = TxEnvelope::decode_2718_exact(&transaction.raw)
    {
        environment.blob_hashes =
            envelope.blob_versioned_hashes().map(<[B256]>::to_vec).unwrap_or_default();
        environment.max_fee_per_blob_gas = envelope.max_fee_per_blob_gas().unwrap_or_default();
    }
    environment
}

fn result_of<'s, S: StateRead>(
    engine: &mut Engine<'s, '_, S, Bounded>,
    place: Option<TransactionContext>,
    transaction: &TxEnv,
    done: &ResultAndState,
) -> Result<serde_json::Value, TraceError>
where
    Bounded: Inspector<SimulationContext<'s, S>>,
{
    let machine = &mut engine.machine;
    if machine.inspector.is_exceeded() {
        return Err(TraceError::TooLarge);
    }
    let database = &mut machine.ctx.journaled_state.database;
    let trace = machine
        .inspector
        .tracer
        .get_result(place, transaction, &machine.ctx.block, done, database)
        .map_err(|error| CallError::from(RuntimeError::Evm(error.to_string())))?;
    serde_json::to_value(trace)
        .map_err(|error| CallError::from(RuntimeError::Evm(error.to_string())).into())
}
