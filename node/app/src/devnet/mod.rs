//! A local network: its keys, genesis and configuration on disk, and the processes that run it.

mod layout;
mod process;
mod supervisor;
#[cfg(test)]
mod tests;

pub use layout::{Devnet, Plan};
pub use process::{Child, end_with_supervisor};
pub use supervisor::{Notice, Supervisor};

/// Chain id of a devnet: taken by no public network, and neither hardhat's nor anvil's, whose nonces wallets remember.
pub const DEVNET_CHAIN_ID: u64 = 26_770;
