//! What lies off the chain: sealed envelopes and the executor's formats.

use neura_blobs::{EncryptionSecretKey, EnvelopeContext, Purpose, open, seal};
use neura_int8::{
    Builder, DType, Data, Input, Int8Job, Int8Result, Manifest, Model, Op, Opening, Prompt,
    Reference, Requant, Request, Sampling, Scale, Tensor, ValueId, decode_requests,
    encode_requests,
    ops::{
        attention::{Heads, Mix, Scores},
        embed::Embed,
        linear::Linear,
        sample::Sample,
        softmax::Softmax,
    },
};
use neura_types::job::{
    FaultCode, JobFault, JobFormat, JobResult, NamedBytes, OciJob, OnnxJob, WasmJob, WgslBuffer,
    WgslJob, WgslPass,
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};

use crate::{Target, check::same};

/// Largest plaintext that is opened.
const MAX_PLAINTEXT: u64 = 1 << 20;
/// Multiply-accumulates that an input may ask for: more take long and show nothing new.
const MAX_MACS: u64 = 1 << 20;
/// Bytes of values that an input may ask for, for the same reason.
const MAX_VALUE_BYTES: u64 = 1 << 22;

pub(super) const TARGETS: &[Target] = &[
    Target::new("envelope", envelope, envelopes),
    Target::new("int8-model", model, || vec![small_model().encode()]),
    Target::new("int8-manifest", manifest, || vec![small_model().manifest().encode()]),
    Target::new("int8-requests", requests, || vec![small_job().requests]),
    Target::new("int8-opening", opening, openings),
    Target::new("int8-job", job, || vec![small_job().encode().expect("a job")]),
    Target::new("int8-result", result, results),
    Target::new("wgsl-job", format::<WgslJob>, || vec![encoded(&wgsl_job())]),
    Target::new("wasm-job", format::<WasmJob>, || vec![encoded(&wasm_job())]),
    Target::new("onnx-job", format::<OnnxJob>, || vec![encoded(&onnx_job())]),
    Target::new("oci-job", format::<OciJob>, || vec![encoded(&oci_job())]),
    Target::new("job-result", format::<JobResult>, || vec![encoded(&job_result())]),
];

fn format<T: JobFormat>(bytes: &[u8]) {
    if let Ok(value) = T::decode(bytes) {
        same(bytes, &value.encode().expect("what was decoded is encoded"));
    }
}

fn encoded(value: &impl JobFormat) -> Vec<u8> {
    value.encode().expect("within the bounds")
}

fn wgsl_job() -> WgslJob {
    WgslJob {
        source: "@compute @workgroup_size(1) fn main() {}".into(),
        fuel: 9,
        buffers: vec![WgslBuffer { bytes: 8, contents: vec![1, 2], output: true }],
        passes: vec![WgslPass { entry: "main".into(), workgroups: [1, 2, 3] }],
    }
}

fn wasm_job() -> WasmJob {
    WasmJob {
        module: b"\0asm\x01\0\0\0".to_vec(),
        args: vec!["name".into()],
        input: vec![7],
        fuel: 1_000,
        memory_bytes: 1 << 16,
    }
}

fn onnx_job() -> OnnxJob {
    OnnxJob { model: vec![8, 8], inputs: vec![NamedBytes { name: "x".into(), bytes: vec![0; 3] }] }
}

fn oci_job() -> OciJob {
    let command = ["/bin/sh", "-c", "sort"].map(str::to_owned).to_vec();
    OciJob { image: "debian".into(), command, input: vec![7, 0, 7] }
}

fn job_result() -> JobResult {
    let fault = JobFault { code: FaultCode::Trapped, detail: "unreachable".into() };
    JobResult { fault: Some(fault), outputs: onnx_job().inputs }
}

const CONTEXT: EnvelopeContext = EnvelopeContext {
    chain_id: 7_331,
    purpose: Purpose::Payload,
    owner: [1; 20],
    provider: [2; 20],
    binding: [3; 32],
};

fn key() -> EncryptionSecretKey {
    EncryptionSecretKey::from_bytes([7; 32])
}

/// Opens nothing but what was sealed.
fn envelope(bytes: &[u8]) {
    if open(&CONTEXT, &key(), bytes, MAX_PLAINTEXT).is_ok() {
        assert!(envelopes().iter().any(|sealed| sealed == bytes), "an envelope was forged");
    }
}

fn envelopes() -> Vec<Vec<u8>> {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let other = EncryptionSecretKey::from_bytes([8; 32]).public_key();
    let own = key().public_key();
    [(vec![own], &b""[..]), (vec![other, own], b"digits")]
        .into_iter()
        .map(|(keys, content)| seal(&CONTEXT, &keys, content, &mut rng).expect("sealed").to_vec())
        .collect()
}

/// A decoder of one head of attention.
fn small_model() -> Model {
    let mut builder = Builder::new(4);
    let mut list = |name: &str, dims: [usize; 2]| {
        let values = (0..dims[0] * dims[1]).map(|at| (at * 37 % 200) as i8).collect();
        let tensor = Tensor::new(dims.to_vec(), Data::I8(values));
        builder.param(name, tensor.expect("a tensor"))
    };
    let (table, weights) = (list("table", [4, 3]), list("weights", [4, 3]));
    let tokens = builder.input("tokens", DType::I32, &[], (0, 3));
    let heads = Heads { heads: 1, kv_heads: 1, causal: true };
    let scale = |shift| Scale::new(1 << 30, shift).expect("a factor");
    let finish = Some(Requant::new(scale(46), DType::I8));
    let mut node = |op: Op, inputs: &[ValueId]| builder.node(op, inputs).expect("a node");
    let x = node(Embed { table }.into(), &[tokens]);
    let scores = node(Scores { heads }.into(), &[x, x]);
    let shares = node(Softmax { scale: scale(24), causal: true }.into(), &[scores]);
    let mixed = node(Mix { heads, finish }.into(), &[shares, x]);
    let logits = node(Linear { weights, bias: None, finish: None }.into(), &[mixed]);
    let next = node(Sample { scale: scale(24) }.into(), &[logits]);
    builder.output("next", next);
    builder.output("logits", logits);
    builder.build().expect("a model")
}

fn small_job() -> Int8Job {
    let tokens = Tensor::list(vec![0, 3, 1]).expect("a tensor");
    let sampling = Sampling { seed: [5; 32], temperature: 1 << 16 };
    let prompt = Prompt { tokens: vec![1, 2], max_tokens: 2, stop: vec![3], sampling };
    let requests = [Request::run(vec![tokens]), Request::Generate(prompt)];
    let requests = encode_requests(&requests).expect("requests");
    Int8Job { model: small_model().encode(), requests }
}

/// What is decoded runs on any input without overflow.
fn model(bytes: &[u8]) {
    let Ok(model) = Model::decode(bytes) else { return };
    same(bytes, &model.encode());
    let cost = model.cost(1);
    if cost.macs > MAX_MACS || cost.value_bytes > MAX_VALUE_BYTES {
        return;
    }
    for extreme in [|input: &Input| input.low, |input: &Input| input.high] {
        let inputs = model.manifest().inputs().iter().map(|input| {
            let dims = input.value_type().axes(1);
            let values = vec![extreme(input); dims.iter().product()];
            Tensor::new(dims, Data::collect(input.dtype, values)).expect("a tensor")
        });
        let inputs: Vec<_> = inputs.collect();
        model.run(&inputs).expect("a model takes what it says");
    }
}

fn manifest(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::decode(bytes) {
        same(bytes, &manifest.encode());
    }
}

fn requests(bytes: &[u8]) {
    if let Ok(requests) = decode_requests(bytes) {
        same(bytes, &encode_requests(&requests).expect("what was read can be written"));
    }
}

/// Opens nothing but what was committed to.
fn opening(bytes: &[u8]) {
    let Ok(opening) = Opening::decode(bytes) else { return };
    same(bytes, &opening.encode());
    let (model, trace) = small_trace();
    if let Ok(opened) = opening.check(model.manifest(), &trace.run(), &trace.root()) {
        let committed = trace.value(opened.value).and_then(|value| value.get(opening.index));
        assert_eq!(opened.get(opening.index), committed, "an opening was forged");
    }
}

fn small_trace() -> (Model, neura_int8::Trace) {
    let model = small_model();
    let tokens = Tensor::list(vec![0, 3, 1]).expect("a tensor");
    let trace = model.trace(&Reference, &[tokens], Sampling::default()).expect("a trace");
    (model, trace)
}

fn openings() -> Vec<Vec<u8>> {
    let (_, trace) = small_trace();
    vec![trace.open(ValueId(3), 2).expect("an opening").encode()]
}

fn job(bytes: &[u8]) {
    let Ok(job) = Int8Job::decode(bytes) else { return };
    same(bytes, &job.encode().expect("what was read can be written"));
    if let Ok(open) = job.open()
        && open.cost.macs < MAX_MACS
        && open.cost.value_bytes < MAX_VALUE_BYTES
    {
        open.run(&Reference).expect("a job's parts fit each other");
    }
}

fn result(bytes: &[u8]) {
    if let Ok(result) = Int8Result::decode(bytes) {
        same(bytes, &result.encode());
    }
}

fn results() -> Vec<Vec<u8>> {
    vec![small_job().open().expect("a job").run(&Reference).expect("a result").encode()]
}
