//! The chain's values.

use crate::abi::Malformed;

/// Address of an account.
pub type Address = [u8; 20];

/// 32 bytes: a word of storage, of calldata, a topic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Word(pub [u8; 32]);

impl Word {
    /// All zeros.
    pub const ZERO: Self = Self([0; 32]);

    /// A number.
    pub const fn number(value: u128) -> Self {
        let mut bytes = [0; 32];
        let value = value.to_be_bytes();
        let mut i = 0;
        while i < 16 {
            bytes[16 + i] = value[i];
            i += 1;
        }
        Self(bytes)
    }

    /// An address.
    pub fn address(address: Address) -> Self {
        let mut bytes = [0; 32];
        bytes[12..].copy_from_slice(&address);
        Self(bytes)
    }

    /// The number, if it fits.
    pub fn as_u128(&self) -> Result<u128, Malformed> {
        let (high, low) = self.0.split_at(16);
        match low.try_into() {
            Ok(low) if high == [0; 16] => Ok(u128::from_be_bytes(low)),
            _ => Err(Malformed),
        }
    }

    /// The number, if it fits.
    pub fn as_u64(&self) -> Result<u64, Malformed> {
        self.as_u128()?.try_into().map_err(|_| Malformed)
    }

    /// The address, if it is one.
    pub fn as_address(&self) -> Result<Address, Malformed> {
        match self.0[12..].try_into() {
            Ok(address) if self.0[..12] == [0; 12] => Ok(address),
            _ => Err(Malformed),
        }
    }
}

/// Keccak-256, by the host.
pub fn hash(bytes: &[u8]) -> Word {
    crate::hooks::hash(bytes)
}
