//! Random play: whoever does whatever at whatever height, no coin is lost, and every task ends once.

use alloy_primitives::Address;
use neura_types::{
    Amount, Params,
    abi::{IProviders, ITasks, SolCall},
    provider::TrackRecord,
    system,
    task::{Task, TaskId, TaskState},
};
use proptest::prelude::*;

use crate::modules::{
    host::Fault,
    providers, requesters,
    tasks::{count, get, held},
    testing::{ALICE, BOB, ESCROW, World, account, params},
};

#[derive(Debug, Clone)]
enum Act {
    Register(u8),
    Update(u8, u128),
    Drain(u8),
    Resume(u8),
    Leave(u8),
    Withdraw(u8),
    Create(bool, u8, u64, u128),
    Accept(u8, TaskId),
    Decline(u8, TaskId),
    Heartbeat(u8, TaskId),
    Checkpoint(u8, TaskId, u64),
    Reassign(bool, TaskId, u8),
    Submit(u8, TaskId),
    Approve(bool, TaskId),
    Challenge(bool, TaskId),
    Cancel(bool, TaskId),
    Blocks(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let seed = 1u8..=3;
    let id = 1u64..12;
    prop_oneof![
        1 => seed.clone().prop_map(Act::Register),
        1 => (seed.clone(), 0u128..10_000_000_000).prop_map(|(s, p)| Act::Update(s, p)),
        1 => seed.clone().prop_map(Act::Drain),
        1 => seed.clone().prop_map(Act::Resume),
        1 => seed.clone().prop_map(Act::Leave),
        1 => seed.clone().prop_map(Act::Withdraw),
        6 => (any::<bool>(), seed.clone(), 1u64..10, 0u128..100_000_000_000)
            .prop_map(|(o, s, d, e)| Act::Create(o, s, d, e)),
        6 => (seed.clone(), id.clone()).prop_map(|(s, id)| Act::Accept(s, id)),
        1 => (seed.clone(), id.clone()).prop_map(|(s, id)| Act::Decline(s, id)),
        2 => (seed.clone(), id.clone()).prop_map(|(s, id)| Act::Heartbeat(s, id)),
        4 => (seed.clone(), id.clone(), 0u64..6).prop_map(|(s, id, n)| Act::Checkpoint(s, id, n)),
        6 => (any::<bool>(), id.clone(), seed.clone())
            .prop_map(|(o, id, s)| Act::Reassign(o, id, s)),
        4 => (seed, id.clone()).prop_map(|(s, id)| Act::Submit(s, id)),
        2 => (any::<bool>(), id.clone()).prop_map(|(o, id)| Act::Approve(o, id)),
        4 => (any::<bool>(), id.clone()).prop_map(|(o, id)| Act::Challenge(o, id)),
        1 => (any::<bool>(), id).prop_map(|(o, id)| Act::Cancel(o, id)),
        6 => (1u64..4).prop_map(Act::Blocks),
    ]
}

fn owner(first: bool) -> Address {
    if first { ALICE } else { BOB }
}

fn registry<C: SolCall>(world: &mut World, seed: u8, call: C) -> Result<(), Fault> {
    world.call(account(seed), Amount::ZERO, system::PROVIDERS, &call).map(|_| ())
}

fn play(world: &mut World, act: Act) -> Result<(), Fault> {
    match act {
        Act::Register(seed) => world.register(seed).map(|_| ()),
        Act::Update(seed, price) => {
            let mut offer = crate::modules::testing::offer(account(seed));
            offer.pricePerBlock = price;
            registry(world, seed, IProviders::updateCall { offer })
        }
        Act::Drain(seed) => registry(world, seed, IProviders::drainCall {}),
        Act::Resume(seed) => registry(world, seed, IProviders::resumeCall {}),
        Act::Leave(seed) => registry(world, seed, IProviders::unregisterCall {}),
        Act::Withdraw(seed) => registry(world, seed, IProviders::withdrawBondCall {}),
        Act::Create(first, seed, duration_blocks, extra) => {
            let epoch = providers::get(world, account(seed))?.map_or(1, |p| p.key_epoch);
            let mut terms = world.terms(seed);
            terms.key_epoch = epoch;
            terms.duration_blocks = duration_blocks;
            world.create(owner(first), &terms, Amount(ESCROW.0 + extra)).map(|_| ())
        }
        Act::Accept(seed, id) => world.accept(seed, id),
        Act::Decline(seed, id) => {
            world.on_task(account(seed), ITasks::declineCall { taskId: id, reason: "no".into() })
        }
        Act::Heartbeat(seed, id) => world.heartbeat(seed, id),
        Act::Checkpoint(seed, id, step) => {
            let before = get(world, id)?.and_then(|task| task.checkpoint);
            world.checkpoint(seed, id, step)?;
            assert!(step > before.map_or(0, |before| before.step), "a step that does not rise");
            Ok(())
        }
        Act::Reassign(first, id, seed) => {
            let before = get(world, id)?;
            world.reassign(owner(first), id, seed)?;
            assert_handed_on(world, &before.unwrap());
            Ok(())
        }
        Act::Submit(seed, id) => world.submit(seed, id),
        Act::Approve(first, id) => world.approve(owner(first), id),
        Act::Challenge(first, id) => {
            let bond = world.view(system::TASKS, &ITasks::challengeBondCall { taskId: id })?;
            world.challenge(owner(first), id, Amount(bond))
        }
        Act::Cancel(first, id) => world.on_task(owner(first), ITasks::cancelCall { taskId: id }),
        Act::Blocks(blocks) => {
            world.advance(blocks);
            Ok(())
        }
    }
}

/// A task was given to another provider: rightly so, with its escrow and its progress.
fn assert_handed_on(world: &mut World, before: &Task) {
    let (height, after) = (world.block.height, world.task(before.id));
    match before.state {
        TaskState::Assigned => {}
        TaskState::Running => assert!(height > before.seen_at + 3, "a live provider was robbed"),
        state => panic!("reassigned while {}", state.name()),
    }
    let step = |task: &Task| task.checkpoint.as_ref().map(|noted| (noted.step, noted.at));
    assert_eq!((after.escrow, step(&after)), (before.escrow, step(before)));
    assert_eq!((after.state, after.accepted_at), (TaskState::Assigned, 0));
    assert_ne!(after.terms.provider, before.terms.provider);
    assert!(after.deadline > height);
}

fn sum(records: impl Iterator<Item = TrackRecord>) -> u64 {
    records.map(|r| r.settled + r.at_fault + r.refunded).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_parties_do_no_coin_is_lost_and_every_task_ends_once(
        acts in proptest::collection::vec(act(), 1..120),
        budget in 1u32..4,
    ) {
        let mut world = World::with(Params { max_settlements_per_block: budget, ..params() });
        for seed in 1..=2 {
            world.register(seed).unwrap();
        }
        for act in acts {
            // Refusals are part of the play; anything else would stop the node.
            if let Err(fault) = play(&mut world, act) {
                prop_assert!(matches!(fault, Fault::Refused(_)), "{fault:?}");
            }
        }
        // Every window, one after the other, and the carry-over of what the budget leaves.
        world.advance(200);

        let tasks = count(&mut world).unwrap();
        for id in 1..=tasks {
            prop_assert!(world.task(id).state.is_terminal());
        }
        prop_assert_eq!(held(&mut world).unwrap(), Amount::ZERO);
        prop_assert_eq!(world.wei(system::TASKS), 0);
        let mut ended: Vec<u64> =
            world.events::<ITasks::TaskEnded>().iter().map(|event| event.taskId).collect();
        ended.sort_unstable();
        prop_assert_eq!(ended, (1..=tasks).collect::<Vec<_>>());
        let of_providers = providers::list(&mut world, 0, 100).unwrap();
        let handed_on = world.events::<ITasks::Reassigned>().len() as u64;
        prop_assert_eq!(sum(of_providers.iter().map(|p| p.record)), tasks + handed_on);
        let of_owners = requesters::list(&mut world, 0, 100).unwrap();
        prop_assert_eq!(sum(of_owners.iter().map(|r| r.record)), tasks);
    }
}
