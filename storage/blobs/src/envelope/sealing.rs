//! Making envelopes.

use super::{
    context::EnvelopeContext,
    error::EnvelopeError,
    header::{MAX_RECIPIENTS, Prefix, envelope_len, plaintext_room},
    keys::EncryptionPublicKey,
    suite::{
        CHUNK_BYTES, ChunkSealer, ContentKey, NONCE_PREFIX_BYTES, Tail, chunk_aad, chunk_key,
        commitment, wrap,
    },
};
use rand::CryptoRng;

/// Seals `plaintext` so that each of `recipients` can [`open`](super::open) it in `context`.
///
/// # Errors
/// [`EnvelopeError::RecipientCount`], [`EnvelopeError::DuplicateRecipient`],
/// [`EnvelopeError::WeakRecipient`], or [`EnvelopeError::TooLarge`] for what memory cannot address.
pub fn seal(
    context: &EnvelopeContext,
    recipients: &[EncryptionPublicKey],
    plaintext: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, EnvelopeError> {
    let plaintext_len = plaintext.len() as u64;
    let Sealing { mut envelope, sealer, aad } = begin(context, recipients, plaintext_len, rng)?;
    let total = envelope_len(recipients.len(), plaintext_len);
    let capacity = usize::try_from(total)
        .map_err(|_| EnvelopeError::TooLarge { size: plaintext_len, max: usize::MAX as u64 })?;
    // The header holds no plaintext: it may move.
    envelope.reserve_exact(capacity - envelope.len());
    append_chunks(sealer, &aad, plaintext, &mut envelope);
    debug_assert_eq!(envelope.len(), capacity, "the length is known beforehand");
    Ok(envelope)
}

/// An envelope whose header is made.
pub(super) struct Sealing {
    /// The header.
    pub(super) envelope: Vec<u8>,
    pub(super) sealer: ChunkSealer,
    pub(super) aad: [u8; 32],
}

/// Makes the header of an envelope of `plaintext_len` bytes.
pub(super) fn begin(
    context: &EnvelopeContext,
    recipients: &[EncryptionPublicKey],
    plaintext_len: u64,
    rng: &mut impl CryptoRng,
) -> Result<Sealing, EnvelopeError> {
    let count = check_recipients(recipients)?;
    let context = context.encode();
    let mut key = ContentKey::default();
    rng.fill_bytes(key.as_mut());
    let mut nonce_prefix = [0; NONCE_PREFIX_BYTES];
    rng.fill_bytes(&mut nonce_prefix);

    let mut envelope = Vec::new();
    let prefix =
        Prefix { recipients: count, nonce_prefix, plaintext_len, commitment: commitment(&key) };
    prefix.write_to(&mut envelope);
    let prefix_bytes = envelope.clone();
    for recipient in recipients {
        let (encapped, wrapped) = wrap(recipient.as_bytes(), &context, &prefix_bytes, &key, rng)
            .map_err(|_| EnvelopeError::WeakRecipient { key: recipient.to_string() })?;
        envelope.extend_from_slice(&recipient.id());
        envelope.extend_from_slice(&encapped);
        envelope.extend_from_slice(&wrapped);
    }
    let aad = chunk_aad(&context, &envelope);
    let chunk_key = chunk_key(&key);
    let sealer = ChunkSealer::new((&*chunk_key).into(), &nonce_prefix.into());
    Ok(Sealing { envelope, sealer, aad })
}

/// Length of the envelope of `plaintext_len` bytes for `recipients` keys.
pub const fn sealed_len(plaintext_len: u64, recipients: usize) -> u64 {
    envelope_len(recipients, plaintext_len)
}

/// Largest plaintext whose envelope for `recipients` keys has at most `envelope_len` bytes; absent
/// if not even an empty one has. The counterpart of [`sealed_len`] for a store's limit.
pub fn max_plaintext_len(envelope_len: u64, recipients: usize) -> Option<u64> {
    plaintext_room(recipients, envelope_len)
}

fn check_recipients(recipients: &[EncryptionPublicKey]) -> Result<u8, EnvelopeError> {
    let found = recipients.len();
    let count = match u8::try_from(found) {
        Ok(count) if (1..=MAX_RECIPIENTS).contains(&found) => count,
        _ => return Err(EnvelopeError::RecipientCount { found }),
    };
    for (position, key) in recipients.iter().enumerate() {
        if recipients[..position].contains(key) {
            return Err(EnvelopeError::DuplicateRecipient { key: key.to_string() });
        }
    }
    Ok(count)
}

/// Encrypts each chunk in place at the end of `out`.
fn append_chunks(mut sealer: ChunkSealer, aad: &[u8], plaintext: &[u8], out: &mut Vec<u8>) {
    const NEVER: &str =
        "a chunk is far below the cipher's limit, and their number below the counter's";
    let mut rest = plaintext;
    while rest.len() > CHUNK_BYTES {
        let (chunk, after) = rest.split_at(CHUNK_BYTES);
        let start = out.len();
        out.extend_from_slice(chunk);
        sealer.encrypt_next_in_place(aad, &mut Tail { bytes: out, start }).expect(NEVER);
        rest = after;
    }
    let start = out.len();
    out.extend_from_slice(rest);
    sealer.encrypt_last_in_place(aad, &mut Tail { bytes: out, start }).expect(NEVER);
}
