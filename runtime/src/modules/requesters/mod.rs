//! Keep the registry of those who need compute: the key that results are sealed to, and the record of their tasks.
//!
//! # Invariants
//! - Everyone who ever created a task has an entry; entries are never removed.

mod calls;
mod events;
mod state;

use alloy_primitives::{Address, B256, Bytes};
use neura_types::{
    abi::IRequesters::{self, IRequestersCalls as F},
    provider::Requester,
};

use super::{
    code, entry,
    host::{Call, Fault, Host},
    record::{Ending, note},
};

pub(crate) fn dispatch(host: &mut dyn Host, call: &Call) -> Result<Bytes, Fault> {
    let function: F = entry::decode(call)?;
    match &function {
        F::register(_) | F::rotateKey(_) => entry::write(call)?,
        F::requester(_) | F::isRegistered(_) | F::count(_) | F::list(_) => entry::view(call)?,
    }
    match function {
        F::register(f) => calls::register(host, call, f.encryptionKey).map(|()| Bytes::new()),
        F::rotateKey(f) => calls::rotate_key(host, call, f.encryptionKey)
            .map(|epoch| entry::answer::<IRequesters::rotateKeyCall>(&epoch)),
        F::requester(f) => known(host, f.account)
            .map(|entry| entry::answer::<IRequesters::requesterCall>(&(&entry).into())),
        F::isRegistered(f) => get(host, f.account)
            .map(|entry| entry::answer::<IRequesters::isRegisteredCall>(&entry.is_some())),
        F::count(_) => count(host).map(|n| entry::answer::<IRequesters::countCall>(&n)),
        F::list(f) => {
            let entries = list(host, f.start, f.limit)?;
            let encoded = entries.iter().map(IRequesters::Requester::from).collect();
            Ok(entry::answer::<IRequesters::listCall>(&encoded))
        }
    }
}

/// The entry of an account.
///
/// # Errors
/// What the host reports.
pub fn get(host: &mut dyn Host, account: Address) -> Result<Option<Requester>, Fault> {
    state::REQUESTERS.get(host, &account)
}

/// How many entries there are.
///
/// # Errors
/// What the host reports.
pub fn count(host: &mut dyn Host) -> Result<u64, Fault> {
    state::COUNT.get(host, &())
}

/// Up to `limit` entries in order of registration, from position `start`.
///
/// # Errors
/// [`code::LIMIT_OUT_OF_BOUNDS`] past [`entry::MAX_PAGE`]; what the host reports.
pub fn list(host: &mut dyn Host, start: u64, limit: u64) -> Result<Vec<Requester>, Fault> {
    entry::page(limit)?;
    let end = count(host)?.min(start.saturating_add(limit));
    (start..end)
        .map(|position| {
            let account = state::ORDER.get(host, &position)?;
            get(host, account)?.ok_or_else(|| entry::broken("a listed requester has no entry"))
        })
        .collect()
}

/// Registers the owner of a first task with its result key; does nothing for one who is registered.
pub(crate) fn ensure(host: &mut dyn Host, account: Address, key: B256) -> Result<(), Fault> {
    if get(host, account)?.is_some() {
        return Ok(());
    }
    calls::insert(host, account, key)
}

/// Counts the end of one of its tasks.
pub(crate) fn task_ended(
    host: &mut dyn Host,
    account: Address,
    ending: Ending,
) -> Result<(), Fault> {
    let mut requester =
        get(host, account)?.ok_or_else(|| entry::broken("a task's owner has no entry"))?;
    note(&mut requester.record, ending);
    state::REQUESTERS.put(host, &account, &requester)
}

fn known(host: &mut dyn Host, account: Address) -> Result<Requester, Fault> {
    get(host, account)?.ok_or_else(|| {
        let message = format!("no requester is registered at {account}: register first");
        Fault::refused(code::UNKNOWN_REQUESTER, message)
    })
}

#[cfg(test)]
mod tests;
