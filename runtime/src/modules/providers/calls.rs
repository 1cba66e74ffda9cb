//! What providers do to their entries.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256};
use neura_types::{
    Amount,
    abi::IProviders::{Offer, registerCall},
    keys::PublicKey,
    provider::{MAX_EXECUTORS, MAX_TEXT, Provider, ProviderStatus, TrackRecord},
    system,
};

use super::{active, events, known, state, status_name};
use crate::modules::{
    code, entry,
    host::{Call, Fault, Host},
    is_module,
};

/// Most tasks that one provider may take at a time: above any machine's, and small enough to count.
const MAX_CAPACITY: u32 = 10_000;

pub(super) fn register(host: &mut dyn Host, call: &Call, f: registerCall) -> Result<(), Fault> {
    let identity = PublicKey(f.identity);
    let account = call.caller;
    if identity.address() != account {
        let message = format!(
            "the caller {account} is not the account of the key {identity}: that is {}; \
             send the registration signed by the key itself",
            identity.address()
        );
        return Err(Fault::refused(code::IDENTITY_MISMATCH, message));
    }
    let earlier = super::get(host, account)?;
    if let Some(earlier) = &earlier {
        may_return(earlier)?;
    }
    check_key(f.encryptionKey)?;
    check_offer(&f.offer)?;
    let (height, least) = (host.block().height, host.block().params().min_provider_bond);
    if call.value < least {
        let message = format!("the bond is {}: at least {least} must be sent", call.value);
        return Err(Fault::refused(code::BOND_TOO_SMALL, message));
    }
    let mut provider = Provider {
        address: account,
        identity,
        encryption_key: f.encryptionKey,
        key_epoch: earlier.as_ref().map_or(0, |e| e.key_epoch).saturating_add(1),
        payout: Address::ZERO,
        capability: Default::default(),
        executors: Vec::new(),
        price_per_block: Amount::ZERO,
        region: String::new(),
        endpoint: String::new(),
        bond: call.value,
        status: ProviderStatus::Active,
        capacity: 0,
        active_tasks: 0,
        submitted_tasks: 0,
        registered_at: height,
        heartbeat_at: height,
        unbonds_at: 0,
        record: earlier.as_ref().map_or_else(TrackRecord::default, |e| e.record),
    };
    apply(&mut provider, f.offer);
    if earlier.is_none() {
        let position = state::COUNT.get(host, &())?;
        state::ORDER.set(host, &position, account)?;
        state::COUNT.set(host, &(), position.saturating_add(1))?;
    }
    let bonded = state::BONDED.get(host, &())?.add(call.value)?;
    state::BONDED.set(host, &(), bonded)?;
    state::PROVIDERS.put(host, &account, &provider)?;
    events::registered(host, &provider)
}

/// Admits the return of a provider that left and took its bond.
fn may_return(earlier: &Provider) -> Result<(), Fault> {
    if earlier.status != ProviderStatus::Left {
        let message = format!("provider {} is registered: use update", earlier.address);
        return Err(Fault::refused(code::ALREADY_REGISTERED, message));
    }
    if earlier.bond != Amount::ZERO {
        let message = format!(
            "the former bond of {} is still held: withdraw it from block {} on, then register again",
            earlier.bond, earlier.unbonds_at
        );
        return Err(Fault::refused(code::BOND_LOCKED, message));
    }
    Ok(())
}

pub(super) fn update(host: &mut dyn Host, call: &Call, offer: Offer) -> Result<(), Fault> {
    let mut provider = present(host, call)?;
    check_offer(&offer)?;
    apply(&mut provider, offer);
    write(host, &mut provider)?;
    events::updated(host, &provider)
}

pub(super) fn rotate_key(host: &mut dyn Host, call: &Call, key: B256) -> Result<u32, Fault> {
    let mut provider = present(host, call)?;
    check_key(key)?;
    provider.encryption_key = key;
    provider.key_epoch = provider.key_epoch.saturating_add(1);
    write(host, &mut provider)?;
    events::key_rotated(host, &provider)?;
    Ok(provider.key_epoch)
}

pub(super) fn heartbeat(host: &mut dyn Host, call: &Call) -> Result<(), Fault> {
    let mut provider = present(host, call)?;
    write(host, &mut provider)?;
    events::heartbeat(host, &provider)
}

pub(super) fn drain(host: &mut dyn Host, call: &Call) -> Result<(), Fault> {
    let mut provider = known(host, call.caller)?;
    active(&provider)?;
    provider.status = ProviderStatus::Draining;
    write(host, &mut provider)?;
    events::status_changed(host, &provider)
}

pub(super) fn resume(host: &mut dyn Host, call: &Call) -> Result<(), Fault> {
    let mut provider = known(host, call.caller)?;
    if provider.status != ProviderStatus::Draining {
        let message = format!(
            "provider {} is {}: only a draining one resumes",
            provider.address,
            status_name(provider.status)
        );
        return Err(Fault::refused(code::PROVIDER_NOT_ACTIVE, message));
    }
    provider.status = ProviderStatus::Active;
    write(host, &mut provider)?;
    events::status_changed(host, &provider)
}

pub(super) fn unregister(host: &mut dyn Host, call: &Call) -> Result<(), Fault> {
    let mut provider = present(host, call)?;
    if provider.active_tasks > 0 {
        let message = format!(
            "provider {} has {} tasks that have not ended: drain, finish or decline them, then leave",
            provider.address, provider.active_tasks
        );
        return Err(Fault::refused(code::TASKS_ACTIVE, message));
    }
    let block = host.block();
    provider.unbonds_at = block.height.saturating_add(block.params().provider_unbond_blocks);
    provider.status = ProviderStatus::Left;
    write(host, &mut provider)?;
    events::status_changed(host, &provider)
}

pub(super) fn withdraw_bond(host: &mut dyn Host, call: &Call) -> Result<Amount, Fault> {
    let mut provider = known(host, call.caller)?;
    let locked = |why: String| Fault::refused(code::BOND_LOCKED, why);
    let height = host.block().height;
    if provider.status != ProviderStatus::Left {
        return Err(locked("a registered provider's bond stays held: unregister first".into()));
    }
    if height < provider.unbonds_at {
        let message =
            format!("the bond is held until block {}; now: {height}", provider.unbonds_at);
        return Err(locked(message));
    }
    let amount = std::mem::take(&mut provider.bond);
    if amount == Amount::ZERO {
        return Err(locked("no bond is held".into()));
    }
    let bonded = state::BONDED.get(host, &())?.sub(amount)?;
    state::BONDED.set(host, &(), bonded)?;
    state::PROVIDERS.put(host, &provider.address, &provider)?;
    host.transfer(system::PROVIDERS, provider.address, amount)?;
    events::bond_withdrawn(host, &provider, amount.0)?;
    Ok(amount)
}

/// The caller's entry, unless it has left.
fn present(host: &mut dyn Host, call: &Call) -> Result<Provider, Fault> {
    let provider = known(host, call.caller)?;
    if provider.status != ProviderStatus::Left {
        return Ok(provider);
    }
    let message = format!("provider {} has left: register again", provider.address);
    Err(Fault::refused(code::PROVIDER_NOT_ACTIVE, message))
}

/// Writes an entry that its provider has touched.
fn write(host: &mut dyn Host, provider: &mut Provider) -> Result<(), Fault> {
    provider.heartbeat_at = host.block().height;
    state::PROVIDERS.put(host, &provider.address, provider)
}

fn apply(provider: &mut Provider, offer: Offer) {
    provider.payout = offer.payout;
    provider.capability = offer.capability.into();
    provider.executors = offer.executors;
    provider.price_per_block = Amount(offer.pricePerBlock);
    provider.region = offer.region;
    provider.endpoint = offer.endpoint;
    provider.capacity = offer.capacity;
}

fn check_key(key: B256) -> Result<(), Fault> {
    if !key.is_zero() {
        return Ok(());
    }
    Err(Fault::refused(code::INVALID_KEY, "the encryption key is zero: give an X25519 public key"))
}

fn check_offer(offer: &Offer) -> Result<(), Fault> {
    if offer.payout.is_zero() || is_module(offer.payout) {
        let message = format!("{} cannot be paid: name an account of your own", offer.payout);
        return Err(Fault::refused(code::INVALID_PAYOUT, message));
    }
    entry::text("gpuModel", &offer.capability.gpuModel, MAX_TEXT)?;
    entry::text("gpuBackend", &offer.capability.gpuBackend, MAX_TEXT)?;
    entry::text("region", &offer.region, MAX_TEXT)?;
    entry::text("endpoint", &offer.endpoint, MAX_TEXT)?;
    let invalid = |why: String| Err(Fault::refused(code::INVALID_OFFER, why));
    if offer.capacity == 0 || offer.capacity > MAX_CAPACITY {
        return invalid(format!("capacity is {}: give 1 to {MAX_CAPACITY}", offer.capacity));
    }
    let scheme = ["http://", "https://"].iter().any(|s| offer.endpoint.starts_with(s));
    let printable = offer.endpoint.bytes().all(|b| b.is_ascii_graphic());
    let usable = offer.endpoint.is_empty() || scheme && printable;
    if !usable {
        return invalid("endpoint is neither empty nor an http:// or https:// URL".into());
    }
    if offer.executors.is_empty() || offer.executors.len() > MAX_EXECUTORS {
        let number = offer.executors.len();
        return invalid(format!("{number} executors: offer 1 to {MAX_EXECUTORS}"));
    }
    let mut seen = BTreeSet::new();
    for executor in &offer.executors {
        entry::text("executor", executor, MAX_TEXT)?;
        if executor.is_empty() || !seen.insert(executor) {
            return invalid(format!("executor '{executor}' is empty or stands twice"));
        }
    }
    Ok(())
}
