//! Addresses of the native modules. Each is called like a contract; its Solidity interface lies in `runtime/contracts/`.

use alloy_primitives::{Address, address};

/// Registry of GPU providers.
pub const PROVIDERS: Address = address!("4e00000000000000000000000000000000000001");
/// Registry of those who need compute.
pub const REQUESTERS: Address = address!("4e00000000000000000000000000000000000002");
/// Tasks and their escrow.
pub const TASKS: Address = address!("4e00000000000000000000000000000000000003");
/// Splitting and distribution of fees.
pub const REWARDS: Address = address!("4e00000000000000000000000000000000000004");
/// Validators and their stake.
pub const STAKING: Address = address!("4e00000000000000000000000000000000000005");
/// Supply, parameters, block context of the chain itself.
pub const CHAIN: Address = address!("4e00000000000000000000000000000000000006");
/// Votes on parameters and upgrades.
pub const GOVERNANCE: Address = address!("4e00000000000000000000000000000000000007");

/// All of them, with the names under which the API and the docs speak of them.
pub const MODULES: [(Address, &str); 7] = [
    (PROVIDERS, "providers"),
    (REQUESTERS, "requesters"),
    (TASKS, "tasks"),
    (REWARDS, "rewards"),
    (STAKING, "staking"),
    (CHAIN, "chain"),
    (GOVERNANCE, "governance"),
];
