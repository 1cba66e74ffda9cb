use neura_types::hash::content_hash;

use super::{
    super::{Executor, Keeping, Said},
    *,
};

const BOUNDS: Bounds = Bounds { memory_bytes: 1 << 20, max_result: 4_096, timeout_ms: 60_000 };

/// A program in text that has `write(text)` to standard output, a memory of one page, and this body.
fn program(body: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "sock_send" (func $sock_send (param i32 i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (data (i32.const 64) "\10\00\00\00\00\01\00\00")
            (data (i32.const 72) "/etc/passwd")
            (func $write (param $length i32)
                (i32.store (i32.const 0) (i32.const 1024))
                (i32.store (i32.const 4) (local.get $length))
                (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
            (func (export "_start") {body}))"#
    );
    wat::parse_str(text).unwrap()
}

fn job(body: &str) -> WasmJob {
    WasmJob {
        module: program(body),
        args: vec!["program".into()],
        input: b"four".to_vec(),
        fuel: 1_000_000,
        memory_bytes: 1 << 20,
    }
}

fn run(job: &WasmJob) -> JobResult {
    told(job).0.unwrap()
}

/// The result, and what the owner is told meanwhile.
fn told(job: &WasmJob) -> (Result<JobResult, JobFailure>, Vec<String>) {
    let mut lines = Vec::new();
    let mut say = |said| match said {
        Said::Log(line) => lines.push(line),
        other => panic!("{other:?}"),
    };
    let payload = job.encode().unwrap();
    let keeping = Keeping::default();
    let relay = &mut Relay::new(Executor::Wasm, content_hash(&payload), keeping, &mut say);
    (super::run(&payload, &BOUNDS, relay), lines)
}

fn fault(job: &WasmJob) -> FaultCode {
    run(job).fault.expect("it fails").code
}

#[test]
fn a_program_reads_its_input_and_writes_its_output() {
    let copy =
        "(i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 100))
        (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
        (call $write (i32.load (i32.const 8)))";
    let result = run(&job(copy));
    assert_eq!(result.fault, None);
    assert_eq!(result.outputs[0], NamedBytes { name: "stdout".into(), bytes: b"four".to_vec() });
    assert_eq!(result.outputs[1].bytes, b"");
}

/// A call that writes so many bytes from a place in memory to standard error.
fn complain(at: u32, length: u32) -> String {
    format!(
        "(i32.store (i32.const 0) (i32.const {at})) (i32.store (i32.const 4) (i32.const {length}))
        (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))"
    )
}

#[test]
fn what_a_program_writes_to_standard_error_its_owner_is_told_line_by_line() {
    let text = "(i64.store (i32.const 1024) (i64.const 0x650a0a656e6f0a61))"; // "a", "one", "", "e…"
    let parts = [(1024, 3), (1027, 5), (1031, 1)].map(|(at, length)| complain(at, length)).concat();
    let (result, lines) = told(&job(&format!("{text} {parts} (call $write (i32.const 1))")));
    assert_eq!(lines, ["a", "one", "ee"]);
    assert_eq!(result.unwrap().outputs[1].bytes, b"a\none\n\nee", "and it is in the result");
}

#[test]
fn a_line_without_an_end_is_told_in_pieces_before_the_program_traps() {
    let parts = format!("{} {} unreachable", complain(4096, 1_500), complain(4096, 9));
    let fill = "(memory.fill (i32.const 4096) (i32.const 120) (i32.const 1500))";
    let (result, lines) = told(&job(&format!("{fill} {parts}")));
    assert_eq!(result.unwrap().fault.unwrap().code, FaultCode::Trapped);
    let lengths: Vec<usize> = lines.iter().map(String::len).collect();
    assert_eq!(lengths, [1_024, 9]);
}

#[test]
fn growing_in_vain_a_million_times_leaves_the_worker_standing() {
    let grow = "(local $i i32) (loop $l (drop (memory.grow (i32.const 60000)))
        (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000000))))
        (call $write (i32.const 3))";
    let result = run(&WasmJob { fuel: 1_000_000_000, ..job(grow) });
    assert_eq!((result.fault, result.outputs[0].bytes.len()), (None, 3));
}

#[test]
fn an_endless_loop_spends_its_fuel_and_what_was_written_is_kept() {
    let result = run(&job("(call $write (i32.const 3)) (loop $l (br $l))"));
    assert_eq!(result.fault.unwrap().code, FaultCode::OutOfFuel);
    assert_eq!(result.outputs[0].bytes, [0; 3]);
    assert_eq!(
        fault(&job("(loop $l (drop (call $random (i32.const 0) (i32.const 60000))) (br $l))")),
        FaultCode::OutOfFuel
    );
}

#[test]
fn a_memory_bomb_gets_no_more_than_the_job_may_have() {
    let grow = "(loop $l (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then (br $l))))
        (i32.store (i32.const 1024) (memory.size)) (call $write (i32.const 4))";
    assert_eq!(run(&job(grow)).outputs[0].bytes, 16u32.to_le_bytes());
    let greedy = WasmJob { memory_bytes: (1 << 20) + 1, ..job("nop") };
    let failure = told(&greedy).0.unwrap_err();
    assert!(failure.detail.contains("1048576 are given"), "{failure}");
}

#[test]
fn endless_output_and_endless_recursion_end_the_program() {
    let output = "(loop $l (call $write (i32.const 1000)) (br $l))";
    let result = run(&job(output));
    assert_eq!(result.fault.unwrap().code, FaultCode::OutputTooLarge);
    assert_eq!(result.outputs[0].bytes.len(), 2_000);
    let recursion = wat::parse_str(
        r#"(module (memory (export "memory") 1) (func $f (export "_start") (call $f)))"#,
    );
    let recursion = WasmJob { module: recursion.unwrap(), ..job("nop") };
    assert_eq!(fault(&recursion), FaultCode::Trapped);
}

#[test]
fn files_and_sockets_are_out_of_reach() {
    let open = "(i32.store (i32.const 1024) (call $path_open (i32.const 3) (i32.const 0) (i32.const 72) (i32.const 11)
        (i32.const 0) (i64.const -1) (i64.const -1) (i32.const 0) (i32.const 8)))
        (i32.store (i32.const 1028) (call $sock_send (i32.const 3) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 8)))
        (i32.store (i32.const 1032) (call $fd_read (i32.const 3) (i32.const 0) (i32.const 1) (i32.const 8)))
        (call $write (i32.const 12))";
    let bytes = run(&job(open)).outputs[0].bytes.clone();
    let codes: Vec<u32> =
        bytes.as_chunks().0.iter().map(|code| u32::from_le_bytes(*code)).collect();
    assert_eq!(codes, [52, 52, 8]);
}

#[test]
fn addresses_outside_of_memory_are_told_to_the_program() {
    let outside = "(i32.store (i32.const 0) (i32.const -8)) (i32.store (i32.const 4) (i32.const -1))
        (i32.store (i32.const 1024) (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (i32.store (i32.const 1028) (call $fd_write (i32.const 1) (i32.const -4) (i32.const 9) (i32.const 8)))
        (i32.store (i32.const 1032) (call $random (i32.const 65535) (i32.const -1)))
        (call $write (i32.const 12))";
    let rich = WasmJob { fuel: u64::MAX, ..job(outside) };
    let bytes = run(&rich).outputs[0].bytes.clone();
    assert_eq!(bytes.as_chunks().0, [21u32.to_le_bytes(); 3]);
}

#[test]
fn ends_have_their_reasons() {
    assert_eq!(fault(&job("(call $exit (i32.const 3))")), FaultCode::ExitCode);
    assert_eq!(run(&job("(call $exit (i32.const 0))")).fault, None);
    assert_eq!(fault(&job("unreachable")), FaultCode::Trapped);
    assert_eq!(fault(&job("(drop (i32.load (i32.const 70000)))")), FaultCode::Trapped);
}

#[test]
fn random_bytes_follow_from_the_job() {
    let random =
        "(drop (call $random (i32.const 1024) (i32.const 32))) (call $write (i32.const 32))";
    let first = run(&job(random)).outputs[0].bytes.clone();
    assert_ne!(first, [0; 32]);
    assert_eq!(first, run(&job(random)).outputs[0].bytes);
    let other = WasmJob { input: b"five".to_vec(), ..job(random) };
    assert_ne!(first, run(&other).outputs[0].bytes);
}

#[test]
fn what_is_no_program_is_refused_before_it_is_accepted() {
    let with = |module: Vec<u8>| WasmJob { module, ..job("nop") }.encode().unwrap();
    let refused = |payload: &[u8]| check(payload, &BOUNDS).unwrap_err().detail;
    assert!(refused(b"garbage").contains("encoding"));
    assert!(refused(&with(b"\0asm".to_vec())).contains("not valid"));
    let module = |text: &str| with(wat::parse_str(text).unwrap());
    assert!(refused(&module("(module)")).contains("there is none"));
    for start in ["(func (export \"_start\") (param i32))", "(memory (export \"_start\") 1)"] {
        assert!(refused(&module(&format!("(module {start})"))).contains("another thing"));
    }
    let greedy = r#"(module (memory (export "memory") 17) (func (export "_start")))"#;
    let reason = refused(&module(greedy));
    assert!(reason.contains("of 1114112 bytes") && reason.contains("raise memory_mib"), "{reason}");
    let tables = r#"(module (table 2000000 funcref) (func (export "_start")))"#;
    assert!(refused(&module(tables)).contains("tables"));
    let foreign = r#"(module (import "env" "system" (func)) (func (export "_start")))"#;
    assert!(refused(&with(wat::parse_str(foreign).unwrap())).contains("system"));
    check(&job("nop").encode().unwrap(), &BOUNDS).unwrap();
}

/// Nobody pays for what a provider does before it accepts: a start function that never ended held it for half a minute.
#[test]
fn nothing_of_a_program_runs_while_it_is_checked() {
    let endless = r#"(module (start $s) (func $s (loop $l (br $l))) (func (export "_start")))"#;
    let module = wat::parse_str(endless).unwrap();
    let endless = WasmJob { module, fuel: u64::MAX, ..job("nop") };
    check(&endless.encode().unwrap(), &BOUNDS).unwrap();
    check_program(&endless).unwrap();
    assert_eq!(fault(&WasmJob { fuel: 1_000, ..endless }), FaultCode::OutOfFuel);
}
