//! Convert between the registries' entries and their ABI form.

use super::{IProviders, IRequesters, IStaking};
use crate::{
    provider::{Capability, Provider, ProviderStatus, Requester, TrackRecord},
    validator::Validator,
};

impl From<&Capability> for IProviders::Capability {
    fn from(offered: &Capability) -> Self {
        Self {
            gpuModel: offered.gpu_model.clone(),
            gpuBackend: offered.gpu_backend.clone(),
            gpuMemoryMib: offered.gpu_memory_mib,
            cpuCores: offered.cpu_cores,
            ramMib: offered.ram_mib,
            diskMib: offered.disk_mib,
        }
    }
}

impl From<IProviders::Capability> for Capability {
    fn from(offered: IProviders::Capability) -> Self {
        Self {
            gpu_model: offered.gpuModel,
            gpu_backend: offered.gpuBackend,
            gpu_memory_mib: offered.gpuMemoryMib,
            cpu_cores: offered.cpuCores,
            ram_mib: offered.ramMib,
            disk_mib: offered.diskMib,
        }
    }
}

impl From<ProviderStatus> for IProviders::Status {
    fn from(status: ProviderStatus) -> Self {
        match status {
            ProviderStatus::Active => Self::Active,
            ProviderStatus::Draining => Self::Draining,
            ProviderStatus::Left => Self::Left,
        }
    }
}

impl From<&TrackRecord> for IProviders::TrackRecord {
    fn from(record: &TrackRecord) -> Self {
        Self { settled: record.settled, atFault: record.at_fault, refunded: record.refunded }
    }
}

impl From<&TrackRecord> for IRequesters::TrackRecord {
    fn from(record: &TrackRecord) -> Self {
        Self { settled: record.settled, atFault: record.at_fault, refunded: record.refunded }
    }
}

/// What the entry offers; also the start of an update that changes only some of it.
impl From<&Provider> for IProviders::Offer {
    fn from(provider: &Provider) -> Self {
        Self {
            payout: provider.payout,
            capability: (&provider.capability).into(),
            executors: provider.executors.clone(),
            pricePerBlock: provider.price_per_block.0,
            region: provider.region.clone(),
            endpoint: provider.endpoint.clone(),
            capacity: provider.capacity,
        }
    }
}

impl From<&Provider> for IProviders::Provider {
    fn from(provider: &Provider) -> Self {
        Self {
            account: provider.address,
            identity: provider.identity.0,
            encryptionKey: provider.encryption_key,
            keyEpoch: provider.key_epoch,
            offer: provider.into(),
            bond: provider.bond.0,
            status: provider.status.into(),
            activeTasks: provider.active_tasks,
            submittedTasks: provider.submitted_tasks,
            registeredAt: provider.registered_at,
            heartbeatAt: provider.heartbeat_at,
            unbondsAt: provider.unbonds_at,
            record: (&provider.record).into(),
        }
    }
}

impl From<&Requester> for IRequesters::Requester {
    fn from(requester: &Requester) -> Self {
        Self {
            account: requester.address,
            encryptionKey: requester.encryption_key,
            keyEpoch: requester.key_epoch,
            registeredAt: requester.registered_at,
            record: (&requester.record).into(),
        }
    }
}

impl From<&Validator> for IStaking::Validator {
    fn from(validator: &Validator) -> Self {
        Self {
            publicKey: validator.public_key.0,
            account: validator.account,
            power: validator.power,
        }
    }
}
