//! Judge a task before it is accepted: its terms, its payload, its size. Pure; nothing of it talks to anyone.
//!
//! After acceptance a provider can only deliver or be at fault, so whatever can be found wrong is found here.

#[cfg(test)]
mod tests;

use std::time::Duration;

use neura_blobs::{EncryptionPublicKey, EnvelopeContext, Locator, Purpose, open, seal, sealed_len};
use neura_gpu::{LaunchRate, Launches};
use neura_int8::Int8Job;
use neura_types::{
    ChainId, Height,
    provider::{Capability, Provider},
    task::{ResultPrivacy, Task, VerificationPolicy},
};
use zeroize::Zeroizing;

use crate::{Keys, executor::Executor};

/// Longest reason that the chain takes, in bytes.
const MAX_REASON: usize = 256;
/// Blocks that an acceptance may need to get in.
const ACCEPT_MARGIN: Height = 2;
/// Least duration taken, in blocks: fetching, starting a worker and submitting take that at least.
pub(crate) const MIN_DURATION: u64 = 4;
/// Bytes of an `Int8Result` for each answer beside its values, and for its header.
const RESULT_OVERHEAD: u64 = 512;
/// Part of a worker's time that the estimate of a job may fill.
const TIME_SHARE: u64 = 2;

/// Why a task is declined, as the chain is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) detail: String,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, detail: impl ToString) -> Self {
        Self { code, detail: detail.to_string() }
    }

    /// The text that the chain takes.
    pub(crate) fn reason(&self) -> String {
        let mut text = self.to_string();
        text.truncate(text.floor_char_boundary(MAX_REASON));
        text
    }
}

/// What terms are held against.
#[derive(Debug)]
pub(crate) struct Means<'a> {
    /// The registry's entry.
    pub(crate) entry: &'a Provider,
    /// What the machine has now.
    pub(crate) capability: &'a Capability,
    /// Largest sealed payload taken, in bytes.
    pub(crate) max_payload: u64,
    /// Height of the newest executed block.
    pub(crate) height: Height,
}

/// Checks a task's terms; gives its executor.
pub(crate) fn check_terms(task: &Task, means: &Means<'_>) -> Result<Executor, Refusal> {
    let terms = &task.terms;
    let no = |code, detail: String| Err(Refusal::new(code, detail));
    let offered = means.entry.executors.contains(&terms.executor);
    let Some(executor) = Executor::named(&terms.executor).filter(|_| offered) else {
        return no(
            "executor_not_offered",
            format!("there is no executor '{}' here", terms.executor),
        );
    };
    if terms.verification != VerificationPolicy::None {
        return no("unsupported_policy", "only results without verification are given here".into());
    }
    let missing = means.capability.shortfalls(&terms.requirement);
    if let Some(missing) = missing.first() {
        return no("requirement_not_met", missing.to_string());
    }
    if terms.key_epoch != means.entry.key_epoch {
        let current = means.entry.key_epoch;
        let detail = format!("sealed to key {}, the key is number {current}", terms.key_epoch);
        return no("wrong_key_epoch", detail);
    }
    if terms.duration_blocks < MIN_DURATION {
        let detail =
            format!("{} blocks are too short, {MIN_DURATION} are needed", terms.duration_blocks);
        return no("duration_too_short", detail);
    }
    match task.price_per_block.times(terms.duration_blocks) {
        Ok(price) if task.escrow >= price => {}
        _ => return no("escrow_below_price", format!("{} do not pay the duration", task.escrow)),
    }
    if task.deadline < means.height.saturating_add(ACCEPT_MARGIN) {
        return no("deadline_passed", format!("the offer ends with block {}", task.deadline));
    }
    let sealed = terms.privacy == ResultPrivacy::Sealed;
    if sealed && let Err(error) = EncryptionPublicKey::from_bytes(terms.result_key.0) {
        return no("invalid_key", format!("the result key: {error}"));
    }
    let payload = &terms.payload;
    if payload.size > means.max_payload {
        let detail = format!("{} bytes, at most {} are taken", payload.size, means.max_payload);
        return no("payload_too_large", detail);
    }
    match payload.locator.parse::<Locator>() {
        Ok(locator) if locator.hash() == Some(&payload.hash.0) => Ok(executor),
        Ok(locator) if locator.hash().is_some() => {
            no("invalid_locator", "locator and hash of the payload name different bytes".into())
        }
        Ok(locator) => {
            no("invalid_locator", format!("'{}:' stores are not read here", locator.kind()))
        }
        Err(error) => no("invalid_locator", error.to_string()),
    }
}

/// Opens a payload that was sealed for the provider of this task.
pub(crate) fn open_payload(
    chain_id: ChainId,
    task: &Task,
    keys: &Keys,
    sealed: &[u8],
    max_bytes: u64,
) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    open(&envelope_context(chain_id, task, Purpose::Payload), &keys.encryption, sealed, max_bytes)
        .map_err(|error| Refusal::new("payload_unreadable", error))
}

/// What the store gets of a result: sealed to the owner, or as it is if it is public.
pub(crate) fn seal_result(
    chain_id: ChainId,
    task: &Task,
    plain: Vec<u8>,
) -> Result<Vec<u8>, Refusal> {
    if task.terms.privacy == ResultPrivacy::Public {
        return Ok(plain);
    }
    let key = EncryptionPublicKey::from_bytes(task.terms.result_key.0)
        .map_err(|error| Refusal::new("invalid_key", error))?;
    seal(&envelope_context(chain_id, task, Purpose::Result), &[key], &plain, &mut rand::rng())
        .map_err(|error| Refusal::new("invalid_key", error))
}

/// A note to the task's owner; none if the owner gave no key.
pub(crate) fn seal_note(chain_id: ChainId, task: &Task, plain: &[u8]) -> Option<Vec<u8>> {
    let key = EncryptionPublicKey::from_bytes(task.terms.result_key.0).ok()?;
    seal(&envelope_context(chain_id, task, Purpose::Note), &[key], plain, &mut rand::rng()).ok()
}

/// What an envelope of a task is bound to: payload, result, checkpoint or note.
#[must_use]
pub fn envelope_context(chain_id: ChainId, task: &Task, purpose: Purpose) -> EnvelopeContext {
    EnvelopeContext {
        chain_id,
        purpose,
        owner: task.owner.into_array(),
        provider: task.terms.provider.into_array(),
        binding: task.terms.envelope_nonce.0,
    }
}

/// What this machine can do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Power {
    /// As measured.
    pub(crate) macs_per_second: u64,
    /// How fast the device starts users' kernels, if it was measured.
    pub(crate) launch_rate: Option<LaunchRate>,
    /// Time between two blocks where nothing hastens them.
    pub(crate) block_time: Duration,
    /// Time that a worker has.
    pub(crate) timeout: Duration,
    /// Memory that a worker has, in bytes.
    pub(crate) memory: Option<u64>,
    /// Largest object that the store takes, in bytes.
    pub(crate) max_stored: u64,
}

impl Power {
    /// What can be done for a task: in its own time, if that is less than a worker's.
    pub(crate) fn for_task(self, duration_blocks: u64) -> Self {
        let blocks = u32::try_from(duration_blocks).unwrap_or(u32::MAX);
        Self { timeout: self.timeout.min(self.block_time.saturating_mul(blocks)), ..self }
    }
}

/// Checks that what a job of users' kernels starts can be done in time, if all of them did nothing.
pub(crate) fn check_launches(launches: Launches, power: Power) -> Result<(), Refusal> {
    let seconds = power.launch_rate.map_or(0, |rate| rate.least_seconds(launches));
    let limit = power.timeout.as_secs();
    if seconds <= limit {
        return Ok(());
    }
    let Launches { workgroups, invocations } = launches;
    let detail = format!(
        "starting {workgroups} workgroups of {invocations} invocations alone takes {seconds} s here, and the job has \
         {limit} s: start fewer, and let each do more"
    );
    Err(Refusal::new("job_too_long", detail))
}

/// Checks that the plain payload of an integer network is a job that this machine can do. Decodes the whole of it.
/// (What foreign code is, a worker finds out.)
pub(crate) fn check_int8(plain: &[u8], power: Power) -> Result<(), Refusal> {
    let job = Int8Job::decode(plain)
        .and_then(|job| job.open())
        .map_err(|error| Refusal::new("invalid_job", error))?;
    let seconds = job.cost.macs / power.macs_per_second.max(1);
    if seconds > power.timeout.as_secs() / TIME_SHARE {
        let detail =
            format!("it would take some {seconds} s, {} s is the limit", power.timeout.as_secs());
        return Err(Refusal::new("job_too_long", detail));
    }
    let overhead = RESULT_OVERHEAD.saturating_mul(job.requests.len() as u64 + 1);
    let result = job.cost.output_bytes.saturating_add(overhead);
    if sealed_len(result, 1) > power.max_stored {
        let detail = format!("a result of {result} bytes is more than the store takes");
        return Err(Refusal::new("result_too_large", detail));
    }
    // Payload and decoded job, weights and inputs again for the device, values here and there, and the result.
    let needed = (plain.len() as u64)
        .saturating_mul(4)
        .saturating_add(job.cost.value_bytes.saturating_mul(2))
        .saturating_add(result.saturating_mul(2));
    match power.memory {
        Some(memory) if needed > memory => {
            let detail = format!("it needs some {needed} bytes of memory, {memory} are there");
            Err(Refusal::new("job_too_large", detail))
        }
        _ => Ok(()),
    }
}
