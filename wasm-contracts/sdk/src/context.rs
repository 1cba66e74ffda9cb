//! Who calls, when, and what others shall know of it.

use alloc::vec::Vec;

use crate::{
    abi::Malformed,
    hooks,
    word::{Address, Word},
};

/// The call.
pub mod message {
    use super::{Address, Malformed, hooks};

    /// The caller.
    pub fn sender() -> Address {
        hooks::sender()
    }

    /// Coins sent along, in wei.
    pub fn value() -> Result<u128, Malformed> {
        hooks::value().as_u128()
    }

    /// Whether this contract has another call open further out.
    pub fn is_reentrant() -> bool {
        hooks::is_reentrant()
    }
}

/// The block.
pub mod block {
    use super::hooks;

    /// Its height.
    pub fn number() -> u64 {
        hooks::number()
    }

    /// Its time, in seconds since 1970.
    pub fn timestamp() -> u64 {
        hooks::timestamp()
    }
}

/// This contract's address.
pub fn own_address() -> Address {
    hooks::own_address()
}

/// Emits an event: up to four topics, the first of which is the hash of its signature, and encoded data.
pub fn log(topics: &[Word], data: &[u8]) {
    let mut bytes = Vec::with_capacity(topics.len() * 32 + data.len());
    for topic in topics {
        bytes.extend_from_slice(&topic.0);
    }
    bytes.extend_from_slice(data);
    hooks::log(&bytes, topics.len());
}
