//! The header of an envelope: written, and read with every bound checked.

use super::{
    error::EnvelopeError,
    suite::{CHUNK_BYTES, KEY_ID_BYTES, NONCE_PREFIX_BYTES, TAG_BYTES, WRAPPED_BYTES, chunk_count},
};

const MAGIC: &[u8; 4] = b"NEUE";
const VERSION: u8 = 1;
const SUITE: u8 = 1;

/// Most recipients of one envelope: owner, provider, and backup providers.
pub const MAX_RECIPIENTS: usize = 16;

/// Magic, version, suite, recipient count, nonce prefix, plaintext length, commitment.
pub(super) const PREFIX_BYTES: usize = 4 + 1 + 1 + 1 + NONCE_PREFIX_BYTES + 8 + 32;
/// Key id, encapsulated key, wrapped key.
pub(super) const RECIPIENT_BYTES: usize = KEY_ID_BYTES + 32 + WRAPPED_BYTES;

/// The part of the header that does not depend on who the recipients are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) recipients: u8,
    pub(super) nonce_prefix: [u8; NONCE_PREFIX_BYTES],
    pub(super) plaintext_len: u64,
    pub(super) commitment: [u8; 32],
}

/// A recipient's entry in a header.
#[derive(Debug)]
pub(super) struct Recipient<'a> {
    pub(super) key_id: &'a [u8; KEY_ID_BYTES],
    pub(super) encapped: &'a [u8; 32],
    pub(super) wrapped: &'a [u8; WRAPPED_BYTES],
}

/// An envelope taken apart; lengths are checked, nothing is authenticated yet.
#[derive(Debug)]
pub(super) struct Parsed<'a> {
    pub(super) prefix: Prefix,
    pub(super) prefix_bytes: &'a [u8],
    /// The prefix and the recipients.
    pub(super) header_bytes: &'a [u8],
    pub(super) recipients: Vec<Recipient<'a>>,
    pub(super) chunks: &'a [u8],
}

impl Prefix {
    /// Length of the header.
    pub(super) fn header_len(&self) -> usize {
        PREFIX_BYTES + usize::from(self.recipients) * RECIPIENT_BYTES
    }

    /// Length of the whole envelope.
    pub(super) fn envelope_len(&self) -> u64 {
        envelope_len(usize::from(self.recipients), self.plaintext_len)
    }

    pub(super) fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[VERSION, SUITE, self.recipients]);
        out.extend_from_slice(&self.nonce_prefix);
        out.extend_from_slice(&self.plaintext_len.to_be_bytes());
        out.extend_from_slice(&self.commitment);
    }
}

/// Length of the header and chunks of an envelope. Saturates far beyond what fits anywhere.
pub(super) const fn envelope_len(recipients: usize, plaintext_len: u64) -> u64 {
    let header = (PREFIX_BYTES + recipients * RECIPIENT_BYTES) as u64;
    let tags = chunk_count(plaintext_len).saturating_mul(TAG_BYTES as u64);
    header.saturating_add(plaintext_len).saturating_add(tags)
}

/// Largest plaintext whose envelope has at most `envelope_len` bytes, if any has.
pub(super) fn plaintext_room(recipients: usize, envelope_len: u64) -> Option<u64> {
    const SEALED_CHUNK: u64 = (CHUNK_BYTES + TAG_BYTES) as u64;
    let header = (PREFIX_BYTES + recipients * RECIPIENT_BYTES) as u64;
    let body = envelope_len.checked_sub(header)?;
    let (full, rest) = (body / SEALED_CHUNK, body % SEALED_CHUNK);
    match rest.checked_sub(TAG_BYTES as u64) {
        Some(last) => Some(full * CHUNK_BYTES as u64 + last),
        None if full > 0 => Some(full * CHUNK_BYTES as u64),
        None => None,
    }
}

/// Takes an envelope apart.
pub(super) fn parse(envelope: &[u8]) -> Result<Parsed<'_>, EnvelopeError> {
    let prefix = parse_prefix(envelope)?;
    let (expected, actual) = (prefix.envelope_len(), envelope.len() as u64);
    if actual < expected {
        return Err(EnvelopeError::Truncated { expected, actual });
    }
    if actual > expected {
        return Err(EnvelopeError::TrailingBytes { expected, actual });
    }
    let (header, chunks) = envelope.split_at(prefix.header_len());
    Ok(Parsed { chunks, ..parse_header(prefix, header) })
}

/// Reads the beginning of an envelope, which must be [`PREFIX_BYTES`] long at least.
pub(super) fn parse_prefix(bytes: &[u8]) -> Result<Prefix, EnvelopeError> {
    let actual = bytes.len() as u64;
    let known = bytes.len().min(MAGIC.len());
    if bytes[..known] != MAGIC[..known] {
        return Err(EnvelopeError::NotAnEnvelope);
    }
    // Version and suite before the length: a later version may well be shorter.
    match bytes.get(4) {
        Some(&found) if found != VERSION => {
            return Err(EnvelopeError::UnsupportedVersion { found });
        }
        _ => {}
    }
    match bytes.get(5) {
        Some(&found) if found != SUITE => return Err(EnvelopeError::UnsupportedSuite { found }),
        _ => {}
    }
    let (prefix_bytes, _) = bytes
        .split_at_checked(PREFIX_BYTES)
        .ok_or(EnvelopeError::Truncated { expected: PREFIX_BYTES as u64, actual })?;
    let prefix = read_prefix(&prefix_bytes[MAGIC.len() + 2..]);
    let found = usize::from(prefix.recipients);
    if !(1..=MAX_RECIPIENTS).contains(&found) {
        return Err(EnvelopeError::RecipientCount { found });
    }
    Ok(prefix)
}

/// Takes the header of an envelope apart; it has the length that its prefix calls for.
pub(super) fn parse_header(prefix: Prefix, header_bytes: &[u8]) -> Parsed<'_> {
    let (prefix_bytes, entries) = header_bytes.split_at(PREFIX_BYTES);
    let recipients = entries.as_chunks::<RECIPIENT_BYTES>().0.iter().map(read_recipient).collect();
    Parsed { prefix, prefix_bytes, header_bytes, recipients, chunks: &[] }
}

/// Reads what follows the suite byte; `bytes` has the full length.
fn read_prefix(bytes: &[u8]) -> Prefix {
    let mut prefix =
        Prefix { recipients: bytes[0], nonce_prefix: [0; _], plaintext_len: 0, commitment: [0; _] };
    let (nonce_prefix, rest) = bytes[1..].split_at(NONCE_PREFIX_BYTES);
    let (length, commitment) = rest.split_at(8);
    let mut length_bytes = [0; 8];
    prefix.nonce_prefix.copy_from_slice(nonce_prefix);
    length_bytes.copy_from_slice(length);
    prefix.plaintext_len = u64::from_be_bytes(length_bytes);
    prefix.commitment.copy_from_slice(commitment);
    prefix
}

fn read_recipient(entry: &[u8; RECIPIENT_BYTES]) -> Recipient<'_> {
    const LENGTHS: &str = "the parts of an entry add up to its length";
    let (key_id, rest) = entry.split_first_chunk().expect(LENGTHS);
    let (encapped, rest) = rest.split_first_chunk().expect(LENGTHS);
    let wrapped = rest.try_into().expect(LENGTHS);
    Recipient { key_id, encapped, wrapped }
}
