use neura_types::{
    Params,
    task::{EndReason, TaskState},
};

use crate::modules::{
    code,
    testing::{ALICE, ESCROW, World, params, refusal},
};

/// A world in which one block settles `budget` tasks at most, with providers that take many.
fn world(budget: u32) -> World {
    let mut world = World::with(Params { max_settlements_per_block: budget, ..params() });
    for seed in 1..=4 {
        world.register(seed).unwrap();
    }
    world
}

fn ended(world: &mut World) -> usize {
    let count = crate::modules::tasks::count(world).unwrap();
    (1..=count).filter(|id| world.task(*id).state.is_terminal()).count()
}

fn offer(world: &mut World, seed: u8, tasks: usize) {
    let terms = world.terms(seed);
    for _ in 0..tasks {
        world.create(ALICE, &terms, ESCROW).unwrap();
    }
}

#[test]
fn what_a_block_cannot_settle_is_carried_to_the_next_oldest_first() {
    let mut world = world(2);
    (1..=3).for_each(|seed| offer(&mut world, seed, 3));
    world.advance(1);
    offer(&mut world, 4, 1);
    world.advance(4);
    assert_eq!(ended(&mut world), 0);
    let mut progress = Vec::new();
    for _ in 0..6 {
        world.end_block();
        progress.push(ended(&mut world));
    }
    assert_eq!(progress, [2, 4, 6, 8, 10, 10]);
    assert!(world.task(8).outcome.unwrap().at < world.task(10).outcome.unwrap().at);
}

#[test]
fn a_task_that_waits_for_its_settlement_takes_no_calls() {
    let mut world = world(1);
    offer(&mut world, 1, 2);
    world.advance(6);
    assert_eq!(world.task(2).state, TaskState::Assigned);
    let text = world.accept(1, 2).unwrap_err().to_string();
    assert_eq!(text, "deadline_passed: the deadline of task 2 was block 6; now: 7");
    world.end_block();
    assert_eq!(world.task(2).outcome.unwrap().reason, EndReason::NotAccepted);
    assert_eq!(refusal(world.accept(1, 2)), code::DEADLINE_PASSED);
}

#[test]
fn the_queue_leaves_nothing_behind() {
    let mut world = world(1);
    let empty = world.words();
    offer(&mut world, 1, 3);
    let queued = world.words();
    world.accept(1, 1).unwrap();
    world.advance(40);
    offer(&mut world, 1, 3);
    world.advance(40);
    assert_eq!(ended(&mut world), 6);
    // Each batch of three leaves its records and indices, no more than it took while it was queued.
    assert!(world.words() - empty <= 2 * (queued - empty), "{} {queued}", world.words());
    let before = world.snapshot();
    world.advance(10);
    assert!(world.snapshot() == before);
}

#[test]
fn a_stale_entry_does_not_end_a_task_that_moved_on() {
    let mut world = world(64);
    offer(&mut world, 1, 1);
    world.advance(4);
    world.accept(1, 1).unwrap();
    world.advance(3);
    assert_eq!(world.task(1).state, TaskState::Running, "its deadline to accept is over");
    world.submit(1, 1).unwrap();
    world.advance(6);
    assert_eq!(world.task(1).state, TaskState::Submitted);
    world.advance(1);
    assert_eq!(world.task(1).state, TaskState::Settled);
}

#[test]
fn two_deadlines_in_one_block_end_a_task_once() {
    let params = Params { accept_window_blocks: 8, ..params() };
    let mut world = World::with(params);
    world.register(1).unwrap();
    // Accepted in the block of its creation: both deadlines are block 9.
    let id = world.offered();
    world.accept(1, id).unwrap();
    world.advance(9);
    assert_eq!(world.task(id).outcome.unwrap().reason, EndReason::NotSubmitted);
}
