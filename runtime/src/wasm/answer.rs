//! Answer a contract's requests from the journal, at the EVM's prices: most are the EVM's own instructions.

use alloy_primitives::{Address, B256, Bytes, Log, LogData, U256};
use neura_wasm_host::{Answer, CallKind, CallRequest, CreateRequest, Request};
use revm::{
    context_interface::{CreateScheme, Host},
    interpreter::{
        CallInput, CallInputs, CallScheme, CallValue, CreateInputs, FrameInput, InstructionContext,
        InstructionExecResult, InstructionResult,
        instructions::{contract::load_acc_and_calc_gas, host},
    },
};

use super::{end::End, enter::Context};

/// What becomes of a request.
pub(super) enum Reply {
    /// It is answered.
    Now(Answer),
    /// Another frame has to run first.
    Later {
        /// That frame.
        frame: FrameInput,
        /// Whether it creates a contract.
        for_creation: bool,
    },
}

/// Takes gas from the frame.
pub(super) fn charge<C>(context: &mut Context<'_, C>, gas: u64) -> Result<(), End> {
    match context.interpreter.gas.record_regular_cost(gas) {
        true => Ok(()),
        false => Err(End::Halt(InstructionResult::OutOfGas)),
    }
}

/// Answers a request, or says which frame has to run for it.
pub(super) fn answer<C: Host>(
    context: &mut Context<'_, C>,
    request: Request,
) -> Result<Reply, End> {
    let word = |word: Option<U256>| Ok(Reply::Now(Answer::Word(word.unwrap_or_default())));
    match request {
        Request::Load(key) => word(execute(context, host::sload, &[key])?),
        Request::Store(key, value) => {
            // SSTORE has no price that is charged ahead of it.
            run(context, host::sstore, &[value, key])?;
            Ok(Reply::Now(Answer::Done))
        }
        Request::TransientLoad(key) => word(execute(context, host::tload, &[key])?),
        Request::TransientStore(key, value) => {
            execute(context, host::tstore, &[value, key])?;
            Ok(Reply::Now(Answer::Done))
        }
        Request::Balance(address) => word(execute(context, host::balance, &[of(address)])?),
        Request::CodeHash(address) => word(execute(context, host::extcodehash, &[of(address)])?),
        Request::CodeSize(address) => {
            let size = execute(context, host::extcodesize, &[of(address)])?.unwrap_or_default();
            Ok(Reply::Now(Answer::Size(size.saturating_to())))
        }
        Request::Code { address, offset, size } => code(context, address, (offset, size)),
        Request::Log(topics, data) => log(context, topics, data),
        Request::Call(request) => call(context, request),
        Request::Create(request) => create(context, request),
    }
}

fn of(address: Address) -> U256 {
    address.into_word().into()
}

/// An instruction of the EVM.
type Operation<C> = fn(Context<'_, C>) -> InstructionExecResult;

/// Executes an instruction that has the price of a warm access ahead of its own.
fn execute<C: Host>(
    context: &mut Context<'_, C>,
    operation: Operation<C>,
    operands: &[U256],
) -> Result<Option<U256>, End> {
    let warm = context.host.gas_params().warm_storage_read_cost();
    charge(context, warm)?;
    run(context, operation, operands)
}

/// Executes an instruction on operands, the last of which is on top, and takes its result.
fn run<C: Host>(
    context: &mut Context<'_, C>,
    operation: Operation<C>,
    operands: &[U256],
) -> Result<Option<U256>, End> {
    for operand in operands {
        if !context.interpreter.stack.push(*operand) {
            return Err(InstructionResult::StackOverflow.into());
        }
    }
    operation(again(context))?;
    Ok(context.interpreter.stack.pop().ok())
}

/// The same context for a function that takes it.
fn again<'a, C>(context: &'a mut Context<'_, C>) -> Context<'a, C> {
    InstructionContext { interpreter: &mut *context.interpreter, host: &mut *context.host }
}

fn code<C: Host>(
    context: &mut Context<'_, C>,
    address: Address,
    (offset, size): (u32, u32),
) -> Result<Reply, End> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    let params = context.host.gas_params();
    let price = params.extcodecopy(size).saturating_add(params.warm_storage_read_cost());
    let cold = params.cold_account_additional_cost();
    charge(context, price)?;
    let skip = context.interpreter.gas.remaining() < cold;
    let account = context.host.load_account_info_skip_cold_load(address, true, skip)?;
    let (is_cold, code) = (account.is_cold, account.code.clone().unwrap_or_default());
    if is_cold {
        charge(context, cold)?;
    }
    let code = code.original_bytes();
    let start = offset.min(code.len());
    let end = start.saturating_add(size).min(code.len());
    Ok(Reply::Now(Answer::Data(code.slice(start..end))))
}

fn check_writable<C>(context: &Context<'_, C>) -> Result<(), End> {
    match context.interpreter.runtime_flag.is_static {
        true => Err(InstructionResult::StateChangeDuringStaticCall.into()),
        false => Ok(()),
    }
}

fn log<C: Host>(
    context: &mut Context<'_, C>,
    topics: Vec<B256>,
    data: Bytes,
) -> Result<Reply, End> {
    check_writable(context)?;
    let count = u8::try_from(topics.len()).unwrap_or(u8::MAX);
    let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
    let price = context.host.gas_params().log_cost(count, length);
    charge(context, price)?;
    let address = context.interpreter.input.target_address;
    let data = LogData::new(topics, data).ok_or(End::trapped("a log has at most four topics"))?;
    context.host.log(Log { address, data });
    Ok(Reply::Now(Answer::Done))
}

fn call<C: Host>(context: &mut Context<'_, C>, request: CallRequest) -> Result<Reply, End> {
    let CallRequest { kind, to, value, input, gas } = request;
    let is_static = context.interpreter.runtime_flag.is_static;
    let has_value = !value.is_zero();
    if is_static && has_value {
        return Err(InstructionResult::CallNotAllowedInsideStatic.into());
    }
    let warm = context.host.gas_params().warm_storage_read_cost();
    charge(context, warm)?;
    let is_call = kind == CallKind::Call;
    let (gas_limit, bytecode, code_hash, charged_new_account_state_gas) =
        load_acc_and_calc_gas(&mut again(context), to, has_value, is_call, gas)?;
    let own = &context.interpreter.input;
    let (target_address, caller, value, scheme) = match kind {
        CallKind::Call => (to, own.target_address, CallValue::Transfer(value), CallScheme::Call),
        CallKind::Static => {
            (to, own.target_address, CallValue::Transfer(value), CallScheme::StaticCall)
        }
        CallKind::Delegate => {
            let value = CallValue::Apparent(own.call_value);
            (own.target_address, own.caller_address, value, CallScheme::DelegateCall)
        }
    };
    let inputs = CallInputs {
        input: CallInput::Bytes(input),
        gas_limit,
        target_address,
        caller,
        bytecode_address: to,
        known_bytecode: (code_hash, bytecode),
        value,
        scheme,
        is_static: is_static || kind == CallKind::Static,
        // The result is read from the buffer of returned data, not from the EVM's memory.
        return_memory_offset: 0..0,
        reservoir: context.interpreter.gas.reservoir(),
        charged_new_account_state_gas,
    };
    Ok(Reply::Later { frame: FrameInput::Call(Box::new(inputs)), for_creation: false })
}

fn create<C: Host>(context: &mut Context<'_, C>, request: CreateRequest) -> Result<Reply, End> {
    check_writable(context)?;
    let CreateRequest { init_code, value, salt } = request;
    let length = init_code.len();
    if length > context.host.max_initcode_size() {
        return Err(InstructionResult::CreateInitCodeSizeLimit.into());
    }
    let params = context.host.gas_params();
    let (scheme, price) = match salt {
        Some(salt) => (CreateScheme::Create2 { salt }, params.create2_cost(length)),
        None => (CreateScheme::Create, params.create_cost()),
    };
    let price = price.saturating_add(params.initcode_cost(length));
    charge(context, price)?;
    let left = context.interpreter.gas.remaining();
    let gas_limit = context.host.gas_params().call_stipend_reduction(left);
    charge(context, gas_limit)?;
    let caller = context.interpreter.input.target_address;
    let reservoir = context.interpreter.gas.reservoir();
    let inputs = CreateInputs::new(caller, scheme, value, init_code, gas_limit, reservoir);
    Ok(Reply::Later { frame: FrameInput::Create(Box::new(inputs)), for_creation: true })
}
