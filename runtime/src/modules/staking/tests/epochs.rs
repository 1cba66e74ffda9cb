use std::collections::BTreeMap;

use super::*;
use crate::modules::testing::{ALICE, operator, refusal};

#[test]
fn genesis_fixes_the_first_two_epochs_and_each_end_one_more() {
    let mut world = world();
    for epoch in 0..12 {
        let fixed: Vec<Epoch> =
            (0..40).filter(|e| state::EPOCHS.get(&mut world, e).unwrap().is_some()).collect();
        let first = epoch.max(2) - 2;
        assert_eq!(fixed, (first..=epoch + 1).collect::<Vec<_>>(), "in epoch {epoch}");
        let (now, next) =
            (config(&mut world, epoch).unwrap(), config(&mut world, epoch + 1).unwrap());
        assert_eq!((now.epoch, now.set.epoch(), now.last - now.first), (epoch, epoch, 15));
        assert_eq!(next.first, now.last + 1);
        world.end_epoch();
    }
    let events = world.events::<IStaking::EpochFixed>();
    let last = config(&mut world, 13).unwrap();
    assert_eq!(events.last().unwrap().digest, last.digest());
    assert_eq!(events.len(), 12);
}

#[test]
fn stake_counts_from_the_second_epoch_after_and_by_bounded_steps() {
    let mut world = world();
    let own = join(&mut world, 1, 20);
    world.end_epoch();
    assert_eq!(power(&mut world, 1, own), 0, "was fixed at genesis");
    // Totals 10, 13, 17, 22, 29: each step is less than a third of the total before.
    let mut seen = Vec::new();
    for epoch in 2..=6 {
        seen.push(power(&mut world, epoch, own));
        world.end_epoch();
    }
    assert_eq!(seen, [3, 7, 12, 19, 20]);
    assert_eq!(power(&mut world, 6, operator(3)), 4, "the others keep theirs");
}

#[test]
fn a_leaver_goes_two_epochs_later() {
    let mut world = world();
    plain(&mut world, operator(1), IStaking::retireCall {}).map(|_| ()).unwrap();
    world.end_epoch();
    assert_eq!(power(&mut world, 1, operator(1)), 2);
    assert_eq!(powers(&mut world, 2), [(operator(0), 1), (operator(2), 3), (operator(3), 4)]);
}

#[test]
fn only_the_strongest_serve_if_there_are_too_many() {
    let mut world = World::with(Params {
        epoch_blocks: 16,
        max_validators: 2,
        ..crate::modules::testing::params()
    });
    for _ in 0..3 {
        world.end_epoch();
    }
    assert_eq!(powers(&mut world, 4), [(operator(2), 3), (operator(3), 4)]);
}

#[test]
fn stake_that_left_is_held_while_the_set_still_counts_on_it() {
    let mut world = world();
    // Validator 3 takes out 4 of 10 ANKR: a step of 3 at most, so one ANKR of power outlives its stake by an epoch.
    let shares = candidate(&mut world, operator(3)).pool.shares;
    undelegate(&mut world, operator(3), operator(3), shares).unwrap();
    world.end_epoch();
    assert_eq!((power(&mut world, 2, operator(3)), power(&mut world, 1, operator(3))), (1, 4));
    assert_eq!(candidate(&mut world, operator(3)).overhang, Some((2, 2)));
    let at =
        |world: &mut World| unbondings(world, operator(3), operator(3)).unwrap()[0].released_at;
    assert_eq!(
        at(&mut world),
        5,
        "not in epoch 4: an offence of epoch 2 can be shown until its end"
    );
    world.end_epoch();
    assert_eq!(power(&mut world, 3, operator(3)), 0);
    while world.epoch() < 5 {
        assert_eq!(refusal(withdraw(&mut world, operator(3), operator(3))), code::BOND_LOCKED);
        world.end_epoch();
    }
    assert_eq!(withdraw(&mut world, operator(3), operator(3)), Ok(Amount::ankr(4).0));
}

#[test]
fn stake_that_is_released_is_not_held_again_when_others_leave() {
    let mut world = world();
    delegate(&mut world, ALICE, operator(3), Amount::ankr(1));
    undelegate(&mut world, ALICE, operator(3), Amount::ankr(1).0).unwrap();
    (0..4).for_each(|_| world.end_epoch());
    let shares = candidate(&mut world, operator(3)).pool.shares;
    undelegate(&mut world, operator(3), operator(3), shares).unwrap();
    world.end_epoch();
    assert_eq!(candidate(&mut world, operator(3)).overhang, Some((6, 6)));
    assert_eq!(withdraw(&mut world, ALICE, operator(3)), Ok(Amount::ankr(1).0));
    assert_eq!(refusal(withdraw(&mut world, operator(3), operator(3))), code::BOND_LOCKED);
}

#[test]
fn the_last_validators_serve_and_answer_until_somebody_takes_their_place() {
    let mut world = world();
    for index in 0..4 {
        let shares = candidate(&mut world, operator(index)).pool.shares;
        undelegate(&mut world, operator(index), operator(index), shares).unwrap();
    }
    for _ in 0..10 {
        world.end_epoch();
        let epoch = world.epoch();
        assert_eq!(powers(&mut world, epoch + 1).len(), 4, "nobody else is there");
        assert_eq!(refusal(withdraw(&mut world, operator(0), operator(0))), code::BOND_LOCKED);
    }
    let own = join(&mut world, 1, 10);
    let mut next = world.epoch() + 1;
    let arrival = next + 20;
    while powers(&mut world, next) != [(own, 10)] {
        world.end_epoch();
        next += 1;
        assert!(next < arrival, "the newcomer takes over");
    }
    (0..4).for_each(|_| world.end_epoch());
    for index in 0..4 {
        let stake = Amount::ankr(1 + u64::from(index)).0;
        assert_eq!(withdraw(&mut world, operator(index), operator(index)), Ok(stake));
    }
    assert_eq!(world.wei(system::STAKING), Amount::ankr(10).0);
    world.check();
}

#[test]
fn if_all_are_in_jail_the_last_set_goes_on() {
    let mut world = world();
    for index in 0..4 {
        let mut jailed = candidate(&mut world, operator(index));
        jailed.jailed_until = 3;
        state::CANDIDATES.put(&mut world, &operator(index), &jailed).unwrap();
    }
    let before = powers(&mut world, 1);
    (0..4).for_each(|_| world.end_epoch());
    assert_eq!(powers(&mut world, 5), before);
    for index in 0..4 {
        plain(&mut world, operator(index), IStaking::unjailCall {}).map(|_| ()).unwrap();
    }
    world.end_epoch();
    assert_eq!(powers(&mut world, 6), before);
}

#[test]
fn a_set_changes_by_less_than_a_third_whatever_the_stake_does() {
    let mut world = world();
    join(&mut world, 1, 900);
    join(&mut world, 2, 30);
    delegate(&mut world, ALICE, operator(0), Amount::ankr(500));
    plain(&mut world, operator(3), IStaking::retireCall {}).map(|_| ()).unwrap();
    for _ in 0..24 {
        world.end_epoch();
        let epoch = world.epoch();
        let from: BTreeMap<_, _> = powers(&mut world, epoch).into_iter().collect();
        let to: BTreeMap<_, _> = powers(&mut world, epoch + 1).into_iter().collect();
        let total: u64 = from.values().sum();
        let all = from.keys().chain(to.keys().filter(|account| !from.contains_key(*account)));
        let of = |set: &BTreeMap<_, u64>, account| set.get(account).copied().unwrap_or(0);
        let change: u64 = all.map(|a| of(&from, a).abs_diff(of(&to, a))).sum();
        assert!(change * 3 < total, "{change} of {total}");
    }
    let epoch = world.epoch();
    let mut last: Vec<u64> = powers(&mut world, epoch).into_iter().map(|(_, p)| p).collect();
    last.sort_unstable();
    assert_eq!(last, [2, 3, 30, 501, 900]);
}
