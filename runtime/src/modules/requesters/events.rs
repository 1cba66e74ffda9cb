//! The registry's events.

use neura_types::{abi::IRequesters, provider::Requester, system};

use crate::modules::{
    entry::emit,
    host::{Fault, Host},
};

pub(super) fn registered(host: &mut dyn Host, requester: &Requester) -> Result<(), Fault> {
    let event = IRequesters::RequesterRegistered {
        requester: requester.address,
        encryptionKey: requester.encryption_key,
    };
    emit(host, system::REQUESTERS, &event)
}

pub(super) fn key_rotated(host: &mut dyn Host, requester: &Requester) -> Result<(), Fault> {
    let event = IRequesters::KeyRotated {
        requester: requester.address,
        encryptionKey: requester.encryption_key,
        keyEpoch: requester.key_epoch,
    };
    emit(host, system::REQUESTERS, &event)
}
