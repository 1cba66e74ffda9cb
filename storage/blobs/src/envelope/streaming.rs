//! Making and reading envelopes of any size in the memory of one chunk.

use super::{
    context::EnvelopeContext,
    error::EnvelopeError,
    header::{PREFIX_BYTES, parse_header, parse_prefix},
    keys::{EncryptionPublicKey, EncryptionSecretKey},
    opening,
    sealing::{self, Sealing},
    suite::{CHUNK_BYTES, TAG_BYTES, Tail},
};
use rand::CryptoRng;
use std::io::{self, Read, Write};
use zeroize::Zeroizing;

/// Why an envelope was not made or read as a stream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The envelope is not what it should be.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// What is to be sealed ends early.
    #[error("the content ends after {actual} bytes, {expected} were announced")]
    Short {
        /// Length announced.
        expected: u64,
        /// Bytes that came.
        actual: u64,
    },
    /// Reading or writing failed.
    #[error("the stream failed: {0}")]
    Io(#[from] io::Error),
}

/// Seals the first `plaintext_len` bytes of `plaintext`, as [`seal`](super::seal) does, into `out`.
///
/// # Errors
/// As [`seal`](super::seal); [`StreamError::Short`] or [`StreamError::Io`], after which `out`
/// holds a part that opens for nobody.
pub fn seal_stream(
    context: &EnvelopeContext,
    recipients: &[EncryptionPublicKey],
    (mut plaintext, plaintext_len): (impl Read, u64),
    mut out: impl Write,
    rng: &mut impl CryptoRng,
) -> Result<(), StreamError> {
    const NEVER: &str =
        "a chunk is far below the cipher's limit, and their number below the counter's";
    // 2^32 chunks are the cipher's counter.
    let max = (CHUNK_BYTES as u64) << 32;
    if plaintext_len > max {
        return Err(EnvelopeError::TooLarge { size: plaintext_len, max }.into());
    }
    let Sealing { envelope, mut sealer, aad } =
        sealing::begin(context, recipients, plaintext_len, rng)?;
    out.write_all(&envelope)?;
    let mut chunk = Zeroizing::new(Vec::with_capacity(CHUNK_BYTES + TAG_BYTES));
    let mut left = plaintext_len;
    loop {
        let length = left.min(CHUNK_BYTES as u64);
        chunk.clear();
        let read = plaintext.by_ref().take(length).read_to_end(&mut chunk)? as u64;
        if read < length {
            let actual = plaintext_len - left + read;
            return Err(StreamError::Short { expected: plaintext_len, actual });
        }
        left -= length;
        if left == 0 {
            break;
        }
        let mut tail = Tail { bytes: &mut chunk, start: 0 };
        sealer.encrypt_next_in_place(&aad, &mut tail).expect(NEVER);
        out.write_all(&chunk)?;
    }
    let mut tail = Tail { bytes: &mut chunk, start: 0 };
    sealer.encrypt_last_in_place(&aad, &mut tail).expect(NEVER);
    out.write_all(&chunk)?;
    Ok(out.flush()?)
}

/// Opens an envelope, as [`open`](super::open) does, into `out`, and returns the plaintext's
/// length.
///
/// Each chunk is authentic before it is written, and the chunks' order with it; that none is
/// missing at the end is known only when this returns. After an error, discard what `out` holds.
///
/// # Errors
/// As [`open`](super::open), or [`StreamError::Io`].
pub fn open_stream(
    context: &EnvelopeContext,
    key: &EncryptionSecretKey,
    mut envelope: impl Read,
    max_plaintext: u64,
    mut out: impl Write,
) -> Result<u64, StreamError> {
    let mut header = Vec::new();
    envelope.by_ref().take(PREFIX_BYTES as u64).read_to_end(&mut header)?;
    let prefix = parse_prefix(&header)?;
    let (size, expected) = (prefix.plaintext_len, prefix.envelope_len());
    if size > max_plaintext {
        return Err(EnvelopeError::TooLarge { size, max: max_plaintext }.into());
    }
    let entries = prefix.header_len() - PREFIX_BYTES;
    envelope.by_ref().take(entries as u64).read_to_end(&mut header)?;
    let truncated = |actual: u64| EnvelopeError::Truncated { expected, actual };
    let mut arrived = header.len() as u64;
    if header.len() < prefix.header_len() {
        return Err(truncated(arrived).into());
    }
    let (mut opener, aad) = opening::begin(context, key, &parse_header(prefix, &header))?;
    let tampered = |_| EnvelopeError::WrongContextOrTampered;
    let mut chunk = Zeroizing::new(Vec::with_capacity(CHUNK_BYTES + TAG_BYTES));
    let mut left = size;
    loop {
        let length = left.min(CHUNK_BYTES as u64);
        chunk.clear();
        let sealed = length + TAG_BYTES as u64;
        let read = envelope.by_ref().take(sealed).read_to_end(&mut chunk)? as u64;
        arrived += read;
        if read < sealed {
            return Err(truncated(arrived).into());
        }
        left -= length;
        if left == 0 {
            break;
        }
        let mut tail = Tail { bytes: &mut chunk, start: 0 };
        opener.decrypt_next_in_place(&aad, &mut tail).map_err(tampered)?;
        out.write_all(&chunk)?;
    }
    if envelope.read(&mut [0])? > 0 {
        return Err(EnvelopeError::TrailingBytes { expected, actual: arrived + 1 }.into());
    }
    let mut tail = Tail { bytes: &mut chunk, start: 0 };
    opener.decrypt_last_in_place(&aad, &mut tail).map_err(tampered)?;
    out.write_all(&chunk)?;
    out.flush()?;
    Ok(size)
}

#[cfg(test)]
mod tests;
