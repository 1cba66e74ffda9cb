//! Run the simulator: `neura-sim --help` says how.
//!
//! Ends with `N seeds, 0 violations`, or exits with 1 and says how to run the seeds that failed again.

use std::{
    io::Write as _,
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use neura_consensus::bugs::Bug;
use neura_sim::{
    DriverBug, Outcome, run_seeds, run_traced,
    twins::{exhaustive, run_scenarios, sampled},
    zoo::{self, Broken, Noticed},
};

const USAGE: &str = "\
usage: neura-sim [--seeds N] [--from S] [--verbose]   run seeds S to S + N - 1; 50 from 0 on if left out
       neura-sim --replay S                           tell the events of one seed
       neura-sim twins [--sample N] [--rounds R]      all scenarios of 4 keys and R views (4), or N samples of larger ones
       neura-sim zoo [N]                              find every broken rule within N seeds (300)
       neura-sim --help";

#[derive(Debug, PartialEq)]
enum Command {
    Help,
    Seeds { count: u64, from: u64, verbose: bool },
    Replay(u64),
    Zoo { seeds: u64 },
    Twins(TwinsArguments),
}

/// Without a sample: all scenarios of four keys and four views.
#[derive(Debug, PartialEq)]
struct TwinsArguments {
    sample: Option<usize>,
    rounds: usize,
}

fn twins_arguments(mut words: impl Iterator<Item = String>) -> Result<TwinsArguments, String> {
    let mut arguments = TwinsArguments { sample: None, rounds: 4 };
    while let Some(word) = words.next() {
        let value = words.next().and_then(|value| value.parse().ok());
        let value: usize = value.ok_or(format!("{word} needs a number\n{USAGE}"))?;
        match word.as_str() {
            "--sample" => arguments.sample = Some(value),
            "--rounds" => arguments.rounds = value,
            _ => return Err(format!("unknown option {word}\n{USAGE}")),
        }
    }
    Ok(arguments)
}

fn zoo_seeds(word: Option<String>) -> Result<u64, String> {
    let Some(word) = word else { return Ok(300) };
    word.parse().map_err(|_| format!("{word} is not a number\n{USAGE}"))
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Command, String> {
    let (mut count, mut from, mut verbose) = (50, 0, false);
    while let Some(word) = words.next() {
        let mut number = || {
            let value = words.next().ok_or(format!("{word} needs a number\n{USAGE}"))?;
            value.parse().map_err(|_| format!("{value} is not a number\n{USAGE}"))
        };
        match word.as_str() {
            "--help" | "-h" => return Ok(Command::Help),
            "--seeds" => count = number()?,
            "--from" => from = number()?,
            "--replay" => return Ok(Command::Replay(number()?)),
            "twins" => return twins_arguments(words).map(Command::Twins),
            "zoo" => return zoo_seeds(words.next()).map(|seeds| Command::Zoo { seeds }),
            "--verbose" => verbose = true,
            _ => return Err(format!("unknown option {word}\n{USAGE}")),
        }
    }
    Ok(Command::Seeds { count, from, verbose })
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok(Command::Help) => {
            let _ = writeln!(std::io::stdout(), "{USAGE}");
            ExitCode::SUCCESS
        }
        Ok(Command::Twins(arguments)) => twins(arguments),
        Ok(Command::Zoo { seeds }) => zoo(seeds),
        Ok(Command::Replay(seed)) => replay(seed),
        Ok(Command::Seeds { count, from, verbose }) => seeds(count, from, verbose),
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "{message}");
            ExitCode::from(2)
        }
    }
}

fn replay(seed: u64) -> ExitCode {
    let outcome = run_traced(seed, |text| {
        let _ = writeln!(std::io::stdout(), "{text}");
    });
    let _ = writeln!(std::io::stdout(), "{}", line(&outcome));
    if outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn seeds(count: u64, from: u64, verbose: bool) -> ExitCode {
    let start = Instant::now();
    let summary = run_seeds(from, count, |outcome| {
        if verbose || !outcome.violations.is_empty() {
            let _ = writeln!(std::io::stderr(), "{}", line(outcome));
        }
    });
    let mut out = std::io::stdout();
    for outcome in &summary.failed {
        let _ = writeln!(out, "again: scripts/sim --replay {}", outcome.seed);
    }
    let seconds = start.elapsed().as_secs_f64();
    let _ = writeln!(
        out,
        "{} blocks, {} epochs, {} changes of validators, {} transactions, {} pieces of evidence, {} events, {seconds:.1} s",
        summary.blocks,
        summary.epochs,
        summary.changes,
        summary.transactions,
        summary.evidence,
        summary.events,
    );
    let _ = writeln!(out, "{} seeds, {} violations", summary.seeds, summary.failed.len());
    if summary.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn line(outcome: &Outcome) -> String {
    let Outcome { seed, hash, heights, epochs, events, virtual_ms, violations, .. } = outcome;
    let short = hash.get(..16).unwrap_or(hash);
    format!(
        "seed {seed} hash {short} heights {}..{} epochs {epochs} events {events} virtual {virtual_ms} ms {violations:?}",
        heights.0, heights.1
    )
}

/// Four keys with one twin, in all scenarios or in a sample of them and of larger ones; then more twins than are
/// tolerated, which must fork.
fn twins(TwinsArguments { sample, rounds }: TwinsArguments) -> ExitCode {
    let start = Instant::now();
    let mut out = std::io::stdout();
    let cases = match sample {
        None => vec![("4 keys, 1 twin, all", exhaustive(rounds))],
        Some(count) => vec![
            ("4 keys, 1 twin, 7 views", sampled((4, 1), 7, count, 1)),
            ("7 keys, 2 twins, 6 views", sampled((7, 2), 6, count, 2)),
        ],
    };
    let (mut scenarios, mut forks, mut good) = (0, 0, true);
    for (name, case) in cases {
        let summary = run_scenarios(&case);
        good &= summary.forks == 0 && summary.violations == 0;
        (scenarios, forks) = (scenarios + summary.scenarios, forks + summary.forks);
        let violations = summary.violations;
        let _ = writeln!(out, "{name}: {} scenarios, {violations} violations", summary.scenarios);
        if let Some((_, scenario, verdict)) = summary.first {
            let _ = writeln!(out, "first: {scenario:?} {verdict:?}");
        }
    }
    let too_many = [("4 keys, 2 twins", (4, 2), 1, 1_000), ("7 keys, 3 twins", (7, 3), 2, 500)];
    for (name, size, tolerated, count) in too_many {
        let summary = run_scenarios(&sampled(size, 4, count, 3));
        let named = summary.convicted.unwrap_or(0);
        good &= summary.forks > 0 && named > tolerated;
        let _ = writeln!(
            out,
            "{name}, more than tolerated: {} of {} scenarios fork, as they must; evidence of each names at least {named} keys",
            summary.forks, summary.scenarios,
        );
    }
    let seconds = start.elapsed().as_secs_f64();
    let _ = writeln!(out, "{scenarios} scenarios, {forks} forks, {seconds:.1} s");
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints for each broken rule how many seeds of the simulator, and then how many scenarios of Twins, it took to notice.
fn zoo(seeds: u64) -> ExitCode {
    // A replica that breaks its rules may stop at one of its own assertions: that is noticed, and not news.
    std::panic::set_hook(Box::new(|_| {}));
    let drivers = DriverBug::ALL.into_iter().map(Broken::Driver);
    let all: Vec<Broken> = drivers.chain(Bug::ALL.iter().copied().map(Broken::Core)).collect();
    let next = AtomicUsize::new(0);
    let missed = AtomicUsize::new(0);
    let work = || {
        while let Some(broken) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            let simulated = zoo::by_simulator(*broken, seeds);
            let twins = zoo::by_twins(*broken);
            if simulated.is_none() && twins.is_none() {
                missed.fetch_add(1, Ordering::Relaxed);
            }
            let told = |noticed: Option<Noticed>| {
                noticed.map_or("- | ".to_owned(), |n| format!("{} | {}", n.schedules, n.violation))
            };
            let line = format!("{broken:?} | {} | {}", told(simulated), told(twins));
            let _ = writeln!(std::io::stdout(), "{line}");
        }
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    let missed = missed.into_inner();
    let _ = writeln!(std::io::stdout(), "{} broken rules, {missed} unnoticed here", all.len());
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn the_usage_names_every_command_and_is_shown_when_asked_for() {
        assert_eq!(parsed("--help"), Ok(Command::Help));
        for command in ["--seeds 3 --from 4 --verbose", "--replay 7", "twins --sample 5", "zoo 9"] {
            assert!(parsed(command).is_ok(), "{command}");
            let names = command.split_whitespace().filter(|word| word.parse::<u64>().is_err());
            names.for_each(|name| assert!(USAGE.contains(name), "{name}"));
        }
        for wrong in ["--seed 3", "--seeds", "--seeds x", "zoo x", "twins --sample", "twins --x 1"]
        {
            assert!(parsed(wrong).is_err_and(|said| said.contains(USAGE)), "{wrong}");
        }
    }
}
