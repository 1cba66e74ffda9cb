//! Run the checks of the ordering protocol; exits with 1 if one fails. See `neura-model --help`.

use std::{io::Write as _, process::ExitCode, time::Instant};

use clap::{Parser, Subcommand};
use neura_consensus_bugs::bugs::Bug;
use neura_model::{
    accountability::{Accusations, judge},
    conform::{Compared, Pair},
    hunt::{self, Diet},
    machine::{Bound, Machine, Mutant, Until, explore, walk},
    replay,
    rng::Rng,
    zoo,
};

/// States visited at most: with what leads to them, some four gigabytes.
const MAX_STATES: u64 = 120_000_000;

/// Check the ordering protocol: its rules, its code against them, and the checks against bugs.
#[derive(Parser)]
#[command(name = "neura-model", version)]
struct Arguments {
    /// Views explored by the model.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=4))]
    rounds: u8,
    #[command(subcommand)]
    check: Option<Check>,
}

#[derive(Subcommand)]
enum Check {
    /// Visit every state of the model: agreement and the lock hold in all.
    Explore {
        /// Honest keys may lose their record, and observe from then on.
        #[arg(long)]
        amnesia: bool,
        /// Two chains alone commit.
        #[arg(long)]
        without_commit_votes: bool,
    },
    /// Walk the model at random where it is too large to be visited.
    Walk {
        /// Number of walks.
        #[arg(long, default_value_t = 200_000)]
        count: u64,
    },
    /// Whoever forks is convicted: every pair of chains, every choice of signers.
    Accountability,
    /// Leave out one rule at a time: the model forks, and so do real replicas that break it.
    Mutants {
        /// Search for the one counterexample that is kept in the source, too.
        #[arg(long)]
        search: bool,
    },
    /// Drive real replicas along walks of the model and compare.
    Conform {
        /// Number of walks.
        #[arg(long, default_value_t = 100_000)]
        traces: u64,
    },
    /// Run real replicas through random schedules with a Byzantine validator.
    Schedules {
        /// Number of schedules.
        #[arg(long, default_value_t = 1_000)]
        seeds: u64,
        /// First one.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// For the most part altered messages and unasked answers.
        #[arg(long)]
        garbage: bool,
    },
    /// Break one rule of the code at a time: each must be noticed. Prints a table.
    Zoo {
        /// Only this one.
        #[arg(long)]
        bug: Option<String>,
        /// Schedules per bug.
        #[arg(long, default_value_t = zoo::SCHEDULES)]
        schedules: u64,
    },
}

fn say(line: impl std::fmt::Display) {
    // A closed pipe is no reason to fail.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn main() -> ExitCode {
    let Arguments { rounds, check } = Arguments::parse();
    let rounds = usize::from(rounds);
    let good = match check {
        None => [
            run_explore(Bound::new(rounds)),
            run_accountability(rounds.min(4) as u8),
            run_mutants(false),
            run_conform(rounds, 2_000),
            run_schedules(0, 300, Diet::Mixed),
        ]
        .iter()
        .all(|good| *good),
        Some(Check::Explore { amnesia, without_commit_votes }) => {
            let commit_votes = !without_commit_votes;
            run_explore(Bound { amnesia, commit_votes, ..Bound::new(rounds) })
        }
        Some(Check::Walk { count }) => run_walks(rounds, count),
        Some(Check::Accountability) => run_accountability(rounds as u8),
        Some(Check::Mutants { search }) => run_mutants(search),
        Some(Check::Conform { traces }) => run_conform(rounds, traces),
        Some(Check::Schedules { seeds, from, garbage }) => {
            run_schedules(from, seeds, if garbage { Diet::Garbage } else { Diet::Mixed })
        }
        Some(Check::Zoo { bug, schedules }) => run_zoo(bug.as_deref(), schedules),
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_explore(bound: Bound) -> bool {
    let start = Instant::now();
    let found = explore(&Machine::new(bound), Until::Violation, MAX_STATES);
    let verdict = match (&found.violation, found.exhaustive) {
        (Some(violation), _) => format!("violation: {violation:?}"),
        (None, true) => "every state visited, 0 violations".to_owned(),
        (None, false) => "stopped at the limit, 0 violations so far".to_owned(),
    };
    let Bound { rounds, amnesia, commit_votes, .. } = bound;
    say(format_args!(
        "model: {rounds} views, amnesia {amnesia}, commit votes {commit_votes}: {} states, depth {}, {:.1} s: {verdict}",
        found.states,
        found.depth,
        start.elapsed().as_secs_f64(),
    ));
    found.violation.is_none() && found.exhaustive
}

fn run_walks(rounds: usize, count: u64) -> bool {
    let start = Instant::now();
    let machine = Machine::new(Bound::new(rounds));
    let (mut steps, mut finals, mut violations) = (0, 0u64, 0u64);
    for seed in 0..count {
        let (path, state, violation) = walk(&machine, Until::Violation, &mut Rng::new(seed));
        steps += path.len();
        finals += u64::from(!machine.finals(&state).is_empty());
        violations += u64::from(violation.is_some());
    }
    say(format_args!(
        "model: {rounds} views: {count} walks, {steps} steps, {finals} with final blocks, {:.1} s: {violations} violations",
        start.elapsed().as_secs_f64(),
    ));
    violations == 0
}

fn run_accountability(rounds: u8) -> bool {
    let start = Instant::now();
    let judged = judge(rounds, 3, Accusations::All);
    say(format_args!(
        "accountability: {rounds} views: {} forks, {} choices of signers, {:.1} s: {} convict fewer than two keys",
        judged.forks,
        judged.choices,
        start.elapsed().as_secs_f64(),
        judged.unpunished,
    ));
    judged.unpunished == 0
}

fn run_mutants(search: bool) -> bool {
    let mut good = true;
    for mutant in Mutant::ALL {
        let found = if search { replay::search(mutant) } else { replay::counterexample(mutant) };
        let Some((steps, states)) = found else {
            say(format_args!("mutant {mutant:?}: not found"));
            good = false;
            continue;
        };
        let played = replay::bug_of(mutant).map(|bug| {
            let broken = replay::play(mutant, &steps, Some(bug));
            if let Err(difference) = &broken {
                say(format_args!("mutant {mutant:?}: {difference}; {steps:?}"));
            }
            let broken = broken.is_ok();
            let whole = replay::play(mutant, &steps, None).is_ok();
            good &= broken && !whole;
            format!("broken replicas fork: {broken}, whole ones: {whole}")
        });
        say(format_args!(
            "mutant {mutant:?}: fork in {} steps, {states} states; {}",
            steps.len(),
            played.unwrap_or_else(|| "played by schedules".to_owned()),
        ));
    }
    good
}

fn run_conform(rounds: usize, traces: u64) -> bool {
    let start = Instant::now();
    let mut compared = Compared::default();
    let mut differences = 0u64;
    for seed in 0..traces {
        if let Err(difference) =
            Pair::new(Bound::new(rounds)).walk(&mut Rng::new(seed), &mut compared)
        {
            say(format_args!("trace {seed}: {difference}"));
            differences += 1;
        }
    }
    let Compared { steps, crashes, refused, finals, .. } = compared;
    say(format_args!(
        "model and code: {rounds} views: {traces} traces, {steps} steps, {crashes} crashes, {finals} proofs, \
         {refused} refused behind a final block, {:.1} s: {differences} differences",
        start.elapsed().as_secs_f64(),
    ));
    differences == 0
}

fn run_schedules(from: u64, seeds: u64, diet: Diet) -> bool {
    let start = Instant::now();
    let (mut violations, mut blocks, mut reporters) = (0u64, 0u64, 0usize);
    for seed in from..from.saturating_add(seeds) {
        let outcome = hunt::run(seed, None, diet);
        blocks += outcome.blocks;
        reporters += outcome.reporters;
        if let Some(violation) = outcome.violation {
            say(format_args!("seed {seed}: {violation}"));
            violations += 1;
        }
    }
    say(format_args!(
        "schedules: {seeds} seeds ({diet:?}), {blocks} final blocks, {reporters} convictions, {:.1} s: {violations} violations",
        start.elapsed().as_secs_f64(),
    ));
    violations == 0
}

fn run_zoo(only: Option<&str>, schedules: u64) -> bool {
    let mut missed = 0u64;
    say("| rule broken | schedules | traces | seen |\n| --- | ---: | ---: | --- |");
    for bug in Bug::ALL {
        let name = format!("{bug:?}");
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let found = zoo::look(*bug, schedules);
        missed += u64::from(!found.any());
        let number = |found: &Option<(u64, String)>| {
            found.as_ref().map_or_else(|| "–".to_owned(), |(number, _)| number.to_string())
        };
        let seen = found.schedule.as_ref().or(found.trace.as_ref()).map_or("", |(_, seen)| seen);
        say(format_args!(
            "| `{name}`: {} | {} | {} | {} |",
            bug.describe(),
            number(&found.schedule),
            number(&found.trace),
            brief(seen),
        ));
    }
    say(format_args!("{missed} not found"));
    missed == 0
}

/// What was seen, without ids.
fn brief(seen: &str) -> String {
    let words = seen.split_whitespace().filter(|word| !word.starts_with("0x"));
    words.take(18).collect::<Vec<_>>().join(" ")
}
