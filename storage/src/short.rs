//! Byte strings of a few dozen bytes, in place: what the state has millions of and moves about.

use std::{
    borrow::Borrow,
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
};

use neura_types::state::{StateKey, proof::MAX_ACCOUNT_BYTES};

use crate::{columns::Column, error::StorageError};

/// Bytes of the longest flat key, that of a word: tag, address, slot.
const MAX_KEY_BYTES: usize = 53;

/// At most `N` bytes, `N` below 256.
#[derive(Clone, Copy)]
pub(crate) struct Short<const N: usize> {
    length: u8,
    bytes: [u8; N],
}

/// A flat state key.
pub(crate) type FlatKey = Short<MAX_KEY_BYTES>;
/// An encoded account, or a word.
pub(crate) type FlatValue = Short<MAX_ACCOUNT_BYTES>;

impl<const N: usize> Short<N> {
    /// These bytes, unless a row of the state was damaged.
    pub(crate) fn new(bytes: &[u8]) -> Result<Self, StorageError> {
        let mut short = Self { length: 0, bytes: [0; N] };
        let place = short.bytes.get_mut(..bytes.len());
        let (Some(place), Ok(length)) = (place, u8::try_from(bytes.len())) else {
            let reason = format!("{} bytes stand where at most {N} can", bytes.len());
            return Err(StorageError::Corrupt { column: Column::State.name(), reason });
        };
        place.copy_from_slice(bytes);
        short.length = length;
        Ok(short)
    }
}

impl From<StateKey> for FlatKey {
    fn from(key: StateKey) -> Self {
        let (tag, address, slot) = match key {
            StateKey::Account(address) => (0, address, None),
            StateKey::Storage(address, slot) => (1, address, Some(slot.to_be_bytes::<32>())),
        };
        let mut bytes = [0; MAX_KEY_BYTES];
        bytes[0] = tag;
        bytes[1..21].copy_from_slice(address.as_slice());
        if let Some(slot) = slot {
            bytes[21..].copy_from_slice(&slot);
        }
        Self { length: if slot.is_some() { 53 } else { 21 }, bytes }
    }
}

impl<const N: usize> Deref for Short<N> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // No constructor makes it longer.
        self.bytes.get(..usize::from(self.length)).unwrap_or(&self.bytes)
    }
}

impl<const N: usize> Borrow<[u8]> for Short<N> {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl<const N: usize> PartialEq for Short<N> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<const N: usize> Eq for Short<N> {}

/// As the bytes: it is looked up by them.
impl<const N: usize> Hash for Short<N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<const N: usize> fmt::Debug for Short<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, B256, U256};
    use neura_types::{Account, state::proof::account_value};

    use super::*;

    #[test]
    fn the_keys_are_the_flat_keys_of_the_state() {
        let address = Address::repeat_byte(7);
        for key in [StateKey::Account(address), StateKey::Storage(address, U256::from(9))] {
            assert_eq!(*FlatKey::from(key), key.to_bytes());
        }
    }

    #[test]
    fn the_longest_account_fits_and_a_longer_value_is_damage() {
        let code_hash = B256::repeat_byte(0xff);
        let longest = Account { nonce: u64::MAX, balance: U256::MAX, code_hash };
        let bytes = account_value(&longest);
        assert_eq!(bytes.len(), MAX_ACCOUNT_BYTES);
        assert_eq!(*FlatValue::new(&bytes).expect("fits"), bytes);
        assert!(FlatValue::new(&[0; MAX_ACCOUNT_BYTES + 1]).is_err());
        assert!(FlatKey::new(&[0; 300]).is_err());
    }
}
