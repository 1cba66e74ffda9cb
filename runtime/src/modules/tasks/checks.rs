//! Decide whether a call of the module may proceed; each refusal has its own code and names the numbers.

use alloy_primitives::Address;
use neura_types::{
    Amount,
    provider::{MAX_TEXT, Provider},
    task::{BlobRef, MAX_LOCATOR, ResultPrivacy, Task, TaskState, Terms, VerificationPolicy},
};

use crate::modules::{
    code, entry,
    host::{Call, Fault, Host},
    providers,
};

/// Largest object that a task may refer to: 64 GiB, the weights of a large model. Stores take less each.
pub const MAX_BLOB_BYTES: u64 = 64 << 30;
/// Longest reason for declining or contesting, in bytes: two lines of text.
pub const MAX_REASON: usize = 256;

/// Admits the terms of a new task; returns the provider's entry.
pub(super) fn terms(host: &mut dyn Host, call: &Call, terms: &Terms) -> Result<Provider, Fault> {
    blob("payload", &terms.payload)?;
    entry::text("executor", &terms.executor, MAX_TEXT)?;
    entry::text("gpuModel", &terms.requirement.gpu_model, MAX_TEXT)?;
    duration(host, terms.duration_blocks)?;
    policy(terms.verification)?;
    if terms.privacy == ResultPrivacy::Sealed && terms.result_key.is_zero() {
        let message = "the result is to be sealed, but the result key is zero: give an X25519 key";
        return Err(Fault::refused(code::INVALID_KEY, message));
    }
    taker(host, terms, call.value)
}

/// Admits the provider that terms name for a task of an escrow; returns its entry.
pub(super) fn taker(host: &mut dyn Host, terms: &Terms, escrow: Amount) -> Result<Provider, Fault> {
    let provider = providers::known(host, terms.provider)?;
    providers::active(&provider)?;
    fits(&provider, terms)?;
    let price = price(&provider, terms.duration_blocks)?;
    if escrow < price {
        let message = format!(
            "the escrow is {escrow}: {} blocks at {} cost {price}",
            terms.duration_blocks, provider.price_per_block
        );
        return Err(Fault::refused(code::ESCROW_BELOW_PRICE, message));
    }
    Ok(provider)
}

/// Admits a provider that can do what the terms ask.
fn fits(provider: &Provider, terms: &Terms) -> Result<(), Fault> {
    if terms.key_epoch != provider.key_epoch {
        let message = format!(
            "the payload is sealed to key {}, the provider's key is number {}: seal it again",
            terms.key_epoch, provider.key_epoch
        );
        return Err(Fault::refused(code::WRONG_KEY_EPOCH, message));
    }
    if !provider.executors.contains(&terms.executor) {
        let message = format!(
            "executor '{}' wanted, the provider offers {}",
            terms.executor,
            provider.executors.join(", ")
        );
        return Err(Fault::refused(code::EXECUTOR_NOT_OFFERED, message));
    }
    let missing = provider.capability.shortfalls(&terms.requirement);
    if !missing.is_empty() {
        let list: Vec<String> = missing.iter().map(ToString::to_string).collect();
        let message = format!("the provider does not meet: {}", list.join("; "));
        return Err(Fault::refused(code::REQUIREMENT_NOT_MET, message));
    }
    if provider.working_tasks() >= provider.capacity {
        let message = format!(
            "provider {} is at work on {} tasks of at most {}: choose another, or wait until one is submitted or ends",
            provider.address,
            provider.working_tasks(),
            provider.capacity
        );
        return Err(Fault::refused(code::PROVIDER_AT_CAPACITY, message));
    }
    Ok(())
}

/// Least escrow for a duration with a provider.
pub(super) fn price(provider: &Provider, duration_blocks: u64) -> Result<Amount, Fault> {
    provider.price_per_block.times(duration_blocks).map_err(|_| {
        let message = format!(
            "{duration_blocks} blocks at {} cost more coins than exist",
            provider.price_per_block
        );
        Fault::refused(code::ESCROW_BELOW_PRICE, message)
    })
}

fn duration(host: &mut dyn Host, blocks: u64) -> Result<(), Fault> {
    let most = host.block().params().max_duration_blocks;
    if (1..=most).contains(&blocks) {
        return Ok(());
    }
    let message = format!("the duration is {blocks} blocks: give 1 to {most}");
    Err(Fault::refused(code::DURATION_OUT_OF_BOUNDS, message))
}

fn policy(policy: VerificationPolicy) -> Result<(), Fault> {
    if policy == VerificationPolicy::None {
        return Ok(());
    }
    let message = format!("verification {policy:?} is not in force yet: choose None");
    Err(Fault::refused(code::UNSUPPORTED_POLICY, message))
}

/// Admits a reference to an off-chain object: `store:id` in printable ASCII, with a size that a store can take.
pub(super) fn blob(field: &str, blob: &BlobRef) -> Result<(), Fault> {
    let locator = &blob.locator;
    let form = locator.split_once(':').is_some_and(|(store, id)| {
        let name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        !store.is_empty() && store.bytes().all(name) && !id.is_empty()
    });
    if !form || locator.len() > MAX_LOCATOR || !locator.bytes().all(|b| b.is_ascii_graphic()) {
        let message = format!(
            "the {field}'s locator is not of the form store:id in at most {MAX_LOCATOR} printable characters"
        );
        return Err(Fault::refused(code::INVALID_LOCATOR, message));
    }
    if blob.size == 0 || blob.size > MAX_BLOB_BYTES {
        let message =
            format!("the {field} has {} bytes: 1 to {MAX_BLOB_BYTES} are possible", blob.size);
        return Err(Fault::refused(code::PAYLOAD_TOO_LARGE, message));
    }
    Ok(())
}

/// Admits the task's owner.
pub(super) fn owner(task: &Task, caller: Address) -> Result<(), Fault> {
    if task.owner == caller {
        return Ok(());
    }
    let message = format!("only the owner {} of task {} may do this", task.owner, task.id);
    Err(Fault::refused(code::NOT_OWNER, message))
}

/// Admits the task's provider.
pub(super) fn provider(task: &Task, caller: Address) -> Result<(), Fault> {
    if task.terms.provider == caller {
        return Ok(());
    }
    let message =
        format!("only the provider {} of task {} may do this", task.terms.provider, task.id);
    Err(Fault::refused(code::NOT_PROVIDER, message))
}

/// Admits a task in one of the states `wanted`, before its deadline has passed.
pub(super) fn stands(host: &mut dyn Host, task: &Task, wanted: &[TaskState]) -> Result<(), Fault> {
    let (id, now) = (task.id, host.block().height);
    if let Some(outcome) = task.outcome.filter(|outcome| outcome.reason.is_timeout()) {
        let message = format!(
            "the deadline of task {id} has passed: it ended in block {} ({})",
            outcome.at,
            outcome.reason.name()
        );
        return Err(Fault::refused(code::DEADLINE_PASSED, message));
    }
    if !wanted.contains(&task.state) {
        let names: Vec<&str> = wanted.iter().map(|state| state.name()).collect();
        let message =
            format!("task {id} is {}: it must be {}", task.state.name(), names.join(" or "));
        return Err(Fault::refused(code::WRONG_STATE, message));
    }
    if now > task.deadline {
        let message = format!("the deadline of task {id} was block {}; now: {now}", task.deadline);
        return Err(Fault::refused(code::DEADLINE_PASSED, message));
    }
    Ok(())
}
