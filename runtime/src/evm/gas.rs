//! Price what a native module does, as the EVM prices the same work of a contract.
//!
//! Equal prices keep a module from being a cheaper door to the same disk, and let one block gas limit bound both.

/// A word or an account that the transaction touched before (EIP-2929).
pub const WARM_GAS: u64 = 100;
/// What the first read of a word costs on top of [`WARM_GAS`]: a lookup in the store (EIP-2929).
pub const COLD_WORD_GAS: u64 = 2_000;
/// What the first read of an account costs on top of [`WARM_GAS`]: a lookup in the store (EIP-2929).
pub const COLD_ACCOUNT_GAS: u64 = 2_500;
/// A word that was zero before the transaction: the state grows by it (EIP-2200).
pub const WORD_CREATED_GAS: u64 = 20_000;
/// A word that had a value before the transaction (EIP-2200, less the cold read that is charged apart).
pub const WORD_CHANGED_GAS: u64 = 2_900;
/// Moving coins: what CALL adds for a value. It covers the lookups of both accounts.
pub const TRANSFER_GAS: u64 = 9_000;
/// Moving coins to an account that does not exist: the state grows by it.
pub const NEW_ACCOUNT_GAS: u64 = 25_000;
/// An event, before its topics and data.
pub const LOG_GAS: u64 = 375;
/// Each topic of an event.
pub const LOG_TOPIC_GAS: u64 = 375;
/// Each byte of an event's data.
pub const LOG_BYTE_GAS: u64 = 8;
/// Entering a module: routing and bookkeeping, a little more than the cheapest precompile of Ethereum.
pub const MODULE_CALL_GAS: u64 = 200;
/// Each word of input: it is copied, decoded and checked; twice the price of hashing it.
pub const MODULE_INPUT_WORD_GAS: u64 = 12;
/// Each word of output: copied as by the identity precompile.
pub const MODULE_OUTPUT_WORD_GAS: u64 = 3;

/// Bytes of a word.
const WORD_BYTES: u64 = 32;

/// Price of `bytes` at `gas` per started word; the highest number where it would overflow.
pub(crate) fn per_word(bytes: usize, gas: u64) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX).div_ceil(WORD_BYTES).saturating_mul(gas)
}

/// Price of an event.
pub(crate) fn of_log(topics: usize, bytes: usize) -> u64 {
    let topics = u64::try_from(topics).unwrap_or(u64::MAX).saturating_mul(LOG_TOPIC_GAS);
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(LOG_BYTE_GAS);
    LOG_GAS.saturating_add(topics).saturating_add(bytes)
}
