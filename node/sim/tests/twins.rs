//! Keys that run twice: tolerated as often as the protocol says, and not once more.

use neura_sim::twins::{exhaustive, run_scenarios, sampled};

#[test]
fn no_scenario_of_one_twin_and_two_views_forks() {
    let all = exhaustive(2);
    // Counted once by hand: 52 actions in two views under 12 symmetries.
    assert_eq!((exhaustive(1).len(), all.len(), exhaustive(3).len()), (12, 320, 13_136));
    let summary = run_scenarios(&all);
    assert_eq!(
        (summary.scenarios, summary.forks, summary.violations),
        (320, 0, 0),
        "{:?}",
        summary.first
    );
}

#[test]
fn no_sampled_scenario_of_more_views_and_keys_forks() {
    for (size, rounds) in [((4, 1), 7), ((7, 2), 6)] {
        let summary = run_scenarios(&sampled(size, rounds, 60, 7));
        assert_eq!((summary.forks, summary.violations), (0, 0), "{:?}", summary.first);
    }
}

#[test]
fn one_twin_more_forks_and_the_evidence_names_a_third() {
    let summary = run_scenarios(&sampled((4, 2), 4, 200, 3));
    assert!(summary.forks > 0);
    assert!(summary.convicted >= Some(2), "{summary:?}");
}
