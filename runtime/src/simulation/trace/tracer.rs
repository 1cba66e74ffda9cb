//! What looks on: one of geth's tracers, or several at once, each within its share of what a trace may record.

use std::collections::BTreeSet;

use alloy_primitives::{Address, Log as EvmLog, U256};
use alloy_rpc_types_trace::geth::GethDebugTracingOptions;
use revm::{
    Inspector,
    context::ContextTr,
    handler::FrameResult,
    inspector::JournalExt,
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, FrameInput, InstructionResult,
        Interpreter,
    },
};
use revm_inspectors::tracing::{
    DebugInspector, DebugInspectorError, TraceLimits, types::CallTraceNode,
};
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

use super::{MAX_TRACE_BYTES, TraceError, meter::Meter};
use crate::native::Modules;

/// Geth's name for several tracers at once.
const MUX: &str = "muxTracer";
/// What can be asked for.
const TRACERS: &str = "callTracer, prestateTracer, 4byteTracer, flatCallTracer, erc7562Tracer, noopTracer, \
                       stateGasTracer, muxTracer of these, or none for the struct logger";
/// Tracers within one muxTracer, those of muxTracers in it too: each looks on at every step.
const MAX_TRACERS: usize = 16;

/// All that looks on at once.
pub(super) struct Tracer {
    pub(super) parts: Vec<Part>,
    pub(super) form: Form,
}

/// How the results of the parts are shown, in their order.
pub(super) enum Form {
    /// The next part's as it is.
    One,
    /// By names.
    Mux(Vec<(String, Form)>),
}

impl Form {
    /// What a muxTracer with a `config` shows; the parts that it takes are `asked` for by name and config.
    fn mux(config: Option<&Value>, asked: &mut Vec<(String, Value)>) -> Result<Self, TraceError> {
        let none = Map::new();
        let tracers = match config {
            None | Some(Value::Null) => &none,
            Some(Value::Object(tracers)) => tracers,
            Some(_) => return Err(invalid_config(MUX)),
        };
        let form = |(name, config): (&String, &Value)| match name.as_str() {
            "" => Err(unknown(name)),
            MUX => Ok((name.clone(), Self::mux(Some(config), asked)?)),
            _ => {
                asked.push((name.clone(), config.clone()));
                Ok((name.clone(), Self::One))
            }
        };
        tracers.iter().map(form).collect::<Result<_, _>>().map(Self::Mux)
    }

    /// Puts results together.
    pub(super) fn show(&self, results: &mut dyn Iterator<Item = Value>) -> Value {
        match self {
            Self::One => results.next().unwrap_or_default(),
            Self::Mux(forms) => {
                let named = forms.iter().map(|(name, form)| (name.clone(), form.show(results)));
                Value::Object(named.collect())
            }
        }
    }
}

/// One tracer.
pub(super) struct Part {
    pub(super) inspector: DebugInspector,
    /// Counts what recorded steps take, where steps are recorded.
    meter: Option<Meter>,
    /// Whether the outermost call shows the gas of its frame alone, as Parity has it, and not all of the transaction's, as
    /// geth has it.
    pub(super) is_frame_gas: bool,
    /// Whether errors have Parity's words, and not geth's.
    pub(super) has_parity_words: bool,
}

impl Tracer {
    /// The tracer that geth's `options` ask for.
    pub(super) fn new(options: &Value) -> Result<Self, TraceError> {
        let options = if options.is_null() { json!({}) } else { options.clone() };
        let name = options.get("tracer").and_then(Value::as_str).unwrap_or_default();
        if name != MUX {
            let part = Part::new(name, options.clone(), MAX_TRACE_BYTES)?;
            return Ok(Self { parts: vec![part], form: Form::One });
        }
        let mut asked = Vec::new();
        let form = Form::mux(options.get("tracerConfig"), &mut asked)?;
        if asked.len() > MAX_TRACERS {
            let text = format!("at most {MAX_TRACERS} tracers at once, not {}", asked.len());
            return Err(TraceError::Options(text));
        }
        let share = MAX_TRACE_BYTES.checked_div(asked.len()).unwrap_or(MAX_TRACE_BYTES);
        let part = |(name, config): &(String, Value)| {
            Part::new(name, json!({ "tracer": name, "tracerConfig": config }), share)
        };
        let parts = asked.iter().map(part).collect::<Result<_, _>>()?;
        Ok(Self { parts, form })
    }

    /// Whether something was not recorded for want of room.
    pub(super) fn is_exceeded(&self) -> bool {
        self.parts.iter().any(Part::is_exceeded)
    }

    /// Gives calls of native modules their place in flat traces, from which those of precompiles are left out.
    pub(super) fn show_modules(&mut self, modules: &dyn Modules) {
        for part in &mut self.parts {
            if let DebugInspector::FlatCallTracer(inner) = &mut part.inspector {
                show_modules_among(inner.traces_mut().nodes_mut(), modules);
            }
        }
    }

    /// Bytes that recorded steps take.
    pub(super) fn recorded(&self) -> usize {
        let meters = self.parts.iter().filter_map(|part| part.meter.as_ref());
        meters.fold(0, |sum, meter| sum.saturating_add(meter.bytes()))
    }
}

impl Part {
    fn new(name: &str, mut options: Value, share: usize) -> Result<Self, TraceError> {
        let parity_words = options.pointer("/tracerConfig/convertParityErrors");
        let has_parity_words = parity_words == Some(&Value::Bool(true));
        let config = options.get_mut("tracerConfig").and_then(Value::as_object_mut);
        let has_intrinsic = config.and_then(|config| config.remove("intrinsicGas"));
        let options = GethDebugTracingOptions::deserialize(options)
            .map_err(|error| TraceError::Options(format!("invalid tracer options: {error}")))?;
        let steps = options.config;
        let inspector = DebugInspector::new(options).map_err(|error| match error {
            DebugInspectorError::InvalidTracerConfig => invalid_config(name),
            _ => unknown(name),
        })?;
        let meter = match &inspector {
            DebugInspector::Default(..) => Some(Meter::of_struct_logs(&steps, share)),
            DebugInspector::Erc7562Tracer(..) => Some(Meter::of_stacks(share)),
            _ => None,
        };
        let is_frame_gas = has_intrinsic == Some(Value::Bool(false));
        let inspector = limited(inspector, share);
        Ok(Self { inspector, meter, is_frame_gas, has_parity_words })
    }

    fn is_exceeded(&self) -> bool {
        self.meter.as_ref().is_some_and(Meter::is_exceeded)
            || match &self.inspector {
                DebugInspector::CallTracer(inner, _)
                | DebugInspector::PreStateTracer(inner, _)
                | DebugInspector::FlatCallTracer(inner)
                | DebugInspector::Erc7562Tracer(inner, _)
                | DebugInspector::Default(inner, _) => inner.limit_exceeded(),
                _ => false,
            }
    }
}

fn show_modules_among(nodes: &mut [CallTraceNode], modules: &dyn Modules) {
    let mut shown = Vec::new();
    for node in nodes.iter_mut() {
        let is_hidden = node.trace.maybe_precompile == Some(true);
        if let Some(parent) = node.parent
            && is_hidden
            && modules.is_module(node.trace.address)
        {
            node.trace.maybe_precompile = Some(false);
            shown.push((parent, node.idx));
        }
    }
    for (parent, child) in &shown {
        if let Some(node) = nodes.get_mut(*parent) {
            node.children.push(*child);
        }
    }
    let parents: BTreeSet<usize> = shown.into_iter().map(|(parent, _)| parent).collect();
    for parent in parents {
        if let Some(node) = nodes.get_mut(parent) {
            // In the order of the calls, as nodes are numbered.
            node.children.sort_unstable();
        }
    }
}

fn invalid_config(name: &str) -> TraceError {
    TraceError::Options(format!("invalid tracerConfig of {name}"))
}

fn unknown(name: &str) -> TraceError {
    TraceError::Options(format!("tracer not found: {name:?} ({TRACERS})"))
}

/// The same tracer with a limit on the buffers that it copies.
fn limited(tracer: DebugInspector, share: usize) -> DebugInspector {
    let limits = TraceLimits::default().set_max_recorded_bytes(Some(share));
    match tracer {
        DebugInspector::CallTracer(inner, config) => {
            DebugInspector::CallTracer(inner.with_limits(limits), config)
        }
        DebugInspector::FlatCallTracer(inner) => {
            DebugInspector::FlatCallTracer(inner.with_limits(limits))
        }
        DebugInspector::Erc7562Tracer(inner, config) => {
            DebugInspector::Erc7562Tracer(inner.with_limits(limits), config)
        }
        DebugInspector::Default(inner, config) => {
            DebugInspector::Default(inner.with_limits(limits), config)
        }
        other => other,
    }
}

impl<C: ContextTr<Journal: JournalExt>> Inspector<C> for Tracer {
    fn initialize_interp(&mut self, interpreter: &mut Interpreter, context: &mut C) {
        for part in &mut self.parts {
            part.inspector.initialize_interp(interpreter, context);
        }
    }

    fn step(&mut self, interpreter: &mut Interpreter, context: &mut C) {
        for part in &mut self.parts {
            if let Some(meter) = &mut part.meter {
                meter.step(interpreter);
                if meter.is_exceeded() {
                    interpreter.halt(InstructionResult::MemoryLimitOOG);
                    return;
                }
            }
            part.inspector.step(interpreter, context);
        }
    }

    fn step_end(&mut self, interpreter: &mut Interpreter, context: &mut C) {
        if self.is_exceeded() {
            return;
        }
        for part in &mut self.parts {
            part.inspector.step_end(interpreter, context);
        }
    }

    fn log(&mut self, context: &mut C, log: EvmLog) {
        for part in &mut self.parts {
            part.inspector.log(context, log.clone());
        }
    }

    fn log_full(&mut self, interpreter: &mut Interpreter, context: &mut C, log: EvmLog) {
        for part in &mut self.parts {
            part.inspector.log_full(interpreter, context, log.clone());
        }
    }

    fn call(&mut self, context: &mut C, inputs: &mut CallInputs) -> Option<CallOutcome> {
        // Tracers look on; none of them answers a call.
        self.parts
            .iter_mut()
            .fold(None, |answer, part| answer.or(part.inspector.call(context, inputs)))
    }

    fn call_end(&mut self, context: &mut C, inputs: &CallInputs, outcome: &mut CallOutcome) {
        for part in &mut self.parts {
            part.inspector.call_end(context, inputs, outcome);
        }
    }

    fn create(&mut self, context: &mut C, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.parts
            .iter_mut()
            .fold(None, |answer, part| answer.or(part.inspector.create(context, inputs)))
    }

    fn create_end(&mut self, context: &mut C, inputs: &CreateInputs, outcome: &mut CreateOutcome) {
        for part in &mut self.parts {
            part.inspector.create_end(context, inputs, outcome);
        }
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        for part in &mut self.parts {
            Inspector::<C>::selfdestruct(&mut part.inspector, contract, target, value);
        }
    }

    fn frame_start(&mut self, context: &mut C, input: &mut FrameInput) -> Option<FrameResult> {
        self.parts
            .iter_mut()
            .fold(None, |answer, part| answer.or(part.inspector.frame_start(context, input)))
    }

    fn frame_end(&mut self, context: &mut C, input: &FrameInput, result: &mut FrameResult) {
        for part in &mut self.parts {
            part.inspector.frame_end(context, input, result);
        }
    }
}
