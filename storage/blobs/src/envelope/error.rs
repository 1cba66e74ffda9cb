//! What can go wrong with envelopes and their keys.

use super::header::MAX_RECIPIENTS;
use thiserror::Error;

/// Why an envelope was not made or not opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The bytes start differently than any envelope.
    #[error("not a sealed envelope: the bytes do not start with NEUE")]
    NotAnEnvelope,
    /// Made by a later version.
    #[error("envelope version {found} is not supported, only version 1; update this software")]
    UnsupportedVersion {
        /// Version in the envelope.
        found: u8,
    },
    /// Made with other algorithms.
    #[error("envelope cipher suite {found} is not supported, only suite 1; update this software")]
    UnsupportedSuite {
        /// Suite in the envelope.
        found: u8,
    },
    /// None, or too many.
    #[error("an envelope has 1 to {MAX_RECIPIENTS} recipients, not {found}")]
    RecipientCount {
        /// Number asked for, or in the envelope.
        found: usize,
    },
    /// The same key is listed twice.
    #[error("recipient {key} is listed twice")]
    DuplicateRecipient {
        /// The public key as hex.
        key: String,
    },
    /// A key of low order: anybody could open the envelope.
    #[error("recipient {key} is not a usable X25519 key; ask its owner for a new one")]
    WeakRecipient {
        /// The public key as hex.
        key: String,
    },
    /// The plaintext is larger than the caller allows.
    #[error("the envelope holds {size} bytes, but at most {max} are allowed here")]
    TooLarge {
        /// Length of the plaintext in bytes, as the envelope claims.
        size: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// Bytes are missing at the end.
    #[error("the envelope is cut off: {actual} bytes of {expected}; fetch it again")]
    Truncated {
        /// Length that the header calls for, as far as it is there.
        expected: u64,
        /// Length in hand.
        actual: u64,
    },
    /// Bytes follow the last chunk.
    #[error("the envelope has {actual} bytes instead of {expected}: something was appended")]
    TrailingBytes {
        /// Length that the header calls for.
        expected: u64,
        /// Length in hand.
        actual: u64,
    },
    /// Sealed for other keys.
    #[error("the envelope is not addressed to key {key}, but to {recipients} other(s)")]
    NotAddressedToThisKey {
        /// The public key that was tried, as hex.
        key: String,
        /// Number of recipients that it is addressed to.
        recipients: usize,
    },
    /// The cipher refused: the context differs from the sealer's, or bytes were changed.
    #[error(
        "the envelope was sealed for another chain, task, purpose or party, or changed on its way"
    )]
    WrongContextOrTampered,
}

/// Why bytes or text are not an encryption key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not 64 lower-case hexadecimal digits.
    #[error("an encryption key is 64 lower-case hexadecimal digits")]
    NotHex,
    /// The point has another, canonical encoding.
    #[error("the public key is not in canonical form; ask its owner for a new one")]
    NotCanonical,
    /// The point has low order: a secret shared with it is no secret.
    #[error("the public key is weak (low order); ask its owner for a new one")]
    Weak,
}
