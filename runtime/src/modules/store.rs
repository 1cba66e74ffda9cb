//! Keep typed records in the storage words of a module's system address.
//!
//! The slot of a record is BLAKE3 under [`Domain::ModuleState`] over (module, table, key). A [`Words`] entry is that
//! one word. A [`Table`] entry has the length of its canonical encoding there, and the encoding itself in the words
//! that follow, 32 bytes each, the last padded with zeros:
//!
//! ```text
//! slot      length in bytes, 0 for no record
//! slot + 1  bytes 0..32
//! slot + 2  bytes 32..64 …
//! ```
//!
//! # Invariants
//! - A write stores only the words that differ, and clears those that a longer record leaves behind.
//! - No record is longer than [`MAX_RECORD_BYTES`].

use std::marker::PhantomData;

use alloy_primitives::{Address, U256};
use neura_types::{
    Amount, StateRead, codec,
    hash::{Domain, hash_value},
};
use serde::{Serialize, de::DeserializeOwned};

use super::host::{Fault, Host};

/// Longest record, in bytes: above the configuration of an epoch of 256 validators (some 16,500 bytes); the others are
/// below 2,000.
pub(crate) const MAX_RECORD_BYTES: usize = 20 << 10;
/// Gas for hashing a key to its slot: two keccak256 of EVM prices, for as many compressions.
const SLOT_GAS: u64 = 60;
/// Bytes of a storage word.
const WORD: usize = 32;

/// Slots of records of type `V` by keys of type `K`.
#[derive(Debug)]
pub(crate) struct Table<K, V> {
    module: Address,
    id: u8,
    types: PhantomData<fn(K) -> V>,
}

impl<K: Serialize, V: Serialize + DeserializeOwned> Table<K, V> {
    /// The table `id` of a module; ids are unique within it.
    pub(crate) const fn new(module: Address, id: u8) -> Self {
        Self { module, id, types: PhantomData }
    }

    /// The record of a key.
    pub(crate) fn get(&self, host: &mut dyn Host, key: &K) -> Result<Option<V>, Fault> {
        let base = slot(host, self.module, self.id, key)?;
        self.read_words(base, &mut |slot| host.load(self.module, slot))
    }

    /// The record of a key in a state, outside of any execution.
    pub(crate) fn read(&self, state: &impl StateRead, key: &K) -> Result<Option<V>, Fault> {
        let base = slot_of(self.module, self.id, key);
        self.read_words(base, &mut |slot| Ok(state.storage(self.module, slot)?))
    }

    fn read_words(
        &self,
        base: U256,
        load: &mut dyn FnMut(U256) -> Result<U256, Fault>,
    ) -> Result<Option<V>, Fault> {
        let length = self.length(load(base)?)?;
        if length == 0 {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(length.next_multiple_of(WORD));
        for index in 0..length.div_ceil(WORD) {
            bytes.extend_from_slice(&load(word_slot(base, index))?.to_be_bytes::<WORD>());
        }
        bytes.truncate(length);
        codec::decode_limited(&bytes, MAX_RECORD_BYTES)
            .map(Some)
            .map_err(|error| self.corrupt(&error.to_string()))
    }

    /// Clears the record of a key.
    pub(crate) fn remove(&self, host: &mut dyn Host, key: &K) -> Result<(), Fault> {
        let base = slot(host, self.module, self.id, key)?;
        let length = self.length(host.load(self.module, base)?)?;
        for index in 0..length.div_ceil(WORD) {
            host.store(self.module, word_slot(base, index), U256::ZERO)?;
        }
        host.store(self.module, base, U256::ZERO)
    }

    /// Writes the record of a key.
    pub(crate) fn put(&self, host: &mut dyn Host, key: &K, value: &V) -> Result<(), Fault> {
        let bytes = codec::try_encode(value).map_err(|error| self.corrupt(&error.to_string()))?;
        if bytes.is_empty() || bytes.len() > MAX_RECORD_BYTES {
            return Err(self.corrupt(&format!("a record of {} bytes", bytes.len())));
        }
        let base = slot(host, self.module, self.id, key)?;
        let length = self.length(host.load(self.module, base)?)?;
        let (kept, words) = (length.div_ceil(WORD), bytes.len().div_ceil(WORD));
        let mut chunks = bytes.chunks(WORD);
        for index in 0..kept.max(words) {
            let new = chunks.next().map_or(U256::ZERO, padded);
            let at = word_slot(base, index);
            let old = if index < kept { host.load(self.module, at)? } else { U256::ZERO };
            if new != old {
                host.store(self.module, at, new)?;
            }
        }
        if bytes.len() != length {
            host.store(self.module, base, U256::from(bytes.len()))?;
        }
        Ok(())
    }

    fn length(&self, word: U256) -> Result<usize, Fault> {
        usize::try_from(word)
            .ok()
            .filter(|length| *length <= MAX_RECORD_BYTES)
            .ok_or_else(|| self.corrupt(&format!("length word {word}")))
    }

    fn corrupt(&self, why: &str) -> Fault {
        Fault::Fatal(format!("table {} of module {} is corrupt: {why}", self.id, self.module))
    }
}

/// One storage word each, by keys of type `K`; a key never written reads as the value of zero.
#[derive(Debug)]
pub(crate) struct Words<K, V> {
    module: Address,
    id: u8,
    types: PhantomData<fn(K) -> V>,
}

impl<K: Serialize, V: Word> Words<K, V> {
    /// The table `id` of a module; ids are unique within it.
    pub(crate) const fn new(module: Address, id: u8) -> Self {
        Self { module, id, types: PhantomData }
    }

    /// The value of a key.
    pub(crate) fn get(&self, host: &mut dyn Host, key: &K) -> Result<V, Fault> {
        let at = slot(host, self.module, self.id, key)?;
        self.value(host.load(self.module, at)?)
    }

    /// The value of a key in a state, outside of any execution.
    pub(crate) fn read(&self, state: &impl StateRead, key: &K) -> Result<V, Fault> {
        self.value(state.storage(self.module, slot_of(self.module, self.id, key))?)
    }

    fn value(&self, word: U256) -> Result<V, Fault> {
        V::from_word(word).ok_or_else(|| {
            Fault::Fatal(format!("word {word} in table {} of module {}", self.id, self.module))
        })
    }

    /// Writes the value of a key.
    pub(crate) fn set(&self, host: &mut dyn Host, key: &K, value: V) -> Result<(), Fault> {
        let at = slot(host, self.module, self.id, key)?;
        host.store(self.module, at, value.to_word())
    }
}

/// What fits into one storage word.
pub(crate) trait Word: Sized {
    /// The word that stands for the value.
    fn to_word(&self) -> U256;
    /// The value that a word stands for, if any.
    fn from_word(word: U256) -> Option<Self>;
}

impl Word for u64 {
    fn to_word(&self) -> U256 {
        U256::from(*self)
    }

    fn from_word(word: U256) -> Option<Self> {
        Self::try_from(word).ok()
    }
}

impl Word for U256 {
    fn to_word(&self) -> U256 {
        *self
    }

    fn from_word(word: U256) -> Option<Self> {
        Some(word)
    }
}

impl Word for Amount {
    fn to_word(&self) -> U256 {
        self.to_u256()
    }

    fn from_word(word: U256) -> Option<Self> {
        Self::from_u256(word).ok()
    }
}

impl Word for Address {
    fn to_word(&self) -> U256 {
        self.into_word().into()
    }

    fn from_word(word: U256) -> Option<Self> {
        let bytes = word.to_be_bytes::<WORD>();
        let (zeros, address) = bytes.split_at(12);
        zeros.iter().all(|b| *b == 0).then(|| Self::from_slice(address))
    }
}

fn slot<K: Serialize>(
    host: &mut dyn Host,
    module: Address,
    table: u8,
    key: &K,
) -> Result<U256, Fault> {
    host.charge(SLOT_GAS)?;
    Ok(slot_of(module, table, key))
}

fn slot_of<K: Serialize>(module: Address, table: u8, key: &K) -> U256 {
    hash_value(Domain::ModuleState, &(module, table, key)).into()
}

/// The slot of a record's word: wraps, as the whole of 2^256 is the module's.
fn word_slot(base: U256, index: usize) -> U256 {
    base.wrapping_add(U256::from(index)).wrapping_add(U256::ONE)
}

/// Up to 32 bytes, filled up with zeros on the right.
fn padded(chunk: &[u8]) -> U256 {
    let mut word = [0; WORD];
    word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
    U256::from_be_bytes(word)
}

#[cfg(test)]
mod tests;
