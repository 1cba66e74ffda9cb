//! Modules made of text: what is refused, what hooks do, how gas ends.

mod frames;
mod refusals;

use alloy_primitives::{Address, Bytes, U256};
use neura_wasm_abi::{HOOKS, Type};

use crate::{Answer, Call, Frame, Host, Outcome, Request, Scene, Step};

/// A module whose entry point runs `body` (which leaves an i32), importing every hook under its name.
fn contract(body: &str) -> Vec<u8> {
    module(&format!("(func (export \"user_entrypoint\") (param $length i32) (result i32) {body})"))
}

/// A module of `fields`, with a memory of one page and all hooks.
fn module(fields: &str) -> Vec<u8> {
    let imports: String = HOOKS.iter().map(import).collect();
    wat(&format!("(module {imports} (memory (export \"memory\") 1) {fields})"))
}

fn import(hook: &neura_wasm_abi::Hook) -> String {
    let name = |ty: &Type| if *ty == Type::I32 { " i32" } else { " i64" };
    let parameters: String = hook.parameters.iter().map(name).collect();
    let result: String = hook.result.iter().map(name).collect();
    format!(
        "(import \"vm_hooks\" \"{0}\" (func ${0} (param{parameters}) (result{result})))",
        hook.name
    )
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the text is a module")
}

fn call(input: &[u8]) -> Call {
    Call {
        contract: Address::repeat_byte(1),
        caller: Address::repeat_byte(2),
        value: U256::from(3),
        input: Bytes::copy_from_slice(input),
        ..Call::default()
    }
}

fn scene() -> Scene {
    Scene { chain_id: 7, number: 8, timestamp: 9, gas_limit: 10, ..Scene::default() }
}

fn frame(wasm: &[u8], input: &[u8]) -> Frame {
    let host = Host::new().expect("hooks have names of their own");
    let module = host.module(wasm).expect("a contract");
    host.frame(&module, call(input), scene(), 128).expect("an instance")
}

/// Runs `body` on `input` with much gas to its end, which must come without a request.
fn output_of(body: &str, input: &[u8]) -> Bytes {
    match frame(&contract(body), input).start(1_000_000).outcome {
        Outcome::Ended { success: true, output } => output,
        other => panic!("{other:?}"),
    }
}

#[test]
fn operators_that_fail_in_a_loop_take_gas_and_no_stack() {
    let again = "(br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000000)))";
    let grow = format!(
        "(local $i i32) (loop $l (drop (memory.grow (i32.const 60000))) {again}) (i32.const 0)"
    );
    match frame(&contract(&grow), b"").start(u64::MAX >> 8).outcome {
        Outcome::Ended { success: true, .. } => {}
        other => panic!("{other:?}"),
    }
}
