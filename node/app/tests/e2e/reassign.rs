//! A provider that is silent is replaced by its owner's command, with played providers.

use neura::job::{Step, reassign};
use neura_blobs::{EncryptionPublicKey, EncryptionSecretKey, EnvelopeContext, Purpose, open, seal};
use neura_client::Sender;
use neura_types::{
    Address, Amount, U256,
    abi::{ITasks, SolCall},
    system,
    task::{BlobRef, EndReason, Task, TaskId, TaskState, Terms},
};

use crate::harness::{Market, PRICE, created_task, eventually, key, quick};

const PAYLOAD: &[u8] = b"what is to be done";
const STATE: &[u8] = b"how far it is";
const SILENCE: u64 = 4;

/// A market whose providers are given up after [`SILENCE`], and one provider more.
async fn market() -> (Market, Sender) {
    let mut params = quick();
    params.silence_blocks = SILENCE;
    let market = Market::open(params).await;
    let second = market.join(8, &key(3)).await;
    (market, second)
}

fn context(market: &Market, provider: Address, terms: &Terms, purpose: Purpose) -> EnvelopeContext {
    EnvelopeContext {
        chain_id: market.owner.chain_id(),
        purpose,
        owner: market.owner.address().into_array(),
        provider: provider.into_array(),
        binding: terms.envelope_nonce.0,
    }
}

/// Seals to the first provider and the owner, and stores.
async fn sealed(market: &Market, terms: &Terms, purpose: Purpose, plain: &[u8]) -> BlobRef {
    let context = context(market, market.provider.address(), terms, purpose);
    let recipients: [EncryptionPublicKey; 2] =
        [key(1).public_key(), market.result_key.public_key()];
    market.store(&seal(&context, &recipients, plain, &mut rand::rng()).unwrap()).await
}

async fn opened(
    market: &Market,
    (provider, secret): (Address, &EncryptionSecretKey),
    terms: &Terms,
    (purpose, blob): (Purpose, &BlobRef),
) -> Vec<u8> {
    let bytes = market.network.client(0).blob(blob.hash, 1 << 20).await.unwrap();
    let context = context(market, provider, terms, purpose);
    open(&context, secret, &bytes, 1 << 20).unwrap().to_vec()
}

/// A task that the first provider accepted and never says anything about again.
async fn abandoned(market: &Market, checkpoint: Option<BlobRef>) -> Task {
    let mut terms = market.terms(1_000).await;
    terms.payload = sealed(market, &terms, Purpose::Payload, PAYLOAD).await;
    let escrow = PRICE.times(1_000).unwrap();
    let create = ITasks::createCall { terms: (&terms).into() };
    let id = created_task(&market.as_owner(escrow, create).await.unwrap());
    market.accept(id).await.unwrap();
    if let Some(blob) = checkpoint {
        let call = ITasks::checkpointCall { taskId: id, step: 40, blob: (&blob).into() };
        market.provider.call(system::TASKS, U256::ZERO, call.abi_encode()).await.unwrap();
    }
    let silent = async || {
        let (task, height) = (market.task(id).await, market.network.client(0).height().await);
        (height.unwrap() >= task.seen_at + SILENCE).then_some(task)
    };
    eventually("the provider's silence", silent).await
}

async fn hand_on(market: &Market, id: TaskId, to: &Sender) -> (Task, Vec<Step>) {
    let mut steps = Vec::new();
    let client = market.network.client(0);
    let key = &market.result_key;
    let task =
        reassign(&client, &market.owner, id, to.address(), key, |step| steps.push(step)).await;
    (task.unwrap(), steps)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_hands_a_silent_providers_task_on_with_all_that_the_next_one_needs() {
    let (market, second) = market().await;
    let terms = market.terms(1_000).await;
    let state = sealed(&market, &terms, Purpose::Checkpoint, STATE).await;
    let before = abandoned(&market, Some(state)).await;
    let (task, _) = hand_on(&market, before.id, &second).await;

    assert_eq!((task.state, task.terms.provider), (TaskState::Assigned, second.address()));
    assert_eq!((task.escrow, task.terms.envelope_nonce), (before.escrow, terms.envelope_nonce));
    let noted = task.checkpoint.clone().unwrap();
    assert_eq!(noted.step, 40);
    let (provider, secret) = (second.address(), key(3));
    let payload = (Purpose::Payload, &task.terms.payload);
    assert_eq!(opened(&market, (provider, &secret), &task.terms, payload).await, PAYLOAD);
    let checkpoint = (Purpose::Checkpoint, &noted.blob);
    assert_eq!(opened(&market, (provider, &secret), &task.terms, checkpoint).await, STATE);
    // And the owner can hand it on again.
    let owner = (provider, &market.result_key);
    assert_eq!(opened(&market, owner, &task.terms, payload).await, PAYLOAD);
    assert_eq!(opened(&market, owner, &task.terms, checkpoint).await, STATE);

    let late = market.submit(task.id, b"too late").await.unwrap_err();
    assert_eq!(late.code(), "not_provider", "{late}");
    let act = async |call: Vec<u8>| second.call(system::TASKS, U256::ZERO, call).await.unwrap();
    act(ITasks::acceptCall { taskId: task.id }.abi_encode()).await;
    let blob = market.store(b"sealed result").await;
    let (blob, commitment) = ((&blob).into(), Default::default());
    act(ITasks::submitCall { taskId: task.id, blob, commitment }.abi_encode()).await;
    market.as_owner(Amount::ZERO, ITasks::approveCall { taskId: task.id }).await.unwrap();
    let ended = market.ended(task.id).await;
    assert_eq!(ended.outcome.unwrap().reason, EndReason::Approved);
    assert_eq!(market.balance(system::TASKS).await, U256::ZERO);
    let former =
        market.network.client(0).existing_provider(market.provider.address()).await.unwrap();
    assert_eq!((former.active_tasks, former.record.at_fault), (0, 1));
    market.network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_cannot_be_opened_is_left_out_and_the_owner_is_told() {
    let (market, second) = market().await;
    let garbage = market.store(b"no envelope at all").await;
    let before = abandoned(&market, Some(garbage)).await;
    let (task, steps) = hand_on(&market, before.id, &second).await;
    assert_eq!((task.terms.provider, &task.checkpoint), (second.address(), &None));
    let told = steps.iter().any(
        |step| matches!(step, Step::FromStart { reason } if reason.contains("not a sealed envelope")),
    );
    assert!(told, "{steps:?}");
    market.network.stop().await;
}
