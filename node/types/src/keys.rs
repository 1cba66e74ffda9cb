//! Sign and verify: ed25519 for identities (validators, providers, peers), secp256k1 for Ethereum accounts.
//!
//! ed25519 signatures are verified by the ZIP-215 rules, under which single and batch verification always agree.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::hash::{Domain, hash};

/// Why a key or a signature was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// Not a point of the curve, or not a scalar of its group.
    #[error("not a valid {0} key")]
    InvalidKey(&'static str),
    /// The signature does not belong to this message and key.
    #[error("the signature does not verify under the given key")]
    BadSignature,
    /// Wrong length or characters of a textual key.
    #[error("a key is 32 bytes in hexadecimal, with or without 0x")]
    NotHex,
}

/// An ed25519 public key: the identity of a validator, a provider, a peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PublicKey(pub B256);

impl PublicKey {
    /// Address of the account that this key controls: the last 20 bytes of BLAKE3 over a domain tag and the key.
    pub fn address(&self) -> Address {
        Address::from_slice(hash(Domain::Address, self.0.as_slice()).get(12..).unwrap_or(&[0; 20]))
    }

    /// Whether it is a point of the curve: some key can sign for it.
    pub fn is_valid(&self) -> bool {
        ed25519_zebra::VerificationKey::try_from(self.0.0).is_ok()
    }

    /// Checks a signature over `message` by the ZIP-215 rules.
    ///
    /// # Errors
    /// [`KeyError::InvalidKey`] or [`KeyError::BadSignature`].
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), KeyError> {
        let key = ed25519_zebra::VerificationKey::try_from(self.0.0)
            .map_err(|_| KeyError::InvalidKey("ed25519"))?;
        key.verify(&ed25519_zebra::Signature::from(signature.0), message)
            .map_err(|_| KeyError::BadSignature)
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ed25519:{}", self.0)
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// An ed25519 signature, 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature(pub [u8; 64]);

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signature({})", hex::encode(self.0.get(..6).unwrap_or_default()))
    }
}

impl Serialize for Signature {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        alloy_primitives::FixedBytes::<64>(self.0).serialize(s)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        alloy_primitives::FixedBytes::<64>::deserialize(d).map(|b| Self(b.0))
    }
}

/// An ed25519 secret key; wiped when dropped, never printed.
#[derive(Clone)]
pub struct SecretKey(ed25519_zebra::SigningKey);

impl SecretKey {
    /// The key of a 32-byte seed (RFC 8032).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_zebra::SigningKey::from(*seed))
    }

    /// The seed, for a key file.
    pub fn seed(&self) -> [u8; 32] {
        self.0.into()
    }

    /// Its public half.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(B256::new(self.0.verification_key().into()))
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).into())
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretKey(of {})", self.public_key())
    }
}

/// A secp256k1 secret key of an Ethereum account; never printed.
#[derive(Clone)]
pub struct EthKey(secp256k1::SecretKey);

impl EthKey {
    /// The key of 32 bytes.
    ///
    /// # Errors
    /// If they are zero or not below the group's order.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        secp256k1::SecretKey::from_byte_array(bytes)
            .map(Self)
            .map_err(|_| KeyError::InvalidKey("secp256k1"))
    }

    /// The secret bytes, for a key file.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.secret_bytes()
    }

    /// The account's address.
    pub fn address(&self) -> Address {
        let key = self.0.public_key(secp256k1::SECP256K1).serialize_uncompressed();
        Address::from_raw_public_key(key.get(1..).unwrap_or(&[0; 64]))
    }

    /// Signs a 32-byte digest; the result has a low s.
    pub fn sign_digest(&self, digest: B256) -> alloy_primitives::Signature {
        let message = secp256k1::Message::from_digest(digest.0);
        let (recovery, bytes) =
            secp256k1::SECP256K1.sign_ecdsa_recoverable(message, &self.0).serialize_compact();
        let odd = i32::from(recovery) & 1 == 1;
        alloy_primitives::Signature::from_bytes_and_parity(&bytes, odd)
    }
}

impl std::fmt::Debug for EthKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EthKey(of {})", self.address())
    }
}

/// Reads 32 bytes written in hexadecimal, with or without `0x`.
///
/// # Errors
/// [`KeyError::NotHex`].
pub fn parse_hex32(text: &str) -> Result<[u8; 32], KeyError> {
    let digits = text.trim().trim_start_matches("0x");
    let bytes = hex::decode(digits).map_err(|_| KeyError::NotHex)?;
    bytes.try_into().map_err(|_| KeyError::NotHex)
}
