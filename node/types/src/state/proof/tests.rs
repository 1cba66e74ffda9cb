use alloy_primitives::Address;
use proptest::prelude::*;

use super::*;

fn key(byte: u8) -> StateKey {
    StateKey::Account(Address::repeat_byte(byte))
}

fn leaf(key: &StateKey, value: &[u8]) -> Leaf {
    Leaf { path: path_of(&key.to_bytes()), value: value_hash(value) }
}

#[test]
fn each_kind_of_hash_has_a_key_of_its_own() {
    let (a, b) = ([1; 32], [2; 32]);
    let both = [a, b].concat();
    let under = |key| *blake3::keyed_hash(key, &both).as_bytes();
    let hashes =
        [path_of(&both), value_hash(&both), Leaf { path: a, value: b }.hash(), inner_hash(&a, &b)];
    assert_eq!(hashes, [PATH_KEY, VALUE_KEY, LEAF_KEY, INNER_KEY].map(under));
    let different: std::collections::BTreeSet<_> = hashes.iter().collect();
    assert_eq!(different.len(), hashes.len());
}

#[test]
fn many_hashes_at_once_are_those_of_one_at_a_time() {
    let hash = |number: usize| value_hash(&number.to_le_bytes());
    for count in 0..=70 {
        let leaves: Vec<Leaf> =
            (0..count).map(|n| Leaf { path: hash(2 * n), value: hash(2 * n + 1) }).collect();
        let inputs: Vec<_> = leaves.iter().map(|leaf| joined(&leaf.path, &leaf.value)).collect();
        let inner: Vec<_> = leaves.iter().map(|leaf| inner_hash(&leaf.path, &leaf.value)).collect();
        assert_eq!(inner_hashes(&inputs), inner);
        let each: Vec<_> = leaves.iter().map(Leaf::hash).collect();
        assert_eq!(Leaf::hashes(leaves.into_iter()), each);
    }
}

#[test]
fn an_empty_tree_proves_absence_and_nothing_else() {
    let root = B256::new(EMPTY_HASH);
    verify_proof(root, &key(1), None, &[0]).expect("nothing is there");
    assert!(verify_proof(root, &key(1), Some(b"x"), &[0]).is_err());
    assert!(verify_proof(B256::ZERO, &key(1), None, &[0]).is_err());
}

#[test]
fn a_tree_of_one_leaf_proves_it_and_the_absence_of_all_others() {
    let leaf = leaf(&key(1), b"value");
    let root = B256::new(leaf.hash());
    let proof = Proof { leaf: Some(leaf), siblings: vec![] }.encode();
    verify_proof(root, &key(1), Some(b"value"), &proof).expect("present");
    verify_proof(root, &key(2), None, &proof).expect("absent");
    assert!(verify_proof(root, &key(1), Some(b"other"), &proof).is_err());
    assert!(verify_proof(root, &key(1), None, &proof).is_err());
    assert!(verify_proof(root, &key(2), Some(b"value"), &proof).is_err());
    assert!(verify_proof(root, &key(1), None, &[0]).is_err());
}

#[test]
fn a_leaf_outside_the_subtree_of_a_key_does_not_prove_its_absence() {
    // Two leaves that differ in their first bit: each one's sibling is the other.
    let keys: Vec<StateKey> = (0..=255).map(key).collect();
    let first_bit = |key: &&StateKey| path_of(&key.to_bytes())[0] & 0x80 != 0;
    let right = keys.iter().find(first_bit).expect("half of all paths");
    let left = keys.iter().find(|key| !first_bit(key)).expect("half of all paths");
    let (l, r) = (leaf(left, b"l"), leaf(right, b"r"));
    let root = B256::new(inner_hash(&l.hash(), &r.hash()));
    let of_left = Proof { leaf: Some(l), siblings: vec![r.hash()] };
    let path = |key: &StateKey| path_of(&key.to_bytes());
    of_left.verify(root, &path(left), Some(b"l")).expect("present");
    assert_eq!(
        of_left.verify(root, &path(right), None),
        Err(ProofError::OtherValue("the leaf is not in the key's subtree"))
    );
}

#[test]
fn bytes_that_are_no_proof_are_refused() {
    for bytes in [vec![], vec![2], vec![1; 64], vec![0; 32], vec![0; MAX_PROOF_BYTES + 32]] {
        let length = bytes.len();
        let refused = verify_proof(B256::ZERO, &key(1), None, &bytes);
        assert_eq!(refused, Err(ProofError::Malformed(length)));
    }
    let longest = Proof { leaf: Some(leaf(&key(1), b"")), siblings: vec![[0; 32]; PATH_BITS] };
    assert_eq!(longest.encode().len(), MAX_PROOF_BYTES);
    assert_eq!(Proof::decode(&longest.encode()), Ok(longest));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_prove_nothing(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        prop_assert!(verify_proof(B256::ZERO, &key(1), None, &bytes).is_err());
    }

    #[test]
    fn proofs_come_back_from_their_encoding(
        leaf in proptest::option::of((any::<[u8; 32]>(), any::<[u8; 32]>())),
        siblings in proptest::collection::vec(any::<[u8; 32]>(), 0..20),
    ) {
        let leaf = leaf.map(|(path, value)| Leaf { path, value });
        let proof = Proof { leaf, siblings };
        prop_assert_eq!(Proof::decode(&proof.encode()), Ok(proof));
    }
}
