//! The other side: an owner with a job, and an agent to give it to.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use neura_blobs::{
    EncryptionPublicKey, EncryptionSecretKey, EnvelopeContext, Locator, Purpose, open, seal,
};
use neura_int8::{
    Builder, DType, Data, Int8Job, Model, Prompt, Reference, Requant, Request, Sampling, Scale,
    Tensor, encode_requests,
    ops::{embed::Embed, linear::Linear, reduce::Argmax, sample::Sample},
};
use neura_provider::{Agent, AgentConfig, Device, Progress, ProviderError, WorkerCommand};
use neura_types::{
    Address, B256,
    hash::content_hash,
    task::{
        BlobRef, Requirement, ResultPrivacy, Task, TaskId, Terms, VerificationPolicy,
        result_commitment,
    },
};
use tokio::sync::mpsc;

use super::{CHAIN_ID, Node};

pub(crate) const OWNER: Address = Address::repeat_byte(0xaa);
const NONCE: B256 = B256::repeat_byte(0x0e);
/// Ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn owner_key() -> EncryptionSecretKey {
    EncryptionSecretKey::from_bytes([0x0f; 32])
}

fn values(n: usize) -> Data {
    Data::I8((0..n).map(|i| (i * 37 % 255) as i8 / 2).collect())
}

/// A small network.
fn model() -> Model {
    let mut builder = Builder::new(20);
    let x = builder.input("x", DType::I8, &[8], (-127, 127));
    let first = builder.param("first", Tensor::new(vec![6, 8], values(48)).unwrap());
    let bias = Some(builder.param("bias", Tensor::list(vec![5; 6]).unwrap()));
    let second = builder.param("second", Tensor::new(vec![3, 6], values(18)).unwrap());
    let finish = Requant::new(Scale::new(1 << 30, 34).unwrap(), DType::I8).relu();
    let hidden = Linear { weights: first, bias, finish: Some(finish) };
    let hidden = builder.node(hidden, &[x]).unwrap();
    let logits = Linear { weights: second, bias: None, finish: None };
    let logits = builder.node(logits, &[hidden]).unwrap();
    let class = builder.node(Argmax, &[logits]).unwrap();
    builder.output("class", class);
    builder.output("logits", logits);
    builder.build().unwrap()
}

/// The network and 20 rows for it.
fn int8_job() -> Int8Job {
    let input = Tensor::new(vec![20, 8], values(160)).unwrap();
    let requests = encode_requests(&[Request::run(vec![input])]).unwrap();
    Int8Job { model: model().encode(), requests }
}

pub(crate) fn job() -> Vec<u8> {
    int8_job().encode().unwrap()
}

/// What the reference says of a job.
fn answer(job: &Int8Job) -> Vec<u8> {
    job.open().unwrap().run(&Reference).unwrap().encode()
}

/// A job of many steps: a decoder that generates from two prompts, with a run between them.
pub(crate) fn long_job() -> Int8Job {
    const WORDS: usize = 11;
    let mut builder = Builder::new(20);
    let tokens = builder.input("tokens", DType::I32, &[], (0, WORDS as i32 - 1));
    let mut param =
        |name: &str| builder.param(name, Tensor::new(vec![WORDS, 8], values(WORDS * 8)).unwrap());
    let (table, weights) = (param("table"), param("weights"));
    let x = builder.node(Embed { table }, &[tokens]).unwrap();
    let logits = builder.node(Linear { weights, bias: None, finish: None }, &[x]).unwrap();
    let next = builder.node(Sample { scale: Scale::new(1 << 30, 34).unwrap() }, &[logits]).unwrap();
    builder.output("next", next);
    let sampling = Sampling { seed: [6; 32], temperature: 2 << 16 };
    let prompt = |first, max_tokens| {
        Request::Generate(Prompt { tokens: vec![first, 2], max_tokens, stop: vec![], sampling })
    };
    let inputs = vec![Tensor::list(vec![1, 2, 3, 4]).unwrap()];
    let requests = [prompt(1, 4), Request::Run { inputs, sampling }, prompt(9, 3)];
    let model = builder.build().unwrap().encode();
    Int8Job { model, requests: encode_requests(&requests).unwrap() }
}

/// Steps of the long job: a token each, and the run.
pub(crate) const LONG_STEPS: usize = 8;

pub(crate) fn context(purpose: Purpose, provider: Address) -> EnvelopeContext {
    EnvelopeContext {
        chain_id: CHAIN_ID,
        purpose,
        owner: OWNER.into_array(),
        provider: provider.into_array(),
        binding: NONCE.0,
    }
}

/// Seals a payload to the registered provider.
pub(crate) fn sealed(node: &Node, provider: Address, plain: &[u8]) -> Vec<u8> {
    let key = node.chain().providers[&provider].encryption_key;
    let key = EncryptionPublicKey::from_bytes(key.0).unwrap();
    seal(&context(Purpose::Payload, provider), &[key], plain, &mut rand::rng()).unwrap()
}

/// Terms for a stored payload.
pub(crate) fn terms(node: &Node, provider: Address, payload: &[u8]) -> Terms {
    let hash = content_hash(payload);
    let key_epoch = node.chain().providers[&provider].key_epoch;
    let locator = Locator::from_hash(hash.0).to_string();
    Terms {
        payload: BlobRef { locator, hash, size: payload.len() as u64 },
        envelope_nonce: NONCE,
        provider,
        key_epoch,
        result_key: B256::new(*owner_key().public_key().as_bytes()),
        requirement: Requirement::default(),
        executor: "int8".into(),
        duration_blocks: 100,
        verification: VerificationPolicy::None,
        privacy: ResultPrivacy::Sealed,
    }
}

/// Stores the job and creates its task.
pub(crate) fn offer_job(node: &Node, provider: Address) -> TaskId {
    offer(node, provider, &int8_job())
}

/// The same with another job.
pub(crate) fn offer(node: &Node, provider: Address, job: &Int8Job) -> TaskId {
    let payload = sealed(node, provider, &job.encode().unwrap());
    let terms = terms(node, provider, &payload);
    node.chain().blobs.insert(terms.payload.hash, payload);
    node.act(|chain| chain.create(OWNER, terms))
}

/// Opens the result as the owner does, and checks it in every respect.
pub(crate) fn check_result(node: &Node, id: TaskId) {
    check_result_of(node, id, &int8_job());
}

/// The same of another job.
pub(crate) fn check_result_of(node: &Node, id: TaskId, job: &Int8Job) {
    assert_eq!(opened_result(node, id), answer(job));
}

/// The plain result of a task, whose size and commitment are right.
pub(crate) fn opened_result(node: &Node, id: TaskId) -> Vec<u8> {
    let chain = node.chain();
    let task: &Task = &chain.tasks[&id];
    let result = task.result.as_ref().expect("a result was submitted");
    let stored = &chain.blobs[&result.blob.hash];
    assert_eq!(stored.len() as u64, result.blob.size);
    let plain = match task.terms.privacy {
        ResultPrivacy::Public => stored.clone(),
        ResultPrivacy::Sealed => {
            let context = context(Purpose::Result, task.terms.provider);
            open(&context, &owner_key(), stored, 1 << 20).unwrap().to_vec()
        }
    };
    assert_eq!(result.commitment, result_commitment(CHAIN_ID, id, task.terms.provider, &plain));
    plain
}

/// The worker that the example is.
pub(crate) fn worker() -> WorkerCommand {
    WorkerCommand { program: example("worker"), args: Vec::new() }
}

/// A worker that dies after its first checkpoint, in this way.
pub(crate) fn mortal_worker(end: &str) -> WorkerCommand {
    WorkerCommand { program: example("mortal"), args: vec![end.into(), example("worker").into()] }
}

/// An example's program; cargo builds examples before tests.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    assert!(program.exists(), "run `cargo build -p neura-provider --examples` first");
    program
}

pub(crate) fn config(node: &Node, data: &Path) -> AgentConfig {
    let mut config = AgentConfig::new(vec![node.url.clone()], data.to_owned(), worker());
    config.device = Device::Cpu;
    // These tests see into their workers.
    config.sandbox = false;
    config.timing.retry_first = Duration::from_millis(5);
    config.timing.retry_last = Duration::from_millis(50);
    config.timing.reconcile_every = Duration::from_millis(100);
    config.timing.fetch_attempts = 3;
    config
}

/// An agent, and what it tells.
pub(crate) struct Watched {
    pub(crate) agent: Agent,
    told: mpsc::UnboundedReceiver<Progress>,
}

impl Watched {
    pub(crate) async fn start(config: AgentConfig) -> Result<Self, ProviderError> {
        Self::start_with(config, |_| {}).await
    }

    /// Starts an agent; `also` is called with what it tells before it goes on.
    pub(crate) async fn start_with(
        config: AgentConfig,
        also: impl Fn(&Progress) + Send + Sync + 'static,
    ) -> Result<Self, ProviderError> {
        let (tell, told) = mpsc::unbounded_channel();
        let observer = Arc::new(move |progress: &Progress| {
            also(progress);
            let _ = tell.send(progress.clone());
        });
        Ok(Self { agent: Agent::start(config, observer).await?, told })
    }

    pub(crate) fn address(&self) -> Address {
        self.agent.address()
    }

    /// Waits for a piece of news, and returns all up to it.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Progress) -> bool) -> Vec<Progress> {
        let mut all = Vec::new();
        let end = tokio::time::Instant::now() + PATIENCE;
        while all.last().is_none_or(|last| !wanted(last)) {
            match tokio::time::timeout_at(end, self.told.recv()).await {
                Ok(Some(progress)) => all.push(progress),
                _ => panic!("what was waited for did not come; what came: {all:#?}"),
            }
        }
        all
    }

    /// Waits for the end of a task, and returns the names of what was told of it.
    pub(crate) async fn until_ended(&mut self, task: TaskId) -> Vec<String> {
        let ended = |progress: &Progress| {
            progress.task() == Some(task) && matches!(progress, Progress::Ended { .. })
        };
        let all = self.until(ended).await;
        all.iter().filter(|progress| progress.task() == Some(task)).map(name).collect()
    }
}

/// The name of a piece of news, as machines see it.
pub(crate) fn name(progress: &Progress) -> String {
    serde_json::to_value(progress).unwrap()["event"].as_str().unwrap().to_owned()
}

pub(crate) fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to: PathBuf = to.join(from.file_name().unwrap());
        match from.is_dir() {
            true => copy_dir(&from, &to),
            // Drafts come and go.
            false => drop(std::fs::copy(&from, &to)),
        }
    }
}
