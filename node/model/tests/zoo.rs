//! Every rule that can be broken is noticed when it is broken.

use neura_consensus_bugs::bugs::Bug;
use neura_model::zoo;

fn each_is_found(quarter: usize) {
    let missed: Vec<&Bug> = Bug::ALL
        .iter()
        .skip(quarter)
        .step_by(4)
        .filter(|bug| !zoo::find(**bug, zoo::SCHEDULES).any())
        .collect();
    assert!(missed.is_empty(), "nobody notices {missed:?}");
}

#[test]
fn the_first_quarter_of_bugs_is_found() {
    each_is_found(0);
}

#[test]
fn the_second_quarter_of_bugs_is_found() {
    each_is_found(1);
}

#[test]
fn the_third_quarter_of_bugs_is_found() {
    each_is_found(2);
}

#[test]
fn the_last_quarter_of_bugs_is_found() {
    each_is_found(3);
}
