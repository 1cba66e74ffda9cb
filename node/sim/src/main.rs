//! Run the simulator over a range of seeds: `neura-sim --seeds N [--start S]`, or tell one: `neura-sim --replay S`.
//!
//! Prints one JSON line; exits with 1 if a seed shows a violation, and says how to run that seed again.

use std::{io::Write as _, process::ExitCode};

use neura_sim::{Outcome, run_seeds, run_traced};

const USAGE: &str = "usage: neura-sim --seeds N [--start S] [--verbose] | neura-sim --replay S";

struct Arguments {
    seeds: u64,
    start: u64,
    verbose: bool,
    replay: Option<u64>,
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments { seeds: 50, start: 0, verbose: false, replay: None };
    while let Some(word) = words.next() {
        let mut number = || {
            let value = words.next().ok_or(format!("{word} needs a number; {USAGE}"))?;
            value.parse().map_err(|_| format!("{value} is not a number; {USAGE}"))
        };
        match word.as_str() {
            "--seeds" => arguments.seeds = number()?,
            "--start" => arguments.start = number()?,
            "--replay" => arguments.replay = Some(number()?),
            "--verbose" => arguments.verbose = true,
            _ => return Err(format!("unknown option {word}; {USAGE}")),
        }
    }
    Ok(arguments)
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "{message}");
            return ExitCode::from(2);
        }
    };
    if let Some(seed) = arguments.replay {
        let outcome = run_traced(seed, |text| {
            let _ = writeln!(std::io::stdout(), "{text}");
        });
        let _ = writeln!(std::io::stdout(), "{}", line(&outcome));
        return if outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let mut errors = std::io::stderr();
    let summary = run_seeds(arguments.start, arguments.seeds, |outcome: &Outcome| {
        if arguments.verbose || !outcome.violations.is_empty() {
            let _ = writeln!(errors, "{}", line(outcome));
        }
        if !outcome.violations.is_empty() {
            let seed = outcome.seed;
            let _ = writeln!(errors, "again: neura-sim --replay {seed}");
        }
    });
    let failed: Vec<String> = summary.failed.iter().map(|o| o.seed.to_string()).collect();
    let _ = writeln!(
        std::io::stdout(),
        "{{\"seeds\":{},\"start\":{},\"violations\":{},\"failed\":[{}],\"blocks\":{},\"events\":{}}}",
        summary.seeds,
        arguments.start,
        summary.failed.iter().map(|outcome| outcome.violations.len()).sum::<usize>(),
        failed.join(","),
        summary.blocks,
        summary.events,
    );
    if summary.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn line(outcome: &Outcome) -> String {
    let Outcome { seed, hash, heights, events, virtual_ms, violations, .. } = outcome;
    let short = hash.get(..16).unwrap_or(hash);
    format!(
        "seed {seed} hash {short} heights {}..{} events {events} virtual {virtual_ms} ms {violations:?}",
        heights.0, heights.1
    )
}
