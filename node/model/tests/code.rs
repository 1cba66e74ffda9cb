//! Real replicas follow the model, and survive schedules that the model knows nothing of.

use neura_model::{
    conform::{Compared, Pair},
    hunt::{self, Diet},
    machine::{Bound, Mutant},
    replay,
    rng::Rng,
};

/// Traces of three views.
const TRACES: u64 = 600;
/// Seeds of random schedules.
const SEEDS: u64 = 80;

#[test]
fn replicas_do_what_the_model_does_and_nothing_else() {
    let mut compared = Compared::default();
    for seed in 0..TRACES {
        let walked = Pair::new(Bound::new(3)).walk(&mut Rng::new(seed), &mut compared);
        assert_eq!(walked, Ok(()), "trace {seed}");
    }
    assert!(compared.steps > 10 * TRACES && compared.finals > TRACES / 4, "{compared:?}");
    assert!(compared.refused < compared.steps / 50, "{compared:?}");
}

#[test]
fn four_views_go_as_well() {
    let mut compared = Compared::default();
    for seed in 0..TRACES / 10 {
        let walked = Pair::new(Bound::new(4)).walk(&mut Rng::new(seed), &mut compared);
        assert_eq!(walked, Ok(()), "trace {seed}");
    }
}

/// A replica that reported the lowest certificate after its record said more would be a fork waiting to happen: each
/// counterexample of the model is played by replicas that break its rule, and refused by those that break none.
#[test]
fn replicas_that_break_a_rule_fork_where_the_model_says() {
    for mutant in Mutant::ALL {
        let Some(bug) = replay::bug_of(mutant) else { continue };
        let (steps, _) =
            replay::counterexample(mutant).unwrap_or_else(|| panic!("{mutant:?} does not fork"));
        assert_eq!(replay::play(mutant, &steps, Some(bug)), Ok(()), "{mutant:?}");
        assert!(replay::play(mutant, &steps, None).is_err(), "{mutant:?}: whole replicas fork");
    }
}

#[test]
fn one_byzantine_validator_breaks_nothing_and_is_convicted() {
    let (mut blocks, mut reporters) = (0, 0);
    for seed in 0..SEEDS {
        let outcome = hunt::run(seed, None, Diet::Mixed);
        assert_eq!(outcome.violation, None, "seed {seed}");
        blocks += outcome.blocks;
        reporters += outcome.reporters;
    }
    assert!(blocks > 4 * SEEDS && reporters > 20, "{blocks} blocks, {reporters} convictions");
}

#[test]
fn altered_messages_and_unasked_answers_change_nothing() {
    for seed in 0..SEEDS {
        let outcome = hunt::run(seed, None, Diet::Garbage);
        assert_eq!(outcome.violation, None, "seed {seed}");
    }
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    for seed in 0..4 {
        assert_eq!(hunt::run(seed, None, Diet::Mixed), hunt::run(seed, None, Diet::Mixed));
    }
}
