//! What lies off the chain: sealed envelopes and the executor's formats.

use neura_blobs::{EncryptionSecretKey, EnvelopeContext, Purpose, open, seal};
use neura_int8::{Activation, Batch, Int8Job, Int8Result, Layer, Model, Requant};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};

use crate::{Target, check::same};

/// Largest plaintext that is opened.
const MAX_PLAINTEXT: u64 = 1 << 20;
/// Products that an input may ask for: more take long and show nothing new.
const MAX_PRODUCTS: usize = 1 << 20;

pub(super) const TARGETS: &[Target] = &[
    Target::new("envelope", envelope, envelopes),
    Target::new("int8-model", model, || vec![small_model().encode()]),
    Target::new("int8-batch", batch, || vec![small_batch().encode()]),
    Target::new("int8-job", job, jobs),
    Target::new("int8-result", result, results),
];

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

fn small_model() -> Model {
    let half = Requant::new(1 << 30, 0).expect("a factor");
    let weights = vec![1, 2, -3, 4];
    let hidden = Layer::hidden(2, weights, vec![0, 1], vec![half; 2], Activation::Relu);
    let last = Layer::logits(2, vec![1, 0, 0, 1], vec![0, 0]);
    Model::new(vec![hidden.expect("a layer"), last.expect("a layer")]).expect("a model")
}

fn small_batch() -> Batch {
    Batch::new(2, 2, vec![10, 20, -3, 4]).expect("a batch")
}

/// What is decoded runs on any input without overflow.
fn model(bytes: &[u8]) {
    let Ok(model) = Model::decode(bytes) else { return };
    same(bytes, &model.encode());
    let width = model.inputs();
    if bytes.len().max(width) < MAX_PRODUCTS
        && let Ok(batch) = Batch::new(1, width, vec![i8::MIN; width])
    {
        model.infer(&batch).expect("a model takes a batch of its width");
    }
}

fn batch(bytes: &[u8]) {
    if let Ok(batch) = Batch::decode(bytes) {
        same(bytes, &batch.encode());
    }
}

fn job(bytes: &[u8]) {
    let Ok(job) = Int8Job::decode(bytes) else { return };
    same(bytes, &job.encode().expect("what was read can be written"));
    if let Ok((model, batch)) = job.open()
        && bytes.len() * batch.rows() < MAX_PRODUCTS
    {
        model.infer(&batch).expect("a job's parts fit each other");
    }
}

fn jobs() -> Vec<Vec<u8>> {
    let job = Int8Job { model: small_model().encode(), inputs: small_batch().encode() };
    vec![job.encode().expect("a job")]
}

fn result(bytes: &[u8]) {
    if let Ok(result) = Int8Result::decode(bytes) {
        same(bytes, &result.encode());
    }
}

fn results() -> Vec<Vec<u8>> {
    let logits = small_model().infer(&small_batch()).expect("inferred");
    vec![Int8Result::new(2, logits).expect("a result").encode()]
}
