//! Run keys twice under scripted leaders and partitions (Bano et al., "Twins"), then let the network be good.
//!
//! A scenario names for each of the first views a leader and a partition of the nodes. A message belongs to a view: a
//! statement to its own, a certificate to the view that it opens. It arrives if sender and receiver are in one part of
//! that view's partition. Once nothing moves any more, all links are good, and everyone must make progress.
//!
//! With as many twins as may be faulty no two honest nodes may commit different blocks of one height; with one more
//! they must in some scenario, and the evidence must then name as many keys as a fork takes.

mod arena;
mod scenarios;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use neura_consensus::bugs::remember_checks;
use neura_types::ValidatorIndex;

use self::arena::{Arena, Cast};
pub use self::scenarios::{Scenario, exhaustive, sampled};

/// What a scenario came to.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Two honest nodes committed different blocks of one height.
    pub forked: bool,
    /// Anything that is wrong with so many twins as may be faulty, a fork apart.
    pub violation: Option<String>,
    /// Keys that the evidence names.
    pub convicted: BTreeSet<ValidatorIndex>,
    /// Highest height committed.
    pub height: u64,
}

/// What many scenarios came to.
#[derive(Debug, Clone, Default)]
pub struct TwinsSummary {
    /// Scenarios run.
    pub scenarios: usize,
    /// Scenarios with a fork.
    pub forks: usize,
    /// Scenarios with another violation.
    pub violations: usize,
    /// The first scenario with either.
    pub first: Option<(usize, Scenario, Verdict)>,
    /// Fewest keys that the evidence of a fork named.
    pub convicted: Option<usize>,
}

impl TwinsSummary {
    fn add(&mut self, place: usize, scenario: &Scenario, verdict: Verdict) {
        self.scenarios += 1;
        self.forks += usize::from(verdict.forked);
        self.violations += usize::from(verdict.violation.is_some());
        if verdict.forked {
            let named = verdict.convicted.len();
            self.convicted = Some(self.convicted.map_or(named, |fewest| fewest.min(named)));
        }
        let wrong = verdict.forked || verdict.violation.is_some();
        if wrong && self.first.as_ref().is_none_or(|(first, ..)| place < *first) {
            self.first = Some((place, scenario.clone(), verdict));
        }
    }

    fn join(&mut self, other: Self) {
        self.scenarios += other.scenarios;
        self.forks += other.forks;
        self.violations += other.violations;
        self.convicted = self.convicted.into_iter().chain(other.convicted).min();
        self.first = match (self.first.take(), other.first) {
            (Some(a), Some(b)) => Some(if a.0 <= b.0 { a } else { b }),
            (a, b) => a.or(b),
        };
    }
}

/// Runs one scenario.
pub fn run_scenario(scenario: &Scenario) -> Verdict {
    Arena::new(scenario, &Cast::new(scenario.keys)).run()
}

/// Runs scenarios on all cores.
pub fn run_scenarios(scenarios: &[Scenario]) -> TwinsSummary {
    let next = AtomicUsize::new(0);
    let work = || {
        remember_checks(true);
        let mut summary = TwinsSummary::default();
        let mut casts = BTreeMap::new();
        while let Some((place, scenario)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, scenarios.get(at)?)))
        {
            let cast = casts.entry(scenario.keys).or_insert_with(|| Cast::new(scenario.keys));
            summary.add(place, scenario, Arena::new(scenario, cast).run());
        }
        remember_checks(false);
        summary
    };
    let mut all = TwinsSummary::default();
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            match worker.join() {
                Ok(summary) => all.join(summary),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    all
}
