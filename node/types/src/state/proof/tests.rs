use alloy_primitives::Address;

use super::*;

#[test]
fn the_hasher_agrees_with_keyed_blake3_whatever_the_pieces() {
    for length in [0, 1, 31, 80, INLINE_BYTES - 1, INLINE_BYTES, INLINE_BYTES + 1, 1_000] {
        let data: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        let expected = *blake3::keyed_hash(NODE_KEY, &data).as_bytes();
        for piece in [1, 7, 64, 200, 2_000] {
            let mut hasher = TreeHasher::new();
            data.chunks(piece).for_each(|part| hasher.update(part));
            assert_eq!(hasher.finalize(), expected, "{length} bytes in pieces of {piece}");
        }
    }
}

#[test]
fn paths_of_accounts_and_words_are_frozen() {
    let address = Address::repeat_byte(0x11);
    let account = StateKey::Account(address).path();
    let word = StateKey::Storage(address, U256::from(7)).path();
    assert_eq!(
        hex::encode(account.0),
        "ACCOUNT_VECTOR"
    );
    assert_eq!(
        hex::encode(word.0),
        "WORD_VECTOR"
    );
}

#[test]
fn an_empty_tree_proves_absence_and_nothing_else() {
    let empty_root = B256::new(*b"SPARSE_MERKLE_PLACEHOLDER_HASH__");
    let key = StateKey::Account(Address::ZERO);
    // No leaf, no siblings.
    let proof = codec::encode(&(None::<[u8; 64]>.map(|_| ()), Vec::<()>::new()));
    verify_proof(empty_root, &key, None, &proof).expect("nothing is there");
    assert!(matches!(
        verify_proof(empty_root, &key, Some(b"x"), &proof),
        Err(ProofError::Mismatch { .. })
    ));
    assert!(matches!(
        verify_proof(B256::ZERO, &key, None, &proof),
        Err(ProofError::Mismatch { .. })
    ));
}

#[test]
fn bytes_that_are_no_proof_are_refused() {
    let key = StateKey::Account(Address::ZERO);
    for bytes in [vec![], vec![0xff; 40], vec![0; 3], vec![0; MAX_PROOF_BYTES + 1]] {
        assert!(matches!(
            verify_proof(B256::ZERO, &key, None, &bytes),
            Err(ProofError::Malformed(_))
        ));
    }
    // A declared count of siblings far beyond the bytes that follow.
    let bomb = [&[0u8][..], &[253, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]].concat();
    assert!(matches!(
        verify_proof(B256::ZERO, &key, None, &bomb),
        Err(ProofError::Malformed(_))
    ));
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        let key = StateKey::Account(Address::ZERO);
        assert!(verify_proof(B256::ZERO, &key, None, &bytes).is_err());
    }
}
