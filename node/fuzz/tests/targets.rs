//! What must hold of every decoder holds for its seeds and some thousand mutations of them.

use std::collections::BTreeSet;

use neura_fuzz::{MAX_ALLOCATED_BYTES, drill, find, targets};

/// Executions of a decoder.
const EXECUTIONS: u64 = 10_000;
/// Executions of what takes a millisecond or more.
const FEW: u64 = 200;
/// Targets of which few are made: they run replicas, or open envelopes.
const SLOW: [&str; 2] = ["core-sequence", "envelope"];

/// Most bytes of address space that the process has had.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmPeak:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

fn hold(name: &str) {
    let target = find(&name.replace('_', "-")).unwrap();
    let executions = if SLOW.contains(&target.name) { FEW } else { EXECUTIONS };
    let before = peak();
    if let Err(crash) = drill(&target, executions, 1) {
        let input: String = crash.input.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("{}: {}\ninput: {input}", target.name, crash.message);
    }
    let grown = peak() - before;
    assert!(grown <= 2 * MAX_ALLOCATED_BYTES, "{}: {grown} bytes were allocated", target.name);
}

macro_rules! drilled {
    ($($name:ident)+) => {
        $(#[test] fn $name() { hold(stringify!($name)); })+
        const NAMES: &[&str] = &[$(stringify!($name)),+];
    };
}

drilled! {
    block batch quorum_certificate timeout_certificate commit_certificate commit_proof
    consensus_message evidence epoch_config validator_set receipt module_record transaction
    module_call state_proof core_sequence safety_record envelope int8_model int8_manifest
    int8_requests int8_opening int8_job int8_result wgsl_job wasm_job onnx_job oci_job job_result json_rpc
    rest_body rest_answer genesis amount wei key_text locator public_key
    stored_epoch stored_execution stored_receipts tree_node packed_rows body_place manifest snapshot_chunk
    safety_file job_file node_file key_file pool_journal epochs_file request block_answer
    blob_answer batch_answer chunk_answer notes_answer bundle batch_frame stream_frames stream_exchange
    peer_address
    safetensors onnx_model samples
}

#[test]
fn every_target_is_drilled_and_has_a_name_and_seeds_of_its_own() {
    let names: Vec<&str> = targets::all().map(|target| target.name).collect();
    let unique: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(unique.len(), names.len(), "a name stands twice");
    let here: BTreeSet<String> = NAMES.iter().map(|name| name.replace('_', "-")).collect();
    assert_eq!(here, unique.into_iter().map(str::to_owned).collect());
    for target in targets::all() {
        assert!(!(target.seeds)().is_empty(), "{} has no seeds", target.name);
    }
}
