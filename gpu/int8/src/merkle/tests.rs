use super::*;

const DOMAIN: &str = "neura:int8:test:v2";

#[test]
fn every_leaf_leads_to_the_root_and_a_changed_one_does_not() {
    for length in [1_usize, 31, 1_024, 1_025, 2_048, 2_049, 3_072, 5_000, 8_192, 9_217, 70_001] {
        let bytes: Vec<u8> = (0..length).map(|at| (at * 31 % 251) as u8).collect();
        let expected = root(DOMAIN, &bytes);
        for at in (0..length).step_by(700).chain([length - 1]) {
            let mut leaf = open(DOMAIN, &bytes, at).unwrap();
            let found = root_of(DOMAIN, &leaf, at as u64, length as u64);
            assert_eq!(found, Ok(expected), "byte {at} of {length}");
            assert_eq!(leaf.bytes[at % LEAF_BYTES], bytes[at]);
            leaf.bytes[0] ^= 0x80;
            let changed = root_of(DOMAIN, &leaf, at as u64, length as u64);
            assert_ne!(changed, Ok(expected), "byte {at} of {length}");
        }
        assert_eq!(open(DOMAIN, &bytes, length.next_multiple_of(LEAF_BYTES)), None);
    }
}

#[test]
fn a_leaf_does_not_open_at_another_place() {
    let bytes = vec![7; 4 * LEAF_BYTES]; // all leaves alike
    let leaf = open(DOMAIN, &bytes, 0).unwrap();
    let expected = root(DOMAIN, &bytes);
    assert_eq!(root_of(DOMAIN, &leaf, 0, 4_096), Ok(expected));
    assert_ne!(root_of(DOMAIN, &leaf, 1_024, 4_096), Ok(expected));
    assert_eq!(root_of(DOMAIN, &leaf, 0, 8_192), Err(ModelError::Opening));
    assert_eq!(root_of(DOMAIN, &leaf, 4_096, 4_096), Err(ModelError::Opening));
}

#[test]
fn the_root_is_blake3_of_the_bytes_in_its_domain() {
    let bytes = vec![1; 3_000];
    assert_eq!(root(DOMAIN, &bytes), blake3::derive_key(DOMAIN, &bytes));
    assert_ne!(root(DOMAIN, &bytes), root("neura:int8:other:v2", &bytes));
}
