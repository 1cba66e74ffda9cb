use alloy_primitives::U256;

use super::*;

#[test]
fn a_refusal_is_read_back_with_its_code() {
    let refusal = Refusal { code: "escrow_below_price", message: "lock 5 more: 1".into() };
    let reason = revert_reason(&refusal_data(&refusal)).expect("Error(string)");
    assert_eq!(reason.code.as_deref(), Some("escrow_below_price"));
    assert_eq!(reason.message, "escrow_below_price: lock 5 more: 1");
}

#[test]
fn a_contracts_own_sentence_has_no_code() {
    for text in ["ERC20: transfer amount exceeds balance", "no colon", ": x", "Not A Code: x"] {
        let data = Revert::from(text.to_owned()).abi_encode();
        assert_eq!(
            revert_reason(&data),
            Some(RevertReason { code: None, message: text.to_owned() })
        );
    }
}

#[test]
fn panics_read_as_geth_writes_them() {
    for (code, text) in [
        (0x01u64, "assert(false)"),
        (0x11, "arithmetic underflow or overflow"),
        (0x99, "unknown panic code: 0x99"),
    ] {
        let data = Panic { code: U256::from(code) }.abi_encode();
        assert_eq!(revert_reason(&data).expect("a panic").message, text);
    }
}

#[test]
fn anything_else_has_no_reason() {
    for data in [&[][..], &[0x08, 0xc3, 0x79, 0xa0], &[1, 2, 3], &[0xff; 68]] {
        assert_eq!(revert_reason(data), None);
    }
}
