//! What cannot be a contract.

use proptest::prelude::*;

use super::{contract, module, wat};
use crate::{Host, Refused};

fn refusal(wasm: &[u8]) -> Refused {
    Host::new().expect("hooks").module(wasm).expect_err("it is no contract")
}

const ENTRY: &str = "(func (export \"user_entrypoint\") (param i32) (result i32) i32.const 0)";

#[test]
fn a_module_that_imports_every_hook_is_a_contract() {
    let host = Host::new().expect("hooks");
    let module = host.module(&contract("i32.const 0")).expect("a contract");
    assert_eq!(module.pages(), 1);
    assert!(!module.has_constructor());
}

#[test]
fn what_may_run_differently_elsewhere_is_refused() {
    let bodies = [
        "(drop (f32.const 1)) i32.const 0",
        "(drop (f64.add (f64.const 1) (f64.const 2))) i32.const 0",
        "(i32.trunc_sat_f32_s (f32.const 1))",
        "(drop (v128.const i32x4 0 0 0 0)) i32.const 0",
        "(drop (i32.atomic.load (i32.const 0))) i32.const 0",
        "(return_call $evm_gas_left)",
    ];
    for body in bodies {
        let found = refusal(&contract(body));
        assert!(matches!(found, Refused::Invalid(_)), "{body}: {found:?}");
    }
    for field in [
        "(func $f (param f64))",
        "(global f32 (f32.const 0))",
        "(func $begin) (start $begin)",
        "(memory 1)",
    ] {
        let found = refusal(&module(&format!("{ENTRY} {field}")));
        assert!(matches!(found, Refused::Invalid(_)), "{field}: {found:?}");
    }
    let shared = format!("(module (memory (export \"memory\") 1 1 shared) {ENTRY})");
    assert!(matches!(refusal(&wat(&shared)), Refused::Invalid(_)));
    let wide = format!("(module (memory (export \"memory\") i64 1) {ENTRY})");
    assert!(matches!(refusal(&wat(&wide)), Refused::Invalid(_)));
}

#[test]
fn imports_must_be_hooks_with_their_types() {
    let with = |import: &str| format!("(module {import} (memory (export \"memory\") 1) {ENTRY})");
    for import in [
        "(import \"env\" \"msg_sender\" (func (param i32)))",
        "(import \"vm_hooks\" \"msg_friend\" (func (param i32)))",
        "(import \"console\" \"log_i32\" (func (param i32)))",
        "(import \"vm_hooks\" \"memory\" (memory 1))",
    ] {
        let found = refusal(&wat(&with(import).replace("(memory (export \"memory\") 1)", "")));
        assert!(matches!(found, Refused::Import { .. }), "{import}: {found:?}");
    }
    for import in [
        "(import \"vm_hooks\" \"msg_sender\" (func (param i64)))",
        "(import \"vm_hooks\" \"msg_sender\" (func (param i32) (result i32)))",
        "(import \"vm_hooks\" \"msg_sender\" (global i32))",
    ] {
        let found = refusal(&wat(&with(import)));
        assert_eq!(found, Refused::HookType("msg_sender".to_owned()), "{import}");
    }
}

#[test]
fn the_entry_point_and_the_memory_are_required() {
    let missing = |text: &str| match refusal(&wat(text)) {
        Refused::Export(name) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(missing("(module (memory (export \"memory\") 1))"), "user_entrypoint");
    assert_eq!(missing(&format!("(module (memory 1) {ENTRY})")), "memory");
    let typed = ENTRY.replace("(param i32)", "");
    let text = format!("(module (memory (export \"memory\") 1) {typed})");
    assert_eq!(missing(&text), "user_entrypoint");
    let constructor = "(func (export \"user_constructor\"))";
    let text = format!("(module (memory (export \"memory\") 1) {ENTRY} {constructor})");
    assert_eq!(missing(&text), "user_constructor");
}

#[test]
fn sizes_are_bounded() {
    let memory = format!("(module (memory (export \"memory\") 129) {ENTRY})");
    assert_eq!(refusal(&wat(&memory)), Refused::Pages { found: 129 });
    let locals = contract(&format!("(local {}) i32.const 0", "i64 ".repeat(513)));
    assert_eq!(refusal(&locals), Refused::Locals { found: 513 });
    for field in [
        "(global i32 (i32.const 0))".repeat(257),
        "(func)".repeat(2_049),
        "(data (i32.const 0) \"x\")".repeat(257),
        "(table 1 funcref)".repeat(2),
        format!("(table 1 funcref) {}", "(elem (i32.const 0))".repeat(257)),
    ] {
        let found = refusal(&module(&format!("{ENTRY} {field}")));
        assert!(matches!(found, Refused::TooMany { .. }), "{found:?}");
    }
    for field in [
        format!("(func (param {}))", "i32 ".repeat(33)),
        format!("(func (result {}) unreachable)", "i32 ".repeat(33)),
    ] {
        let found = refusal(&module(&format!("{ENTRY} {field}")));
        assert!(matches!(found, Refused::Invalid(_)), "{found:?}");
    }
}

#[test]
fn segments_must_fit_where_they_go() {
    let host = Host::new().expect("hooks");
    for field in ["(data (i32.const 65536) \"x\")", "(table 1025 funcref)"] {
        let module = host.module(&module(&format!("{ENTRY} {field}"))).expect("well formed");
        let frame = host.frame(&module, super::call(&[]), super::scene(), 128);
        assert!(matches!(frame, Err(Refused::Instance(_))), "{field}");
    }
}

#[test]
fn memory_beyond_what_is_left_to_the_transaction_is_refused() {
    let host = Host::new().expect("hooks");
    let module = host.module(&contract("i32.const 0")).expect("a contract");
    assert!(host.frame(&module, super::call(&[]), super::scene(), 0).is_err());
    assert!(host.frame(&module, super::call(&[]), super::scene(), 1).is_ok());
}

proptest! {
    #[test]
    fn no_bytes_make_the_judge_panic(bytes: Vec<u8>, at: prop::sample::Index, to: u8) {
        let host = Host::new().expect("hooks");
        assert!(host.module(&bytes).is_err());
        let mut wasm = contract("i32.const 0");
        let at = at.index(wasm.len());
        wasm[at] = to;
        if let Ok(module) = host.module(&wasm)
            && let Ok(mut frame) = host.frame(&module, super::call(&[]), super::scene(), 128)
        {
            frame.start(10_000);
        }
    }
}
