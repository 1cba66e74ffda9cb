//! Visit every state within a bound, or walk at random where there are too many.

use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, Hasher},
};

use super::{
    rules::{Machine, Step, Violation},
    state::State,
};
use crate::rng::Rng;

/// What an exploration found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// States visited, up to symmetry.
    pub states: u64,
    /// Longest shortest path from the start, in steps.
    pub depth: usize,
    /// The first violation, with the steps that lead to it.
    pub violation: Option<(Violation, Vec<Step>)>,
    /// Whether nothing was left to visit.
    pub exhaustive: bool,
}

/// What stops an exploration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Any violation.
    Violation,
    /// Two final blocks that exclude each other.
    Fork,
}

impl Until {
    fn stops(self, violation: &Violation) -> bool {
        self == Self::Violation || matches!(violation, Violation::Fork(..))
    }
}

/// Mixes the bits of a state's name; names are dense, and no one chooses them to collide.
#[derive(Debug, Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    fn write_u128(&mut self, value: u128) {
        let folded = (value as u64) ^ ((value >> 64) as u64).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let mixed = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 29);
    }
}

type Names = HashSet<u128, BuildHasherDefault<Mix>>;

/// Breadth first from the start, at most `limit` states.
pub fn explore(machine: &Machine, until: Until, limit: u64) -> Found {
    let start = machine.canonical(&State::default());
    let mut seen = Names::default();
    seen.insert(start);
    let mut levels = vec![vec![start]];
    let mut steps = Vec::new();
    loop {
        let mut next = Vec::new();
        for code in &levels[levels.len() - 1] {
            let state = machine.decode(*code);
            machine.steps(&state, &mut steps);
            for step in &steps {
                let after = machine.after(&state, *step);
                let name = machine.canonical(&after);
                if !seen.insert(name) {
                    continue;
                }
                next.push(name);
                let violation = machine.violation(&after).filter(|v| until.stops(v));
                if let Some(violation) = violation {
                    let depth = levels.len();
                    let path = path_to(machine, &levels, name);
                    let violation = Some((violation, path));
                    let states = seen.len() as u64;
                    return Found { states, depth, violation, exhaustive: false };
                }
            }
        }
        let full = seen.len() as u64 >= limit;
        if next.is_empty() || full {
            let depth = levels.len() - 1;
            let states = seen.len() as u64;
            return Found { states, depth, violation: None, exhaustive: !full };
        }
        levels.push(next);
    }
}

/// The steps from the start to a state, found backwards through the levels.
fn path_to(machine: &Machine, levels: &[Vec<u128>], last: u128) -> Vec<Step> {
    let mut names = vec![last];
    let mut steps = Vec::new();
    for level in levels.iter().rev() {
        let wanted = names[names.len() - 1];
        let leads = |code: &&u128| {
            let state = machine.decode(**code);
            let mut steps = Vec::new();
            machine.steps(&state, &mut steps);
            steps.iter().any(|step| machine.canonical(&machine.after(&state, *step)) == wanted)
        };
        names.extend(level.iter().find(leads));
    }
    // Names stand for states up to symmetry: the steps are chosen anew, forwards.
    let mut state = State::default();
    let mut path = Vec::new();
    for wanted in names.iter().rev().skip(1) {
        machine.steps(&state, &mut steps);
        let leads = |step: &&Step| machine.canonical(&machine.after(&state, **step)) == *wanted;
        if let Some(step) = steps.iter().find(leads) {
            path.push(*step);
            state = machine.after(&state, *step);
        }
    }
    path
}

/// One walk at random until nothing can be done; its steps, and the violation that ended it.
pub fn walk(
    machine: &Machine,
    until: Until,
    rng: &mut Rng,
) -> (Vec<Step>, State, Option<Violation>) {
    let mut state = State::default();
    let (mut steps, mut path) = (Vec::new(), Vec::new());
    loop {
        machine.steps(&state, &mut steps);
        let Some(step) = rng.pick(&steps).copied() else { return (path, state, None) };
        state = machine.after(&state, step);
        path.push(step);
        if let Some(violation) = machine.violation(&state).filter(|v| until.stops(v)) {
            return (path, state, Some(violation));
        }
    }
}
