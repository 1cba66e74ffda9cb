use alloy_primitives::{Address, Bytes, U64};
use neura_types::{Receipt, simulation::CallRequest};
use serde_json::{Map, Value, json};

use super::*;
use crate::{
    chain,
    modules::host::BlockContext,
    testing::{After, MODULE, TestModules, World, command, decode, eth_key, forwarder, op},
};

/// JUMPDEST, PUSH0, JUMP: runs until its gas is used up.
const ENDLESS: [u8; 3] = [0x5b, 0x5f, 0x56];

/// Reads one word of storage after the other until its gas is used up.
const READER: [u8; 11] = [0x5f, 0x5b, 0x80, 0x54, 0x50, 0x60, 1, 0x01, 0x60, 1, 0x56];

fn trace(world: &World, to: Address, input: &[u8], options: Value) -> Result<Value, TraceError> {
    let base_fee = chain::next_base_fee(&world.state).unwrap();
    let context = BlockContext { base_fee, ..world.context.clone() };
    let request = CallRequest {
        from: Some(eth_key(1).address()),
        to: Some(to),
        input: Bytes::copy_from_slice(input),
        gas: Some(5_000_000),
        ..CallRequest::default()
    };
    let scene = Scene::new(&world.state, &context).on(&TestModules);
    trace_call(&scene, &request, &TraceOptions::new(options))
}

/// A transaction's trace, and its receipt in a block of its own.
fn trace_sent(world: &mut World, to: Address, options: Value) -> (Value, Receipt) {
    let raw = world.tx(1).gas(200_000).call(to, &[command::WORK]);
    let transaction = decode(raw.clone()).unwrap().as_ref().clone();
    let base_fee = chain::next_base_fee(&world.state).unwrap();
    let context = BlockContext { base_fee, ..world.context.clone() };
    let scene = Scene::new(&world.state, &context).on(&TestModules);
    let (start, options) = (BlockStart::default(), TraceOptions::new(options));
    let traces = trace_block(&scene, &start, &[transaction], None, &options).unwrap();
    (traces.into_iter().next().unwrap().1, world.run(raw))
}

fn gas(value: &Value) -> u64 {
    serde_json::from_value::<U64>(value.clone()).unwrap().to()
}

#[test]
fn a_limit_of_steps_bounds_what_an_endless_run_records() {
    let mut world = World::new();
    let endless = world.deploy(&ENDLESS);
    let error = trace(&world, endless, &[], json!({})).unwrap_err();
    assert!(matches!(error, TraceError::TooLarge), "{error}");
    assert!(error.to_string().contains("limit"), "it says what to do: {error}");
    for steps in [1, 1_000] {
        let found = trace(&world, endless, &[], json!({ "limit": steps })).unwrap();
        assert_eq!(found["structLogs"].as_array().unwrap().len(), steps);
        assert_eq!(found["failed"], true, "the run goes on to its end");
    }
    let all = trace(&world, endless, &[], json!({ "limit": 0 }));
    assert!(matches!(all, Err(TraceError::TooLarge)), "no limit, as in geth");
}

#[test]
fn storage_that_every_step_repeats_counts_as_often() {
    let mut world = World::new();
    let reader = world.deploy(&READER);
    let all = trace(&world, reader, &[], json!({}));
    assert!(matches!(all, Err(TraceError::TooLarge)), "two thousand words, two thousand times");
    assert!(trace(&world, reader, &[], json!({ "disableStorage": true })).is_ok());
    let few = trace(&world, reader, &[], json!({ "limit": 801 })).unwrap();
    let last =
        few["structLogs"].as_array().unwrap().iter().rev().find(|step| step["op"] == "SLOAD");
    assert_eq!(last.unwrap()["storage"].as_object().unwrap().len(), 100);
}

#[test]
fn all_tracers_run_side_by_side_whatever_stands_for_no_config() {
    let mut world = World::new();
    let names = [
        "4byteTracer",
        "callTracer",
        "flatCallTracer",
        "noopTracer",
        "prestateTracer",
        "erc7562Tracer",
    ];
    let outer = world.deploy(&forwarder(op::CALL, MODULE, After::Propagate));
    for none in [json!(null), json!({})] {
        let config: Map<_, _> =
            names.iter().map(|name| ((*name).to_owned(), none.clone())).collect();
        let options = json!({ "tracer": "muxTracer", "tracerConfig": config });
        let found = trace(&world, outer, &[command::WORK, 0, 0, 0, 7], options).unwrap();
        assert_eq!(found.as_object().unwrap().len(), names.len());
        for name in names {
            let alone = json!({ "tracer": name, "tracerConfig": none });
            let alone = trace(&world, outer, &[command::WORK, 0, 0, 0, 7], alone).unwrap();
            assert_eq!(found[name], alone, "{name}");
        }
        assert_eq!(found["4byteTracer"]["0x01000000-1"], 1);
    }
    let options = |config: Value| json!({ "tracer": "muxTracer", "tracerConfig": config });
    assert_eq!(trace(&world, outer, &[], options(json!(null))).unwrap(), json!({}));
    for unknown in [json!({ "myTracer": null }), json!({ "": {} })] {
        let error = trace(&world, outer, &[], options(unknown)).unwrap_err();
        assert!(error.to_string().starts_with("tracer not found"), "{error}");
    }
}

#[test]
fn several_tracers_may_hold_several_others_up_to_a_number() {
    let mut world = World::new();
    let outer = world.deploy(&forwarder(op::CALL, MODULE, After::Propagate));
    let mux = |config: Value| json!({ "tracer": "muxTracer", "tracerConfig": config });
    let found = |options| trace(&world, outer, &[command::WORK], options);
    let inner = json!({ "callTracer": { "onlyTopCall": true }, "muxTracer": {} });
    let nested =
        found(mux(json!({ "callTracer": {}, "muxTracer": inner, "noopTracer": null }))).unwrap();
    let config = json!({ "onlyTopCall": true });
    let top = found(json!({ "tracer": "callTracer", "tracerConfig": config })).unwrap();
    assert_eq!(nested["muxTracer"], json!({ "callTracer": top, "muxTracer": {} }));
    assert_eq!(nested["callTracer"], found(json!({ "tracer": "callTracer" })).unwrap());
    assert_eq!(nested["noopTracer"], json!({}));
    let deep = |levels| {
        (1..levels).fold(
            json!({ "noopTracer": null }),
            |within, _| json!({ "noopTracer": null, "muxTracer": within }),
        )
    };
    assert!(found(mux(deep(16))).is_ok());
    let error = found(mux(deep(17))).unwrap_err();
    assert_eq!(error.to_string(), "at most 16 tracers at once, not 17");
}

#[test]
fn errors_of_flat_calls_have_the_words_of_geth_or_if_asked_of_parity() {
    let mut world = World::new();
    // A call that selfdestructs, before one that fails: not every entry is a call.
    let gone = world.deploy(&[0x5f, 0xff]);
    for (code, geth, parity) in [
        (vec![0x5f, 0x5f, 0xfd], "execution reverted", "Reverted"),
        (vec![0xfe], "invalid opcode: INVALID", "Bad instruction"),
        (vec![0x5f, 0x56], "invalid jump destination", "Bad jump destination"),
    ] {
        let failing = world.deploy(&code);
        let mut outer = Vec::new();
        for callee in [gone, failing] {
            outer.extend([0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x73]);
            outer.extend(callee.as_slice());
            outer.extend([0x61, 0xff, 0xff, 0xf1, 0x50]);
        }
        let outer = world.deploy(&outer);
        let flat = |config: Value| {
            let options = json!({ "tracer": "flatCallTracer", "tracerConfig": config });
            trace(&world, outer, &[], options).unwrap()
        };
        let found = flat(Value::Null);
        assert_eq!(found.as_array().unwrap().len(), 4, "outer, gone, its end, failing: {found}");
        assert_eq!(found[3]["error"], geth);
        assert!(
            found.as_array().unwrap()[..3].iter().all(|call| call["error"].is_null()),
            "{found}"
        );
        let nested = trace(&world, outer, &[], json!({ "tracer": "callTracer" })).unwrap();
        assert_eq!(nested["calls"][1]["error"], geth, "as the nested form");
        assert_eq!(flat(json!({ "convertParityErrors": true }))[3]["error"], parity);
    }
}

#[test]
fn the_outermost_flat_call_has_the_gas_of_the_transaction_or_of_its_frame() {
    let mut world = World::new();
    let outer = world.deploy(&forwarder(op::CALL, MODULE, After::Propagate));
    let (found, receipt) = trace_sent(&mut world, outer, json!({ "tracer": "flatCallTracer" }));
    assert_eq!(gas(&found[0]["action"]["gas"]), 200_000, "as geth has it");
    assert_eq!(gas(&found[0]["result"]["gasUsed"]), receipt.gas_used);
    let (call, receipt_of_call) = trace_sent(&mut world, outer, json!({ "tracer": "callTracer" }));
    assert_eq!(gas(&call["gasUsed"]), receipt_of_call.gas_used, "the same as the nested form");
    let parity = json!({ "tracer": "flatCallTracer", "tracerConfig": { "intrinsicGas": false } });
    let (found, receipt) = trace_sent(&mut world, outer, parity);
    let intrinsic = 21_000 + 16;
    assert_eq!(gas(&found[0]["action"]["gas"]), 200_000 - intrinsic, "as Parity has it");
    assert_eq!(gas(&found[0]["result"]["gasUsed"]), receipt.gas_used - intrinsic);
}
