//! Tests of the staking module.

mod absence;
mod elections;
mod epochs;
mod offences;
mod play;
mod pools;
mod refusals;
mod stories;

use alloy_primitives::Address;
use neura_types::{
    Amount, Params,
    abi::{IStaking, SolCall},
    keys::SecretKey,
    staking::possession_digest,
    system,
};

use super::*;
use crate::modules::testing::{World, account, params};

/// A chain with short epochs: validators 0 to 3 with 1 to 4 ANKR.
fn world() -> World {
    World::with(Params { epoch_blocks: 16, ..params() })
}

/// Calls the staking module.
fn call<C: SolCall>(
    world: &mut World,
    caller: Address,
    value: Amount,
    call: C,
) -> Result<C::Return, Fault> {
    world.call(caller, value, system::STAKING, &call)
}

/// Calls it without coins.
fn plain<C: SolCall>(world: &mut World, caller: Address, function: C) -> Result<C::Return, Fault> {
    call(world, caller, Amount::ZERO, function)
}

/// The key of the validator that the party of a seed registers.
fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[60 + seed; 32])
}

/// The registration of the validator of a seed by an operator.
fn registration(world: &World, seed: u8, operator: Address) -> IStaking::createValidatorCall {
    let digest = possession_digest(&world.block.chain(), operator);
    IStaking::createValidatorCall {
        publicKey: key(seed).public_key().0,
        proof: key(seed).sign(digest.as_slice()).0.to_vec().into(),
        commissionBps: 1_000,
    }
}

/// Registers the validator of a seed with so many ANKR.
fn join(world: &mut World, seed: u8, ankr: u64) -> Address {
    let operator = account(seed);
    let registration = registration(world, seed, operator);
    call(world, operator, Amount::ankr(ankr), registration).map(|_| ()).unwrap();
    operator
}

fn delegate(world: &mut World, who: Address, operator: Address, amount: Amount) -> u128 {
    call(world, who, amount, IStaking::delegateCall { operator }).unwrap()
}

fn undelegate(
    world: &mut World,
    who: Address,
    operator: Address,
    shares: u128,
) -> Result<u128, Fault> {
    plain(world, who, IStaking::undelegateCall { operator, shares })
}

fn withdraw(world: &mut World, who: Address, operator: Address) -> Result<u128, Fault> {
    plain(world, who, IStaking::withdrawCall { operator })
}

fn claim(world: &mut World, who: Address, operator: Address) -> Result<u128, Fault> {
    plain(world, who, IStaking::claimCall { operator })
}

fn candidate(world: &mut World, operator: Address) -> Candidate {
    known(world, operator).unwrap()
}

/// Voting power by account in the set of an epoch that is fixed.
fn powers(world: &mut World, epoch: Epoch) -> Vec<(Address, u64)> {
    let config = config(world, epoch).unwrap();
    config.set.iter().map(|(_, member)| (member.account, member.power)).collect()
}

fn power(world: &mut World, epoch: Epoch, operator: Address) -> u64 {
    powers(world, epoch).iter().find(|(account, _)| *account == operator).map_or(0, |(_, p)| *p)
}
