//! Read why a call was reverted, and write it for those who read.

#[cfg(test)]
mod tests;

use alloy_primitives::Bytes;
use alloy_sol_types::{Panic, Revert, SolError};

use crate::modules::host::Refusal;

/// Why a call was reverted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevertReason {
    /// The stable code, if a native module refused the call.
    pub code: Option<String>,
    /// The whole text, the code included.
    pub message: String,
}

/// Revert data of a module's refusal: `Error(string)` with `code: sentence`.
pub(crate) fn refusal_data(refusal: &Refusal) -> Bytes {
    Revert::from(refusal.to_string()).abi_encode().into()
}

/// Reads `Error(string)` and `Panic(uint256)`; none for anything else, such as a contract's own error type.
pub fn revert_reason(data: &[u8]) -> Option<RevertReason> {
    if let Ok(Revert { reason }) = Revert::abi_decode(data) {
        return Some(RevertReason { code: code_of(&reason), message: reason });
    }
    let panic = Panic::abi_decode(data).ok()?;
    let message = u64::try_from(panic.code)
        .ok()
        .and_then(panic_text)
        .map_or_else(|| format!("unknown panic code: {:#x}", panic.code), str::to_owned);
    Some(RevertReason { code: None, message })
}

/// The `snake_case` word before the first colon, as modules write it.
fn code_of(reason: &str) -> Option<String> {
    let (code, _) = reason.split_once(": ")?;
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (!code.is_empty() && code.bytes().all(word)).then(|| code.to_owned())
}

/// geth's texts for Solidity's panic codes.
fn panic_text(code: u64) -> Option<&'static str> {
    Some(match code {
        0x00 => "generic panic",
        0x01 => "assert(false)",
        0x11 => "arithmetic underflow or overflow",
        0x12 => "division or modulo by zero",
        0x21 => "enum overflow",
        0x22 => "invalid encoded storage byte array accessed",
        0x31 => "out-of-bounds array access; popping on an empty array",
        0x32 => "out-of-bounds access of an array or bytesN",
        0x41 => "out of memory",
        0x51 => "uninitialized function",
        _ => return None,
    })
}
