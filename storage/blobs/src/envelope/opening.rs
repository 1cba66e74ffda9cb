//! Reading envelopes.

use super::{
    context::EnvelopeContext,
    error::EnvelopeError,
    header::{Parsed, parse},
    keys::EncryptionSecretKey,
    suite::{
        CHUNK_BYTES, ChunkOpener, ContentKey, TAG_BYTES, Tail, chunk_aad, chunk_key, commitment,
        unwrap,
    },
};
use zeroize::Zeroizing;

/// Opens `envelope` with `key`, in the context that it was sealed for, if its plaintext has at most
/// `max_plaintext` bytes. The plaintext is wiped from memory when dropped, and never handed out in
/// part.
///
/// # Errors
/// Each way in which the envelope is not what it should be has its [`EnvelopeError`].
pub fn open(
    context: &EnvelopeContext,
    key: &EncryptionSecretKey,
    envelope: &[u8],
    max_plaintext: u64,
) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
    let parsed = parse(envelope)?;
    let size = parsed.prefix.plaintext_len;
    if size > max_plaintext {
        return Err(EnvelopeError::TooLarge { size, max: max_plaintext });
    }
    let (opener, aad) = begin(context, key, &parsed)?;
    read_chunks(opener, &aad, parsed.chunks)
}

/// Finds the key of the chunks, and what they are bound to.
pub(super) fn begin(
    context: &EnvelopeContext,
    key: &EncryptionSecretKey,
    parsed: &Parsed<'_>,
) -> Result<(ChunkOpener, [u8; 32]), EnvelopeError> {
    let context = context.encode();
    let content_key = unwrap_content_key(&context, key, parsed)?;
    let aad = chunk_aad(&context, parsed.header_bytes);
    let chunk_key = chunk_key(&content_key);
    let opener = ChunkOpener::new((&*chunk_key).into(), &parsed.prefix.nonce_prefix.into());
    Ok((opener, aad))
}

fn unwrap_content_key(
    context: &[u8],
    key: &EncryptionSecretKey,
    parsed: &Parsed<'_>,
) -> Result<ContentKey, EnvelopeError> {
    let public = key.public_key();
    let own_id = public.id();
    let entry =
        parsed.recipients.iter().find(|entry| *entry.key_id == own_id).ok_or_else(|| {
            EnvelopeError::NotAddressedToThisKey {
                key: public.to_string(),
                recipients: parsed.recipients.len(),
            }
        })?;
    let content_key =
        unwrap(&key.for_hpke(), context, parsed.prefix_bytes, entry.encapped, entry.wrapped)
            .map_err(|_| EnvelopeError::WrongContextOrTampered)?;
    if commitment(&content_key) != parsed.prefix.commitment {
        return Err(EnvelopeError::WrongContextOrTampered);
    }
    Ok(content_key)
}

/// Decrypts the chunks, each in place at the end of the plaintext.
fn read_chunks(
    mut opener: ChunkOpener,
    aad: &[u8],
    chunks: &[u8],
) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
    const SEALED: usize = CHUNK_BYTES + TAG_BYTES;
    let tampered = |_| EnvelopeError::WrongContextOrTampered;
    // Room for all chunks as they arrive, so that the vector never moves and leaves a copy behind.
    let mut plaintext = Zeroizing::new(Vec::with_capacity(chunks.len()));
    let mut rest = chunks;
    while rest.len() > SEALED {
        let (chunk, after) = rest.split_at(SEALED);
        let start = plaintext.len();
        plaintext.extend_from_slice(chunk);
        opener
            .decrypt_next_in_place(aad, &mut Tail { bytes: &mut plaintext, start })
            .map_err(tampered)?;
        rest = after;
    }
    let start = plaintext.len();
    plaintext.extend_from_slice(rest);
    opener
        .decrypt_last_in_place(aad, &mut Tail { bytes: &mut plaintext, start })
        .map_err(tampered)?;
    Ok(plaintext)
}
