//! What tracers see of calls into WASM contracts and native modules.

use neura_types::Transaction;
use serde_json::{Value, json};

use super::*;
use crate::{
    BlockContext, BlockStart, Scene, TraceOptions, chain,
    testing::{After, MODULE, PAYEE, TestModules, command, decode, eth_key, forwarder, op},
    trace_block,
};

fn trace(world: &World, transaction: &Transaction, tracer: Value) -> Value {
    let base_fee = chain::next_base_fee(&world.state).unwrap();
    let context = BlockContext { base_fee, ..world.context.clone() };
    let scene = Scene::new(&world.state, &context).on(&TestModules);
    let (start, options) = (BlockStart::default(), TraceOptions::new(tracer));
    let transactions = [transaction.clone()];
    trace_block(&scene, &start, &transactions, None, &options).unwrap().remove(0).1
}

fn calls() -> Value {
    json!({ "tracer": "callTracer", "tracerConfig": { "withLog": true } })
}

fn sent(world: &World, to: Address, value: u128, input: &[u8]) -> Transaction {
    let raw = rich(world.tx(2).value(value)).call(to, input);
    decode(raw).unwrap().as_ref().clone()
}

fn hex(bytes: &[u8]) -> Value {
    json!(alloy_primitives::hex::encode_prefixed(bytes))
}

#[test]
fn a_frame_of_wasm_has_caller_value_input_output_and_logs() {
    let mut world = World::new();
    let worker = deploy(&mut world, &worker());
    let outer = world.deploy(&forwarder(op::CALL, worker, After::Propagate));
    let found = trace(&world, &sent(&world, outer, 5, b"\0hi"), calls());
    let frame = &found["calls"][0];
    assert_eq!((&frame["type"], &frame["value"]), (&json!("CALL"), &json!("0x5")));
    assert_eq!((&frame["from"], &frame["to"]), (&json!(outer), &json!(worker)));
    assert_eq!(frame["input"], hex(b"\0hi"));
    assert_eq!(frame["output"], hex(outer.into_word().as_slice()), "who called");
    assert_eq!(frame["logs"][0]["address"], json!(worker));
    assert_eq!(frame["logs"][0]["data"], hex(b"\0hi"));
    assert!(frame["error"].is_null() && frame["gasUsed"] != "0x0");
}

#[test]
fn a_failure_in_wasm_is_told_with_its_data() {
    let mut world = World::new();
    let refusing = deploy(&mut world, &worker());
    let found = trace(&world, &sent(&world, refusing, 0, b"\x01no"), calls());
    assert_eq!(
        (&found["error"], &found["output"]),
        (&json!("execution reverted"), &hex(b"\x01no"))
    );
    assert!(found["logs"].is_null(), "they are taken back");
    let trapping = deploy(&mut world, &contract("unreachable"));
    let outer = world.deploy(&forwarder(op::CALL, trapping, After::Catch));
    let found = trace(&world, &sent(&world, outer, 0, b""), calls());
    let frame = &found["calls"][0];
    assert!(found["error"].is_null(), "the caller caught it");
    assert_eq!(frame["error"], "execution reverted");
    let data: alloy_primitives::Bytes = serde_json::from_value(frame["output"].clone()).unwrap();
    assert!(revert_reason(&data).unwrap().message.contains("unreachable code"));
}

#[test]
fn a_module_called_from_wasm_has_a_frame_of_its_own() {
    let mut world = World::new();
    let proxy = deploy(&mut world, &proxy("call_contract"));
    let input = path(&[MODULE], &[command::WORK]);
    let found = trace(&world, &sent(&world, proxy, 7, &input), calls());
    let frame = &found["calls"][0];
    assert_eq!((&frame["from"], &frame["to"]), (&json!(proxy), &json!(MODULE)));
    assert_eq!((&frame["input"], &frame["value"]), (&hex(&[command::WORK]), &json!("0x7")));
    assert_eq!(frame["output"], hex(proxy.into_word().as_slice()));
    assert_eq!(frame["logs"][0]["data"], hex(b"worked"));
    let flat =
        trace(&world, &sent(&world, proxy, 0, &input), json!({ "tracer": "flatCallTracer" }));
    assert_eq!((&flat[0]["subtraces"], &flat[1]["traceAddress"]), (&json!(1), &json!([0])));
    assert_eq!(flat[1]["action"]["to"], json!(MODULE), "also without value");
    let refused = path(&[MODULE], &[command::REFUSE]);
    let found = trace(&world, &sent(&world, proxy, 0, &refused), calls());
    let frame = &found["calls"][0];
    assert_eq!(frame["error"], "execution reverted");
    assert_eq!(found["output"], frame["output"], "passed on");
    let data: alloy_primitives::Bytes = serde_json::from_value(frame["output"].clone()).unwrap();
    assert_eq!(revert_reason(&data).unwrap().code.as_deref(), Some("not_today"));
}

#[test]
fn the_state_before_and_after_has_the_words_of_wasm_and_of_modules() {
    let mut world = World::new();
    let worker = deploy(&mut world, &worker());
    let word = |n: u64| json!(alloy_primitives::B256::from(U256::from(n)));
    let slot = |n: u64| alloy_primitives::B256::from(U256::from(n)).to_string();
    let diff = json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } });
    let found = trace(&world, &sent(&world, worker, 5, b"\0"), diff.clone());
    let (name, sender) = (format!("{worker:?}"), format!("{:?}", eth_key(2).address()));
    assert_eq!(found["post"][&name]["storage"][slot(7)], word(1));
    assert_eq!(found["post"][&name]["balance"], "0x5");
    assert!(found["pre"][&sender]["balance"].is_string());
    let module = format!("{MODULE:?}");
    let found = trace(&world, &sent(&world, MODULE, 0, &[command::WORK]), diff);
    for n in [1, 2] {
        assert_eq!(found["post"][&module]["storage"][slot(n)], word(n));
    }
    assert_eq!(found["post"][format!("{PAYEE:?}")]["balance"], "0x1");
    let before = json!({ "tracer": "prestateTracer" });
    let found = trace(&world, &sent(&world, MODULE, 0, &[command::READ]), before);
    assert_eq!(found[&module]["storage"][slot(1)], word(0), "read, though not written");
}
