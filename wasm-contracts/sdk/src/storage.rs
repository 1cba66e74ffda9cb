//! Words that last, where Solidity would put them: variables at numbered slots, mapped values at hashes.

use crate::{
    abi::Malformed,
    hooks,
    word::{Address, Word, hash},
};

/// A word of storage.
#[derive(Clone, Copy)]
pub struct Slot(Word);

impl Slot {
    /// The variable number `index`.
    pub const fn at(index: u64) -> Self {
        Self(Word::number(index as u128))
    }

    /// The value of a mapping at this slot.
    pub fn of(&self, key: Word) -> Self {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&key.0);
        bytes[32..].copy_from_slice(&self.0.0);
        Self(hash(&bytes))
    }

    /// The value of a mapping from addresses.
    pub fn of_address(&self, key: Address) -> Self {
        self.of(Word::address(key))
    }

    /// The value of a mapping from numbers.
    pub fn of_number(&self, key: impl Into<u128>) -> Self {
        self.of(Word::number(key.into()))
    }

    /// What is written here; zeros if nothing is.
    pub fn word(&self) -> Word {
        hooks::load(&self.0)
    }

    /// The number that is written here.
    pub fn u128(&self) -> Result<u128, Malformed> {
        self.word().as_u128()
    }

    /// The number that is written here.
    pub fn u64(&self) -> Result<u64, Malformed> {
        self.word().as_u64()
    }

    /// The address that is written here.
    pub fn address(&self) -> Result<Address, Malformed> {
        self.word().as_address()
    }

    /// Writes a word.
    pub fn set_word(&self, value: Word) {
        hooks::store(&self.0, &value);
    }

    /// Writes a number.
    pub fn set(&self, value: impl Into<u128>) {
        self.set_word(Word::number(value.into()));
    }

    /// Writes an address.
    pub fn set_address(&self, value: Address) {
        self.set_word(Word::address(value));
    }
}
