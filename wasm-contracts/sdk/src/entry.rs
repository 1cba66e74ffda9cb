//! Where a contract is entered, and how it refuses.

use alloc::vec::Vec;

use crate::{
    abi::{Malformed, Reader, Writer},
    calls::Failed,
    hooks,
};

/// A call is taken back.
#[derive(Clone)]
pub struct Refusal(Vec<u8>);

impl Refusal {
    /// With Solidity's `Error(string)` of `code: sentence`, as native modules refuse. Both are joined into one text.
    pub fn new(code: &str, sentence: &str) -> Self {
        let mut text = Vec::with_capacity(code.len() + 2 + sentence.len());
        text.extend_from_slice(code.as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(sentence.as_bytes());
        const ERROR: [u8; 4] = neura_wasm_abi::selector("Error(string)");
        Self(Writer::call(ERROR).tail(1, &text).done())
    }
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Self {
        Self::new("malformed", "a value is missing, too large or no address")
    }
}

/// What another contract refused with is passed on.
impl From<Failed> for Refusal {
    fn from(Failed(data): Failed) -> Self {
        Self(data)
    }
}

/// Runs a handler on the arguments and hands its result to the host; for [`entrypoint!`](crate::entrypoint).
pub fn run(length: usize, handle: fn(&[u8]) -> Result<Vec<u8>, Refusal>) -> usize {
    let (status, data) = match handle(&hooks::arguments(length)) {
        Ok(data) => (0, data),
        Err(Refusal(data)) => (1, data),
    };
    hooks::result(&data);
    status
}

/// Takes arguments apart into selector and values; a plain transfer has selector zero.
pub fn split(arguments: &[u8]) -> ([u8; 4], Reader<'_>) {
    match arguments.split_first_chunk() {
        Some((selector, rest)) => (*selector, Reader::new(rest)),
        None => ([0; 4], Reader::new(&[])),
    }
}

/// Exports a contract: `entrypoint!(call)` or `entrypoint!(call, constructor)`, where `call` takes a selector and a
/// [`Reader`] of the arguments, `constructor` a [`Reader`]; both return a result and may refuse.
#[macro_export]
macro_rules! entrypoint {
    ($call:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn user_entrypoint(length: usize) -> usize {
            $crate::run(length, |arguments| {
                let (selector, values) = $crate::split(arguments);
                $call(selector, values)
            })
        }
    };
    ($call:path, $constructor:path) => {
        $crate::entrypoint!($call);

        #[unsafe(no_mangle)]
        extern "C" fn user_constructor(length: usize) -> usize {
            $crate::run(length, |arguments| $constructor($crate::Reader::new(arguments)))
        }
    };
}
