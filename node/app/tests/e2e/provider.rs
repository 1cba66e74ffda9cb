//! The provider's process against owners who send rubbish, and against signals.

use neura::job::{Choice, Job, pick, submit};
use neura_blobs::{EncryptionPublicKey, EncryptionSecretKey, EnvelopeContext, Purpose, seal};
use neura_client::Sender;
use neura_types::{
    B256, Params, U256,
    abi::{ITasks, SolCall},
    system,
    task::{
        BlobRef, EndReason, Party, ResultPrivacy, Task, TaskId, TaskState, Terms,
        VerificationPolicy,
    },
};

use crate::harness::{
    Network, ProviderProcess, created_task, digits, eventually, quick, slow_job, task_events,
};

/// Rows of a job that runs for seconds, so that its provider can be killed meanwhile.
const ROWS: usize = 6_000;

/// A chain that accepts results by itself after a few blocks.
fn impatient() -> Params {
    Params { approve_window_blocks: 10, ..quick() }
}

fn result_key() -> EncryptionSecretKey {
    EncryptionSecretKey::from_bytes([2; 32])
}

/// Has a provider do a job.
async fn hire(owner: &Sender, provider: &ProviderProcess, job: &Job) -> TaskId {
    let choice = Choice::Provider(provider.address);
    let offer = pick(owner.client(), job, choice).await.unwrap();
    submit(owner.client(), owner, job, offer, &result_key(), |_| {}).await.unwrap()
}

async fn ended(network: &Network, id: TaskId) -> Task {
    let client = network.client(0);
    eventually(&format!("the end of task {id}"), async || {
        client.task(id).await.unwrap().filter(|task| task.state.is_terminal())
    })
    .await
}

/// What an owner seals, and what becomes of it on the way.
struct Tampering {
    plain: Vec<u8>,
    purpose: Purpose,
    change: fn(&mut Vec<u8>),
    code: &'static str,
}

async fn offer(owner: &Sender, provider: &ProviderProcess, tampering: &Tampering) -> TaskId {
    let client = owner.client();
    let entry = client.provider(provider.address).await.unwrap().unwrap();
    let nonce = B256::repeat_byte(3);
    let context = EnvelopeContext {
        chain_id: owner.chain_id(),
        purpose: tampering.purpose,
        owner: owner.address().into_array(),
        provider: provider.address.into_array(),
        binding: nonce.0,
    };
    let recipient = EncryptionPublicKey::from_bytes(entry.encryption_key.0).unwrap();
    let mut sealed = seal(&context, &[recipient], &tampering.plain, &mut rand::rng()).unwrap();
    (tampering.change)(&mut sealed);
    let stored = client.put_blob(sealed).await.unwrap();
    let terms = Terms {
        payload: BlobRef { locator: stored.locator, hash: stored.hash, size: stored.size },
        envelope_nonce: nonce,
        provider: provider.address,
        key_epoch: entry.key_epoch,
        result_key: result_key().public_key().as_bytes().into(),
        requirement: Default::default(),
        executor: "int8".into(),
        duration_blocks: 100,
        verification: VerificationPolicy::None,
        privacy: ResultPrivacy::Sealed,
    };
    let escrow = entry.price_per_block.times(terms.duration_blocks).unwrap();
    let call = ITasks::createCall { terms: (&terms).into() }.abi_encode();
    created_task(&owner.call(system::TASKS, escrow.to_u256(), call).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_was_tampered_with_is_declined_with_the_reason() {
    let network = Network::start(1, quick()).await;
    let provider = ProviderProcess::join(&network.url(0), network.folder.path()).await;
    let owner = network.sender("alice", 0).await;
    let good = Job::load(&digits().join("job.toml")).unwrap().payload;
    let case = |plain: &[u8], purpose, change, code| Tampering {
        plain: plain.to_vec(),
        purpose,
        change,
        code,
    };
    let payload = Purpose::Payload;
    let cases = [
        case(&good, payload, |bytes| *bytes.last_mut().unwrap() ^= 1, "payload_unreadable"),
        case(&good, payload, |bytes| bytes[0] ^= 1, "payload_unreadable"),
        case(&good, payload, |bytes| bytes.truncate(bytes.len() / 2), "payload_unreadable"),
        case(&good, payload, |bytes| bytes.push(0), "payload_unreadable"),
        case(&good, payload, |bytes| *bytes = vec![0xff; 4_096], "payload_unreadable"),
        case(&good, Purpose::Result, |_| {}, "payload_unreadable"),
        case(b"not a job at all", payload, |_| {}, "invalid_job"),
        case(&good[..good.len() - 1], payload, |_| {}, "invalid_job"),
    ];
    for case in &cases {
        let id = offer(&owner, &provider, case).await;
        let task = ended(&network, id).await;
        let outcome = task.outcome.unwrap();
        assert_eq!((outcome.reason, outcome.at_fault), (EndReason::Declined, Party::None));
        assert_eq!(outcome.settlement.refund, task.escrow);
        let told = task_events::<ITasks::TaskDeclined>(&network.url(0), id).await;
        assert!(told[0].reason.starts_with(case.code), "{}: {}", case.code, told[0].reason);
    }
    // After all of that it still works.
    let job = Job::load(&digits().join("job.toml")).unwrap();
    let id = hire(&owner, &provider, &job).await;
    eventually("the result", async || {
        let task = owner.client().task(id).await.unwrap().unwrap();
        assert!(!task.state.is_terminal(), "{task:?}");
        (task.state == TaskState::Submitted).then_some(())
    })
    .await;
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_provider_vanishes_after_accepting_is_refunded() {
    let network = Network::start(1, quick()).await;
    let mut provider = ProviderProcess::join(&network.url(0), network.folder.path()).await;
    let owner = network.sender("alice", 0).await;
    let mut job = Job::load(&slow_job(network.folder.path(), ROWS)).unwrap();
    job.duration_blocks = 20;
    let id = hire(&owner, &provider, &job).await;
    provider.running.says("accepted in block").await;
    provider.kill().await;
    let task = ended(&network, id).await;
    let outcome = task.outcome.unwrap();
    assert_eq!(
        (task.state, outcome.reason, outcome.at_fault),
        (TaskState::Refunded, EndReason::NotSubmitted, Party::Provider)
    );
    assert_eq!(outcome.settlement.refund, task.escrow);
    let held = owner.client().account(system::TASKS).await.unwrap().balance.0;
    assert_eq!(held, U256::ZERO, "the module holds no escrow any more");

    // Back again, it neither submits what is over nor forgets how to serve.
    let provider = ProviderProcess::join(&network.url(0), network.folder.path()).await;
    let job = Job::load(&digits().join("job.toml")).unwrap();
    let next = hire(&owner, &provider, &job).await;
    eventually("the next result", async || {
        let task = owner.client().task(next).await.unwrap().unwrap();
        (task.state == TaskState::Submitted).then_some(())
    })
    .await;
    assert!(task_events::<ITasks::ResultSubmitted>(&network.url(0), id).await.is_empty());
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_killed_at_any_step_goes_on_and_never_submits_twice() {
    let network = Network::start(1, impatient()).await;
    let folder = network.folder.path();
    let owner = network.sender("alice", 0).await;
    let job = Job::load(&digits().join("job.toml")).unwrap();
    let mut provider = ProviderProcess::join(&network.url(0), folder).await;
    for step in
        ["offered by", "payload opened", "accepting", "accepted in", "executed in", "submitting"]
    {
        let id = hire(&owner, &provider, &job).await;
        provider.running.says(&format!("task {id}: {step}")).await;
        provider.kill().await;
        provider = ProviderProcess::join(&network.url(0), folder).await;
        let task = ended(&network, id).await;
        assert_eq!(task.state, TaskState::Settled, "killed at '{step}': {task:?}");
        assert_eq!(
            task.outcome.unwrap().reason,
            EndReason::AcceptedByTimeout,
            "killed at '{step}'"
        );
        let results = task_events::<ITasks::ResultSubmitted>(&network.url(0), id).await;
        assert_eq!(results.len(), 1, "killed at '{step}'");
    }
    network.stop().await;
}
