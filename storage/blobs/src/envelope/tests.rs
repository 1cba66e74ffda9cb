//! Behaviour of sealed envelopes.

use super::{
    header::{PREFIX_BYTES, RECIPIENT_BYTES},
    suite::TAG_BYTES,
    *,
};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;

const CONTEXT: EnvelopeContext = EnvelopeContext {
    chain_id: 7_331,
    purpose: Purpose::Payload,
    owner: [0x11; 20],
    provider: [0x22; 20],
    binding: [0x33; 32],
};

/// Sealed from seed `[9; 32]` to the keys `[7; 32]` and `[8; 32]`. Also opened by an implementation
/// written from the format's description alone, on another HPKE code. Replace it only with a new
/// version byte.
const VECTOR: &str = include_str!("../../testdata/envelope-v1.hex");
const VECTOR_TEXT: &[u8] = b"Neura sealed envelope, version 1";

fn secret(byte: u8) -> EncryptionSecretKey {
    EncryptionSecretKey::from_bytes([byte; 32])
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([9; 32])
}

fn sealed(plaintext: &[u8], to: &[u8]) -> Vec<u8> {
    let recipients: Vec<_> = to.iter().map(|byte| secret(*byte).public_key()).collect();
    seal(&CONTEXT, &recipients, plaintext, &mut rng()).expect("sealed")
}

fn opened(envelope: &[u8], with: u8) -> Result<Vec<u8>, EnvelopeError> {
    open(&CONTEXT, &secret(with), envelope, 1 << 24).map(|plaintext| plaintext.to_vec())
}

#[test]
fn each_recipient_opens_what_was_sealed() {
    let envelope = sealed(b"digits", &[1, 2, 3]);
    for recipient in 1..=3 {
        assert_eq!(opened(&envelope, recipient).expect("opens"), b"digits");
    }
}

#[test]
fn plaintexts_around_the_chunk_boundaries_survive() {
    for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 200_001] {
        let plaintext: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        let envelope = sealed(&plaintext, &[1, 2]);
        assert_eq!(envelope.len() as u64, sealed_len(length as u64, 2));
        assert_eq!(opened(&envelope, 2).expect("opens"), plaintext);
    }
}

#[test]
fn the_committed_envelope_opens_and_is_made_again_byte_for_byte() {
    assert_eq!(hex::encode(sealed(VECTOR_TEXT, &[7, 8])), VECTOR.trim());
    let envelope = hex::decode(VECTOR.trim()).expect("hex");
    assert_eq!(opened(&envelope, 7).expect("opens"), VECTOR_TEXT);
    assert_eq!(opened(&envelope, 8).expect("opens"), VECTOR_TEXT);
}

#[test]
fn every_flipped_bit_is_refused() {
    let envelope = sealed(b"short", &[1, 2]);
    for position in 0..envelope.len() {
        for bit in 0..8 {
            let mut changed = envelope.clone();
            changed[position] ^= 1 << bit;
            assert!(opened(&changed, 1).is_err(), "bit {bit} of byte {position} went unnoticed");
        }
    }
}

#[test]
fn every_truncation_is_refused_as_such() {
    let envelope = sealed(&[5; 2_000], &[1]);
    for length in 0..envelope.len() {
        assert!(
            matches!(opened(&envelope[..length], 1), Err(EnvelopeError::Truncated { .. })),
            "{length} bytes were taken"
        );
    }
}

#[test]
fn an_appended_byte_is_refused() {
    let mut envelope = sealed(b"whole", &[1]);
    let expected = envelope.len() as u64;
    envelope.push(0);
    assert_eq!(
        opened(&envelope, 1),
        Err(EnvelopeError::TrailingBytes { expected, actual: expected + 1 })
    );
}

#[test]
fn dropping_the_last_chunk_is_refused_even_if_the_length_is_adjusted() {
    let mut envelope = sealed(&[5; 2 * CHUNK_BYTES], &[1]);
    envelope.truncate(envelope.len() - CHUNK_BYTES - TAG_BYTES);
    envelope[14..22].copy_from_slice(&(CHUNK_BYTES as u64).to_be_bytes());
    assert_eq!(opened(&envelope, 1), Err(EnvelopeError::WrongContextOrTampered));
}

#[test]
fn swapped_chunks_are_refused() {
    let mut envelope = sealed(&[5; 3 * CHUNK_BYTES], &[1]);
    let first = PREFIX_BYTES + RECIPIENT_BYTES;
    let (left, right) = envelope[first..].split_at_mut(CHUNK_BYTES + TAG_BYTES);
    left.swap_with_slice(&mut right[..CHUNK_BYTES + TAG_BYTES]);
    assert_eq!(opened(&envelope, 1), Err(EnvelopeError::WrongContextOrTampered));
}

#[test]
fn another_key_is_told_that_it_is_not_addressed() {
    let envelope = sealed(b"digits", &[1, 2]);
    assert_eq!(
        opened(&envelope, 3),
        Err(EnvelopeError::NotAddressedToThisKey {
            key: secret(3).public_key().to_string(),
            recipients: 2
        })
    );
}

#[test]
fn a_difference_in_any_field_of_the_context_is_refused() {
    let envelope = sealed(b"digits", &[1]);
    let others = [
        EnvelopeContext { chain_id: 1, ..CONTEXT },
        EnvelopeContext { purpose: Purpose::Result, ..CONTEXT },
        EnvelopeContext { purpose: Purpose::Checkpoint, ..CONTEXT },
        EnvelopeContext { owner: CONTEXT.provider, provider: CONTEXT.owner, ..CONTEXT },
        EnvelopeContext { provider: [0; 20], ..CONTEXT },
        EnvelopeContext { binding: [0; 32], ..CONTEXT },
    ];
    for other in others {
        assert_eq!(
            open(&other, &secret(1), &envelope, 1_000).map(|_| ()),
            Err(EnvelopeError::WrongContextOrTampered)
        );
    }
}

#[test]
fn an_envelope_whose_recipients_hold_different_content_keys_opens_for_one_at_most() {
    // A sender who wants two recipients to read different things wraps a different key for each.
    let mut envelope = sealed(b"what A reads", &[1, 2]);
    let other = seal(
        &CONTEXT,
        &[secret(1).public_key(), secret(2).public_key()],
        b"what B reads",
        &mut ChaCha20Rng::from_seed([10; 32]),
    )
    .expect("sealed");
    let second = PREFIX_BYTES + RECIPIENT_BYTES..PREFIX_BYTES + 2 * RECIPIENT_BYTES;
    envelope[second.clone()].copy_from_slice(&other[second]);
    assert_eq!(opened(&envelope, 2), Err(EnvelopeError::WrongContextOrTampered));
}

#[test]
fn a_plaintext_above_the_callers_limit_is_refused_before_it_is_decrypted() {
    let envelope = sealed(&[0; 100], &[1]);
    assert!(open(&CONTEXT, &secret(1), &envelope, 100).is_ok());
    assert_eq!(
        open(&CONTEXT, &secret(1), &envelope, 99).map(|_| ()),
        Err(EnvelopeError::TooLarge { size: 100, max: 99 })
    );
}

#[test]
fn a_header_that_claims_the_largest_length_is_refused() {
    let mut envelope = sealed(b"small", &[1]);
    envelope[14..22].copy_from_slice(&u64::MAX.to_be_bytes());
    assert!(matches!(opened(&envelope, 1), Err(EnvelopeError::Truncated { .. })));
}

#[test]
fn foreign_bytes_versions_and_suites_are_named() {
    assert_eq!(opened(b"PK\x03\x04", 1), Err(EnvelopeError::NotAnEnvelope));
    let envelope = sealed(b"digits", &[1]);
    let with = |position: usize, value: u8| {
        let mut changed = envelope.clone();
        changed[position] = value;
        opened(&changed, 1)
    };
    assert_eq!(with(4, 2), Err(EnvelopeError::UnsupportedVersion { found: 2 }));
    assert_eq!(with(5, 9), Err(EnvelopeError::UnsupportedSuite { found: 9 }));
    assert_eq!(with(6, 0), Err(EnvelopeError::RecipientCount { found: 0 }));
    assert_eq!(with(6, 17), Err(EnvelopeError::RecipientCount { found: 17 }));
}

#[test]
fn no_recipient_too_many_and_the_same_twice_are_refused() {
    let try_seal = |keys: &[EncryptionPublicKey]| seal(&CONTEXT, keys, b"", &mut rng());
    let keys: Vec<_> = (0..17).map(|byte| secret(byte).public_key()).collect();
    assert_eq!(try_seal(&[]), Err(EnvelopeError::RecipientCount { found: 0 }));
    assert_eq!(try_seal(&keys), Err(EnvelopeError::RecipientCount { found: 17 }));
    assert!(try_seal(&keys[..MAX_RECIPIENTS]).is_ok());
    assert!(matches!(
        try_seal(&[keys[1], keys[2], keys[1]]),
        Err(EnvelopeError::DuplicateRecipient { .. })
    ));
}

#[test]
fn weak_and_uncanonical_public_keys_are_refused() {
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = [0xff; 32];
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    let mut prime = minus_one;
    prime[0] = 0xed;
    let mut high_bit = *secret(1).public_key().as_bytes();
    high_bit[31] |= 0x80;
    for (bytes, problem) in [
        ([0; 32], KeyError::Weak),
        (one, KeyError::Weak),
        (minus_one, KeyError::Weak),
        (prime, KeyError::NotCanonical),
        ([0xff; 32], KeyError::NotCanonical),
        (high_bit, KeyError::NotCanonical),
    ] {
        assert_eq!(EncryptionPublicKey::from_bytes(bytes), Err(problem), "{bytes:02x?}");
    }
}

#[test]
fn a_secret_key_has_the_public_key_of_rfc_9180() {
    // The recipient's key pair of appendix A.1.1.
    let secret = EncryptionSecretKey::from_hex(
        "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8",
    )
    .expect("hex");
    assert_eq!(
        secret.public_key().to_string(),
        "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d"
    );
}

#[test]
fn keys_survive_hex_and_json_and_secrets_are_not_shown() {
    let secret = EncryptionSecretKey::generate(&mut rng());
    let public = secret.public_key();
    let again = EncryptionSecretKey::from_hex(&secret.to_hex()).expect("hex");
    assert_eq!(again.to_bytes(), secret.to_bytes());
    assert_eq!(public.to_string().parse(), Ok(public));
    let json = serde_json::to_string(&public).expect("to JSON");
    assert_eq!(serde_json::from_str::<EncryptionPublicKey>(&json).expect("from JSON"), public);
    assert_eq!(EncryptionSecretKey::from_hex("AB").map(|_| ()), Err(KeyError::NotHex));
    let shown = format!("{secret:?}");
    assert!(shown.contains(&public.to_string()) && !shown.contains(secret.to_hex().as_str()));
}

#[test]
fn two_seals_of_the_same_plaintext_share_nothing_secret() {
    let recipients = [secret(1).public_key()];
    let mut rng = rng();
    let mut make = || seal(&CONTEXT, &recipients, &[0; 64], &mut rng).expect("sealed");
    let (first, second) = (make(), make());
    assert_ne!(first[7..14], second[7..14], "nonce prefix");
    assert_ne!(first[first.len() - 80..], second[second.len() - 80..], "chunks");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_plaintext_survives_for_any_number_of_recipients(
        plaintext in proptest::collection::vec(any::<u8>(), 0..150_000),
        count in 1..=16_u8,
        reader in any::<proptest::sample::Index>(),
    ) {
        let recipients: Vec<u8> = (1..=count).collect();
        let envelope = sealed(&plaintext, &recipients);
        prop_assert_eq!(opened(&envelope, *reader.get(&recipients)), Ok(plaintext));
    }

    #[test]
    fn a_flip_anywhere_in_a_long_envelope_is_refused(
        length in 1..200_000_usize,
        position in any::<proptest::sample::Index>(),
        mask in 1..=255_u8,
    ) {
        let mut envelope = sealed(&vec![7; length], &[1, 2]);
        let position = position.index(envelope.len());
        envelope[position] ^= mask;
        prop_assert!(opened(&envelope, 1).is_err());
    }

    #[test]
    fn a_cut_anywhere_in_a_long_envelope_is_refused(
        length in 1..200_000_usize,
        cut in any::<proptest::sample::Index>(),
    ) {
        let envelope = sealed(&vec![7; length], &[1]);
        let cut = cut.index(envelope.len());
        let refused = matches!(opened(&envelope[..cut], 1), Err(EnvelopeError::Truncated { .. }));
        prop_assert!(refused);
    }

    #[test]
    fn arbitrary_bytes_never_open_and_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..1_000),
        disguise in any::<bool>(),
    ) {
        let mut bytes = bytes;
        if disguise {
            let start = bytes.len().min(7);
            bytes[..start].copy_from_slice(&b"NEUE\x01\x01\x01"[..start]);
        }
        prop_assert!(opened(&bytes, 1).is_err());
    }

    #[test]
    fn the_largest_plaintext_for_a_limit_is_exact(limit in 0..400_000_u64, count in 1..=16_usize) {
        match max_plaintext_len(limit, count) {
            Some(length) => {
                prop_assert!(sealed_len(length, count) <= limit);
                prop_assert!(sealed_len(length + 1, count) > limit);
            }
            None => prop_assert!(sealed_len(0, count) > limit),
        }
    }
}
