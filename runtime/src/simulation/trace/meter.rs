//! Count what recorded steps take: their stacks, memory, storage and return data grow fast, in what is recorded and in
//! what is answered.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, U256};
use alloy_rpc_types_trace::geth::GethDefaultTracingOptions;
use revm::{
    bytecode::opcode::{SLOAD, SSTORE},
    interpreter::{
        Interpreter,
        interpreter_types::{InputsTr, Jumps, ReturnData},
    },
};

/// What a recorded step takes without its stack and memory, in bytes.
const STEP_BYTES: usize = 256;
/// Bytes of a word on the stack.
const WORD_BYTES: usize = 32;

/// What is recorded with each step.
#[derive(Debug, Clone, Copy)]
struct Recorded {
    stack: bool,
    memory: bool,
    return_data: bool,
    storage: bool,
}

/// Counts the steps of one tracer.
#[derive(Debug)]
pub(super) struct Meter {
    recorded: Recorded,
    /// Steps that are recorded yet; none for all.
    left: Option<u64>,
    /// Words of storage touched so far: each step at the storage repeats those of its contract.
    touched: BTreeMap<Address, BTreeSet<U256>>,
    bytes: usize,
    limit: usize,
}

impl Meter {
    /// For the struct logger. With a limit of steps only these count, as no others are kept.
    pub(super) fn of_struct_logs(options: &GethDefaultTracingOptions, limit: usize) -> Self {
        let recorded = Recorded {
            stack: !options.disable_stack.unwrap_or_default(),
            memory: options.is_memory_enabled(),
            return_data: options.is_return_data_enabled(),
            storage: !options.disable_storage.unwrap_or_default(),
        };
        let left = options.limit.filter(|steps| *steps > 0);
        Self { recorded, left, touched: BTreeMap::new(), bytes: 0, limit }
    }

    /// For a tracer that keeps the stack of each step until it has judged them; memory, which steps share, it counts
    /// itself.
    pub(super) fn of_stacks(limit: usize) -> Self {
        let recorded = Recorded { stack: true, memory: false, return_data: false, storage: false };
        Self { recorded, left: None, touched: BTreeMap::new(), bytes: 0, limit }
    }

    /// Bytes so far.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_exceeded(&self) -> bool {
        self.bytes > self.limit
    }

    /// Counts the step that is about to be recorded.
    pub(super) fn step(&mut self, interpreter: &Interpreter) {
        if let Some(left) = &mut self.left {
            let Some(rest) = left.checked_sub(1) else { return };
            *left = rest;
        }
        let Recorded { stack, memory, return_data, storage } = self.recorded;
        let words = if stack { interpreter.stack.len() } else { 0 };
        let words = words.saturating_add(if storage { self.words(interpreter) } else { 0 });
        let memory = if memory { interpreter.memory.len() } else { 0 };
        let returned = if return_data { interpreter.return_data.buffer().len() } else { 0 };
        let step = words.saturating_mul(WORD_BYTES).saturating_add(memory).saturating_add(returned);
        self.bytes = self.bytes.saturating_add(step).saturating_add(STEP_BYTES);
    }

    /// Words of storage, names and values, that the step shows.
    fn words(&mut self, interpreter: &Interpreter) -> usize {
        if !matches!(interpreter.bytecode.opcode(), SLOAD | SSTORE) {
            return 0;
        }
        let Some(slot) = interpreter.stack.data().last() else { return 0 };
        let touched = self.touched.entry(interpreter.input.target_address()).or_default();
        touched.insert(*slot);
        touched.len().saturating_mul(2)
    }
}
