use super::*;
use crate::modules::{
    host::Attendance,
    testing::{operator, refusal},
};

/// An epoch in which the others take part and a validator as given.
fn epoch(world: &mut World, seen: &[u16], failed: &[u16]) {
    world.block.attendance = Attendance { seen: seen.to_vec(), failed: failed.to_vec() };
    world.end_block();
    world.block.attendance = Attendance { seen: vec![0, 1], failed: vec![] };
    world.end_epoch();
}

fn jailed_until(world: &mut World, index: u8) -> Epoch {
    candidate(world, operator(index)).jailed_until
}

#[test]
fn who_fails_to_lead_and_signs_nothing_in_two_epochs_is_jailed_and_loses_its_seat() {
    let mut world = world();
    epoch(&mut world, &[0, 1, 3], &[2]);
    assert_eq!(
        (jailed_until(&mut world, 2), candidate(&mut world, operator(2)).missed_epochs),
        (0, 1)
    );
    epoch(&mut world, &[0, 1, 3], &[2]);
    // It was found at the end of epoch 1: epochs 2 and 3 are served.
    assert_eq!(jailed_until(&mut world, 2), 4);
    assert_eq!(power(&mut world, 3, operator(2)), 0);
    assert_eq!(power(&mut world, 2, operator(2)), 3, "was fixed before");
    let events = world.events::<IStaking::Jailed>();
    assert_eq!((events.len(), events[0].operator, &*events[0].reason), (1, operator(2), "absent"));

    let unjail = |world: &mut World| plain(world, operator(2), IStaking::unjailCall {}).map(|_| ());
    while world.epoch() < 4 {
        assert_eq!(refusal(unjail(&mut world)), code::NOT_RELEASABLE);
        epoch(&mut world, &[0, 1, 2], &[]);
    }
    unjail(&mut world).unwrap();
    assert_eq!(refusal(unjail(&mut world)), code::NOT_RELEASABLE);
    epoch(&mut world, &[0, 1, 2], &[]);
    assert_eq!(power(&mut world, 6, operator(2)), 2, "of 7 in one step");
    assert_eq!(
        candidate(&mut world, operator(2)).pool.stake,
        Amount::ankr(3),
        "absence costs no stake"
    );
}

#[test]
fn a_slow_validator_that_stands_in_no_certificate_but_leads_is_not_jailed() {
    let mut world = world();
    for _ in 0..5 {
        epoch(&mut world, &[2], &[2]);
    }
    assert_eq!(
        (jailed_until(&mut world, 2), candidate(&mut world, operator(2)).missed_epochs),
        (0, 0)
    );
}

#[test]
fn who_never_got_a_turn_is_not_jailed() {
    let mut world = world();
    for _ in 0..5 {
        epoch(&mut world, &[0, 1, 3], &[]);
    }
    assert_eq!(jailed_until(&mut world, 2), 0);
}

#[test]
fn one_sign_of_life_forgives_an_epoch_of_absence() {
    let mut world = world();
    for _ in 0..3 {
        epoch(&mut world, &[0, 1, 3], &[2]);
        epoch(&mut world, &[2], &[]);
    }
    assert_eq!(jailed_until(&mut world, 2), 0);
}

#[test]
fn a_validator_in_jail_earns_nothing() {
    let mut world = world();
    epoch(&mut world, &[0, 1, 3], &[2]);
    world.force(system::REWARDS, Amount::ankr(10));
    epoch(&mut world, &[0, 1, 3], &[2]);
    assert_eq!(
        (world.wei(operator(2)), candidate(&mut world, operator(2)).owed),
        (0, Amount::ZERO)
    );
    assert_eq!(world.wei(system::REWARDS), Amount::ankr(3).0, "its part stays in the pool");
}
