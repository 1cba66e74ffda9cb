//! Offer a job to a provider and follow it to its end.

use anyhow::{Context, Result};
use neura_blobs::{EncryptionPublicKey, EncryptionSecretKey, EnvelopeContext, Purpose, seal};
use neura_client::{Client, Sender};
use neura_types::{
    Address, Amount, B256, Height,
    abi::{ITasks, SolCall, SolEvent},
    provider::Provider,
    rest::ProviderMatch,
    system,
    task::{BlobRef, Checkpoint, Task, TaskId, Terms, VerificationPolicy},
};
use serde::Serialize;

use crate::plain;

use super::{
    Job,
    queue::{self, Queue},
};

/// Whom to give the job to.
#[derive(Debug, Clone, Copy)]
pub enum Choice {
    /// The cheapest provider that fits.
    Cheapest,
    /// This one.
    Provider(Address),
}

/// Why a job is not offered to anyone.
#[derive(Debug, thiserror::Error)]
#[error("{detail} [{code}]")]
pub struct Refusal {
    /// Stable snake_case code: the chain's own where it would refuse for the same reason.
    pub code: &'static str,
    /// What is wrong and what to do.
    pub detail: String,
}

/// A step that was taken.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// A provider was picked; its key was read from the chain.
    Picked {
        /// The provider.
        provider: Box<Provider>,
        /// Height of the state that was read.
        height: Height,
    },
    /// The payload was sealed to it.
    Sealed {
        /// Bytes before.
        payload_bytes: usize,
        /// Bytes after.
        envelope_bytes: usize,
    },
    /// The ciphertext lies in the off-chain store.
    Stored {
        /// Where.
        blob: BlobRef,
    },
    /// The transaction is sent.
    Sent {
        /// Escrow that it locks.
        escrow: Amount,
        /// Price per block.
        price_per_block: Amount,
        /// Most blocks.
        duration_blocks: u64,
    },
    /// The validators have confirmed it.
    Confirmed {
        /// The task's number.
        task: TaskId,
        /// Transaction.
        hash: B256,
        /// Height of its block.
        height: Height,
    },
    /// The provider is at work on other tasks first.
    Waiting {
        /// What comes before the task.
        queue: Queue,
    },
    /// The provider noted how far its work is.
    Noted {
        /// The checkpoint.
        checkpoint: Checkpoint,
    },
    /// The last checkpoint could not be handed on.
    FromStart {
        /// Why.
        reason: String,
    },
    /// The task was given to another provider.
    HandedOn {
        /// The provider.
        to: Address,
        /// Step of the checkpoint that it goes on from; none if it begins from the start.
        from_step: Option<u64>,
        /// Height up to which it may accept.
        deadline: Height,
    },
    /// The task changed its state.
    Changed {
        /// The task now.
        task: Box<Task>,
        /// Height of the state that was read.
        height: Height,
    },
}

/// Takes the steps up to the confirmed task. `result_key` is what the result will be sealed to.
///
/// # Errors
/// If a step fails.
pub async fn submit(
    client: &Client,
    sender: &Sender,
    job: &Job,
    offer: Offer,
    result_key: &EncryptionSecretKey,
    mut on_step: impl FnMut(Step),
) -> Result<TaskId> {
    let Offer { provider, height, escrow } = offer;
    on_step(Step::Picked { provider: Box::new(provider.clone()), height });
    let nonce = B256::new(crate::keyfile::random_secret()?);
    let context = EnvelopeContext {
        chain_id: sender.chain_id(),
        purpose: Purpose::Payload,
        owner: sender.address().into_array(),
        provider: provider.address.into_array(),
        binding: nonce.0,
    };
    let recipient = EncryptionPublicKey::from_bytes(provider.encryption_key.0)
        .context("the provider's registered encryption key is not a key")?;
    let envelope =
        seal(&context, &[recipient, result_key.public_key()], &job.payload, &mut rand::rng())?;
    on_step(Step::Sealed { payload_bytes: job.payload.len(), envelope_bytes: envelope.len() });
    let stored = client.put_blob(envelope).await?;
    let payload = BlobRef { locator: stored.locator, hash: stored.hash, size: stored.size };
    on_step(Step::Stored { blob: payload.clone() });
    let terms = Terms {
        payload,
        envelope_nonce: nonce,
        provider: provider.address,
        key_epoch: provider.key_epoch,
        result_key: B256::new(*result_key.public_key().as_bytes()),
        requirement: job.requirement.clone(),
        executor: job.executor.clone(),
        duration_blocks: job.duration_blocks,
        verification: VerificationPolicy::None,
        privacy: job.privacy,
    };
    let call = ITasks::createCall { terms: ITasks::Terms::from(&terms) }.abi_encode();
    on_step(Step::Sent {
        escrow,
        price_per_block: provider.price_per_block,
        duration_blocks: job.duration_blocks,
    });
    let sent = sender.call(system::TASKS, escrow.to_u256(), call).await?;
    let task = sent
        .info
        .receipt
        .iter()
        .flat_map(|receipt| &receipt.logs)
        .filter(|log| log.address == system::TASKS)
        .find_map(|log| {
            ITasks::TaskCreated::decode_raw_log(log.topics.iter().copied(), &log.data).ok()
        })
        .context("the receipt of the task's transaction holds no TaskCreated event")?
        .taskId;
    on_step(Step::Confirmed { task, hash: sent.hash, height: sent.height });
    Ok(task)
}

/// A provider that fits a job, and what the job locks at its price.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The provider as the chain records it.
    pub provider: Provider,
    /// Height of the state that was read.
    pub height: Height,
    /// Price per block times the job's most blocks.
    pub escrow: Amount,
}

/// Picks a provider and computes the escrow.
///
/// # Errors
/// If no provider fits (each with its reason), or the job costs more than the owner allows.
pub async fn pick(client: &Client, job: &Job, choice: Choice) -> Result<Offer> {
    let provider = find(client, job, choice).await?;
    let escrow = provider.price_per_block.times(job.duration_blocks)?;
    if escrow > job.max_price {
        let detail = format!(
            "the job would cost up to {escrow} ({} per block for {} blocks), the job file allows {}: \
             raise max_price or lower duration_blocks",
            provider.price_per_block, job.duration_blocks, job.max_price
        );
        return Err(Refusal { code: "price_above_maximum", detail }.into());
    }
    Ok(Offer { provider, height: client.height().await?, escrow })
}

async fn find(client: &Client, job: &Job, choice: Choice) -> Result<Provider> {
    let matches =
        client.match_providers(job.requirement.clone(), Some(job.executor.clone())).await?;
    let candidates: Vec<&ProviderMatch> = match choice {
        Choice::Cheapest => matches.iter().collect(),
        Choice::Provider(address) => matches.iter().filter(|m| m.provider == address).collect(),
    };
    let address = match (candidates.iter().find(|candidate| candidate.fits), choice) {
        (Some(found), _) => found.provider,
        (None, Choice::Cheapest) if candidates.is_empty() => {
            let url = client.url();
            let detail =
                format!("no provider is registered: start one with `neura provider join {url}`");
            return Err(Refusal { code: "no_provider", detail }.into());
        }
        // The registry is larger than one match looks at, or there is no such provider.
        (None, Choice::Provider(address)) if candidates.is_empty() => address,
        (None, _) => {
            return Err(refusal(client, &candidates).await.into());
        }
    };
    Ok(client.existing_provider(address).await?)
}

/// Why none of the providers takes a job.
async fn refusal(client: &Client, candidates: &[&ProviderMatch]) -> Refusal {
    let only_full = |candidate: &&&ProviderMatch| {
        candidate.shortfalls.iter().all(|short| short.dimension == CAPACITY)
    };
    let full: Vec<&&ProviderMatch> = candidates.iter().filter(only_full).collect();
    if full.is_empty() {
        let lacks: Vec<String> = candidates.iter().map(|candidate| lacks(candidate)).collect();
        let detail = format!("no provider fits this job:\n{}", lacks.join("\n"));
        return Refusal { code: "requirement_not_met", detail };
    }
    let mut lines = Vec::new();
    for candidate in full.into_iter().take(MAX_FULL) {
        lines.push(match queue::places(client, candidate.provider).await {
            Ok(places) => format!("  {places}"),
            Err(_) => lacks(candidate),
        });
    }
    let detail = format!(
        "every provider that could do this job is full now:\n{}\nSubmit it again when a place is free, or name another \
         provider with --provider",
        lines.join("\n")
    );
    Refusal { code: "provider_at_capacity", detail }
}

/// The dimension in which a provider falls short while it is at work on all that it takes.
const CAPACITY: &str = "capacity";
/// Full providers that are told about.
const MAX_FULL: usize = 5;

/// What a provider lacks for a job, in one line.
fn lacks(candidate: &ProviderMatch) -> String {
    let lacks: Vec<String> = candidate
        .shortfalls
        .iter()
        .map(|s| {
            let offered = plain::line(&s.offered);
            format!("{} {} wanted, {offered} offered", s.dimension, s.wanted)
        })
        .collect();
    format!("  {}: {}", candidate.provider, lacks.join("; "))
}
