//! Executors that can be put down: from whatever checkpoint they go on, the result is the same bits.

use std::time::Duration;

use neura_int8::{
    Builder, DType, Data, Int8Job, Prompt, Request, Sampling, Scale, Tensor, encode_requests,
    ops::{embed::Embed, linear::Linear, sample::Sample},
};
use neura_types::{
    B256,
    hash::content_hash,
    job::{WgslBuffer, WgslJob, WgslPass},
};
use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds { memory_bytes: 1 << 30, max_result: 1 << 20, timeout_ms: 60_000 };
const WORDS: usize = 7;

/// A decoder that generates from a prompt, then runs over tokens.
fn generation() -> Vec<u8> {
    let values = |at: usize| Data::I8((0..WORDS * 4).map(|i| ((i * at) % 90) as i8).collect());
    let mut builder = Builder::new(20);
    let tokens = builder.input("tokens", DType::I32, &[], (0, WORDS as i32 - 1));
    let mut param =
        |name: &str, at| builder.param(name, Tensor::new(vec![WORDS, 4], values(at)).unwrap());
    let (table, weights) = (param("table", 37), param("weights", 53));
    let x = builder.node(Embed { table }, &[tokens]).unwrap();
    let logits = builder.node(Linear { weights, bias: None, finish: None }, &[x]).unwrap();
    let next = builder.node(Sample { scale: Scale::new(1 << 30, 34).unwrap() }, &[logits]).unwrap();
    builder.output("next", next);
    let sampling = Sampling { seed: [6; 32], temperature: 2 << 16 };
    let prompt = Prompt { tokens: vec![1, 2], max_tokens: 4, stop: vec![], sampling };
    let inputs = vec![Tensor::list(vec![1, 2, 3]).unwrap()];
    let requests = [Request::Generate(prompt), Request::Run { inputs, sampling }];
    let model = builder.build().unwrap().encode();
    Int8Job { model, requests: encode_requests(&requests).unwrap() }.encode().unwrap()
}

/// A kernel of several passes over a buffer that is no output and one that is.
fn passes() -> Vec<u8> {
    let source = "
    @group(0) @binding(0) var<storage, read_write> hidden: array<u32>;
    @group(0) @binding(1) var<storage, read_write> shown: array<u32>;
    @compute @workgroup_size(16)
    fn main(@builtin(global_invocation_id) id: vec3<u32>) {
        hidden[id.x] = hidden[id.x] * 5u + id.x;
        shown[id.x] = shown[id.x] ^ hidden[id.x];
    }";
    let buffer = |output| WgslBuffer { bytes: 64, contents: vec![3; 8], output };
    let pass = WgslPass { entry: "main".into(), workgroups: [1, 1, 1] };
    let job = WgslJob {
        source: source.into(),
        fuel: 10,
        buffers: vec![buffer(false), buffer(true)],
        passes: vec![pass; 5],
    };
    job.encode().unwrap()
}

/// Runs a job, with a checkpoint after every step; gives the result and what was said.
fn run_from(
    executor: Executor,
    payload: &[u8],
    device: &Device,
    start: Option<Vec<u8>>,
) -> (Result<Vec<u8>, JobFailure>, Vec<Said>) {
    let keeping = Keeping { start, every: Some(Duration::ZERO), max_bytes: 1 << 20 };
    let mut all = Vec::new();
    let mut say = |said| all.push(said);
    let mut relay = Relay::new(executor, content_hash(payload), keeping, &mut say);
    let given = Given { device, bounds: &BOUNDS, containers: None };
    let result = run(executor, payload, &given, &mut Tuning::default(), &mut relay);
    (result, all)
}

fn checkpoints(said: &[Said]) -> Vec<(u64, Vec<u8>)> {
    let of = |said: &Said| match said {
        Said::Checkpoint { step, bytes } => Some((*step, bytes.clone())),
        _ => None,
    };
    said.iter().filter_map(of).collect()
}

fn set_aside(said: &[Said]) -> bool {
    said.iter().any(|said| matches!(said, Said::SetAside(_)))
}

/// Takes a job up after each of its steps.
fn taken_up(executor: Executor, payload: &[u8], device: &Device, steps: usize) {
    let (whole, said) = run_from(executor, payload, device, None);
    let whole = whole.unwrap();
    let all = checkpoints(&said);
    assert_eq!(all.len(), steps - 1, "the last step is the result: {said:?}");
    for (at, (step, bytes)) in all.iter().enumerate() {
        let (result, said) = run_from(executor, payload, device, Some(bytes.clone()));
        assert_eq!(result.as_ref(), Ok(&whole), "from step {step}");
        assert!(!set_aside(&said));
        assert_eq!(checkpoints(&said), all[at + 1..], "from step {step} on, the same ones");
    }
}

#[test]
fn an_integer_job_taken_up_after_any_step_gives_the_same_bits() {
    taken_up(Executor::Int8, &generation(), &Device::Cpu, 5);
}

#[test]
fn a_users_kernel_taken_up_after_any_pass_gives_the_same_bits() {
    taken_up(Executor::Wgsl, &passes(), &Device::Best, 5);
}

#[test]
fn no_checkpoint_is_made_that_is_too_long_to_be_kept() {
    let payload = generation();
    let keeping = Keeping { start: None, every: Some(Duration::ZERO), max_bytes: 8 };
    let mut all = Vec::new();
    let mut say = |said| all.push(said);
    let mut relay = Relay::new(Executor::Int8, content_hash(&payload), keeping, &mut say);
    let given = Given { device: &Device::Cpu, bounds: &BOUNDS, containers: None };
    run(Executor::Int8, &payload, &given, &mut Tuning::default(), &mut relay).unwrap();
    assert!(checkpoints(&all).is_empty());
    let told = |said: &Said| matches!(said, Said::Log(text) if text.contains("no checkpoints"));
    assert_eq!(all.iter().filter(|said| told(said)).count(), 1, "{all:?}");
}

#[test]
fn a_checkpoint_of_another_payload_is_set_aside() {
    let (whole, said) = run_from(Executor::Int8, &generation(), &Device::Cpu, None);
    let (_, mut bytes) = checkpoints(&said).remove(0);
    bytes[10..42].copy_from_slice(B256::repeat_byte(9).as_slice());
    let (result, said) = run_from(Executor::Int8, &generation(), &Device::Cpu, Some(bytes));
    assert_eq!(result, whole);
    assert!(set_aside(&said));
}

proptest! {
    #[test]
    fn a_damaged_checkpoint_breaks_nothing(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let payload = generation();
        let (whole, said) = run_from(Executor::Int8, &payload, &Device::Cpu, None);
        let all = checkpoints(&said);
        let (_, valid) = which.get(&all);
        let mut bytes = valid.clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len() / 2 + cut.index(bytes.len()));
        let (result, said) = run_from(Executor::Int8, &payload, &Device::Cpu, Some(bytes));
        prop_assert!(result.is_ok());
        if set_aside(&said) {
            prop_assert_eq!(result, whole, "begun at the beginning");
        }
    }
}
