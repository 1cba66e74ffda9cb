//! The registry's events.

use neura_types::{abi::IProviders, provider::Provider, system};

use crate::modules::{
    entry::emit,
    host::{Fault, Host},
};

pub(super) fn registered(host: &mut dyn Host, provider: &Provider) -> Result<(), Fault> {
    let event = IProviders::ProviderRegistered {
        provider: provider.address,
        identity: provider.identity.0,
        encryptionKey: provider.encryption_key,
        keyEpoch: provider.key_epoch,
        bond: provider.bond.0,
    };
    emit(host, system::PROVIDERS, &event)
}

pub(super) fn updated(host: &mut dyn Host, provider: &Provider) -> Result<(), Fault> {
    let event = IProviders::ProviderUpdated {
        provider: provider.address,
        pricePerBlock: provider.price_per_block.0,
        capacity: provider.capacity,
    };
    emit(host, system::PROVIDERS, &event)
}

pub(super) fn key_rotated(host: &mut dyn Host, provider: &Provider) -> Result<(), Fault> {
    let event = IProviders::KeyRotated {
        provider: provider.address,
        encryptionKey: provider.encryption_key,
        keyEpoch: provider.key_epoch,
    };
    emit(host, system::PROVIDERS, &event)
}

pub(super) fn heartbeat(host: &mut dyn Host, provider: &Provider) -> Result<(), Fault> {
    emit(host, system::PROVIDERS, &IProviders::Heartbeat { provider: provider.address })
}

pub(super) fn status_changed(host: &mut dyn Host, provider: &Provider) -> Result<(), Fault> {
    let event =
        IProviders::StatusChanged { provider: provider.address, status: provider.status.into() };
    emit(host, system::PROVIDERS, &event)
}

pub(super) fn bond_withdrawn(
    host: &mut dyn Host,
    provider: &Provider,
    amount: u128,
) -> Result<(), Fault> {
    emit(host, system::PROVIDERS, &IProviders::BondWithdrawn { provider: provider.address, amount })
}
