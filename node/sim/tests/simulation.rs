//! The core and the runtime under faults, and the judge under nodes that deserve to be convicted.

use neura_sim::{Behaviour, DriverBug, Plan, run_seed, run_seeds, run_with};

/// Seeds of one test run; `scripts/sim --seeds N` runs as many as one likes.
const SEEDS: u64 = 40;

#[test]
fn seeds_with_faults_show_no_violation() {
    let summary = run_seeds(0, SEEDS, |_| {});
    let failed: Vec<_> = summary.failed.iter().map(|o| (o.seed, o.violations.first())).collect();
    assert!(failed.is_empty(), "run `scripts/sim --replay SEED`: {failed:?}");
    assert!(summary.blocks > SEEDS * 20 && summary.epochs > SEEDS);
    assert!(summary.changes > 0, "no validator joined or left in any run");
    assert!(summary.transactions > SEEDS && summary.evidence > 0);
}

#[test]
fn the_same_seed_gives_the_same_events_and_another_does_not() {
    let (first, again, other) = (run_seed(11), run_seed(11), run_seed(12));
    assert_eq!((&first.hash, first.chain, first.events), (&again.hash, again.chain, again.events));
    assert_ne!(first.hash, other.hash);
}

#[test]
fn no_crash_between_two_outputs_makes_a_validator_contradict_itself() {
    let plan = Plan::calm(3, 4, 600);
    let calm = run_with(plan.clone());
    assert!(calm.violations.is_empty(), "{:?}", calm.violations);
    let outputs = calm.outputs[1];
    assert!(outputs > 100);
    for output in 0..outputs.min(120) {
        let mut plan = plan.clone();
        plan.crash_at = Some((1, output));
        let outcome = run_with(plan);
        assert!(outcome.violations.is_empty(), "output {output}: {:?}", outcome.violations);
    }
}

#[test]
fn every_behaviour_of_a_liar_is_survived() {
    for (seed, behaviour) in (0..).zip(Behaviour::ALL) {
        let mut plan = Plan::from_seed(seed);
        (plan.validators, plan.damaged) = (4, Default::default());
        plan.skewed.clear();
        plan.byzantine = [(2, [behaviour].into())].into();
        let outcome = run_with(plan);
        assert!(outcome.violations.is_empty(), "{behaviour:?}: {:?}", outcome.violations);
    }
}

#[test]
fn a_leader_that_forges_the_beacon_loses_its_turns_and_stops_nobody() {
    let honest = run_with(Plan::calm(5, 4, 20_000));
    let mut plan = Plan::calm(5, 4, 20_000);
    plan.byzantine = [(2, [Behaviour::BeaconForger].into())].into();
    let outcome = run_with(plan);
    assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
    assert!(outcome.epochs > 0 && outcome.heights.0 * 2 > honest.heights.0, "{outcome:?}");
    assert_ne!(outcome.chain, honest.chain);
}

#[test]
fn one_twin_more_than_tolerated_forks_and_the_judge_sees_it() {
    let mut plan = Plan::calm(1, 4, 30_000);
    plan.byzantine = [(1, [Behaviour::Twin].into()), (2, [Behaviour::Twin].into())].into();
    plan.split_twins = true;
    assert!(plan.byzantine.len() > plan.tolerated());
    let outcome = run_with(plan);
    assert!(outcome.violations.iter().any(|v| v.contains("FORK")), "{:?}", outcome.violations);
}

#[test]
fn a_driver_that_forgets_the_record_is_convicted() {
    let caught = (0..40).any(|seed| {
        let mut plan = Plan::from_seed(seed);
        plan.driver_bug = Some(DriverBug::RecordForgotten);
        run_with(plan).violations.iter().any(|v| v.contains("said"))
    });
    assert!(caught);
}
