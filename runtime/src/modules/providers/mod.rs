//! Keep the registry of GPU providers: who they are, what they offer and at what price, their bond, their record.
//!
//! A provider is an ed25519 account: only the account of the identity key itself registers, so that the transaction's
//! signature proves the key, and no one can enter a machine under another's name.
//!
//! # Invariants
//! - The module holds at least the sum of all bonds.
//! - `active_tasks` of an entry is the number of its tasks that have not ended; an entry with any cannot be left.
//! - `submitted_tasks` is the number of those whose result waits for the owner. Capacity bounds the others alone: what a
//!   machine is done with keeps nobody else from hiring it.
//! - An entry stays for ever, so a key epoch never names two keys.

mod calls;
mod events;
pub(crate) mod invariants;
mod state;

use alloy_primitives::{Address, Bytes};
use neura_types::{
    abi::IProviders::{self, IProvidersCalls as F},
    provider::{Provider, ProviderStatus},
    task::TaskState,
};

use super::{
    code, entry,
    host::{Call, Fault, Host},
    record::{Ending, note},
};

pub(crate) fn dispatch(host: &mut dyn Host, call: &Call) -> Result<Bytes, Fault> {
    let function: F = entry::decode(call)?;
    match &function {
        F::register(_) => entry::payable(call)?,
        F::update(_)
        | F::rotateKey(_)
        | F::heartbeat(_)
        | F::drain(_)
        | F::resume(_)
        | F::unregister(_)
        | F::withdrawBond(_) => entry::write(call)?,
        F::provider(_) | F::isRegistered(_) | F::count(_) | F::list(_) => entry::view(call)?,
    }
    let nothing = |()| Bytes::new();
    match function {
        F::register(f) => calls::register(host, call, f).map(nothing),
        F::update(f) => calls::update(host, call, f.offer).map(nothing),
        F::rotateKey(f) => calls::rotate_key(host, call, f.encryptionKey)
            .map(|epoch| entry::answer::<IProviders::rotateKeyCall>(&epoch)),
        F::heartbeat(_) => calls::heartbeat(host, call).map(nothing),
        F::drain(_) => calls::drain(host, call).map(nothing),
        F::resume(_) => calls::resume(host, call).map(nothing),
        F::unregister(_) => calls::unregister(host, call).map(nothing),
        F::withdrawBond(_) => calls::withdraw_bond(host, call)
            .map(|amount| entry::answer::<IProviders::withdrawBondCall>(&amount.0)),
        F::provider(f) => known(host, f.account)
            .map(|entry| entry::answer::<IProviders::providerCall>(&(&entry).into())),
        F::isRegistered(f) => get(host, f.account)
            .map(|entry| entry::answer::<IProviders::isRegisteredCall>(&entry.is_some())),
        F::count(_) => count(host).map(|n| entry::answer::<IProviders::countCall>(&n)),
        F::list(f) => {
            let entries = list(host, f.start, f.limit)?;
            let encoded = entries.iter().map(IProviders::Provider::from).collect();
            Ok(entry::answer::<IProviders::listCall>(&encoded))
        }
    }
}

/// The entry of an account, in whatever status.
///
/// # Errors
/// What the host reports.
pub fn get(host: &mut dyn Host, account: Address) -> Result<Option<Provider>, Fault> {
    state::PROVIDERS.get(host, &account)
}

/// How many entries there are.
///
/// # Errors
/// What the host reports.
pub fn count(host: &mut dyn Host) -> Result<u64, Fault> {
    state::COUNT.get(host, &())
}

/// Up to `limit` entries in order of first registration, from position `start`.
///
/// # Errors
/// [`code::LIMIT_OUT_OF_BOUNDS`] past [`entry::MAX_PAGE`]; what the host reports.
pub fn list(host: &mut dyn Host, start: u64, limit: u64) -> Result<Vec<Provider>, Fault> {
    entry::page(limit)?;
    let end = count(host)?.min(start.saturating_add(limit));
    (start..end)
        .map(|position| {
            let account = state::ORDER.get(host, &position)?;
            get(host, account)?.ok_or_else(|| entry::broken("a listed provider has no entry"))
        })
        .collect()
}

/// The entry of an account, or a refusal.
pub(crate) fn known(host: &mut dyn Host, account: Address) -> Result<Provider, Fault> {
    get(host, account)?.ok_or_else(|| {
        let message = format!("no provider is registered at {account}: see the list of providers");
        Fault::refused(code::UNKNOWN_PROVIDER, message)
    })
}

/// Admits an entry that takes tasks.
pub(crate) fn active(provider: &Provider) -> Result<(), Fault> {
    if provider.status == ProviderStatus::Active {
        return Ok(());
    }
    let message = format!("provider {} is {}", provider.address, status_name(provider.status));
    Err(Fault::refused(code::PROVIDER_NOT_ACTIVE, message))
}

/// Counts a task that is offered to the provider.
pub(crate) fn task_started(host: &mut dyn Host, mut provider: Provider) -> Result<(), Fault> {
    provider.active_tasks = provider.active_tasks.saturating_add(1);
    state::PROVIDERS.put(host, &provider.address, &provider)
}

/// Counts a result that now waits for the owner.
pub(crate) fn task_submitted(host: &mut dyn Host, account: Address) -> Result<(), Fault> {
    let mut provider = of_task(host, account)?;
    provider.submitted_tasks = provider.submitted_tasks.saturating_add(1);
    state::PROVIDERS.put(host, &account, &provider)
}

/// Counts a result that the owner contests: there is work on the task again.
pub(crate) fn task_contested(host: &mut dyn Host, account: Address) -> Result<(), Fault> {
    let mut provider = of_task(host, account)?;
    provider.submitted_tasks = one_less(provider.submitted_tasks)?;
    state::PROVIDERS.put(host, &account, &provider)
}

/// Counts the end of one of its tasks, which was in the state `was`; returns the account that is paid.
pub(crate) fn task_ended(
    host: &mut dyn Host,
    account: Address,
    was: TaskState,
    ending: Ending,
) -> Result<Address, Fault> {
    let mut provider = of_task(host, account)?;
    provider.active_tasks = one_less(provider.active_tasks)?;
    if was == TaskState::Submitted {
        provider.submitted_tasks = one_less(provider.submitted_tasks)?;
    }
    note(&mut provider.record, ending);
    state::PROVIDERS.put(host, &account, &provider)?;
    Ok(provider.payout)
}

/// The entry that a task names.
fn of_task(host: &mut dyn Host, account: Address) -> Result<Provider, Fault> {
    get(host, account)?.ok_or_else(|| entry::broken("a task's provider has no entry"))
}

fn one_less(counted: u32) -> Result<u32, Fault> {
    counted
        .checked_sub(1)
        .ok_or_else(|| entry::broken("a provider's task moved on that was not counted"))
}

fn status_name(status: ProviderStatus) -> &'static str {
    match status {
        ProviderStatus::Active => "active",
        ProviderStatus::Draining => "draining and takes no new tasks",
        ProviderStatus::Left => "no longer registered",
    }
}

#[cfg(test)]
mod tests;
