//! Give a task to another provider: payload and last checkpoint sealed anew to it.

use anyhow::{Context, Result};
use neura_blobs::{EncryptionPublicKey, EncryptionSecretKey, EnvelopeContext, Purpose, open, seal};
use neura_client::{Client, Sender};
use neura_provider::envelope_context;
use neura_types::{
    Address, U256,
    abi::{ITasks, SolCall},
    provider::Provider,
    system,
    task::{BlobRef, Task, TaskId, TaskState},
};

use super::submit::{Refusal, Step};

/// Largest payload or checkpoint that is sealed anew: it is held in memory twice.
const MAX_RESEALED: u64 = 1 << 30;

/// Reassigns a task of the sender's and returns it as it stands then. `key` opens what was sealed for its owner.
///
/// A checkpoint that cannot be had or opened is left out, and told: the job begins from the start then.
///
/// # Errors
/// If the provider still shows signs of life, the payload cannot be had or opened, or the chain refuses.
pub async fn reassign(
    client: &Client,
    sender: &Sender,
    id: TaskId,
    to: Address,
    key: &EncryptionSecretKey,
    mut on_step: impl FnMut(Step),
) -> Result<Task> {
    let task = client.existing_task(id).await?;
    check_silence(client, &task).await?;
    let provider = client.existing_provider(to).await?;
    let height = client.height().await?;
    on_step(Step::Picked { provider: Box::new(provider.clone()), height });
    let anew = Anew { client, chain_id: sender.chain_id(), task: &task, provider: &provider, key };
    let payload = anew
        .seal(Purpose::Payload, &task.terms.payload)
        .await
        .context("the payload cannot be handed on")?;
    on_step(Step::Stored { blob: payload.clone() });
    let checkpoint = match &task.checkpoint {
        None => BlobRef::NONE,
        Some(noted) => anew.seal(Purpose::Checkpoint, &noted.blob).await.unwrap_or_else(|error| {
            on_step(Step::FromStart { reason: format!("{error:#}") });
            BlobRef::NONE
        }),
    };
    let call = ITasks::reassignCall {
        taskId: id,
        provider: to,
        keyEpoch: provider.key_epoch,
        payload: (&payload).into(),
        resumeFrom: (&checkpoint).into(),
    };
    sender.call(system::TASKS, U256::ZERO, call.abi_encode()).await?;
    let task = client.existing_task(id).await?;
    on_step(Step::HandedOn {
        to,
        from_step: task.checkpoint.as_ref().map(|noted| noted.step),
        deadline: task.deadline,
    });
    Ok(task)
}

/// Tells before anything is stored what the chain would refuse in the end.
async fn check_silence(client: &Client, task: &Task) -> Result<()> {
    if task.state != TaskState::Running {
        return Ok(());
    }
    let last = task.seen_at.saturating_add(client.params().await?.silence_blocks);
    let height = client.height().await?;
    if height >= last {
        return Ok(());
    }
    let detail = format!(
        "the provider of task {} was seen at height {}; it may be replaced from height {} on if it stays \
         silent, now: {height}",
        task.id,
        task.seen_at,
        last.saturating_add(1)
    );
    Err(Refusal { code: "provider_alive", detail }.into())
}

/// Opens what was sealed for the former provider and the owner, and seals it for the next one and the owner.
struct Anew<'a> {
    client: &'a Client,
    chain_id: u64,
    task: &'a Task,
    provider: &'a Provider,
    key: &'a EncryptionSecretKey,
}

impl Anew<'_> {
    async fn seal(&self, purpose: Purpose, blob: &BlobRef) -> Result<BlobRef> {
        let limit = usize::try_from(blob.size.min(MAX_RESEALED))?;
        let sealed = self.client.blob(blob.hash, limit).await.context("fetching it")?;
        let former = self.context(purpose, self.task.terms.provider);
        let plain = open(&former, self.key, &sealed, MAX_RESEALED).context("opening it")?;
        let next = EncryptionPublicKey::from_bytes(self.provider.encryption_key.0)
            .context("the provider's registered encryption key is not a key")?;
        let context = self.context(purpose, self.provider.address);
        let sealed = seal(&context, &[next, self.key.public_key()], &plain, &mut rand::rng())?;
        let stored = self.client.put_blob(sealed).await?;
        Ok(BlobRef { locator: stored.locator, hash: stored.hash, size: stored.size })
    }

    fn context(&self, purpose: Purpose, provider: Address) -> EnvelopeContext {
        EnvelopeContext {
            provider: provider.into_array(),
            ..envelope_context(self.chain_id, self.task, purpose)
        }
    }
}
