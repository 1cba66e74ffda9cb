//! The algorithms of suite 1, and what is derived with them.

use aead_stream::aead::{self, Buffer};
use chacha20poly1305::ChaCha20Poly1305;
use hpke::{Deserializable as _, OpModeR, OpModeS};
use rand::CryptoRng;
use zeroize::Zeroizing;

pub(super) type Kem = hpke::kem::X25519HkdfSha256;
type Kdf = hpke::kdf::HkdfSha256;
type Aead = hpke::aead::ChaCha20Poly1305;
pub(super) type HpkeSecretKey = <Kem as hpke::Kem>::PrivateKey;
type HpkePublicKey = <Kem as hpke::Kem>::PublicKey;
type EncappedKey = <Kem as hpke::Kem>::EncappedKey;

pub(super) type ChunkSealer = aead_stream::EncryptorBE32<ChaCha20Poly1305>;
pub(super) type ChunkOpener = aead_stream::DecryptorBE32<ChaCha20Poly1305>;

/// Plaintext bytes in each chunk but the last.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// Bytes that authenticate a chunk or a wrapped key.
pub(super) const TAG_BYTES: usize = 16;
pub(super) const KEY_BYTES: usize = 32;
pub(super) const KEY_ID_BYTES: usize = 16;
/// Nonce of the cipher less counter and flag.
pub(super) const NONCE_PREFIX_BYTES: usize = 7;
pub(super) const WRAPPED_BYTES: usize = KEY_BYTES + TAG_BYTES;

/// A content key in memory.
pub(super) type ContentKey = Zeroizing<[u8; KEY_BYTES]>;

/// HPKE's own sub-protocol refused; callers know what that means for them.
#[derive(Debug)]
pub(super) struct Refused;

/// Encapsulated key and wrapped content key for one recipient.
pub(super) fn wrap(
    recipient: &[u8; 32],
    info: &[u8],
    aad: &[u8],
    key: &ContentKey,
    rng: &mut impl CryptoRng,
) -> Result<([u8; 32], [u8; WRAPPED_BYTES]), Refused> {
    let recipient = HpkePublicKey::from_bytes(recipient).map_err(|_| Refused)?;
    let (encapped, wrapped) = hpke::single_shot_seal_with_rng::<Aead, Kdf, Kem>(
        &OpModeS::Base,
        &recipient,
        info,
        key.as_slice(),
        aad,
        rng,
    )
    .map_err(|_| Refused)?;
    let encapped = hpke::Serializable::to_bytes(&encapped).into();
    Ok((encapped, wrapped.try_into().map_err(|_| Refused)?))
}

/// Takes back what [`wrap`] made.
pub(super) fn unwrap(
    secret: &HpkeSecretKey,
    info: &[u8],
    aad: &[u8],
    encapped: &[u8; 32],
    wrapped: &[u8; WRAPPED_BYTES],
) -> Result<ContentKey, Refused> {
    let encapped = EncappedKey::from_bytes(encapped).map_err(|_| Refused)?;
    let opened = hpke::single_shot_open::<Aead, Kdf, Kem>(
        &OpModeR::Base,
        secret,
        &encapped,
        info,
        wrapped,
        aad,
    );
    let opened = Zeroizing::new(opened.map_err(|_| Refused)?);
    let mut key = ContentKey::default();
    if opened.len() != key.len() {
        return Err(Refused);
    }
    key.copy_from_slice(&opened);
    Ok(key)
}

/// Whether every exchange with this public key gives zero, which HPKE refuses.
pub(super) fn is_low_order(public: &[u8; 32]) -> bool {
    // Secret scalars are multiples of the cofactor, so any of them sends a low-order point to zero.
    let (Ok(secret), Ok(encapped)) =
        (HpkeSecretKey::from_bytes(&[1; 32]), EncappedKey::from_bytes(public))
    else {
        return true;
    };
    hpke::setup_receiver::<Aead, Kdf, Kem>(&OpModeR::Base, &secret, &encapped, b"").is_err()
}

/// How a header names a public key.
pub(super) fn key_id(public: &[u8; 32]) -> [u8; KEY_ID_BYTES] {
    let digest = blake3::derive_key("neura:envelope:v1 key id", public);
    let mut id = [0; KEY_ID_BYTES];
    id.copy_from_slice(&digest[..KEY_ID_BYTES]);
    id
}

/// What ties an envelope to one content key.
pub(super) fn commitment(key: &ContentKey) -> [u8; 32] {
    blake3::derive_key("neura:envelope:v1 key commitment", key.as_slice())
}

/// The key that chunks are encrypted with.
pub(super) fn chunk_key(key: &ContentKey) -> Zeroizing<[u8; KEY_BYTES]> {
    Zeroizing::new(blake3::derive_key("neura:envelope:v1 chunk key", key.as_slice()))
}

/// Additional data of every chunk: a hash of the context and the header.
pub(super) fn chunk_aad(context: &[u8], header: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("neura:envelope:v1 header");
    *hasher.update(context).update(header).finalize().as_bytes()
}

/// Number of chunks of a plaintext; an empty one has one empty chunk.
pub(super) const fn chunk_count(plaintext_len: u64) -> u64 {
    let count = plaintext_len.div_ceil(CHUNK_BYTES as u64);
    if count == 0 { 1 } else { count }
}

/// The end of a vector as a buffer of the cipher: a chunk is encrypted and decrypted where it lies.
pub(super) struct Tail<'a> {
    pub(super) bytes: &'a mut Vec<u8>,
    pub(super) start: usize,
}

impl AsRef<[u8]> for Tail<'_> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

impl AsMut<[u8]> for Tail<'_> {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }
}

impl Buffer for Tail<'_> {
    fn extend_from_slice(&mut self, other: &[u8]) -> aead::Result<()> {
        self.bytes.extend_from_slice(other);
        Ok(())
    }

    fn truncate(&mut self, len: usize) {
        self.bytes.truncate(self.start + len);
    }
}
