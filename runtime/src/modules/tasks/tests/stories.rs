//! What may become of a task, each story to its end: who is at fault, and where every coin went.

use neura_types::{
    Amount,
    abi::{IProviders, ITasks},
    system,
    task::{EndReason, Party, Settlement, TaskState},
};

use crate::modules::{
    code,
    testing::{ALICE, BOB, DURATION, ESCROW, FUNDS, PRICE, TREASURY, World, account, refusal},
};

fn assert_ended(world: &mut World, id: u64, state: TaskState, reason: EndReason, fault: Party) {
    let task = world.task(id);
    let outcome = task.outcome.unwrap();
    assert_eq!((task.state, outcome.reason, outcome.at_fault), (state, reason, fault));
    assert_eq!(task.deadline, 0);
    let ends = world.events::<ITasks::TaskEnded>();
    let of_task: Vec<_> = ends.iter().filter(|event| event.taskId == id).collect();
    assert_eq!(of_task.len(), 1, "one end for each task");
    assert!(of_task[0].reason == reason.into() && of_task[0].state == state.into());
}

/// The fee of so many blocks, split by the test chain's parameters.
fn split(blocks: u64) -> Settlement {
    let fee = Amount(PRICE * u128::from(blocks));
    let (validators, treasury) = (fee.share(700).unwrap(), fee.share(300).unwrap());
    Settlement {
        provider: fee.sub(validators).unwrap().sub(treasury).unwrap(),
        model: Amount::ZERO,
        validators,
        treasury,
        refund: ESCROW.sub(fee).unwrap(),
    }
}

#[test]
fn an_approved_result_is_paid_by_the_blocks_used_and_the_rest_returns() {
    let mut world = World::with_provider();
    let id = world.offered();
    assert_eq!(world.wei(ALICE), FUNDS.0 - ESCROW.0);
    world.end_block();
    world.accept(1, id).unwrap();
    world.advance(3);
    world.submit(1, id).unwrap();
    world.advance(2);
    let before = world.wei(account(1));
    world.approve(ALICE, id).unwrap();

    let paid = split(3);
    assert_eq!(world.task(id).outcome.unwrap().settlement, paid);
    assert_eq!(world.wei(account(1)) - before, paid.provider.0);
    assert_eq!(world.wei(TREASURY), paid.treasury.0);
    assert_eq!(world.wei(system::REWARDS), paid.validators.0);
    assert_eq!(world.wei(ALICE), FUNDS.0 - ESCROW.0 + paid.refund.0);
    assert_eq!(world.wei(system::TASKS), 0);
    assert_ended(&mut world, id, TaskState::Settled, EndReason::Approved, Party::None);
    world.advance(30);
    assert_ended(&mut world, id, TaskState::Settled, EndReason::Approved, Party::None);
}

#[test]
fn results_that_wait_for_their_owners_keep_nobody_else_from_hiring_the_machine() {
    let mut world = World::with_provider();
    let capacity = world.provider(1).capacity;
    let waiting: Vec<_> = (0..capacity).map(|_| world.offered()).collect();
    let terms = world.terms(1);
    let full = world.create(BOB, &terms, ESCROW).unwrap_err().to_string();
    assert!(full.contains("is at work on 3 tasks of at most 3"), "{full}");
    for id in &waiting {
        world.accept(1, *id).unwrap();
        world.submit(1, *id).unwrap();
    }
    let next = world.create(BOB, &terms, ESCROW).unwrap();
    let provider = world.provider(1);
    assert_eq!((provider.active_tasks, provider.submitted_tasks), (capacity + 1, capacity));
    world.end_block();

    // What is contested has to be worked on again.
    let bond = world.view(system::TASKS, &ITasks::challengeBondCall { taskId: waiting[0] });
    world.challenge(ALICE, waiting[0], Amount(bond.unwrap())).unwrap();
    assert_eq!(world.provider(1).working_tasks(), 2);
    world.end_block();
    let leave = IProviders::unregisterCall {};
    let leaving = world.call(account(1), Amount::ZERO, system::PROVIDERS, &leave).map(drop);
    assert_eq!(refusal(leaving), code::TASKS_ACTIVE, "results that wait are answered for");
    world.submit(1, waiting[0]).unwrap();
    waiting.iter().for_each(|id| world.approve(ALICE, *id).unwrap());
    world.on_task(BOB, ITasks::cancelCall { taskId: next }).unwrap();
    let provider = world.provider(1);
    assert_eq!((provider.active_tasks, provider.submitted_tasks), (0, 0));
    world.end_block();
}

#[test]
fn work_within_one_block_is_paid_as_one() {
    let mut world = World::with_provider();
    let id = world.offered();
    world.accept(1, id).unwrap();
    world.submit(1, id).unwrap();
    world.approve(ALICE, id).unwrap();
    assert_eq!(world.task(id).outcome.unwrap().settlement, split(1));
    world.end_block();
}

#[test]
fn an_escrow_above_the_price_is_paid_no_faster() {
    let mut world = World::with_provider();
    let terms = world.terms(1);
    let id = world.create(ALICE, &terms, Amount(ESCROW.0 * 10)).unwrap();
    world.accept(1, id).unwrap();
    world.advance(DURATION);
    world.submit(1, id).unwrap();
    world.approve(ALICE, id).unwrap();
    let paid = world.task(id).outcome.unwrap().settlement;
    assert_eq!(paid.refund, Amount(ESCROW.0 * 9));
    world.end_block();
}

#[test]
fn the_price_of_a_task_is_that_of_its_creation_and_the_payout_account_that_of_its_end() {
    let mut world = World::with_provider();
    let id = world.offered();
    let mut offer = crate::modules::testing::offer(BOB);
    offer.pricePerBlock = PRICE * 100;
    let update = IProviders::updateCall { offer };
    world.call(account(1), Amount::ZERO, system::PROVIDERS, &update).map(|_| ()).unwrap();
    world.accept(1, id).unwrap();
    world.advance(2);
    world.submit(1, id).unwrap();
    world.approve(ALICE, id).unwrap();
    assert_eq!(world.wei(BOB), FUNDS.0 + split(2).provider.0);
    world.end_block();
}

#[test]
fn a_provider_that_never_accepts_is_at_fault_and_the_escrow_returns() {
    let mut world = World::with_provider();
    let id = world.offered();
    let deadline = world.task(id).deadline;
    assert_eq!(deadline, 1 + 5);
    world.advance(deadline - 1);
    assert_eq!(world.task(id).state, TaskState::Assigned, "still time in block {deadline}");
    world.end_block();
    assert_ended(&mut world, id, TaskState::Refunded, EndReason::NotAccepted, Party::Provider);
    assert_eq!(world.wei(ALICE), FUNDS.0);
    assert_eq!(world.provider(1).record.at_fault, 1);
    assert_eq!(world.provider(1).active_tasks, 0);
    assert_eq!(refusal(world.accept(1, id)), code::DEADLINE_PASSED);
}

#[test]
fn a_provider_that_accepts_and_vanishes_is_at_fault_and_the_escrow_returns() {
    let mut world = World::with_provider();
    let id = world.offered();
    world.advance(2);
    world.accept(1, id).unwrap();
    assert_eq!(world.task(id).deadline, 3 + DURATION);
    world.advance(DURATION);
    assert_eq!(world.task(id).state, TaskState::Running);
    world.end_block();
    assert_ended(&mut world, id, TaskState::Refunded, EndReason::NotSubmitted, Party::Provider);
    assert_eq!(world.wei(ALICE), FUNDS.0);
    assert_eq!(world.provider(1).record.at_fault, 1);
}

#[test]
fn a_result_that_comes_in_the_last_block_counts_and_one_block_later_it_is_refused() {
    let mut world = World::with_provider();
    let (punctual, late) = (world.offered(), world.offered());
    world.accept(1, punctual).unwrap();
    world.accept(1, late).unwrap();
    world.advance(DURATION);
    world.submit(1, punctual).unwrap();
    world.end_block();
    let refused = world.submit(1, late).unwrap_err().to_string();
    assert_eq!(
        refused,
        "deadline_passed: the deadline of task 2 has passed: it ended in block 9 (not_submitted)"
    );
    assert_ended(&mut world, late, TaskState::Refunded, EndReason::NotSubmitted, Party::Provider);
    world.approve(ALICE, punctual).unwrap();
    assert_eq!(world.task(punctual).outcome.unwrap().settlement, split(DURATION));
    world.end_block();
}

#[test]
fn a_result_that_cannot_be_read_is_contested_and_not_replaced() {
    let mut world = World::with_provider();
    let id = world.offered();
    world.accept(1, id).unwrap();
    world.submit(1, id).unwrap();
    let bond = ESCROW.share(1_000).unwrap();
    world.challenge(ALICE, id, bond).unwrap();
    assert_eq!(world.wei(ALICE), FUNDS.0 - ESCROW.0 - bond.0);
    assert_eq!(world.task(id).deadline, world.block.height + 4);
    world.advance(5);
    assert_ended(&mut world, id, TaskState::Refunded, EndReason::ResultWithdrawn, Party::Provider);
    assert_eq!(world.wei(ALICE), FUNDS.0, "escrow and bond are back");
    assert_eq!(refusal(world.submit(1, id)), code::DEADLINE_PASSED);
}

#[test]
fn a_result_that_is_contested_and_replaced_is_paid_by_its_first_submission() {
    let mut world = World::with_provider();
    let id = world.offered();
    world.accept(1, id).unwrap();
    world.advance(2);
    world.submit(1, id).unwrap();
    world.advance(3);
    let bond = ESCROW.share(1_000).unwrap();
    world.challenge(ALICE, id, bond).unwrap();
    world.advance(4);
    world.submit(1, id).unwrap();
    let task = world.task(id);
    assert_eq!((task.state, task.submitted_at), (TaskState::Submitted, 3));
    assert_eq!(task.result.unwrap().at, world.block.height);
    world.advance(1);
    world.approve(ALICE, id).unwrap();
    assert_eq!(world.task(id).outcome.unwrap().settlement, split(2));
    assert_eq!(world.wei(ALICE), FUNDS.0 - ESCROW.0 + split(2).refund.0, "the bond is back");
    world.end_block();
}

#[test]
fn an_owner_who_contests_the_replacement_too_is_refunded_at_the_price_of_both_bonds() {
    let mut world = World::with_provider();
    let id = world.offered();
    world.accept(1, id).unwrap();
    world.submit(1, id).unwrap();
    let bond = ESCROW.share(1_000).unwrap();
    let before = world.wei(account(1));
    world.challenge(ALICE, id, bond).unwrap();
    world.end_block();
    world.submit(1, id).unwrap();
    world.challenge(ALICE, id, bond).unwrap();
    assert_ended(&mut world, id, TaskState::Refunded, EndReason::ResultContested, Party::None);
    assert_eq!(world.wei(ALICE), FUNDS.0 - 2 * bond.0);
    assert_eq!(world.wei(account(1)), before + 2 * bond.0);
    assert_eq!(world.events::<ITasks::ResultChallenged>().len(), 2);
    world.end_block();
}

#[test]
fn an_owner_takes_a_task_back_before_acceptance() {
    let mut world = World::with_provider();
    let id = world.offered();
    world.advance(2);
    world.on_task(ALICE, ITasks::cancelCall { taskId: id }).unwrap();
    assert_ended(&mut world, id, TaskState::Cancelled, EndReason::CancelledByOwner, Party::None);
    assert_eq!(world.wei(ALICE), FUNDS.0);
    world.advance(10);
    assert_eq!(refusal(world.accept(1, id)), code::WRONG_STATE);
}

#[test]
fn a_provider_declines_with_a_reason() {
    let mut world = World::with_provider();
    let id = world.offered();
    let decline = ITasks::declineCall { taskId: id, reason: "disk is full".into() };
    world.on_task(account(1), decline).unwrap();
    assert_ended(&mut world, id, TaskState::Refunded, EndReason::Declined, Party::None);
    assert_eq!(world.events::<ITasks::TaskDeclined>()[0].reason, "disk is full");
    assert_eq!(world.wei(ALICE), FUNDS.0);
    assert_eq!((world.provider(1).record.at_fault, world.provider(1).record.refunded), (0, 1));
    world.end_block();
}

#[test]
fn an_owner_who_never_approves_pays_when_the_window_ends() {
    let mut world = World::with_provider();
    let id = world.offered();
    world.accept(1, id).unwrap();
    world.advance(4);
    world.submit(1, id).unwrap();
    world.advance(6);
    assert_eq!(world.task(id).state, TaskState::Submitted);
    world.end_block();
    assert_ended(&mut world, id, TaskState::Settled, EndReason::AcceptedByTimeout, Party::None);
    assert_eq!(world.task(id).outcome.unwrap().settlement, split(4));
    assert_eq!(refusal(world.approve(ALICE, id)), code::DEADLINE_PASSED);
    assert_eq!(refusal(world.challenge(ALICE, id, Amount(1))), code::DEADLINE_PASSED);
    assert_eq!(world.wei(system::REWARDS), split(4).validators.0, "below the least payout");
}

#[test]
fn an_owner_without_coins_for_the_escrow_creates_nothing() {
    let mut world = World::with_provider();
    let poor = alloy_primitives::Address::repeat_byte(0x99);
    let terms = world.terms(1);
    assert_eq!(refusal(world.create(poor, &terms, ESCROW)), "insufficient_balance");
    assert_eq!(crate::modules::tasks::count(&mut world), Ok(0));
}

#[test]
fn a_task_for_free_runs_like_any_other() {
    let mut world = World::with_provider();
    let mut offer = crate::modules::testing::offer(account(1));
    offer.pricePerBlock = 0;
    let update = IProviders::updateCall { offer };
    world.call(account(1), Amount::ZERO, system::PROVIDERS, &update).map(|_| ()).unwrap();
    let terms = world.terms(1);
    let id = world.create(ALICE, &terms, Amount::ZERO).unwrap();
    world.accept(1, id).unwrap();
    world.submit(1, id).unwrap();
    world.challenge(ALICE, id, Amount::ZERO).unwrap();
    world.submit(1, id).unwrap();
    world.advance(10);
    let reason = EndReason::AcceptedByTimeout;
    assert_ended(&mut world, id, TaskState::Settled, reason, Party::None);
}
