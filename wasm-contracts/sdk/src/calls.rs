//! Call other contracts.

use alloc::vec::Vec;

use crate::{
    hooks,
    word::{Address, Word},
};

/// A call was taken back, with this data.
#[derive(Clone, PartialEq, Eq)]
pub struct Failed(pub Vec<u8>);

fn outcome((success, data): (bool, Vec<u8>)) -> Result<Vec<u8>, Failed> {
    if success { Ok(data) } else { Err(Failed(data)) }
}

/// Calls a contract with `value` wei.
pub fn call(to: Address, value: u128, input: &[u8]) -> Result<Vec<u8>, Failed> {
    outcome(hooks::call(&to, input, Some(&Word::number(value))))
}

/// Calls a contract that may change nothing.
pub fn view(to: Address, input: &[u8]) -> Result<Vec<u8>, Failed> {
    outcome(hooks::call(&to, input, None))
}

/// Sends `value` wei. The receiver's code runs: finish your own books first.
pub fn pay(to: Address, value: u128) -> Result<(), Failed> {
    call(to, value, &[]).map(drop)
}
