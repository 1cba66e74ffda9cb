//! Encode our own wire and disk types: bincode 2 with a fixed configuration.
//!
//! The encoding is little-endian with variable-length integers, as bincode 2's `standard()`; [`decode`] refuses
//! trailing bytes, and numbers in a wider form than they need, which bincode itself takes: a value has one encoding, so
//! that a digest of bytes names what they say. bincode is no longer developed (RUSTSEC-2025-0141); it is pinned and used only here, so that
//! another crate of the same format can take its place.

use bincode::{
    config::{Configuration, Limit, LittleEndian, Varint},
    enc::write::SizeWriter,
    error::DecodeError,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// What one decoding may allocate or read, in bytes: above the largest message of the protocol.
pub const MAX_DECODED_BYTES: usize = 64 << 20;

const CONFIG: Configuration<LittleEndian, Varint, Limit<MAX_DECODED_BYTES>> =
    bincode::config::standard().with_limit::<MAX_DECODED_BYTES>();

/// Why bytes were not a value.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The bytes do not follow the encoding.
    #[error("malformed encoding: {0}")]
    Malformed(String),
    /// The value ended before the bytes did.
    #[error("{0} bytes follow the end of the value")]
    Trailing(usize),
    /// Not the encoding of the value: a number stands in a wider form than it needs.
    #[error(
        "{size} bytes hold a value that is encoded in {canonical}: numbers are in their shortest form"
    )]
    NotCanonical {
        /// Bytes given.
        size: usize,
        /// Bytes of the value's encoding.
        canonical: usize,
    },
    /// More bytes than the caller allows for this value.
    #[error("{size} bytes are more than the limit of {limit}")]
    TooLarge {
        /// Bytes given.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
}

/// The canonical bytes of a value.
///
/// # Errors
/// Only for values that hold more than [`MAX_DECODED_BYTES`] or a map or sequence of unknown length.
pub fn try_encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    bincode::serde::encode_to_vec(value, CONFIG).map_err(|e| CodecError::Malformed(e.to_string()))
}

/// The canonical bytes of a value whose type always encodes (no unsized sequences, bounded by construction).
#[expect(
    clippy::expect_used,
    reason = "the types of this crate derive Serialize over sized containers"
)]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    try_encode(value).expect("a value of sized containers encodes")
}

/// [`encode`] to the end of `bytes`.
#[expect(
    clippy::expect_used,
    reason = "the types of this crate derive Serialize over sized containers, and memory takes everything"
)]
pub fn append<T: Serialize>(bytes: &mut Vec<u8>, value: &T) {
    bincode::serde::encode_into_std_write(value, bytes, CONFIG)
        .expect("a value of sized containers encodes");
}

/// Reads one value that fills `bytes` and checks `limit` before anything is allocated.
///
/// # Errors
/// If there are more than `limit` bytes, the bytes are malformed or not the value's encoding, or bytes follow the value.
pub fn decode_limited<T>(bytes: &[u8], limit: usize) -> Result<T, CodecError>
where
    T: DeserializeOwned + Serialize,
{
    read(bytes, limit, || bincode::serde::decode_from_slice(bytes, CONFIG))
}

/// As [`decode_limited`], for a value that borrows byte strings from `bytes` instead of copying them.
///
/// # Errors
/// As [`decode_limited`].
pub fn decode_borrowed<'a, T>(bytes: &'a [u8], limit: usize) -> Result<T, CodecError>
where
    T: Deserialize<'a> + Serialize,
{
    read(bytes, limit, || bincode::serde::borrow_decode_from_slice(bytes, CONFIG))
}

/// Reads one value that fills `bytes`, up to [`MAX_DECODED_BYTES`].
///
/// # Errors
/// As [`decode_limited`].
pub fn decode<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Result<T, CodecError> {
    decode_limited(bytes, MAX_DECODED_BYTES)
}

fn read<T: Serialize>(
    bytes: &[u8],
    limit: usize,
    decode: impl FnOnce() -> Result<(T, usize), DecodeError>,
) -> Result<T, CodecError> {
    if bytes.len() > limit {
        return Err(CodecError::TooLarge { size: bytes.len(), limit });
    }
    let (value, read) = decode().map_err(|e| CodecError::Malformed(e.to_string()))?;
    match bytes.len().saturating_sub(read) {
        0 => {}
        rest => return Err(CodecError::Trailing(rest)),
    }
    // Nothing but the width of numbers is free in the encoding, so its length tells.
    match encoded_bytes(&value)? {
        canonical if canonical == bytes.len() => Ok(value),
        canonical => Err(CodecError::NotCanonical { size: bytes.len(), canonical }),
    }
}

/// Length of a value's encoding.
fn encoded_bytes<T: Serialize>(value: &T) -> Result<usize, CodecError> {
    let mut size = SizeWriter::default();
    bincode::serde::encode_into_writer(value, &mut size, CONFIG)
        .map_err(|e| CodecError::Malformed(e.to_string()))?;
    Ok(size.bytes_written)
}

#[cfg(test)]
mod tests;
