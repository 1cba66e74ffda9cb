//! Take a call apart and answer it: what every module's dispatch does alike.

use alloy_primitives::{Address, Bytes};
use alloy_sol_types::abi::AbiDecoderConfig;
use neura_types::{
    Amount, Log,
    abi::{SolCall, SolEvent, SolInterface},
    amount::AmountError,
};

use super::{
    code,
    host::{Call, Fault, Host},
};

/// Longest input of a call: several times the longest task. Bounds what decoding may touch.
pub const MAX_CALL_BYTES: usize = 16 << 10;
/// What decoding may allocate, in bytes: a few times the input, so that offsets that point at one text many times
/// do not multiply it.
const MAX_DECODED_BYTES: usize = 64 << 10;
/// Most entries that one view returns.
pub const MAX_PAGE: u64 = 100;

/// The function that is called, with its arguments.
pub(crate) fn decode<C: SolInterface>(call: &Call) -> Result<C, Fault> {
    if call.input.len() > MAX_CALL_BYTES {
        let message =
            format!("the call has {} bytes: at most {MAX_CALL_BYTES} are read", call.input.len());
        return Err(Fault::refused(code::CALL_TOO_LARGE, message));
    }
    let unknown = |what: String| Fault::refused(code::UNKNOWN_FUNCTION, what);
    let Some((selector, arguments)) = call.input.split_first_chunk::<4>() else {
        return Err(unknown("a module takes no plain transfers: call one of its functions".into()));
    };
    if !C::valid_selector(*selector) {
        return Err(unknown(format!(
            "no function of {} has the selector 0x{}: see runtime/contracts",
            C::NAME.trim_end_matches("Calls"),
            alloy_primitives::hex::encode(selector)
        )));
    }
    let config = AbiDecoderConfig::new().validate(true).memory_limit(MAX_DECODED_BYTES);
    C::abi_decode_raw_with_config(*selector, arguments, config)
        .map_err(|error| malformed(&error.to_string()))
}

/// A refusal of arguments that are no values of their types.
pub(crate) fn malformed(why: &str) -> Fault {
    Fault::refused(code::MALFORMED_CALL, format!("the arguments are not valid: {why}"))
}

/// Admits a view: it takes no coins.
pub(crate) fn view(call: &Call) -> Result<(), Fault> {
    if call.value == Amount::ZERO {
        return Ok(());
    }
    let message = format!("this function takes no coins, and {} were sent", call.value);
    Err(Fault::refused(code::NOT_PAYABLE, message))
}

/// Admits a write that takes no coins: not in a static call.
pub(crate) fn write(call: &Call) -> Result<(), Fault> {
    payable(call)?;
    view(call)
}

/// Admits a write that takes coins: not in a static call.
pub(crate) fn payable(call: &Call) -> Result<(), Fault> {
    if call.is_static { Err(Fault::ReadOnly) } else { Ok(()) }
}

/// The ABI encoding of a function's return value.
pub(crate) fn answer<C: SolCall>(value: &C::Return) -> Bytes {
    C::abi_encode_returns(value).into()
}

/// Admits the length of a page.
pub(crate) fn page(limit: u64) -> Result<(), Fault> {
    if limit <= MAX_PAGE {
        return Ok(());
    }
    let message = format!("{limit} entries asked for: one page holds at most {MAX_PAGE}");
    Err(Fault::refused(code::LIMIT_OUT_OF_BOUNDS, message))
}

/// Admits a text of at most `most` bytes.
pub(crate) fn text(field: &str, value: &str, most: usize) -> Result<(), Fault> {
    if value.len() <= most {
        return Ok(());
    }
    let message = format!("{field} has {} bytes: at most {most} are kept", value.len());
    Err(Fault::refused(code::TEXT_TOO_LONG, message))
}

/// Emits an event of a module.
pub(crate) fn emit<E: SolEvent>(
    host: &mut dyn Host,
    module: Address,
    event: &E,
) -> Result<(), Fault> {
    let (topics, data) = event.encode_log_data().split();
    host.emit(Log { address: module, topics, data })
}

/// An amount or count that cannot overflow unless a rule of the module is broken.
pub(crate) fn broken(why: &str) -> Fault {
    Fault::Fatal(format!("a module's invariant is broken: {why}"))
}

impl From<AmountError> for Fault {
    /// Sums of what the module holds stay below the supply, which fits: an overflow is a broken invariant.
    fn from(error: AmountError) -> Self {
        broken(&error.to_string())
    }
}
