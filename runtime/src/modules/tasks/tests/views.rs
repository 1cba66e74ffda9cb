use neura_types::{Amount, abi::ITasks, system};

use crate::modules::{
    code,
    tasks::{count, list, of_owner, of_provider},
    testing::{ALICE, BOB, ESCROW, PRICE, World, account, refusal},
};

fn world() -> World {
    let mut world = World::new();
    for (seed, owner) in [(1, ALICE), (2, ALICE), (1, BOB), (2, BOB), (1, ALICE)] {
        if world.task_count() < 2 {
            world.register(seed).unwrap();
        }
        let terms = world.terms(seed);
        world.create(owner, &terms, ESCROW).unwrap();
    }
    world
}

impl World {
    fn task_count(&mut self) -> u64 {
        count(self).unwrap()
    }
}

#[test]
fn a_task_is_read_back_by_the_view_as_it_is_recorded() {
    let mut world = world();
    world.accept(1, 1).unwrap();
    world.submit(1, 1).unwrap();
    for id in 1..=5 {
        let view = world.view(system::TASKS, &ITasks::taskCall { taskId: id });
        assert_eq!(view, Ok(ITasks::Task::from(&world.task(id))));
    }
    assert_eq!(world.view(system::TASKS, &ITasks::countCall {}), Ok(5));
}

#[test]
fn lists_are_newest_first_and_go_on_below_a_number() {
    let mut world = world();
    let ids = |tasks: Vec<neura_types::task::Task>| -> Vec<u64> {
        tasks.iter().map(|task| task.id).collect()
    };
    let none: [u64; 0] = [];
    assert_eq!(ids(list(&mut world, None, 100).unwrap()), [5, 4, 3, 2, 1]);
    assert_eq!(ids(list(&mut world, None, 2).unwrap()), [5, 4]);
    assert_eq!(ids(list(&mut world, Some(4), 2).unwrap()), [3, 2]);
    assert_eq!(ids(list(&mut world, Some(1), 2).unwrap()), none);
    assert_eq!(ids(list(&mut world, Some(u64::MAX), 1).unwrap()), [5]);
    assert_eq!(ids(of_owner(&mut world, ALICE, None, 100).unwrap()), [5, 2, 1]);
    assert_eq!(ids(of_owner(&mut world, ALICE, Some(5), 1).unwrap()), [2]);
    assert_eq!(ids(of_owner(&mut world, ALICE, Some(4), 100).unwrap()), [2, 1]);
    assert_eq!(ids(of_owner(&mut world, account(1), None, 100).unwrap()), none);
    assert_eq!(ids(of_provider(&mut world, account(2), None, 100).unwrap()), [4, 2]);
    assert_eq!(ids(of_provider(&mut world, account(2), Some(2), 100).unwrap()), none);
}

#[test]
fn the_views_page_as_the_lists_do() {
    let mut world = world();
    let all = world.view(system::TASKS, &ITasks::listCall { before: 0, limit: 100 }).unwrap();
    assert_eq!(all.iter().map(|task| task.id).collect::<Vec<_>>(), [5, 4, 3, 2, 1]);
    let call = ITasks::tasksOfOwnerCall { owner: BOB, before: 4, limit: 100 };
    assert_eq!(world.view(system::TASKS, &call).unwrap()[0].id, 3);
    let call = ITasks::tasksOfProviderCall { provider: account(1), before: 0, limit: 1 };
    assert_eq!(world.view(system::TASKS, &call).unwrap()[0].id, 5);
}

#[test]
fn no_page_passes_the_bound() {
    let mut world = world();
    let call = ITasks::listCall { before: 0, limit: 101 };
    assert_eq!(refusal(world.view(system::TASKS, &call)), code::LIMIT_OUT_OF_BOUNDS);
    assert_eq!(refusal(of_owner(&mut world, BOB, None, 101)), code::LIMIT_OUT_OF_BOUNDS);
    assert_eq!(refusal(of_provider(&mut world, BOB, None, u64::MAX)), code::LIMIT_OUT_OF_BOUNDS);
}

#[test]
fn a_quote_is_the_least_escrow() {
    let mut world = world();
    let quote = ITasks::quoteCall { provider: account(1), durationBlocks: 8 };
    let price = world.view(system::TASKS, &quote).unwrap();
    assert_eq!(price, PRICE * 8);
    let terms = world.terms(2);
    assert!(world.create(BOB, &terms, Amount(price - 1)).is_err());
    world.create(BOB, &terms, Amount(price)).unwrap();
}

#[test]
fn events_name_task_owner_and_provider_in_their_topics() {
    let mut world = World::with_provider();
    let id = world.offered();
    let log = world.logs.last().unwrap().clone();
    assert_eq!(log.address, system::TASKS);
    assert_eq!(log.topics.len(), 4);
    assert_eq!(log.topics[2], ALICE.into_word());
    assert_eq!(log.topics[3], account(1).into_word());
    let event = &world.events::<ITasks::TaskCreated>()[0];
    assert_eq!((event.taskId, event.escrow, event.deadline), (id, ESCROW.0, 6));
}
