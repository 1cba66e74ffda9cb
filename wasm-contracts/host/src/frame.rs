//! One running call of a contract.

use alloy_primitives::{Address, B256, Bytes, U256};
use neura_wasm_abi::{CONSTRUCTOR, ENTRYPOINT, MEMORY};
use wasmi::{
    Engine, Error, Extern, Func, Linker, Memory, ResumableCall, ResumableCallHostTrap, Store,
    StoreLimits, TrapCode, Val,
};

use crate::{
    engine::Module,
    hooks::{Pause, Place},
    price::FUEL_PER_GAS,
    request::{Answer, Request},
    validate::Refused,
};

/// Who calls whom with what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// The account that the code acts for.
    pub contract: Address,
    /// The caller.
    pub caller: Address,
    /// Coins sent along, in wei.
    pub value: U256,
    /// Arguments.
    pub input: Bytes,
    /// Whether the contract has another call open further out.
    pub is_reentrant: bool,
    /// Whether this is the call of the constructor.
    pub is_construction: bool,
}

/// Block and transaction that a call is part of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scene {
    /// Number of the chain.
    pub chain_id: u64,
    /// Height of the block.
    pub number: u64,
    /// Time of the block, in seconds since 1970.
    pub timestamp: u64,
    /// Gas limit of the block.
    pub gas_limit: u64,
    /// Proposer of the block.
    pub coinbase: Address,
    /// Least price of gas in this block, in wei.
    pub base_fee: U256,
    /// The block's randomness.
    pub randomness: B256,
    /// Price of gas that the transaction pays, in wei.
    pub gas_price: U256,
    /// Who signed the transaction.
    pub origin: Address,
}

/// How far a frame came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It needs the chain: continue it with the answer.
    Asks(Request),
    /// It has ended.
    Ended {
        /// Whether its effects stay.
        success: bool,
        /// What it returns.
        output: Bytes,
    },
    /// Its gas did not suffice.
    OutOfGas,
    /// It did what no contract may; the text says what.
    Trapped(&'static str),
}

/// An outcome and the gas that is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// How far the frame came.
    pub outcome: Outcome,
    /// Gas that is left of what was handed in.
    pub gas: u64,
}

/// What hooks see.
pub(crate) struct State {
    pub(crate) call: Call,
    pub(crate) scene: Scene,
    pub(crate) memory: Option<Memory>,
    pub(crate) output: Bytes,
    pub(crate) return_data: Bytes,
    bounds: StoreLimits,
}

impl State {
    pub(crate) fn new(call: Call, scene: Scene, bounds: StoreLimits) -> Self {
        let (output, return_data) = (Bytes::new(), Bytes::new());
        Self { call, scene, memory: None, output, return_data, bounds }
    }
}

/// Where a frame stands.
enum Progress {
    Ready(Func),
    Waiting(ResumableCallHostTrap, Place),
    Over,
}

/// A call of a contract that has not ended yet.
pub struct Frame {
    store: Store<State>,
    progress: Progress,
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame").field("call", &self.store.data().call).finish_non_exhaustive()
    }
}

impl Frame {
    pub(crate) fn new(
        engine: &Engine,
        linker: &Linker<State>,
        module: &Module,
        state: State,
    ) -> Result<Self, Refused> {
        let name = if state.call.is_construction { CONSTRUCTOR } else { ENTRYPOINT };
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.bounds);
        let instance = linker
            .instantiate_and_start(&mut store, &module.inner)
            .map_err(|error| Refused::Instance(error.to_string()))?;
        let memory = instance.get_export(&store, MEMORY).and_then(Extern::into_memory);
        store.data_mut().memory = Some(memory.ok_or(Refused::Export(MEMORY))?);
        let entry = instance.get_func(&store, name).ok_or(Refused::Export(ENTRYPOINT))?;
        Ok(Self { store, progress: Progress::Ready(entry) })
    }

    /// Pages of memory that it holds now.
    pub fn pages(&self) -> u32 {
        let memory = self.store.data().memory;
        let pages = memory.map_or(0, |memory| memory.size(&self.store));
        u32::try_from(pages).unwrap_or(u32::MAX)
    }

    /// Begins the call with `gas`.
    pub fn start(&mut self, gas: u64) -> Step {
        let Progress::Ready(entry) = std::mem::replace(&mut self.progress, Progress::Over) else {
            return self.over(gas);
        };
        let length = Val::I32(self.store.data().call.input.len().try_into().unwrap_or(i32::MAX));
        self.run(gas, |store, outputs| entry.call_resumable(store, &[length], outputs))
    }

    /// Continues the call with the answer to its request and the `gas` that is left after it.
    pub fn resume(&mut self, answer: Answer, gas: u64) -> Step {
        let progress = std::mem::replace(&mut self.progress, Progress::Over);
        let Progress::Waiting(call, place) = progress else {
            return self.over(gas);
        };
        match place.put(&mut self.store, answer) {
            Ok(value) => {
                self.run(gas, |store, outputs| call.resume(store, value.as_slice(), outputs))
            }
            Err(pause) => self.paused(pause, gas),
        }
    }

    fn over(&self, gas: u64) -> Step {
        Step { outcome: Outcome::Trapped("it has ended already"), gas }
    }

    fn run(
        &mut self,
        gas: u64,
        go: impl FnOnce(&mut Store<State>, &mut [Val]) -> Result<ResumableCall, Error>,
    ) -> Step {
        // Gas beyond what fuel can count is never used up within a block.
        let lent = gas.saturating_mul(FUEL_PER_GAS);
        if self.store.set_fuel(lent).is_err() {
            return Step { outcome: Outcome::Trapped("there is no meter"), gas };
        }
        let mut status = [Val::I32(0)];
        let result = go(&mut self.store, &mut status);
        let used = lent.saturating_sub(self.store.get_fuel().unwrap_or(0)).div_ceil(FUEL_PER_GAS);
        let left = gas.saturating_sub(used);
        match result {
            Ok(ResumableCall::Finished) => self.end(matches!(status, [Val::I32(0)]), left),
            Ok(ResumableCall::OutOfFuel(_)) => Step { outcome: Outcome::OutOfGas, gas: 0 },
            Ok(ResumableCall::HostTrap(call)) => match call.host_error().downcast_ref::<Pause>() {
                Some(Pause::Ask(request, place)) => {
                    let (request, place) = (request.clone(), *place);
                    self.progress = Progress::Waiting(call, place);
                    Step { outcome: Outcome::Asks(request), gas: left }
                }
                Some(pause) => self.paused(pause.clone(), left),
                None => self.failed(call.host_error(), left),
            },
            Err(error) => self.failed(&error, left),
        }
    }

    fn paused(&mut self, pause: Pause, gas: u64) -> Step {
        match pause {
            Pause::Exit(success) => self.end(success, gas),
            Pause::OutOfGas => Step { outcome: Outcome::OutOfGas, gas: 0 },
            Pause::Fault(text) => Step { outcome: Outcome::Trapped(text), gas },
            Pause::Ask(..) => Step { outcome: Outcome::Trapped("it asks twice"), gas },
        }
    }

    fn end(&mut self, success: bool, gas: u64) -> Step {
        let output = std::mem::take(&mut self.store.data_mut().output);
        Step { outcome: Outcome::Ended { success, output }, gas }
    }

    fn failed(&self, error: &Error, gas: u64) -> Step {
        match error.as_trap_code() {
            Some(TrapCode::OutOfFuel) => Step { outcome: Outcome::OutOfGas, gas: 0 },
            trap => Step { outcome: Outcome::Trapped(text_of(trap)), gas },
        }
    }
}

/// Our own words for traps: they are part of receipts, and must not change with the interpreter's version.
fn text_of(trap: Option<TrapCode>) -> &'static str {
    match trap {
        Some(TrapCode::UnreachableCodeReached) => "unreachable code (a panic)",
        Some(TrapCode::MemoryOutOfBounds) => "memory out of bounds",
        Some(TrapCode::TableOutOfBounds) => "table out of bounds",
        Some(TrapCode::IndirectCallToNull) => "indirect call to nothing",
        Some(TrapCode::IntegerDivisionByZero) => "division by zero",
        Some(TrapCode::IntegerOverflow) => "integer overflow",
        Some(TrapCode::BadConversionToInteger) => "bad conversion to integer",
        Some(TrapCode::StackOverflow) => "stack overflow",
        Some(TrapCode::BadSignature) => "indirect call of another type",
        Some(TrapCode::GrowthOperationLimited) => "memory limit",
        _ => "the interpreter refused",
    }
}
