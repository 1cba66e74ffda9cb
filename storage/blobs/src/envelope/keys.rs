//! X25519 keys of those who receive envelopes.

use super::{
    error::KeyError,
    suite::{HpkeSecretKey, Kem, is_low_order, key_id},
};
use crate::lower_hex;
use hpke::{Deserializable as _, Kem as _, Serializable as _};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use zeroize::Zeroizing;

/// A recipient's public key: 32 bytes, written as lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EncryptionPublicKey([u8; 32]);

impl EncryptionPublicKey {
    /// Checks and takes the bytes of a key.
    ///
    /// # Errors
    /// [`KeyError::NotCanonical`] or [`KeyError::Weak`].
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        if !is_canonical(&bytes) {
            return Err(KeyError::NotCanonical);
        }
        if is_low_order(&bytes) {
            return Err(KeyError::Weak);
        }
        Ok(Self(bytes))
    }

    /// The bytes of the key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// How an envelope's header names this key.
    pub(super) fn id(&self) -> [u8; 16] {
        key_id(&self.0)
    }
}

/// Whether the number is below 2^255 - 19.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = bytes;
    let at_or_above_prime =
        *high == 0x7f && middle.iter().all(|byte| *byte == 0xff) && *low >= 0xed;
    *high <= 0x7f && !at_or_above_prime
}

impl fmt::Display for EncryptionPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for EncryptionPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptionPublicKey({self})")
    }
}

impl FromStr for EncryptionPublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(lower_hex::decode(text).ok_or(KeyError::NotHex)?)
    }
}

impl TryFrom<String> for EncryptionPublicKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<EncryptionPublicKey> for String {
    fn from(key: EncryptionPublicKey) -> Self {
        key.to_string()
    }
}

/// A recipient's secret key. Wiped from memory when dropped, and never shown by `Debug`.
#[derive(Clone)]
pub struct EncryptionSecretKey(Zeroizing<[u8; 32]>);

impl EncryptionSecretKey {
    /// A new random key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut());
        Self(bytes)
    }

    /// The key with these bytes; any 32 bytes are a key.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key spelled by 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// [`KeyError::NotHex`].
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        lower_hex::decode(text).map(Self::from_bytes).ok_or(KeyError::NotHex)
    }

    /// The bytes, for a key file.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.0.clone()
    }

    /// The bytes as lower-case hex, for a key file.
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.0.as_slice()))
    }

    /// The public key that belongs to it.
    pub fn public_key(&self) -> EncryptionPublicKey {
        EncryptionPublicKey(Kem::sk_to_pk(&self.for_hpke()).to_bytes().into())
    }

    pub(super) fn for_hpke(&self) -> HpkeSecretKey {
        HpkeSecretKey::from_bytes(self.0.as_slice()).expect("32 bytes are an X25519 secret key")
    }
}

impl fmt::Debug for EncryptionSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptionSecretKey(of {})", self.public_key())
    }
}
