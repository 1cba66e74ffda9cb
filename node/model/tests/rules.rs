//! The rules hold in every state of the model, and the model notices when one is left out.

use neura_model::{
    accountability::{Accusations, judge},
    machine::{Bound, Machine, Mutant, Until, Violation, explore, walk},
    replay,
    rng::Rng,
};

const NO_LIMIT: u64 = u64::MAX;

#[test]
fn agreement_and_lock_hold_in_every_state_of_two_views() {
    let found = explore(&Machine::new(Bound::new(2)), Until::Violation, NO_LIMIT);
    assert_eq!(found.violation, None);
    assert!(found.exhaustive && found.states > 10_000, "{found:?}");
}

#[test]
fn a_lost_record_breaks_nothing_if_its_key_only_observes() {
    let bound = Bound { amnesia: true, ..Bound::new(2) };
    let found = explore(&Machine::new(bound), Until::Violation, NO_LIMIT);
    assert_eq!(found.violation, None);
    assert!(found.exhaustive && found.states > 50_000, "{found:?}");
}

#[test]
fn walks_of_four_views_reach_final_blocks_and_no_violation() {
    let machine = Machine::new(Bound::new(4));
    let mut with_finals = 0;
    for seed in 0..3_000 {
        let (path, state, violation) = walk(&machine, Until::Violation, &mut Rng::new(seed));
        assert_eq!(violation, None, "seed {seed}: {path:?}");
        with_finals += u32::from(!machine.finals(&state).is_empty());
    }
    assert!(with_finals > 1_000, "{with_finals} walks with final blocks");
}

#[test]
fn two_byzantine_keys_of_four_fork() {
    let bound = Bound { byzantine: 2, ..Bound::new(2) };
    let found = explore(&Machine::new(bound), Until::Fork, NO_LIMIT);
    assert!(matches!(found.violation, Some((Violation::Fork(..), _))), "{found:?}");
}

#[test]
fn every_rule_left_out_forks_the_model() {
    for mutant in Mutant::ALL {
        let (steps, _) =
            replay::counterexample(mutant).unwrap_or_else(|| panic!("{mutant:?} does not fork"));
        let bound = replay::bound_of(mutant);
        assert!(replay::fork_of(bound, &steps).is_some(), "{mutant:?}");
        let whole = Bound { mutant: None, amnesia: true, ..bound };
        if bound.rounds < 4 {
            assert_eq!(replay::fork_of(whole, &steps), None, "{mutant:?}");
        }
    }
}

#[test]
fn any_fork_convicts_more_keys_than_may_be_byzantine() {
    let judged = judge(3, 3, Accusations::All);
    assert!(judged.forks > 200, "{judged:?}");
    assert_eq!(judged.unpunished, 0, "{judged:?}");
}

#[test]
fn without_denied_locks_or_with_small_quorums_forks_go_unpunished() {
    assert!(judge(2, 3, Accusations::SameSlot).unpunished > 0);
    assert!(judge(2, 2, Accusations::All).unpunished > 0);
}
