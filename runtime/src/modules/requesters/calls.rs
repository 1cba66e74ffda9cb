//! What requesters do to their entries.

use alloy_primitives::{Address, B256};
use neura_types::provider::{Requester, TrackRecord};

use super::{events, get, known, state};
use crate::modules::{
    code,
    host::{Call, Fault, Host},
};

pub(super) fn register(host: &mut dyn Host, call: &Call, key: B256) -> Result<(), Fault> {
    if get(host, call.caller)?.is_some() {
        let message = format!("{} is registered: use rotateKey", call.caller);
        return Err(Fault::refused(code::ALREADY_REGISTERED, message));
    }
    check_key(key)?;
    insert(host, call.caller, key)
}

pub(super) fn rotate_key(host: &mut dyn Host, call: &Call, key: B256) -> Result<u32, Fault> {
    let mut requester = known(host, call.caller)?;
    check_key(key)?;
    requester.encryption_key = key;
    requester.key_epoch = requester.key_epoch.saturating_add(1);
    state::REQUESTERS.put(host, &requester.address, &requester)?;
    events::key_rotated(host, &requester)?;
    Ok(requester.key_epoch)
}

/// Writes a new entry.
pub(super) fn insert(host: &mut dyn Host, account: Address, key: B256) -> Result<(), Fault> {
    let requester = Requester {
        address: account,
        encryption_key: key,
        key_epoch: 1,
        registered_at: host.block().height,
        record: TrackRecord::default(),
    };
    let position = state::COUNT.get(host, &())?;
    state::ORDER.set(host, &position, account)?;
    state::COUNT.set(host, &(), position.saturating_add(1))?;
    state::REQUESTERS.put(host, &account, &requester)?;
    events::registered(host, &requester)
}

fn check_key(key: B256) -> Result<(), Fault> {
    if !key.is_zero() {
        return Ok(());
    }
    Err(Fault::refused(code::INVALID_KEY, "the encryption key is zero: give an X25519 public key"))
}
