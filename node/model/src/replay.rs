//! The machine's counterexamples, played by real replicas that break the same rule.

use neura_consensus_bugs::bugs::{Bug, activate};

use crate::{
    conform::{Difference, Pair},
    machine::{Action, Bound, Machine, Mutant, Step, Until, Violation, explore},
    rng::Rng,
};

/// States visited before a search for a counterexample ends.
const MAX_STATES: u64 = 40_000_000;

/// The rule of the core that a mutant of the machine stands for; none for the loss of a record, which the hunter
/// plays.
pub fn bug_of(mutant: Mutant) -> Option<Bug> {
    match mutant {
        Mutant::CommitAfterTimeout => Some(Bug::CommitAfterTimeout),
        Mutant::TimeoutReportsIgnored => Some(Bug::TimeoutReportsIgnored),
        Mutant::VoteAfterTimeout => Some(Bug::VoteAfterTimeout),
        Mutant::CommitKeepsHighQc => Some(Bug::CommitKeepsHighQc),
        Mutant::TimeoutHidesHighQc => Some(Bug::TimeoutHidesHighQc),
        Mutant::QuorumOfHalf => Some(Bug::QuorumOfHalf),
        Mutant::TwoChainGap => Some(Bug::TwoChainGap),
        Mutant::GapWithoutTimeout => Some(Bug::GapWithoutTimeout),
        Mutant::AmnesiaVotes => None,
    }
}

/// The smallest bound in which a mutant forks.
pub fn bound_of(mutant: Mutant) -> Bound {
    let rounds = match mutant {
        Mutant::TwoChainGap => 4,
        Mutant::TimeoutReportsIgnored | Mutant::VoteAfterTimeout | Mutant::TimeoutHidesHighQc => 3,
        _ => 2,
    };
    let commit_votes = mutant != Mutant::TwoChainGap;
    Bound { variants: 1, commit_votes, mutant: Some(mutant), ..Bound::new(rounds) }
}

/// A fork of a mutant: the steps, and how many states were visited to find them. That of the two chains over a gap is
/// kept here, as it takes sixteen million states; [`is_fork`] checks it like any other.
pub fn counterexample(mutant: Mutant) -> Option<(Vec<Step>, u64)> {
    if mutant == Mutant::TwoChainGap {
        return Some((over_a_gap(), 0));
    }
    search(mutant)
}

/// A fork of a mutant, searched for from the start.
pub fn search(mutant: Mutant) -> Option<(Vec<Step>, u64)> {
    let found = explore(&Machine::new(bound_of(mutant)), Until::Fork, MAX_STATES);
    found.violation.map(|(_, steps)| (steps, found.states))
}

/// The final blocks that steps lead to, if every one may be taken in its place and they end in a fork.
pub fn fork_of(bound: Bound, steps: &[Step]) -> Option<(u8, u8)> {
    let machine = Machine::new(bound);
    let mut state = crate::machine::State::default();
    let mut possible = Vec::new();
    for step in steps {
        machine.steps(&state, &mut possible);
        if !possible.contains(step) {
            return None;
        }
        state = machine.after(&state, *step);
    }
    match machine.violation(&state) {
        Some(Violation::Fork(a, b)) => Some((a, b)),
        _ => None,
    }
}

/// Plays a mutant's counterexample with replicas that break its rule, or none.
///
/// # Errors
/// [`Difference`] where the replicas do not follow.
pub fn play(mutant: Mutant, steps: &[Step], bug: Option<Bug>) -> Result<(), Difference> {
    let none = || Difference { step: 0, what: "the steps are no fork of the machine".to_owned() };
    // Real replicas cast commit votes in any case.
    let bound = Bound { commit_votes: true, ..bound_of(mutant) };
    let fork = fork_of(bound, steps).ok_or_else(none)?;
    activate(bug);
    let played = Pair::new(bound).replay(steps, fork, &mut Rng::new(1));
    activate(None);
    played.map(|_| ())
}

/// Fourteen steps of four views: the first block is final by a child two views later, the second by one as far off.
fn over_a_gap() -> Vec<Step> {
    let vote = |life, block| Step { life, action: Action::Vote(block) };
    let timeout = |life, view, high_qc| Step { life, action: Action::Timeout { view, high_qc } };
    vec![
        vote(0, 1),
        vote(1, 1),
        timeout(2, 1, 0),
        timeout(0, 1, 0),
        timeout(2, 2, 0),
        vote(1, 2),
        timeout(1, 2, 0),
        vote(2, 5),
        timeout(2, 3, 1),
        vote(1, 5),
        timeout(1, 3, 1),
        vote(0, 2),
        vote(2, 10),
        vote(1, 10),
    ]
}
