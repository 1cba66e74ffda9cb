//! What running costs, in gas.

/// Instructions that one gas buys.
pub const FUEL_PER_GAS: u64 = 4;
/// Entering a contract: its instance, its tables, its stack.
pub const ENTRY_GAS: u64 = 700;
/// Each byte of a module when a transaction first calls it: it is judged and translated.
pub const LOAD_BYTE_GAS: u64 = 6;
/// Each page of memory that a contract begins with.
pub const PAGE_GAS: u64 = 1_000;
/// Bytes that one fuel copies, fills or adds to a memory: a page grown costs about [`PAGE_GAS`].
pub(crate) const BYTES_PER_FUEL: u32 = 16;
/// Each word that passes between a contract and its host.
pub const WORD_GAS: u64 = 3;
/// A hash, as the EVM's KECCAK256.
pub const HASH_GAS: u64 = 30;
/// Each word hashed, as the EVM's KECCAK256.
pub const HASH_WORD_GAS: u64 = 6;

/// `gas` for each started word of `bytes`.
pub(crate) fn per_word(bytes: u32, gas: u64) -> u64 {
    u64::from(bytes.div_ceil(32)).saturating_mul(gas)
}
