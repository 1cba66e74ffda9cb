//! Look on while transactions and calls run (`debug_trace*`), with the tracers of geth.

mod meter;
#[cfg(test)]
mod tests;
mod tracer;

use alloy_consensus::{Transaction as _, TxEnvelope};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{B256, U64};
use neura_types::{StateRead, Transaction, simulation::CallRequest};
use revm::{
    DatabaseCommit, Inspector,
    context::{TxEnv, result::ResultAndState},
};
use revm_inspectors::tracing::{DebugInspector, TransactionContext};
use serde_json::{Value, json};

use super::{
    CallError, MAX_CALL_GAS, Scene,
    blocks::BlockStart,
    engine::{Engine, SimulationContext, environment},
};
use tracer::{Part, Tracer};

use crate::{error::RuntimeError, evm::transaction_environment};

/// What one trace may record, in bytes: steps with stacks and memory grow fast.
pub const MAX_TRACE_BYTES: usize = 32 << 20;
/// EIP-2718 type of transactions with blobs.
const BLOB_TX_TYPE: u8 = 3;

/// Which tracer looks on, and what it notes: geth's options.
#[derive(Debug, Clone, Default)]
pub struct TraceOptions(Value);

/// Why there is no trace.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TraceError {
    /// The options make no sense.
    #[error("{0}")]
    Options(String),
    /// More would be recorded than a trace may hold.
    #[error(
        "trace exceeds {MAX_TRACE_BYTES} bytes: set limit to fewer steps, leave out memory, stack, storage and return \
         data, or use callTracer"
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
    /// Options as they stand in a request; members without a meaning are ignored. Beyond geth's, `tracerConfig` of the
    /// flatCallTracer takes `"intrinsicGas": false`, for the gas of the outermost call as Parity states it.
    pub fn new(options: Value) -> Self {
        Self(options)
    }

    fn tracer(&self) -> Result<Tracer, TraceError> {
        Tracer::new(&self.0)
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
) -> Result<Value, TraceError> {
    let gas = request.gas.unwrap_or(MAX_CALL_GAS).min(MAX_CALL_GAS);
    let mut engine = scene.engine(request.max_fee_per_gas, options.tracer()?)?;
    let transaction = environment(request, gas, scene.context.chain_id);
    let done = engine.run(transaction.clone())?;
    engine.machine.inspector.show_modules(scene.modules);
    number_logs(&mut engine.machine.inspector, 0);
    result_of(&mut engine, None, &transaction, &done)
}

/// Gives the logs of call traces the indexes that receipts give them, and takes those away that were reverted. `first` is
/// how many logs the block has before.
fn number_logs(tracer: &mut Tracer, first: u64) {
    for part in &mut tracer.parts {
        number_logs_of(part, first);
    }
}

fn number_logs_of(part: &mut Part, first: u64) {
    let DebugInspector::CallTracer(inner, _) = &mut part.inspector else { return };
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
) -> Result<Vec<(B256, Value)>, TraceError> {
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
            size = size.saturating_add(engine.machine.inspector.recorded());
            if size > MAX_TRACE_BYTES {
                return Err(TraceError::TooLarge);
            }
            let first = u64::try_from(logs).unwrap_or(u64::MAX);
            engine.machine.inspector.show_modules(scene.modules);
            number_logs(&mut engine.machine.inspector, first);
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
    engine: &mut Engine<'s, '_, S, Tracer>,
    place: Option<TransactionContext>,
    transaction: &TxEnv,
    done: &ResultAndState,
) -> Result<Value, TraceError>
where
    Tracer: Inspector<SimulationContext<'s, S>>,
{
    let machine = &mut engine.machine;
    let tracer = &mut machine.inspector;
    if tracer.is_exceeded() {
        return Err(TraceError::TooLarge);
    }
    let database = &mut machine.ctx.journaled_state.database;
    let failed = |error: String| CallError::from(RuntimeError::Evm(error));
    let mut results = Vec::with_capacity(tracer.parts.len());
    for part in &mut tracer.parts {
        let frame_gas = outermost_gas(part, done);
        let trace = part
            .inspector
            .get_result(place, transaction, &machine.ctx.block, done, database)
            .map_err(|error| failed(error.to_string()))?;
        let mut trace = serde_json::to_value(trace).map_err(|error| failed(error.to_string()))?;
        if let Some(gas) = frame_gas
            && let Some(shown) = trace.pointer_mut("/0/action/gas")
        {
            *shown = json!(U64::from(gas));
        }
        if !part.has_parity_words {
            word_as_geth(&part.inspector, &mut trace);
        }
        results.push(trace);
    }
    Ok(tracer.form.show(&mut results.into_iter()))
}

/// Gives the errors of a flat trace the words that geth's nested form has for them: the machine's has Parity's.
fn word_as_geth(inspector: &DebugInspector, trace: &mut Value) {
    let DebugInspector::FlatCallTracer(inner) = inspector else { return };
    // Calls are in the nodes' order; selfdestructs stand among them without a node of their own.
    let nodes = inner.traces().nodes().iter().filter(|node| !node.is_precompile());
    let calls = trace.as_array_mut().into_iter().flatten();
    for (call, node) in calls.filter(|call| call["type"] != "suicide").zip(nodes) {
        let error = node.geth_empty_call_frame(false).error;
        if let (Some(shown), Some(error)) = (call.get_mut("error"), error) {
            *shown = json!(error);
        }
    }
}

/// Settles which gas the outermost call of a flat trace shows. Geth: the transaction's limit and all that it used. Parity:
/// what was left for the frame, which is returned, and what the frame used.
fn outermost_gas(part: &mut Part, done: &ResultAndState) -> Option<u64> {
    let DebugInspector::FlatCallTracer(inner) = &mut part.inspector else { return None };
    if part.is_frame_gas {
        return inner.traces().nodes().first().map(|node| node.trace.gas_limit);
    }
    inner.set_transaction_gas_used(done.result.gas().tx_gas_used());
    None
}
