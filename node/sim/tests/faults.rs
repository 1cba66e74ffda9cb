//! The core under faults, and the judge under cores that deserve to be convicted.

use neura_sim::{Faults, Plan, run_seed, run_seeds, run_with};

/// Seeds of one test run; `neura-sim --seeds N` runs as many as one likes.
const SEEDS: u64 = 80;

#[test]
fn seeds_with_faults_show_no_violation() {
    let summary = run_seeds(0, SEEDS, |_| {});
    let failed: Vec<_> = summary.failed.iter().map(|o| (o.seed, o.violations.first())).collect();
    assert!(failed.is_empty(), "run `neura-sim --replay SEED`: {failed:?}");
    assert!(summary.blocks > SEEDS * 20);
}

#[test]
fn the_same_seed_gives_the_same_events_and_another_does_not() {
    let (first, again, other) = (run_seed(11), run_seed(11), run_seed(12));
    assert_eq!((&first.hash, first.chain, first.events), (&again.hash, again.chain, again.events));
    assert_ne!(first.hash, other.hash);
}

/// Runs a plan once per output of node 1, with a crash right before that output.
fn crash_before_every_output(plan: &Plan) {
    let calm = run_with(plan.clone());
    assert!(calm.violations.is_empty(), "{:?}", calm.violations);
    let outputs = calm.outputs[1];
    assert!(outputs > 100);
    for output in 0..outputs.min(400) {
        let mut plan = plan.clone();
        plan.faults.crash_at = Some((1, output));
        let outcome = run_with(plan);
        assert!(outcome.violations.is_empty(), "output {output}: {:?}", outcome.violations);
    }
}

#[test]
fn no_crash_between_two_outputs_makes_a_validator_contradict_itself() {
    crash_before_every_output(&Plan::calm(3, 4, 600));
}

#[test]
fn nor_does_one_among_losses_and_timeouts() {
    let mut plan = Plan::calm(5, 4, 4_000);
    plan.loss = 150;
    plan.max_delay_us = 80_000;
    plan.reconnects = false;
    crash_before_every_output(&plan);
}

#[test]
fn a_tolerated_number_of_twins_forks_nothing() {
    for seed in 0..20 {
        let mut plan = Plan::from_seed(seed);
        plan.validators = 4;
        plan.faults = Faults { twins: vec![(seed % 4) as u16], ..Faults::default() };
        assert!(plan.faults.twins.len() <= plan.tolerated());
        let outcome = run_with(plan);
        assert!(outcome.violations.is_empty(), "seed {seed}: {:?}", outcome.violations);
    }
}

#[test]
fn one_twin_more_forks_and_the_judge_sees_it() {
    let mut plan = Plan::calm(1, 4, 30_000);
    plan.faults = Faults { twins: vec![1, 2], split_twins: true, ..Faults::default() };
    assert!(plan.faults.twins.len() > plan.tolerated());
    let outcome = run_with(plan);
    assert!(outcome.violations.iter().any(|v| v.contains("FORK")), "{outcome:?}");
}

#[test]
fn a_driver_that_forgets_the_record_is_convicted() {
    let caught = (0..40).any(|seed| {
        let mut plan = Plan::from_seed(seed);
        plan.validators = 4;
        plan.crashes = 12;
        plan.faults = Faults { forget_record: true, ..Faults::default() };
        run_with(plan).violations.iter().any(|v| v.contains("said both"))
    });
    assert!(caught);
}

#[test]
fn a_validator_that_lost_its_record_follows_while_the_others_go_on() {
    for seed in 0..10 {
        let mut plan = Plan::from_seed(seed);
        plan.validators = 4;
        plan.faults = Faults { wiped: Some(2), ..Faults::default() };
        let outcome = run_with(plan);
        assert!(outcome.violations.is_empty(), "seed {seed}: {:?}", outcome.violations);
    }
}
