use alloy_primitives::{Address, B256, U256};
use proptest::prelude::*;

use super::*;
use crate::{Amount, task::TaskState};

#[test]
fn an_event_carries_its_name_beside_its_fields() {
    let change = TaskChange {
        task: 7,
        state: TaskState::Running,
        owner: Address::ZERO,
        provider: Address::repeat_byte(1),
        height: 9,
    };
    let event = ChainEvent::Task(change);
    let json = serde_json::to_value(&event).unwrap();
    assert_eq!(json["kind"], event.name());
    assert_eq!(json["task"], 7);
    assert_eq!(json["state"], "running");
    assert_eq!(serde_json::from_value::<ChainEvent>(json).unwrap(), event);
}

#[test]
fn every_event_is_named_by_its_kind() {
    let events = [
        ChainEvent::BlockOrdered { id: B256::ZERO, height: 1, transactions: 2, timestamp_ms: 3 },
        ChainEvent::BlockExecuted { id: B256::ZERO, height: 1, transactions: 2, gas_used: 3 },
        ChainEvent::Missed {},
    ];
    for event in events {
        assert_eq!(serde_json::to_value(&event).unwrap()["kind"], event.name());
    }
}

#[test]
fn an_amount_that_is_no_decimal_string_is_refused() {
    for text in ["\"0x10\"", "\"-1\"", "\"1.5\"", "\"\"", "10", "\"1e18\"", "\" 1\""] {
        assert!(serde_json::from_str::<Wei>(text).is_err(), "{text}");
    }
}

#[test]
fn a_faucet_request_with_an_unknown_field_is_refused() {
    let text = r#"{"address":"0x0000000000000000000000000000000000000001","amout":"1"}"#;
    assert!(serde_json::from_str::<FaucetRequest>(text).is_err());
}

#[test]
fn a_faucet_amount_may_be_left_out() {
    let text = r#"{"address":"0x0000000000000000000000000000000000000001"}"#;
    assert_eq!(serde_json::from_str::<FaucetRequest>(text).unwrap().amount, None);
    let text = r#"{"address":"0x0000000000000000000000000000000000000001","amount":"12"}"#;
    assert_eq!(serde_json::from_str::<FaucetRequest>(text).unwrap().amount, Some(Amount(12)));
}

proptest! {
    #[test]
    fn an_amount_survives_its_text_form(limbs: [u64; 4]) {
        let wei = Wei(U256::from_limbs(limbs));
        let text = serde_json::to_string(&wei).unwrap();
        prop_assert_eq!(serde_json::from_str::<Wei>(&text).unwrap(), wei);
    }
}
