//! Why an agent does not start, or an order of its operator is not carried out.

use std::{io, path::PathBuf};

use neura_client::ClientError;
use neura_types::{Address, Amount, Height, U256};

use crate::{journal::JournalError, keys::KeyFileError, worker::WorkerError};

/// Failure of the provider.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// The node refused, or did not answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A key file is missing, unsafe or damaged.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The journal cannot be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The worker process does not do its work.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// There is no device to compute on.
    #[error(
        "no usable GPU: {reason}. Install the GPU's Vulkan driver, or Mesa's software one (Debian: \
         apt install libvulkan1 mesa-vulkan-drivers), or use the slow CPU reference with --device cpu"
    )]
    NoDevice {
        /// What was found instead.
        reason: String,
    },
    /// A setting makes no sense.
    #[error("provider setting {setting}: {problem}")]
    Config {
        /// Name of the setting.
        setting: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Another agent uses the data folder: two with one key would cross each other's transactions.
    #[error(
        "{path} is in use by another provider agent: stop it, or give this one a folder of its own",
        path = path.display()
    )]
    InUse {
        /// The data folder.
        path: PathBuf,
    },
    /// The folder cannot be used.
    #[error("cannot {action} {path}: {cause}", path = path.display())]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// The account cannot pay the bond and fees, and nobody gives.
    #[error(
        "account {address} has {have} wei, and bond and fees need {need} ({bond} is the bond): send it the rest, then \
         join again"
    )]
    Funds {
        /// The provider's account.
        address: Address,
        /// What it has.
        have: U256,
        /// What it needs.
        need: U256,
        /// The bond in it.
        bond: Amount,
    },
    /// The bond is below what the chain asks.
    #[error("a bond of {given} is not enough: this chain asks {least} at least")]
    BondTooSmall {
        /// As configured.
        given: Amount,
        /// The chain's least.
        least: Amount,
    },
    /// The former bond is still held, so the provider cannot register again.
    #[error(
        "provider {address} has left, and its former bond of {bond} is held until block {until} (now: {height}): join \
         again after that"
    )]
    Unbonding {
        /// The provider.
        address: Address,
        /// The former bond.
        bond: Amount,
        /// Height from which it can be withdrawn.
        until: Height,
        /// Height now.
        height: Height,
    },
    /// The account is no provider.
    #[error(
        "account {address} is not registered as a provider on this chain: run `neura provider join` first"
    )]
    NotRegistered {
        /// The account.
        address: Address,
    },
    /// Serving ended though nobody asked for it.
    #[error("the provider stopped serving: {cause}. Start it again; it resumes its tasks")]
    Stopped {
        /// What happened.
        cause: String,
    },
}

impl ProviderError {
    /// Stable code, for machines.
    pub fn code(&self) -> &str {
        match self {
            Self::Client(error) => error.code(),
            Self::KeyFile(_) => "key_file",
            Self::Journal(_) => "journal",
            Self::Worker(error) => error.code(),
            Self::NoDevice { .. } => "no_device",
            Self::Config { .. } => "invalid_config",
            Self::InUse { .. } => "data_in_use",
            Self::Io { .. } => "io",
            Self::Funds { .. } => "insufficient_funds",
            Self::BondTooSmall { .. } => "bond_too_small",
            Self::Unbonding { .. } => "bond_locked",
            Self::NotRegistered { .. } => "unknown_provider",
            Self::Stopped { .. } => "stopped",
        }
    }

    /// For `map_err` on a disk operation.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Io { action, path, cause }
    }
}
