//! Hunt for misbehaviour of real replicas by random schedules: loss, reordering, crashes, lost records, and a
//! Byzantine validator that tries everything; then the network heals, and blocks must become final again.

mod arena;
mod byzantine;
mod duty;
mod forge;
mod garbage;
mod oracle;
mod watch;

pub use watch::Violation;

use neura_consensus_bugs::{
    Input,
    bugs::{Bug, activate},
};

use neura_types::vote::{ConsensusMessage, Statement};

use crate::{real::Realm, rng::Rng};
use arena::{Arena, Temper};

/// Shortest and longest stretch of chaos, in events.
const CHAOS: (usize, usize) = (80, 420);
/// Events after the healing until blocks must be final: some hundred views' worth.
const CALM: usize = 12_000;
/// Blocks that must become final after the healing: more than the views that a replica looks ahead.
const FINAL_AFTER: u64 = 20;
/// Votes in a flood.
const FLOOD: u64 = 3_000;
/// Views that a replica lags behind: more blocks than two answers to a fetch hold.
const LAG: u64 = 150;
/// Characters of a replica's description: its memory, as seen from outside.
const MAX_DESCRIPTION: usize = 400_000;

/// One schedule's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What went wrong, if anything did.
    pub violation: Option<Violation>,
    /// Final blocks.
    pub blocks: u64,
    /// Replicas that convicted the Byzantine validator.
    pub reporters: usize,
}

/// What a schedule is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Diet {
    /// Loss, crashes and malice.
    Mixed,
    /// For the most part altered messages and unasked answers.
    Garbage,
}

/// Runs one schedule, with a rule broken or none.
pub fn run(seed: u64, bug: Option<Bug>, diet: Diet) -> Outcome {
    activate(bug);
    let mut rng = Rng::new(seed);
    let short = rng.chance(50);
    let realm = Realm::new(if short { 1 + rng.below(4) as u64 } else { 1_000_000 });
    let anchor = realm.anchor_block.header.height;
    let mut arena = Arena::new(realm, rng);
    chaos(&mut arena, diet);
    if arena.watch.violation.is_none() && !arena.temper.amnesia {
        heal(&mut arena);
    }
    check_memory(&mut arena);
    activate(None);
    Outcome {
        violation: arena.watch.violation.take(),
        blocks: arena.watch.height().map_or(0, |height| height - anchor),
        reporters: arena.duty.reporters.len(),
    }
}

/// What replicas remember has its bounds.
fn check_memory(arena: &mut Arena) {
    for node in arena.nodes.values() {
        if format!("{:?}", node.replica).len() > MAX_DESCRIPTION {
            arena.watch.violation.get_or_insert_with(|| "memory grows without bound".to_owned());
        }
    }
}

/// Plays the schedule that bytes describe, as far as they go: what a fuzzer calls. Returns what went wrong.
pub fn follow(tape: &[u8], bug: Option<Bug>) -> Option<Violation> {
    activate(bug);
    let mut rng = Rng::from_bytes(tape);
    let diet = if rng.chance(50) { Diet::Mixed } else { Diet::Garbage };
    let realm = Realm::new(if rng.chance(50) { 1 + rng.below(4) as u64 } else { 1_000_000 });
    let mut arena = Arena::new(realm, rng);
    // Both take long whatever the bytes say, and are tried by seeds.
    (arena.temper.flood, arena.temper.lag) = (false, false);
    chaos(&mut arena, diet);
    check_memory(&mut arena);
    activate(None);
    arena.watch.violation.take()
}

/// The first schedule from a seed on that finds a bug, with its number from 1 and the violation.
pub fn hunt(bug: Bug, from: u64, schedules: u64) -> Option<(u64, Violation)> {
    (from..from.saturating_add(schedules)).zip(1..).find_map(|(seed, number)| {
        run(seed, Some(bug), Diet::Mixed).violation.map(|violation| (number, violation))
    })
}

/// Anything may happen.
fn chaos(arena: &mut Arena, diet: Diet) {
    let events = CHAOS.0 + arena.rng.below(CHAOS.1 - CHAOS.0);
    let Temper { malice, timers, eager, amnesia, .. } = arena.temper;
    if arena.temper.flood {
        arena.flood(FLOOD);
    }
    if arena.temper.lag {
        lag(arena);
    }
    for _ in 0..events {
        if arena.watch.violation.is_some() || arena.rng.is_spent() {
            return;
        }
        if diet == Diet::Garbage && arena.rng.chance(60) {
            arena.surprise();
        } else if arena.rng.chance(malice) {
            arena.misbehave();
        } else if arena.rng.chance(1) {
            let honest = arena.honest();
            let index = arena.rng.pick(&honest).copied().unwrap_or_default();
            let lost = amnesia && arena.rng.chance(20);
            arena.restart(index, lost);
        } else if arena.rng.chance(timers) || arena.mail.is_empty() && arena.chores.is_empty() {
            expire(arena);
        } else if !arena.chores.is_empty() && (eager || arena.rng.chance(30)) {
            let place = arena.rng.below(arena.chores.len());
            let (index, input) = arena.chores.remove(place);
            let survives = crash_point(arena);
            arena.step(index, input, survives);
        } else if !arena.mail.is_empty() {
            deliver(arena);
        }
    }
}

/// One replica lacks a block, and nobody answers it, while the others go on with the help of the Byzantine validator,
/// which casts no commit votes: at an epoch's end nothing becomes final, and the gap grows.
fn lag(arena: &mut Arena) {
    let honest = arena.honest();
    let Some(behind) = arena.rng.pick(&honest).copied() else { return };
    let until = arena.view + LAG;
    let missed = arena.view + 2;
    for _ in 0..CALM {
        if arena.view > until || arena.watch.violation.is_some() {
            return;
        }
        arena.follow_votes();
        if !arena.chores.is_empty() {
            let (index, input) = arena.chores.remove(0);
            let fetched = matches!(input, Input::Ancestors { .. } | Input::Committed { .. });
            if index != behind || !fetched {
                arena.step(index, input, usize::MAX);
            }
        } else if !arena.mail.is_empty() {
            let mail = arena.mail.remove(0);
            let early = match &mail.message {
                ConsensusMessage::Proposal(proposal) => proposal.block.header.view <= missed,
                _ => false,
            };
            if mail.to != behind || !early {
                let input = Input::Message { from: mail.from, message: mail.message };
                arena.step(mail.to, input, usize::MAX);
            }
        } else {
            arena.next_timer();
        }
    }
}

fn deliver(arena: &mut Arena) {
    // Mostly in order, now and then from anywhere.
    let window = if arena.rng.chance(80) { arena.mail.len().min(6) } else { arena.mail.len() };
    let place = arena.rng.below(window);
    let mail = arena.mail.remove(place);
    let commit = match &mail.message {
        ConsensusMessage::Vote(signed) => matches!(signed.statement, Statement::Commit { .. }),
        _ => false,
    };
    if arena.temper.mute && commit || arena.rng.chance(arena.temper.loss) {
        return;
    }
    if arena.rng.chance(5) {
        arena.mail.push(mail.clone());
    }
    let survives = crash_point(arena);
    arena.step(mail.to, Input::Message { from: mail.from, message: mail.message }, survives);
}

/// After how many outputs a replica crashes, mostly never.
fn crash_point(arena: &mut Arena) -> usize {
    if arena.rng.chance(2) { arena.rng.below(6) } else { usize::MAX }
}

/// Some replica's timer runs out.
fn expire(arena: &mut Arena) {
    let honest = arena.honest();
    let Some(index) = arena.rng.pick(&honest).copied() else { return };
    let due = arena.timers.get(&index).copied().unwrap_or(0);
    arena.now_ms = arena.now_ms.max(due);
    let survives = crash_point(arena);
    arena.step(index, Input::Timer, survives);
}

/// Everyone is up, every message arrives in order, the Byzantine validator is silent: blocks become final at all
/// replicas, or the epoch ends.
fn heal(arena: &mut Arena) {
    arena.duty.calm = true;
    let honest = arena.honest();
    for index in &honest {
        for peer in &honest {
            if peer != index && arena.temper.reconnects {
                arena.step(*index, Input::Connected { peer: *peer }, usize::MAX);
            }
        }
    }
    let start = arena.watch.height().unwrap_or(arena.realm.anchor_block.header.height);
    let wanted = start.saturating_add(FINAL_AFTER).min(arena.realm.last_height);
    for _ in 0..CALM {
        if arena.watch.violation.is_some() || is_final(arena, wanted) {
            return;
        }
        if !arena.chores.is_empty() {
            let (index, input) = arena.chores.remove(0);
            arena.step(index, input, usize::MAX);
        } else if !arena.mail.is_empty() {
            let mail = arena.mail.remove(0);
            let input = Input::Message { from: mail.from, message: mail.message };
            arena.step(mail.to, input, usize::MAX);
        } else {
            arena.next_timer();
        }
    }
    if !is_final(arena, wanted) {
        let heights: Vec<u64> =
            arena.nodes.values().map(|node| node.status().committed_height).collect();
        arena
            .watch
            .report(format!("the network healed, but heights are {heights:?}, not {wanted}"));
    }
}

fn is_final(arena: &Arena, wanted: u64) -> bool {
    arena.nodes.values().all(|node| node.status().committed_height >= wanted)
}
