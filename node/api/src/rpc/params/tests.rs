use super::*;

fn block(text: &str) -> Option<BlockRef> {
    serde_json::from_str::<BlockId>(text).ok().map(BlockId::to_ref)
}

#[test]
fn a_block_is_named_by_tag_number_hash_or_object() {
    let hash = B256::repeat_byte(7);
    for tag in ["latest", "safe", "finalized"] {
        assert_eq!(block(&format!("\"{tag}\"")), Some(BlockRef::Latest));
    }
    assert_eq!(block("\"pending\""), Some(BlockRef::Pending));
    assert_eq!(block("\"earliest\""), Some(BlockRef::Height(0)));
    assert_eq!(block("\"0x1f\""), Some(BlockRef::Height(31)));
    assert_eq!(block("31"), Some(BlockRef::Height(31)));
    assert_eq!(block(&format!("\"{hash}\"")), Some(BlockRef::Id(hash)));
    assert_eq!(block(&format!(r#"{{"blockHash":"{hash}"}}"#)), Some(BlockRef::Id(hash)));
    let strict = format!(r#"{{"blockHash":"{hash}","requireCanonical":true}}"#);
    assert_eq!(block(&strict), Some(BlockRef::Id(hash)));
    assert_eq!(block(r#"{"blockNumber":"0x2"}"#), Some(BlockRef::Height(2)));
    assert_eq!(block(r#"{"blockNumber":"latest"}"#), Some(BlockRef::Latest));
}

#[test]
fn what_names_no_block_is_refused() {
    for text in [
        "\"\"",
        "\"0x\"",
        "\"newest\"",
        "\"12\"",
        "-1",
        "1.5",
        "[]",
        "{}",
        "true",
        r#"{"blockNumber":"0x1","blockHash":"0x0707070707070707070707070707070707070707070707070707070707070707"}"#,
    ] {
        assert_eq!(block(text), None, "{text}");
    }
}

#[test]
fn a_height_beyond_64_bits_is_one_that_no_block_has() {
    assert_eq!(block("\"0xffffffffffffffffffff\""), Some(BlockRef::Height(u64::MAX)));
}

#[test]
fn a_quantity_is_hexadecimal_or_a_json_number() {
    let read = |text: &str| serde_json::from_str::<Quantity>(text).ok().map(|q| q.0);
    assert_eq!(read("\"0x0a\""), Some(U256::from(10)));
    assert_eq!(read("10"), Some(U256::from(10)));
    for text in ["\"10\"", "\"0x\"", "\"0xg\"", "\"0x_1\"", "-1", "1.5", "null", "\"\""] {
        assert_eq!(read(text), None, "{text}");
    }
    assert_eq!(read(&format!("\"0x{}\"", "f".repeat(65))), None);
}

#[test]
fn too_many_parameters_are_counted_and_not_held() {
    let long = format!("[{}0]", "0,".repeat(1_000_000));
    let raw: &RawValue = serde_json::from_str(&long).unwrap();
    let params = Params::read(Some(raw)).unwrap();
    assert_eq!((params.items.len(), params.count), (MAX_PARAMS, 1_000_001));
    for text in ["{}", "1", "\"x\""] {
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        assert!(Params::read(Some(raw)).is_err(), "{text}");
    }
}

#[test]
fn input_wins_over_data_and_unknown_members_are_ignored() {
    let text = r#"{"data":"0x01","input":"0x02","authorizationList":[],"kind":"x","type":"0x2"}"#;
    let call: CallParams = serde_json::from_str(text).unwrap();
    let request = call.into_request(1).unwrap();
    assert_eq!(request.input, Bytes::from_static(&[2]));
    assert_eq!(request.gas, None, "as much as is allowed");
}

#[test]
fn a_call_for_another_chain_or_with_two_prices_is_refused() {
    for text in [r#"{"chainId":"0x2"}"#, r#"{"gasPrice":"0x1","maxFeePerGas":"0x1"}"#] {
        let call: CallParams = serde_json::from_str(text).unwrap();
        assert!(call.into_request(1).is_err(), "{text}");
    }
}

#[test]
fn gas_is_capped() {
    let call: CallParams = serde_json::from_str(r#"{"gas":"0xffffffffffffffffff"}"#).unwrap();
    assert_eq!(call.into_request(1).unwrap().gas, Some(MAX_CALL_GAS));
}
