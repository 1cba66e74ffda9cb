//! What the host offers, and safe ways to ask for it.

#[link(wasm_import_module = "vm_hooks")]
unsafe extern "C" {
    fn read_args(to: *mut u8);
    fn write_result(from: *const u8, length: usize);
    fn storage_load_bytes32(key: *const u8, to: *mut u8);
    fn storage_cache_bytes32(key: *const u8, value: *const u8);
    fn call_contract(
        to: *const u8,
        input: *const u8,
        length: usize,
        value: *const u8,
        gas: u64,
        returned: *mut usize,
    ) -> u32;
    fn static_call_contract(
        to: *const u8,
        input: *const u8,
        length: usize,
        gas: u64,
        returned: *mut usize,
    ) -> u32;
    fn read_return_data(to: *mut u8, offset: usize, size: usize) -> usize;
    fn emit_log(from: *const u8, length: usize, topics: usize);
    fn native_keccak256(from: *const u8, length: usize, to: *mut u8);
    fn block_number() -> u64;
    fn block_timestamp() -> u64;
    fn contract_address(to: *mut u8);
    fn msg_sender(to: *mut u8);
    fn msg_value(to: *mut u8);
    fn msg_reentrant() -> u32;
}

use alloc::{vec, vec::Vec};

use crate::word::{Address, Word};

// Each block below hands the host pointers to memory of the length that the hook reads or writes.

pub(crate) fn arguments(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    unsafe { read_args(bytes.as_mut_ptr()) };
    bytes
}

pub(crate) fn result(bytes: &[u8]) {
    unsafe { write_result(bytes.as_ptr(), bytes.len()) };
}

pub(crate) fn load(key: &Word) -> Word {
    let mut word = Word::ZERO;
    unsafe { storage_load_bytes32(key.0.as_ptr(), word.0.as_mut_ptr()) };
    word
}

pub(crate) fn store(key: &Word, value: &Word) {
    unsafe { storage_cache_bytes32(key.0.as_ptr(), value.0.as_ptr()) };
}

/// Calls with all gas there is (less a 64th); says whether it succeeded, and what it returned.
pub(crate) fn call(to: &Address, input: &[u8], value: Option<&Word>) -> (bool, Vec<u8>) {
    let mut length = 0;
    let (to, at) = (to.as_ptr(), input.as_ptr());
    let failed = match value {
        Some(value) => unsafe {
            call_contract(to, at, input.len(), value.0.as_ptr(), u64::MAX, &mut length)
        },
        None => unsafe { static_call_contract(to, at, input.len(), u64::MAX, &mut length) },
    };
    let mut data = vec![0; length];
    let read = unsafe { read_return_data(data.as_mut_ptr(), 0, length) };
    data.truncate(read);
    (failed == 0, data)
}

pub(crate) fn log(bytes: &[u8], topics: usize) {
    unsafe { emit_log(bytes.as_ptr(), bytes.len(), topics) };
}

pub(crate) fn hash(bytes: &[u8]) -> Word {
    let mut word = Word::ZERO;
    unsafe { native_keccak256(bytes.as_ptr(), bytes.len(), word.0.as_mut_ptr()) };
    word
}

pub(crate) fn number() -> u64 {
    unsafe { block_number() }
}

pub(crate) fn timestamp() -> u64 {
    unsafe { block_timestamp() }
}

pub(crate) fn own_address() -> Address {
    let mut address = [0; 20];
    unsafe { contract_address(address.as_mut_ptr()) };
    address
}

pub(crate) fn sender() -> Address {
    let mut address = [0; 20];
    unsafe { msg_sender(address.as_mut_ptr()) };
    address
}

pub(crate) fn value() -> Word {
    let mut word = Word::ZERO;
    unsafe { msg_value(word.0.as_mut_ptr()) };
    word
}

pub(crate) fn is_reentrant() -> bool {
    unsafe { msg_reentrant() != 0 }
}
