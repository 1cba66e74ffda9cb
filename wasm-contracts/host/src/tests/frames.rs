//! What running modules do.

use alloy_primitives::keccak256;

use super::*;
use crate::{CallKind, FUEL_PER_GAS};

/// Returns the 32 bytes that `hook` (called with `$to`, the place of the answer) leaves.
fn word_of(hook: &str) -> Vec<u8> {
    output_of(&format!("{hook} (call $write_result (i32.const 0) (i32.const 32)) i32.const 0"), &[])
        .to_vec()
}

/// Returns the number that `hook` leaves.
fn number_of(hook: &str) -> u64 {
    let body = format!(
        "(i64.store (i32.const 0) {hook}) (call $write_result (i32.const 0) (i32.const 8)) i32.const 0"
    );
    u64::from_le_bytes(output_of(&body, &[]).as_ref().try_into().expect("eight bytes"))
}

#[test]
fn a_contract_sees_its_call_and_its_block() {
    assert_eq!(word_of("(call $contract_address (i32.const 0))")[..20], [1; 20]);
    assert_eq!(word_of("(call $msg_sender (i32.const 0))")[..20], [2; 20]);
    assert_eq!(word_of("(call $msg_value (i32.const 0))")[31], 3);
    assert_eq!(number_of("(call $chainid)"), 7);
    assert_eq!(number_of("(call $block_number)"), 8);
    assert_eq!(number_of("(call $block_timestamp)"), 9);
    assert_eq!(number_of("(call $block_gas_limit)"), 10);
    assert_eq!(number_of("(i64.extend_i32_u (call $msg_reentrant))"), 0);
    let left = number_of("(call $evm_gas_left)");
    assert!((999_000..1_000_000).contains(&left), "{left}");
}

#[test]
fn arguments_come_back_as_the_result() {
    let echo = "(call $read_args (i32.const 0)) (call $write_result (i32.const 0) (local.get $length)) i32.const 0";
    assert_eq!(output_of(echo, b"hello").as_ref(), b"hello");
    assert_eq!(output_of(echo, b"").as_ref(), b"");
}

#[test]
fn a_hash_is_keccak() {
    let body = "(call $read_args (i32.const 0)) (call $native_keccak256 (i32.const 0) (local.get $length) (i32.const 100))
        (call $write_result (i32.const 100) (i32.const 32)) i32.const 0";
    assert_eq!(output_of(body, b"hello").as_ref(), keccak256(b"hello").as_slice());
}

#[test]
fn a_word_is_asked_for_and_lands_in_memory() {
    let body = "(i32.store8 (i32.const 31) (i32.const 5)) (call $storage_load_bytes32 (i32.const 0) (i32.const 64))
        (call $write_result (i32.const 64) (i32.const 32)) i32.const 0";
    let mut frame = frame(&contract(body), &[]);
    let step = frame.start(10_000);
    assert_eq!(step.outcome, Outcome::Asks(Request::Load(U256::from(5))));
    let step = frame.resume(Answer::Word(U256::from(77)), step.gas - 2_100);
    let output = U256::from(77).to_be_bytes_vec().into();
    assert_eq!(step.outcome, Outcome::Ended { success: true, output });
    assert!(step.gas > 7_500);
}

#[test]
fn a_call_hands_over_its_arguments_and_takes_what_came_back() {
    let body = "(i32.store8 (i32.const 19) (i32.const 9)) (i32.store8 (i32.const 63) (i32.const 4))
        (i32.store8 (i32.const 70) (i32.const 1))
        (i32.store8 (i32.const 120) (call $call_contract (i32.const 0) (i32.const 70) (i32.const 2) (i32.const 32) (i64.const 500) (i32.const 100)))
        (i32.store8 (i32.const 121) (i32.load (i32.const 100)))
        (i32.store8 (i32.const 122) (call $read_return_data (i32.const 123) (i32.const 1) (i32.const 9)))
        (call $write_result (i32.const 120) (i32.const 5)) i32.const 0";
    let mut frame = frame(&contract(body), &[]);
    let step = frame.start(10_000);
    let Outcome::Asks(Request::Call(request)) = step.outcome else { panic!("{step:?}") };
    assert_eq!((request.kind, request.gas), (CallKind::Call, 500));
    assert_eq!(request.to, Address::with_last_byte(9));
    assert_eq!(request.value, U256::from(4));
    assert_eq!(request.input.as_ref(), [1, 0]);
    let step = frame.resume(Answer::Called { success: false, data: "abc".into() }, step.gas);
    let output = [1, 3, 2, b'b', b'c'].to_vec().into();
    assert_eq!(step.outcome, Outcome::Ended { success: true, output });
}

#[test]
fn a_log_is_split_into_topics_and_data() {
    let body = "(i32.store8 (i32.const 31) (i32.const 5)) (i32.store8 (i32.const 32) (i32.const 6))
        (call $emit_log (i32.const 0) (i32.const 34) (i32.const 1)) i32.const 0";
    let outcome = frame(&contract(body), &[]).start(10_000).outcome;
    let topic = U256::from(5).into();
    assert_eq!(outcome, Outcome::Asks(Request::Log(vec![topic], [6, 0].to_vec().into())));
    for (length, topics) in [(31, 1), (320, 5)] {
        let body = format!(
            "(call $emit_log (i32.const 0) (i32.const {length}) (i32.const {topics})) i32.const 0"
        );
        let outcome = frame(&contract(&body), &[]).start(10_000).outcome;
        assert!(matches!(outcome, Outcome::Trapped(_)), "{outcome:?}");
    }
}

#[test]
fn a_status_other_than_zero_takes_the_call_back() {
    for body in ["i32.const 1", "(call $exit_early (i32.const 1)) i32.const 0"] {
        let outcome = frame(&contract(body), &[]).start(10_000).outcome;
        assert!(matches!(outcome, Outcome::Ended { success: false, .. }), "{outcome:?}");
    }
    let outcome =
        frame(&contract("(call $exit_early (i32.const 0)) unreachable"), &[]).start(10_000);
    assert!(matches!(outcome.outcome, Outcome::Ended { success: true, .. }));
}

#[test]
fn traps_say_what_happened_and_leave_the_gas() {
    let cases = [
        ("unreachable", "unreachable code (a panic)"),
        ("(i32.load (i32.const 65536))", "memory out of bounds"),
        ("(i32.div_u (i32.const 1) (i32.const 0))", "division by zero"),
        ("(i32.div_s (i32.const -2147483648) (i32.const -1))", "integer overflow"),
        (
            "(call $read_args (i32.const 65536)) i32.const 0",
            "a hook's argument is out of memory's bounds",
        ),
        (
            "(call $write_result (i32.const 65530) (i32.const 7)) i32.const 0",
            "a hook's argument is out of memory's bounds",
        ),
        (
            "(call $write_result (i32.const -1) (i32.const -1)) i32.const 0",
            "a hook's argument is out of memory's bounds",
        ),
    ];
    for (body, text) in cases {
        let step = frame(&contract(body), b"x").start(1_000_000_000);
        assert_eq!(step.outcome, Outcome::Trapped(text), "{body}");
        assert!(step.gas > 0);
    }
}

#[test]
fn recursion_ends_in_a_trap() {
    let deep = module(
        "(func $deep (export \"user_entrypoint\") (param i32) (result i32) (call $deep (local.get 0)))",
    );
    let step = frame(&deep, &[]).start(100_000_000);
    assert_eq!(step.outcome, Outcome::Trapped("stack overflow"));
}

#[test]
fn memory_grows_to_its_limit_and_pays() {
    let grow = |pages| format!("(memory.grow (i32.const {pages})) drop i32.const 0");
    let mut within = frame(&contract(&grow(127)), &[]);
    let step = within.start(1_000_000);
    assert!(matches!(step.outcome, Outcome::Ended { success: true, .. }));
    assert_eq!(within.pages(), 128);
    assert!(1_000_000 - step.gas > 127 * 1_000, "{}", step.gas);
    let mut beyond = frame(&contract(&grow(128)), &[]);
    beyond.start(1_000_000);
    assert_eq!(beyond.pages(), 1, "growing has failed and said so");
    assert_eq!(frame(&contract(&grow(127)), &[]).start(50_000).outcome, Outcome::OutOfGas);
}

#[test]
fn a_loop_without_end_runs_out_of_gas() {
    let step = frame(&contract("(loop $again (br $again)) i32.const 0"), &[]).start(10_000);
    assert_eq!(step, Step { outcome: Outcome::OutOfGas, gas: 0 });
}

#[test]
fn any_gas_leads_to_the_same_end_or_to_none() {
    let body = "(local $i i32) (loop $again (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 100))))
        (call $native_keccak256 (i32.const 0) (i32.const 320) (i32.const 0))
        (call $write_result (i32.const 0) (i32.const 32)) i32.const 0";
    let wasm = contract(body);
    let host = Host::new().expect("hooks");
    let module = host.module(&wasm).expect("a contract");
    let run = |gas| host.frame(&module, call(&[]), scene(), 1).expect("an instance").start(gas);
    let free = run(u64::MAX / FUEL_PER_GAS);
    let needed = u64::MAX / FUEL_PER_GAS - free.gas;
    assert!((100..2_000).contains(&needed), "{needed}");
    for gas in 0..needed + 10 {
        let step = run(gas);
        if gas < needed {
            assert_eq!(step.outcome, Outcome::OutOfGas, "at {gas} of {needed}");
        } else {
            assert_eq!(step, Step { outcome: free.outcome.clone(), gas: gas - needed });
        }
    }
}

#[test]
fn an_ended_frame_does_not_run_again() {
    let mut frame = frame(&contract("i32.const 0"), &[]);
    frame.start(1_000);
    assert!(matches!(frame.start(1_000).outcome, Outcome::Trapped(_)));
    assert!(matches!(frame.resume(Answer::Done, 1_000).outcome, Outcome::Trapped(_)));
}
