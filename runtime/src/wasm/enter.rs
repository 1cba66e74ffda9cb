//! The instruction that runs a module, and RETURN, which keeps other code from looking like one.

use alloy_primitives::{Address, B256, Bytes, keccak256};
use neura_wasm_abi::{CODE_PREFIX, InitCode, limits};
use neura_wasm_host::{
    Answer, Call, ENTRY_GAS, Frame, LOAD_BYTE_GAS, Outcome, PAGE_GAS, Scene, Step, WORD_GAS,
};
use revm::{
    context_interface::{Cfg, ContextTr, Host},
    interpreter::{
        InstructionContext, InstructionExecResult, InstructionResult, InterpreterAction,
        instructions::control,
        interpreter::EthInterpreter,
        interpreter_types::{Jumps, LoopControl, ReturnData},
    },
};

use super::{
    answer::{Reply, answer, charge},
    end::End,
    local::{ChainLocal, Waiting},
};
use crate::evm::per_word;

/// The EVM's frame and everything around it.
pub(super) type Context<'a, C> = InstructionContext<'a, C, EthInterpreter>;

/// A run that has begun or goes on.
struct Run {
    frame: Frame,
    step: Step,
    code: Option<Bytes>,
}

/// Runs the module that the frame's code holds, or goes on with it after a call.
pub(super) fn run<C: ContextTr<Local = ChainLocal> + Host>(
    mut context: Context<'_, C>,
) -> InstructionExecResult {
    let code = context.interpreter.bytecode.original_bytes();
    // The instruction before this one is none: 0xEF has a meaning at the start of code only.
    if context.interpreter.bytecode.pc() != 1 || !code.starts_with(&CODE_PREFIX) {
        return Err(InstructionResult::OpcodeNotFound);
    }
    let begun = match resumed(&mut context) {
        Some(run) => Ok(run),
        None => begin(&mut context, &code),
    };
    let (Ok(end) | Err(end)) = begun.and_then(|run| go_on(&mut context, run));
    let interpreter = &mut *context.interpreter;
    match end {
        End::Halt(result) => Err(result),
        End::Returned(result, output) => {
            let action = InterpreterAction::new_return(result, output, interpreter.gas);
            interpreter.bytecode.set_action(action);
            Err(result)
        }
        End::Waits(frame) => {
            // Back onto this instruction, which the frame executes again when the inner one has ended.
            interpreter.bytecode.relative_jump(-1);
            interpreter.bytecode.set_action(InterpreterAction::NewFrame(frame));
            Err(InstructionResult::Suspend)
        }
    }
}

/// RETURN, with the rule of EIP-3541 for code that a creation returns.
pub(super) fn ret<C: Host>(context: Context<'_, C>) -> InstructionExecResult {
    let InstructionContext { interpreter, host } = context;
    let is_creation = interpreter.input.bytecode_address.is_none();
    let result = control::ret(InstructionContext { interpreter: &mut *interpreter, host });
    let [reserved, ..] = CODE_PREFIX;
    if is_creation
        && let Some(InterpreterAction::Return(returned)) = interpreter.bytecode.action()
        && returned.output.first() == Some(&reserved)
    {
        returned.result = InstructionResult::CreateContractStartingWithEF;
        returned.output = Bytes::new();
        return Err(InstructionResult::CreateContractStartingWithEF);
    }
    result
}

/// What a frame runs.
struct Loading {
    code_hash: B256,
    wasm: Bytes,
    arguments: Bytes,
    /// The code to store, if this is a creation.
    stored: Option<Bytes>,
}

/// The run that waited for the call which has just returned to this frame.
fn resumed<C: ContextTr<Local = ChainLocal>>(context: &mut Context<'_, C>) -> Option<Run> {
    // A frame begins with an empty stack; a call's result lies on it.
    let result = context.interpreter.stack.pop().ok()?;
    let depth = context.interpreter.input.depth;
    let data = context.interpreter.return_data.buffer().clone();
    let waiting = context.host.local_mut().waiting.pop().filter(|last| last.depth == depth)?;
    let Waiting { mut frame, for_creation, code, .. } = waiting;
    let answer = if for_creation {
        let address = (!result.is_zero()).then(|| Address::from_word(B256::from(result)));
        Answer::Created { address, data }
    } else {
        Answer::Called { success: !result.is_zero(), data }
    };
    let step = frame.resume(answer, context.interpreter.gas.remaining());
    Some(Run { frame, step, code })
}

/// Takes init code apart.
fn creation(code: &Bytes, most: usize) -> Result<Loading, End> {
    let parts = match InitCode::split(code) {
        Some(Ok(parts)) => parts,
        Some(Err(error)) => return Err(End::refused(error.to_string())),
        None => return Err(InstructionResult::OpcodeNotFound.into()),
    };
    let stored: Bytes = [&CODE_PREFIX, parts.module].concat().into();
    if stored.len() > most {
        let found = stored.len();
        return Err(End::refused(format!("code has {found} bytes, at most {most} are allowed")));
    }
    Ok(Loading {
        code_hash: keccak256(&stored),
        wasm: stored.slice(CODE_PREFIX.len()..),
        arguments: code.slice_ref(parts.arguments),
        stored: Some(stored),
    })
}

/// Loads the module and begins to run it.
fn begin<C: ContextTr<Local = ChainLocal> + Host>(
    context: &mut Context<'_, C>,
    code: &Bytes,
) -> Result<Run, End> {
    charge(context, ENTRY_GAS)?;
    let is_creation = context.interpreter.input.bytecode_address.is_none();
    let loading = if is_creation {
        creation(code, context.host.cfg().max_code_size())?
    } else {
        // Paid before it is copied: a caller's memory may be large, and calling again costs it next to nothing.
        let length = context.interpreter.input.input.len();
        charge(context, per_word(length, WORD_GAS))?;
        Loading {
            code_hash: context.interpreter.bytecode.get_or_calculate_hash(),
            wasm: code.slice(CODE_PREFIX.len()..),
            arguments: context.interpreter.input.input.bytes(&*context.host),
            stored: None,
        }
    };
    let Loading { code_hash, wasm, arguments, stored } = loading;
    if context.host.local_mut().is_first(code_hash) {
        let bytes = u64::try_from(wasm.len()).unwrap_or(u64::MAX);
        charge(context, bytes.saturating_mul(LOAD_BYTE_GAS))?;
    }
    let module = context.host.local_mut().module(code_hash, &wasm)?;
    charge(context, u64::from(module.pages()).saturating_mul(PAGE_GAS))?;
    let is_construction = is_creation && module.has_constructor();
    let value = context.interpreter.input.call_value;
    let is_idle = is_creation && !is_construction;
    if is_idle && !(arguments.is_empty() && value.is_zero()) {
        let text = "there is no user_constructor to take arguments or value";
        return Err(End::refused(text.to_owned()));
    }
    let scene = scene(&*context.host);
    let contract = context.interpreter.input.target_address;
    let caller = context.interpreter.input.caller_address;
    let local = context.host.local_mut();
    let is_reentrant = local.waiting.iter().any(|waiting| waiting.contract == contract);
    let call = Call { contract, caller, value, input: arguments, is_reentrant, is_construction };
    let pages = limits::MAX_OPEN_PAGES.saturating_sub(local.open_pages());
    let mut frame = local.host()?.frame(&module, call, scene, pages)?;
    if is_idle {
        return Err(End::Returned(InstructionResult::Return, stored.unwrap_or_default()));
    }
    let step = frame.start(context.interpreter.gas.remaining());
    Ok(Run { frame, step, code: stored })
}

fn scene<C: Host>(host: &C) -> Scene {
    Scene {
        chain_id: host.chain_id().saturating_to(),
        number: host.block_number().saturating_to(),
        timestamp: host.timestamp().saturating_to(),
        gas_limit: host.gas_limit().saturating_to(),
        coinbase: host.beneficiary(),
        base_fee: host.basefee(),
        randomness: host.prevrandao().unwrap_or_default().into(),
        gas_price: host.effective_gas_price(),
        origin: host.caller(),
    }
}

/// Answers the run's requests until it ends or waits for another frame.
fn go_on<C: ContextTr<Local = ChainLocal> + Host>(
    context: &mut Context<'_, C>,
    run: Run,
) -> Result<End, End> {
    let Run { mut frame, mut step, code } = run;
    loop {
        let used = context.interpreter.gas.remaining().saturating_sub(step.gas);
        charge(context, used)?;
        let request = match step.outcome {
            Outcome::Asks(request) => request,
            Outcome::OutOfGas => return Ok(InstructionResult::OutOfGas.into()),
            Outcome::Trapped(text) => return Ok(End::trapped(text)),
            Outcome::Ended { success: true, output } => {
                let output = code.unwrap_or(output);
                return Ok(End::Returned(InstructionResult::Return, output));
            }
            Outcome::Ended { success: false, output } => {
                return Ok(End::Returned(InstructionResult::Revert, output));
            }
        };
        match answer(context, request)? {
            Reply::Now(answer) => {
                step = frame.resume(answer, context.interpreter.gas.remaining());
            }
            Reply::Later { frame: input, for_creation } => {
                let depth = context.interpreter.input.depth;
                let contract = context.interpreter.input.target_address;
                let waiting = Waiting { depth, contract, frame, for_creation, code };
                context.host.local_mut().waiting.push(waiting);
                return Ok(End::Waits(input));
            }
        }
    }
}
