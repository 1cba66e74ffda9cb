//! What must hold of a decoder, and how seeds are read.

use std::fmt::Debug;

use neura_types::codec;
use serde::{Serialize, de::DeserializeOwned};

/// Bytes that are a value are the only ones that are this value.
pub(crate) fn one_encoding<T: Serialize + DeserializeOwned>(
    bytes: &[u8],
    limit: usize,
) -> Option<T> {
    let value: T = codec::decode_limited(bytes, limit).ok()?;
    same(bytes, &codec::encode(&value));
    Some(value)
}

/// Bytes decoded and encoded again are the same.
pub(crate) fn same(bytes: &[u8], again: &[u8]) {
    assert!(
        bytes == again,
        "{} bytes were decoded, and encode as {} others: first difference at {:?}",
        bytes.len(),
        again.len(),
        bytes.iter().zip(again).position(|(a, b)| a != b)
    );
}

/// JSON that is a value is written as JSON that is the same value.
pub(crate) fn stable_json<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(bytes).ok()?;
    let text = serde_json::to_vec(&value).expect("what was read can be written");
    let again: T = serde_json::from_slice(&text)
        .unwrap_or_else(|error| panic!("what was written is not read: {error}"));
    let text_again = serde_json::to_vec(&again).expect("what was read can be written");
    assert!(text == text_again, "JSON changes when it is read and written");
    Some(value)
}

/// Text that is a value is written as text that is the same value.
pub(crate) fn stable_text<T: PartialEq + Debug + ToString>(
    bytes: &[u8],
    parse: impl Fn(&str) -> Option<T>,
) {
    let Some(value) = std::str::from_utf8(bytes).ok().and_then(&parse) else { return };
    assert_eq!(parse(&value.to_string()).as_ref(), Some(&value), "a text changes its meaning");
}

/// The bytes of a line of hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    alloy_primitives::hex::decode(text.trim()).expect("a vector is hexadecimal")
}

/// The vectors of a name in a crate's `tests/vectors`, as seeds.
macro_rules! vectors {
    ($folder:literal: $($name:literal),+) => {
        || vec![$($crate::check::unhex(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"), "/../../", $folder, "/tests/vectors/", $name, ".hex"
        )))),+]
    };
}
pub(crate) use vectors;

/// Texts as seeds.
macro_rules! texts {
    ($($text:expr),+ $(,)?) => { || vec![$($text.to_string().into_bytes()),+] };
}
pub(crate) use texts;
