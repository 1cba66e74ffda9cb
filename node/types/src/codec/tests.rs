use alloy_primitives::Bytes;
use proptest::prelude::*;

use super::*;
use crate::Batch;

/// Fuzzing found a batch of which a relay could make others: the same content, other bytes, another digest.
#[test]
fn a_number_in_a_wider_form_than_it_needs_is_refused() {
    let batch = Batch { author: 1, sequence: 0, items: Vec::new() };
    assert_eq!(encode(&batch), [1, 0, 0]);
    assert_eq!(decode::<Batch>(&[1, 0, 0]).unwrap(), batch);
    for wide in [&[0xfb, 1, 0, 0, 0][..], &[1, 0xfc, 0, 0, 0, 0, 0], &[1, 0, 0xfb, 0, 0]] {
        let refused = decode::<Batch>(wide).unwrap_err();
        assert!(
            matches!(refused, CodecError::NotCanonical { size, canonical: 3 } if size == wide.len())
        );
    }
}

#[test]
fn lengths_that_are_borrowed_are_in_their_shortest_form_too() {
    assert_eq!(decode_borrowed::<&str>(b"\x01a", 9).unwrap(), "a");
    assert!(decode_borrowed::<&str>(b"\xfb\x01\0a", 9).is_err());
}

proptest! {
    #[test]
    fn bytes_that_are_a_value_are_its_encoding(
        author: u16,
        sequence: u64,
        items: Vec<Vec<u8>>,
        place: prop::sample::Index,
        byte: u8,
    ) {
        let items = items.into_iter().map(Bytes::from).collect();
        let mut bytes = encode(&Batch { author, sequence, items });
        prop_assert_eq!(encode(&decode::<Batch>(&bytes).unwrap()), bytes.clone());
        *place.get_mut(&mut bytes) = byte;
        if let Ok(batch) = decode::<Batch>(&bytes) {
            prop_assert_eq!(encode(&batch), bytes);
        }
    }
}
