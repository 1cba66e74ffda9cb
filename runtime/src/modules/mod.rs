//! The native modules: records and rules of the chain itself, called like contracts at their system addresses.
//!
//! # Design
//! - Each module is a folder of the same files: `mod` (dispatch and reads), `state` (its tables), `calls`, `events`,
//!   `genesis`, `invariants`, `tests`; a file that would be empty is absent.
//! - A module is called through its Solidity interface in `runtime/contracts/`, from which
//!   [`neura_types::abi`] generates the types; dispatch matches the generated enumeration exhaustively, so that a
//!   function of an interface that nobody serves does not compile.
//! - Everything that a module reads, writes, moves or logs goes through [`Host`], so that a revert in any frame takes
//!   it back. Checks come before writes.
//!
//! # Invariants
//! - The tasks module holds at least the escrows and challenge bonds of the tasks that have not ended, the providers
//!   module at least the bonds, the staking module at least the stake and the rewards owed. (At least: a contract that
//!   destroys itself can give coins to any account.)
//! - A task's escrow leaves the module once, when the task ends; its parts sum up to what was locked.
//! - A block in which nothing is due changes no module's state, unless it ends an epoch or shows a validator for the
//!   first time in one.

pub mod code;
pub mod governance;
pub mod host;
pub mod providers;
pub mod requesters;
pub mod rewards;
pub mod staking;
pub mod tasks;

mod entry;
mod record;
mod store;

#[cfg(test)]
mod testing;

use alloy_primitives::{Address, Bytes};
use neura_types::{Genesis, epoch::PROTOCOL_VERSION, system};

pub use entry::{MAX_CALL_BYTES, MAX_PAGE};
use host::{Call, Fault, Host};

/// Whether calls to `address` are served by a module.
pub fn is_module(address: Address) -> bool {
    system::MODULES.iter().any(|(module, _)| *module == address)
}

/// Serves a call of a module; the coins sent are on its account already.
///
/// # Errors
/// [`Fault::Refused`] with a code of [`code`], and whatever the host reports.
pub fn dispatch(host: &mut dyn Host, module: Address, call: &Call) -> Result<Bytes, Fault> {
    match module {
        system::PROVIDERS => providers::dispatch(host, call),
        system::REQUESTERS => requesters::dispatch(host, call),
        system::TASKS => tasks::dispatch(host, call),
        system::REWARDS => rewards::dispatch(host, call),
        system::STAKING => staking::dispatch(host, call),
        system::GOVERNANCE => governance::dispatch(host, call),
        other => {
            let message = format!("the module at {other} has no functions");
            Err(Fault::refused(code::UNKNOWN_FUNCTION, message))
        }
    }
}

/// What the modules do before a block's transactions: validators that took part are noted.
///
/// # Errors
/// Any is fatal to the node: the rules of the block's epoch are newer than this program, or the state cannot be read.
pub fn begin_block(host: &mut dyn Host) -> Result<(), Fault> {
    let version = host.block().epoch.version;
    if version > PROTOCOL_VERSION {
        return Err(Fault::Fatal(format!(
            "the block's epoch needs protocol version {version}, this program speaks \
             {PROTOCOL_VERSION}: install a newer release"
        )));
    }
    staking::begin_block(host)
}

/// What the modules do after a block's transactions: due tasks are settled or refunded. At the end of an epoch the absent
/// are jailed, rewards are shared, and the epoch after the next is fixed.
///
/// # Errors
/// Any is fatal to the node: nothing that a user can do is refused here.
pub fn end_block(host: &mut dyn Host) -> Result<(), Fault> {
    tasks::end_block(host)?;
    if !host.block().ends_epoch() {
        return Ok(());
    }
    staking::judge(host)?;
    rewards::end_epoch(host)?;
    staking::end_epoch(host)
}

/// Writes what the modules know at genesis.
///
/// # Errors
/// Any means that the genesis file describes no chain.
pub fn genesis(genesis: &Genesis, host: &mut dyn Host) -> Result<(), Fault> {
    staking::genesis(genesis, host)
}

/// Checks the invariants that cost a few reads: fit to run after each block.
///
/// # Errors
/// A sentence for each that is broken.
pub fn check_invariants(host: &mut dyn Host) -> Result<(), Vec<String>> {
    report([
        tasks::invariants::check(host),
        providers::invariants::check(host),
        staking::invariants::check(host),
    ])
}

/// Checks every invariant by walking all records: for tests and simulation.
///
/// # Errors
/// A sentence for each that is broken.
pub fn audit(host: &mut dyn Host) -> Result<(), Vec<String>> {
    check_invariants(host)?;
    report([
        tasks::invariants::audit(host),
        providers::invariants::audit(host),
        staking::invariants::audit(host),
    ])
}

fn report<const N: usize>(checks: [Result<Vec<String>, Fault>; N]) -> Result<(), Vec<String>> {
    let broken: Vec<String> = checks
        .into_iter()
        .flat_map(|check| check.unwrap_or_else(|fault| vec![fault.to_string()]))
        .collect();
    if broken.is_empty() { Ok(()) } else { Err(broken) }
}

#[cfg(test)]
mod tests;
