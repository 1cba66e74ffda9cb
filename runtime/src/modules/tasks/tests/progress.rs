//! Signs of life, checkpoints, and what becomes of a task whose provider is silent.

use alloy_primitives::B256;
use neura_types::{
    Amount,
    abi::{IProviders, ITasks},
    system,
    task::{BlobRef, EndReason, Party, TaskId, TaskState},
};

use crate::modules::{
    code,
    tasks::{MAX_BLOB_BYTES, of_provider},
    testing::{ALICE, BOB, DURATION, ESCROW, FUNDS, PRICE, World, account, blob, refusal},
};

/// Blocks of silence that the test chain bears.
const SILENCE: u64 = 3;

/// Two providers; the first works on a task of Alice's.
fn running() -> (World, TaskId) {
    let mut world = World::with_provider();
    world.register(2).unwrap();
    let id = world.offered();
    world.accept(1, id).unwrap();
    (world, id)
}

fn call(id: TaskId, seed: u8) -> ITasks::reassignCall {
    ITasks::reassignCall {
        taskId: id,
        provider: account(seed),
        keyEpoch: 1,
        payload: (&blob(0x61)).into(),
        resumeFrom: (&BlobRef::NONE).into(),
    }
}

fn offer_of(world: &mut World, seed: u8, change: impl FnOnce(&mut IProviders::Offer)) {
    let mut offer = crate::modules::testing::offer(account(seed));
    change(&mut offer);
    let update = IProviders::updateCall { offer };
    world.call(account(seed), Amount::ZERO, system::PROVIDERS, &update).map(|_| ()).unwrap();
}

#[test]
fn a_checkpoint_is_recorded_replaced_and_told() {
    let (mut world, id) = running();
    let view = |world: &mut World| {
        world.view(system::TASKS, &ITasks::checkpointOfCall { taskId: id }).unwrap()
    };
    let none = view(&mut world);
    assert_eq!((none.step, none.height, none.blob), (0, 0, (&BlobRef::NONE).into()));
    world.advance(2);
    world.checkpoint(1, id, 1).unwrap();
    world.end_block();
    world.checkpoint(1, id, 900).unwrap();
    let noted = view(&mut world);
    assert_eq!((noted.step, noted.height), (900, world.block.height));
    assert_eq!(noted, world.task(id).checkpoint.as_ref().into());
    let told = world.events::<ITasks::CheckpointNoted>();
    assert_eq!(told.iter().map(|event| event.step).collect::<Vec<_>>(), [1, 900]);
    assert_eq!((told[1].owner, told[1].provider), (ALICE, account(1)));
    assert_eq!(told[1].blob, noted.blob);
}

#[test]
fn the_steps_of_checkpoints_rise() {
    let (mut world, id) = running();
    assert_eq!(refusal(world.checkpoint(1, id, 0)), code::STEP_NOT_RISING);
    world.checkpoint(1, id, 7).unwrap();
    for step in [0, 6, 7] {
        assert_eq!(refusal(world.checkpoint(1, id, step)), code::STEP_NOT_RISING);
    }
    world.checkpoint(1, id, u64::MAX).unwrap();
    let text = world.checkpoint(1, id, u64::MAX).unwrap_err().to_string();
    assert!(text.ends_with("18446744073709551615 is no later one"), "{text}");
}

#[test]
fn a_checkpoint_without_a_usable_reference_is_refused() {
    let (mut world, id) = running();
    let cases = [
        (BlobRef { locator: "nowhere".into(), ..blob(1) }, code::INVALID_LOCATOR),
        (BlobRef { size: 0, ..blob(1) }, code::PAYLOAD_TOO_LARGE),
        (BlobRef { size: MAX_BLOB_BYTES + 1, ..blob(1) }, code::PAYLOAD_TOO_LARGE),
        (BlobRef::NONE, code::INVALID_LOCATOR),
    ];
    for (blob, expected) in cases {
        let call = ITasks::checkpointCall { taskId: id, step: 1, blob: (&blob).into() };
        assert_eq!(refusal(world.on_task(account(1), call)), expected);
    }
    assert_eq!(world.task(id).checkpoint, None);
}

#[test]
fn only_the_provider_of_a_running_task_gives_signs_of_life() {
    let mut world = World::with_provider();
    let id = world.offered();
    assert_eq!(refusal(world.heartbeat(1, id)), code::WRONG_STATE, "assigned");
    assert_eq!(refusal(world.checkpoint(1, id, 1)), code::WRONG_STATE, "assigned");
    world.accept(1, id).unwrap();
    assert_eq!(refusal(world.heartbeat(2, id)), code::NOT_PROVIDER);
    assert_eq!(refusal(world.checkpoint(2, id, 1)), code::NOT_PROVIDER);
    let by_owner = ITasks::heartbeatCall { taskId: id };
    assert_eq!(refusal(world.on_task(ALICE, by_owner)), code::NOT_PROVIDER);
    assert_eq!(refusal(world.heartbeat(1, id + 1)), code::UNKNOWN_TASK);
    world.submit(1, id).unwrap();
    assert_eq!(refusal(world.heartbeat(1, id)), code::WRONG_STATE, "submitted");
    assert_eq!(refusal(world.checkpoint(1, id, 1)), code::WRONG_STATE, "submitted");
}

#[test]
fn signs_of_life_do_not_move_the_deadline() {
    let (mut world, id) = running();
    for step in 1..=DURATION {
        world.end_block();
        world.checkpoint(1, id, step).unwrap();
        world.heartbeat(1, id).unwrap();
    }
    world.end_block();
    assert_eq!(world.task(id).outcome.unwrap().reason, EndReason::NotSubmitted);
    assert_eq!(refusal(world.heartbeat(1, id)), code::DEADLINE_PASSED);
}

#[test]
fn a_live_provider_cannot_be_robbed() {
    let (mut world, id) = running();
    type Sign = fn(&mut World, TaskId);
    let signs: [Sign; 3] = [
        |_, _| {},
        |world, id| world.heartbeat(1, id).unwrap(),
        |world, id| world.checkpoint(1, id, 1).unwrap(),
    ];
    for sign in signs {
        sign(&mut world, id);
        let seen = world.block.height;
        assert_eq!(world.task(id).seen_at, seen);
        for _ in 0..2 {
            assert_eq!(refusal(world.reassign(ALICE, id, 2)), code::PROVIDER_ALIVE);
            world.end_block();
        }
    }
    world.end_block();
    let text = world.reassign(ALICE, id, 2).unwrap_err().to_string();
    assert_eq!(
        text,
        "provider_alive: the provider of task 1 was seen in block 5: it may be replaced from block 9 \
         on if it stays silent; now: 8"
    );
    world.end_block();
    world.reassign(ALICE, id, 2).unwrap();
}

#[test]
fn a_silent_provider_is_replaced_on_the_same_escrow_and_its_successor_is_paid() {
    let (mut world, id) = running();
    world.end_block();
    world.checkpoint(1, id, 40).unwrap();
    world.advance(SILENCE + 1);
    world.reassign(ALICE, id, 2).unwrap();

    let (task, height) = (world.task(id), world.block.height);
    assert_eq!((task.state, task.terms.provider), (TaskState::Assigned, account(2)));
    assert_eq!((task.accepted_at, task.seen_at, task.deadline), (0, height, height + 5));
    assert_eq!(task.terms.payload, blob(0x62));
    let noted = task.checkpoint.unwrap();
    assert_eq!((noted.step, noted.at, noted.blob), (40, 2, blob(0x52)));
    let told = &world.events::<ITasks::Reassigned>()[0];
    assert_eq!((told.from, told.to, told.owner), (account(1), account(2), ALICE));
    assert_eq!((told.step, told.deadline), (40, task.deadline));
    assert_eq!(told.atFault, ITasks::Party::Provider);

    let former = world.provider(1);
    assert_eq!((former.active_tasks, former.record.at_fault), (0, 1));
    assert_eq!(world.provider(2).active_tasks, 1);
    assert_eq!(refusal(world.submit(1, id)), code::NOT_PROVIDER, "a late result");
    assert_eq!(refusal(world.heartbeat(1, id)), code::NOT_PROVIDER);

    world.accept(2, id).unwrap();
    assert_eq!(refusal(world.checkpoint(2, id, 40)), code::STEP_NOT_RISING);
    world.checkpoint(2, id, 41).unwrap();
    world.advance(2);
    let before = (world.wei(account(1)), world.wei(account(2)));
    world.submit(2, id).unwrap();
    world.approve(ALICE, id).unwrap();
    let fee = Amount(PRICE * 2);
    let pay = fee.0 - fee.share(700).unwrap().0 - fee.share(300).unwrap().0;
    assert_eq!((world.wei(account(1)), world.wei(account(2))), (before.0, before.1 + pay));
    assert_eq!(world.wei(ALICE), FUNDS.0 - fee.0);
    world.end_block();
}

#[test]
fn before_acceptance_a_task_is_given_to_another_without_fault() {
    let mut world = World::with_provider();
    world.register(2).unwrap();
    let id = world.offered();
    world.advance(5);
    assert_eq!(refusal(world.checkpoint(1, id, 1)), code::WRONG_STATE);
    world.reassign(ALICE, id, 2).unwrap();
    assert_eq!(world.events::<ITasks::Reassigned>()[0].atFault, ITasks::Party::None);
    let record = world.provider(1).record;
    assert_eq!((record.at_fault, record.refunded), (0, 1));
    // The former deadline is this block, and no longer that of the task.
    world.advance(5);
    assert_eq!(world.task(id).state, TaskState::Assigned);
    world.end_block();
    let outcome = world.task(id).outcome.unwrap();
    assert_eq!((outcome.reason, outcome.at_fault), (EndReason::NotAccepted, Party::Provider));
    assert_eq!((world.provider(2).record.at_fault, world.wei(ALICE)), (1, FUNDS.0));
}

#[test]
fn a_task_goes_back_and_forth_and_each_has_its_own_record() {
    let (mut world, id) = running();
    for seed in [2, 1, 2] {
        world.advance(SILENCE + 1);
        world.reassign(ALICE, id, seed).unwrap();
        world.accept(seed, id).unwrap();
        let mine = |world: &mut World, seed| of_provider(world, account(seed), None, 9).unwrap();
        assert_eq!(mine(&mut world, seed).len(), 1);
        assert_eq!(mine(&mut world, 3 - seed), []);
    }
    assert_eq!((world.provider(1).record.at_fault, world.provider(2).record.at_fault), (2, 1));
    world.submit(2, id).unwrap();
    world.approve(ALICE, id).unwrap();
    world.end_block();
}

#[test]
fn a_task_that_is_taken_over_stands_among_the_takers_tasks_by_its_number() {
    let (mut world, id) = running();
    let terms = world.terms(2);
    world.create(BOB, &terms, ESCROW).unwrap();
    world.advance(SILENCE + 1);
    world.reassign(ALICE, id, 2).unwrap();
    let of_two = ITasks::tasksOfProviderCall { provider: account(2), before: 0, limit: 10 };
    let listed = world.view(system::TASKS, &of_two).unwrap();
    assert_eq!(listed.iter().map(|task| task.id).collect::<Vec<_>>(), [2, 1]);
    let older = ITasks::tasksOfProviderCall { before: 2, ..of_two };
    assert_eq!(world.view(system::TASKS, &older).unwrap()[0].id, 1);
}

#[test]
fn without_a_checkpoint_in_hand_the_successor_begins_from_the_start() {
    let (mut world, id) = running();
    world.checkpoint(1, id, 40).unwrap();
    world.advance(SILENCE + 1);
    world.on_task(ALICE, call(id, 2)).unwrap();
    assert_eq!(world.task(id).checkpoint, None);
    assert_eq!(world.events::<ITasks::Reassigned>()[0].step, 0);
    world.accept(2, id).unwrap();
    world.checkpoint(2, id, 1).unwrap();
}

#[test]
fn a_checkpoint_that_never_was_cannot_be_handed_on() {
    let (mut world, id) = running();
    world.advance(SILENCE + 1);
    let resume = |blob: BlobRef| ITasks::reassignCall { resumeFrom: (&blob).into(), ..call(id, 2) };
    assert_eq!(refusal(world.on_task(ALICE, resume(blob(1)))), code::NO_CHECKPOINT);
    let half = BlobRef { size: 0, ..blob(1) };
    assert_eq!(refusal(world.on_task(ALICE, resume(half))), code::PAYLOAD_TOO_LARGE);
    let half = BlobRef { size: 1, ..BlobRef::NONE };
    assert_eq!(refusal(world.on_task(ALICE, resume(half))), code::INVALID_LOCATOR);
}

#[test]
fn a_successor_must_be_able_and_affordable_or_nothing_changes() {
    type Setting = fn(&mut World, &mut ITasks::reassignCall);
    let cases: [(Setting, &str); 9] = [
        (|_, call| call.provider = ALICE, code::UNKNOWN_PROVIDER),
        (|_, call| call.provider = account(1), code::SAME_PROVIDER),
        (|_, call| call.keyEpoch = 2, code::WRONG_KEY_EPOCH),
        (|_, call| call.payload.size = 0, code::PAYLOAD_TOO_LARGE),
        (|_, call| call.payload.locator = "x".into(), code::INVALID_LOCATOR),
        (|w, _| offer_of(w, 2, |o| o.pricePerBlock += 1), code::ESCROW_BELOW_PRICE),
        (|w, _| offer_of(w, 2, |o| o.executors = vec!["onnx".into()]), code::EXECUTOR_NOT_OFFERED),
        (|w, _| offer_of(w, 2, |o| o.capability.gpuMemoryMib = 499), code::REQUIREMENT_NOT_MET),
        (
            |w, _| {
                offer_of(w, 2, |o| o.capacity = 1);
                let terms = w.terms(2);
                w.create(BOB, &terms, ESCROW).unwrap();
            },
            code::PROVIDER_AT_CAPACITY,
        ),
    ];
    for (index, (set, expected)) in cases.into_iter().enumerate() {
        let (mut world, id) = running();
        let mut call = call(id, 2);
        set(&mut world, &mut call);
        world.advance(SILENCE + 1);
        let before = world.snapshot();
        assert_eq!(refusal(world.on_task(ALICE, call)), expected, "case {index}");
        assert!(world.snapshot() == before, "case {index} left traces");
    }
}

#[test]
fn a_provider_that_drains_takes_nothing_over() {
    let (mut world, id) = running();
    let drain = IProviders::drainCall {};
    world.call(account(2), Amount::ZERO, system::PROVIDERS, &drain).unwrap();
    world.advance(SILENCE + 1);
    assert_eq!(refusal(world.reassign(ALICE, id, 2)), code::PROVIDER_NOT_ACTIVE);
}

#[test]
fn a_cheaper_successor_is_paid_its_own_price_and_a_dearer_one_what_the_escrow_allows() {
    for (price, extra) in [(PRICE / 2, 0), (PRICE * 2, ESCROW.0)] {
        let mut world = World::with_provider();
        world.register(2).unwrap();
        let terms = world.terms(1);
        let id = world.create(ALICE, &terms, Amount(ESCROW.0 + extra)).unwrap();
        world.accept(1, id).unwrap();
        world.advance(SILENCE + 1);
        offer_of(&mut world, 2, |offer| offer.pricePerBlock = price);
        world.reassign(ALICE, id, 2).unwrap();
        assert_eq!(world.task(id).price_per_block, Amount(price));
        world.accept(2, id).unwrap();
        world.advance(DURATION);
        world.submit(2, id).unwrap();
        world.approve(ALICE, id).unwrap();
        let paid = price * u128::from(DURATION);
        assert_eq!(world.wei(ALICE), FUNDS.0 - paid);
        world.end_block();
    }
}

#[test]
fn only_the_owner_reassigns_and_only_before_a_result() {
    let (mut world, id) = running();
    world.advance(SILENCE + 1);
    assert_eq!(refusal(world.reassign(BOB, id, 2)), code::NOT_OWNER);
    assert_eq!(refusal(world.reassign(account(1), id, 2)), code::NOT_OWNER);
    world.submit(1, id).unwrap();
    assert_eq!(refusal(world.reassign(ALICE, id, 2)), code::WRONG_STATE, "submitted");
    world.challenge(ALICE, id, ESCROW.share(1_000).unwrap()).unwrap();
    world.advance(SILENCE + 1);
    assert_eq!(refusal(world.reassign(ALICE, id, 2)), code::WRONG_STATE, "verifying");
    world.end_block();
    assert_eq!(refusal(world.reassign(ALICE, id, 2)), code::DEADLINE_PASSED);
}

#[test]
fn after_the_deadline_of_a_running_task_there_is_nothing_to_reassign() {
    let (mut world, id) = running();
    world.advance(DURATION + 1);
    assert_eq!(world.task(id).outcome.unwrap().reason, EndReason::NotSubmitted);
    assert_eq!(refusal(world.reassign(ALICE, id, 2)), code::DEADLINE_PASSED);
}

#[test]
fn a_provider_whose_task_was_taken_over_can_leave() {
    let (mut world, id) = running();
    world.advance(SILENCE + 1);
    world.reassign(ALICE, id, 2).unwrap();
    for seed in [1, 2] {
        let drain = IProviders::drainCall {};
        world.call(account(seed), Amount::ZERO, system::PROVIDERS, &drain).unwrap();
    }
    let leave = IProviders::unregisterCall {};
    world.call(account(1), Amount::ZERO, system::PROVIDERS, &leave).unwrap();
    let stays = world.call(account(2), Amount::ZERO, system::PROVIDERS, &leave).map(|_| ());
    assert_eq!(refusal(stays), code::TASKS_ACTIVE);
    world.end_block();
}

#[test]
fn the_result_of_the_successor_is_its_own() {
    let (mut world, id) = running();
    world.advance(SILENCE + 1);
    world.reassign(ALICE, id, 2).unwrap();
    world.accept(2, id).unwrap();
    world.submit(2, id).unwrap();
    let result = world.task(id).result.unwrap();
    assert_eq!((result.blob, result.commitment), (blob(2), B256::repeat_byte(2)));
    let told = &world.events::<ITasks::ResultSubmitted>()[0];
    assert_eq!(told.provider, account(2));
}
