use std::collections::BTreeMap;

use alloy_primitives::{Address, Bytes, U256};

use neura_types::simulation::{AccountOverride, CallRequest, CallStatus, Overrides};

use super::*;
use crate::{
    chain,
    testing::{
        After, CHAIN_ID, GWEI, MODULE, TestModules, World, command, decode, deployer, eth_key,
        forwarder, op,
    },
};

fn request(to: Address, input: &[u8]) -> CallRequest {
    CallRequest {
        from: Some(eth_key(1).address()),
        to: Some(to),
        input: Bytes::copy_from_slice(input),
        ..CallRequest::default()
    }
}

fn simulate(world: &World, request: &CallRequest) -> Result<CallOutcome, CallError> {
    let base_fee = chain::next_base_fee(&world.state).unwrap();
    let context = BlockContext { base_fee, ..world.context.clone() };
    call(&Scene::new(&world.state, &context).on(&TestModules), request)
}

fn estimate(world: &World, request: &CallRequest) -> Result<u64, CallError> {
    let base_fee = chain::next_base_fee(&world.state).unwrap();
    let context = BlockContext { base_fee, ..world.context.clone() };
    estimate_gas(&Scene::new(&world.state, &context).on(&TestModules), request)
}

#[test]
fn a_call_returns_what_a_transaction_would_and_changes_nothing() {
    let world = World::new();
    let outcome = simulate(&world, &request(MODULE, &[command::WORK])).unwrap();
    assert!(outcome.success());
    assert_eq!(outcome.output.as_ref(), eth_key(1).address().into_word().as_slice());
    assert_eq!(outcome.logs.len(), 1);
    assert_eq!(world.word(MODULE, 1), U256::ZERO);
}

#[test]
fn a_caller_without_coins_can_call_for_free_but_not_send_value() {
    let world = World::new();
    let poor =
        CallRequest { from: Some(Address::repeat_byte(9)), ..request(MODULE, &[command::READ]) };
    assert!(simulate(&world, &poor).unwrap().success());
    let generous = CallRequest { value: U256::from(1), ..poor.clone() };
    let error = simulate(&world, &generous).unwrap_err();
    assert!(error.to_string().starts_with("insufficient funds for gas * price + value"));
    let paying = CallRequest { max_fee_per_gas: Some(5 * GWEI), ..poor };
    assert!(matches!(
        simulate(&world, &paying).unwrap_err(),
        CallError::Invalid(InvalidTransaction::InsufficientFunds { .. })
    ));
}

#[test]
fn a_gas_price_below_the_base_fee_is_refused_only_if_there_is_one() {
    let world = World::new();
    let cheap = CallRequest { max_fee_per_gas: Some(1), ..request(MODULE, &[command::READ]) };
    let error = simulate(&world, &cheap).unwrap_err();
    assert!(error.to_string().starts_with("max fee per gas less than block base fee"), "{error}");
}

#[test]
fn a_reverted_call_tells_why() {
    let world = World::new();
    let outcome = simulate(&world, &request(MODULE, &[command::REFUSE])).unwrap();
    assert_eq!(outcome.status, CallStatus::Reverted);
    let reason = revert_reason(&outcome.output).unwrap();
    assert_eq!(reason.code.as_deref(), Some("not_today"));
    let error = estimate(&world, &request(MODULE, &[command::REFUSE])).unwrap_err();
    assert_eq!(error.to_string(), "execution reverted: not_today: try tomorrow");
    assert!(matches!(error, CallError::Reverted(data) if data == outcome.output));
}

#[test]
fn a_halted_call_has_geths_reason() {
    let mut world = World::new();
    let contract = world.deploy(&[op::INVALID]);
    let outcome = simulate(&world, &request(contract, &[])).unwrap();
    assert_eq!(outcome.status, CallStatus::Halted("invalid opcode: INVALID".into()));
    let error = estimate(&world, &request(contract, &[])).unwrap_err();
    assert_eq!(error.to_string(), "invalid opcode: INVALID");
    for (code, text) in [
        (vec![op::JUMPDEST, op::PUSH0, op::PUSH0, 0x56], "stack limit reached 1024 (1023)"),
        (vec![0x60, 1, op::PUSH0, op::PUSH0, 0x3e], "return data out of bounds"),
        (vec![0x60, 1, 0x56], "invalid jump destination"),
        (vec![0x0c], "invalid opcode"),
    ] {
        let contract = world.deploy(&code);
        let outcome = simulate(&world, &request(contract, &[])).unwrap();
        assert_eq!(outcome.status, CallStatus::Halted(text.into()));
    }
    let reserved = CallRequest {
        to: None,
        input: Bytes::from_static(&[0x60, 0xef, op::PUSH0, 0x53, 0x60, 1, op::PUSH0, 0xf3]),
        ..request(contract, &[])
    };
    let outcome = simulate(&world, &reserved).unwrap();
    let text = "invalid code: must not begin with 0xef";
    assert_eq!(outcome.status, CallStatus::Halted(text.into()));
    // JUMPDEST PUSH0 JUMP: for ever.
    let endless = world.deploy(&[op::JUMPDEST, op::PUSH0, 0x56]);
    let outcome = simulate(&world, &request(endless, &[])).unwrap();
    assert_eq!(outcome.status, CallStatus::Halted("out of gas".into()));
    assert!(outcome.gas_used <= MAX_CALL_GAS);
    let error = estimate(&world, &request(endless, &[])).unwrap_err();
    assert_eq!(error.to_string(), "gas required exceeds allowance (16777216)");
}

#[test]
fn a_creation_without_deployment_can_be_called() {
    let world = World::new();
    // What libraries call "deployless": creation code that returns data in place of code.
    let creation = CallRequest {
        to: None,
        input: deployer(b"\x01\x02\x03").into(),
        ..request(Address::ZERO, &[])
    };
    let outcome = simulate(&world, &creation).unwrap();
    assert_eq!(outcome.output.as_ref(), b"\x01\x02\x03");
    assert!(outcome.created.is_some());
}

#[test]
fn an_estimate_suffices_at_the_first_try() {
    let mut world = World::new();
    let catcher = world.deploy(&forwarder(op::CALL, MODULE, After::Catch));
    let strict = world.deploy(&forwarder(op::CALL, MODULE, After::Propagate));
    let deep = world.deploy(&forwarder(op::CALL, strict, After::Propagate));
    for to in [MODULE, catcher, strict, deep] {
        for value in [0u64, 5] {
            let asked = CallRequest { value: U256::from(value), ..request(to, &[command::WORK]) };
            let gas = estimate(&world, &asked).unwrap();
            let mut trial = world.clone();
            let draft = trial.tx(1).gas(gas).value(value.into());
            let receipt = trial.run(draft.call(to, &[command::WORK]));
            assert!(receipt.success, "{gas} gas for {to}");
            assert!(gas < receipt.gas_used * 2, "{gas} gas for {} used", receipt.gas_used);
        }
    }
    let creation =
        CallRequest { to: None, input: deployer(&[op::STOP; 500]).into(), ..request(MODULE, &[]) };
    let gas = estimate(&world, &creation).unwrap();
    assert!(world.run(world.tx(1).gas(gas).create(deployer(&[op::STOP; 500]))).success);
}

#[test]
fn an_estimate_covers_gas_that_is_refunded_later() {
    let mut world = World::new();
    // Without call data: sets slot 0 to 1. With: clears it, which gives gas back only at the end.
    let code = [op::CALLDATASIZE, op::ISZERO, op::PUSH0, op::SSTORE, op::STOP];
    let contract = world.deploy(&code);
    world.run(world.tx(1).call(contract, &[]));
    assert_eq!(world.word(contract, 0), U256::from(1));
    let gas = estimate(&world, &request(contract, &[1])).unwrap();
    let receipt = world.run(world.tx(1).gas(gas).call(contract, &[1]));
    assert!(receipt.success);
    assert!(receipt.gas_used < gas);
}

#[test]
fn a_plain_transfer_is_estimated_exactly() {
    let world = World::new();
    let transfer = CallRequest { value: U256::from(1), ..request(Address::repeat_byte(0xaa), &[]) };
    assert_eq!(estimate(&world, &transfer).unwrap(), 21_000);
}

#[test]
fn an_estimate_knows_what_the_caller_can_pay() {
    let world = World::new();
    let all = world.balance(eth_key(1).address());
    let broke = CallRequest {
        value: all - U256::from(50_000u64 * 10_000_000_000),
        max_fee_per_gas: Some(10 * GWEI),
        ..request(MODULE, &[command::WORK])
    };
    let error = estimate(&world, &broke).unwrap_err();
    assert_eq!(error.to_string(), "gas required exceeds allowance (50000)");
    let too_generous = CallRequest { value: all + U256::from(1), ..broke };
    assert_eq!(
        estimate(&world, &too_generous).unwrap_err().to_string(),
        "insufficient funds for transfer"
    );
}

#[test]
fn overrides_reach_contracts_and_modules() {
    let mut world = World::new();
    let contract = world.deploy(&forwarder(op::CALL, MODULE, After::Propagate));
    let stranger = Address::repeat_byte(0x31);
    let overrides = BTreeMap::from([
        (
            MODULE,
            AccountOverride {
                state_diff: Some([(U256::from(1), U256::from(42))].into()),
                ..AccountOverride::default()
            },
        ),
        (
            stranger,
            AccountOverride {
                balance: Some(U256::from(10)),
                code: Some(forwarder(op::CALL, contract, After::Propagate).into()),
                nonce: Some(3),
                state: Some(BTreeMap::new()),
                ..AccountOverride::default()
            },
        ),
    ]);
    let overrides = Overrides { state: overrides, ..Overrides::default() };
    let asked = CallRequest {
        from: Some(stranger),
        value: U256::from(7),
        ..request(stranger, &[command::READ])
    };
    let context = BlockContext { chain_id: CHAIN_ID, ..world.context.clone() };
    let scene = Scene::new(&world.state, &context).on(&TestModules).with(overrides);
    let outcome = call(&scene, &asked).unwrap();
    assert!(outcome.success());
    assert_eq!(U256::from_be_slice(&outcome.output), U256::from(42));
}

/// Makes a log without topics and data (LOG0).
const LOG: [u8; 3] = [op::PUSH0, op::PUSH0, 0xa0];

#[test]
fn logs_in_a_trace_have_the_indexes_of_receipts_and_reverted_ones_are_left_out() {
    let mut world = World::new();
    let logger = world.deploy(&LOG);
    let reverter = world.deploy(&[LOG.as_slice(), &[op::PUSH0, op::PUSH0, op::REVERT]].concat());
    let catching = forwarder(op::CALL, reverter, After::Catch);
    let catcher = world.deploy(&[&LOG, catching.as_slice()].concat());
    let outer = [LOG.as_slice(), &forwarder(op::CALL, catcher, After::Propagate)].concat();
    let outer = world.deploy(&outer);
    let transaction = |key, to| decode(world.tx(key).call(to, &[])).unwrap().as_ref().clone();
    let transactions = [transaction(1, logger), transaction(2, outer)];
    let base_fee = chain::next_base_fee(&world.state).unwrap();
    let context = BlockContext { base_fee, ..world.context.clone() };
    let scene = Scene::new(&world.state, &context).on(&TestModules);
    let options =
        serde_json::json!({ "tracer": "callTracer", "tracerConfig": { "withLog": true } });
    let options = TraceOptions::new(options);
    let start = BlockStart::default();
    let traces = trace_block(&scene, &start, &transactions, None, &options).unwrap();
    let (first, second) = (&traces[0].1, &traces[1].1);
    assert_eq!(first["logs"][0]["index"], "0x0");
    assert_eq!(second["logs"][0]["index"], "0x1", "the block has one before");
    let inner = &second["calls"][0];
    assert_eq!(inner["logs"][0]["index"], "0x2");
    assert!(inner["calls"][0]["error"].is_string() && inner["calls"][0]["logs"].is_null());
}
