//! What the chain records of a provider and of a requester.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::{Amount, Height, keys::PublicKey, task::Requirement};

/// Longest text that a registry entry may hold in one field, in bytes.
pub const MAX_TEXT: usize = 128;
/// Most executors that a provider may offer.
pub const MAX_EXECUTORS: usize = 8;

/// What a provider's machine offers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Capability {
    /// Name of the GPU as the driver reports it.
    pub gpu_model: String,
    /// Driver interface of the GPU (`vulkan`, `metal`, `dx12`), or `cpu`.
    pub gpu_backend: String,
    /// Memory that jobs may use on the GPU, in MiB.
    pub gpu_memory_mib: u32,
    /// CPU cores.
    pub cpu_cores: u32,
    /// Memory in MiB.
    pub ram_mib: u32,
    /// Free disk in MiB.
    pub disk_mib: u32,
}

impl Capability {
    /// The dimensions in which a requirement is not met: name, wanted, offered.
    pub fn shortfalls(&self, wanted: &Requirement) -> Vec<Shortfall> {
        let mut missing = Vec::new();
        let mut number = |name, wanted: u32, offered: u32| {
            if offered < wanted {
                missing.push(Shortfall {
                    dimension: name,
                    wanted: wanted.to_string(),
                    offered: offered.to_string(),
                });
            }
        };
        number("gpu_memory_mib", wanted.gpu_memory_mib, self.gpu_memory_mib);
        number("cpu_cores", wanted.cpu_cores, self.cpu_cores);
        number("ram_mib", wanted.ram_mib, self.ram_mib);
        number("disk_mib", wanted.disk_mib, self.disk_mib);
        let model = wanted.gpu_model.to_lowercase();
        if !self.gpu_model.to_lowercase().contains(&model) {
            missing.push(Shortfall {
                dimension: "gpu_model",
                wanted: wanted.gpu_model.clone(),
                offered: self.gpu_model.clone(),
            });
        }
        missing
    }
}

/// One dimension of a requirement that a provider does not meet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shortfall {
    /// Field of the requirement.
    pub dimension: &'static str,
    /// What the task asks.
    pub wanted: String,
    /// What the provider has.
    pub offered: String,
}

impl std::fmt::Display for Shortfall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} wanted, {} offered", self.dimension, self.wanted, self.offered)
    }
}

/// Whether a provider takes tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderStatus {
    /// Takes tasks.
    Active,
    /// Finishes what it has and takes nothing new.
    Draining,
    /// Has left; its bond is returned after the unbonding delay.
    Left,
}

/// A provider's registry entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Its account, which is also its id: the address of the identity key.
    pub address: Address,
    /// ed25519 identity key.
    pub identity: PublicKey,
    /// X25519 key that payloads are sealed to.
    pub encryption_key: B256,
    /// Number of the encryption key; raised at each rotation.
    pub key_epoch: u32,
    /// Account that is paid.
    pub payout: Address,
    /// What the machine offers.
    pub capability: Capability,
    /// Executors offered, such as `int8`.
    pub executors: Vec<String>,
    /// Price per block of a task's duration, in wei.
    pub price_per_block: Amount,
    /// Region, free text.
    pub region: String,
    /// Public HTTP endpoint for its off-chain store, or empty.
    pub endpoint: String,
    /// Bond held by the registry, in wei.
    pub bond: Amount,
    /// Whether it takes tasks.
    pub status: ProviderStatus,
    /// Most tasks that it works on at a time.
    pub capacity: u32,
    /// Tasks that it has now (assigned to it and not ended).
    pub active_tasks: u32,
    /// Those of them whose result waits for the owner: its machine is done with them, and they take no capacity.
    pub submitted_tasks: u32,
    /// Height of registration.
    pub registered_at: Height,
    /// Height of its last transaction to the registry.
    pub heartbeat_at: Height,
    /// Height from which a left provider's bond can be withdrawn, or 0.
    pub unbonds_at: Height,
    /// Track record.
    pub record: TrackRecord,
}

impl Provider {
    /// Tasks that take of its capacity: offered, running, or contested.
    pub fn working_tasks(&self) -> u32 {
        self.active_tasks.saturating_sub(self.submitted_tasks)
    }
}

/// How a party's tasks ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TrackRecord {
    /// Settled and paid.
    pub settled: u64,
    /// Ended, or were given to another provider, by this party's fault.
    pub at_fault: u64,
    /// Ended, or were given to another provider, otherwise without settlement.
    pub refunded: u64,
}

/// A requester's registry entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requester {
    /// Its account.
    pub address: Address,
    /// X25519 key that results are sealed to.
    pub encryption_key: B256,
    /// Number of the key; raised at each rotation.
    pub key_epoch: u32,
    /// Height of registration.
    pub registered_at: Height,
    /// Track record.
    pub record: TrackRecord,
}
