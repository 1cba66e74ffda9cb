//! Hashes against another implementation, init code taken apart.

use crate::{CODE_PREFIX, HOOKS, InitCode, InitCodeError, header, keccak256, selector};

#[test]
fn the_hash_is_keccak_at_every_length_around_its_blocks() {
    let bytes: [u8; 300] = core::array::from_fn(|i| i as u8);
    for length in 0..bytes.len() {
        assert_eq!(keccak256(&bytes[..length]), alloy_primitives::keccak256(&bytes[..length]).0);
    }
}

#[test]
fn a_selector_is_known() {
    assert_eq!(selector("transfer(address,uint256)"), [0xa9, 0x05, 0x9c, 0xbb]);
}

#[test]
fn init_code_is_taken_apart_and_its_faults_are_named() {
    let mut code = [0u8; 15];
    code[..8].copy_from_slice(&header(5));
    code[8..13].copy_from_slice(b"hello");
    code[13..].copy_from_slice(b"xy");
    let split = InitCode::split(&code).expect("it has the prefix");
    assert_eq!(split, Ok(InitCode { module: b"hello", arguments: b"xy" }));
    assert_eq!(InitCode::split(&code[1..]), None);
    assert_eq!(InitCode::split(&CODE_PREFIX[..3]), None);
    assert_eq!(InitCode::split(&code[..7]), Some(Err(InitCodeError::NoLength)));
    let truncated = InitCodeError::Truncated { announced: 5, found: 4 };
    assert_eq!(InitCode::split(&code[..12]), Some(Err(truncated)));
}

#[test]
fn hooks_have_one_name_each() {
    for (index, hook) in HOOKS.iter().enumerate() {
        assert!(HOOKS[..index].iter().all(|before| before.name != hook.name), "{}", hook.name);
    }
}
