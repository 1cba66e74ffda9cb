//! Bugs put in on purpose are found: so the fuzzer can fail.

use neura_consensus_bugs::bugs::Bug;
use neura_fuzz::{Crash, Target, drill, find, replay};
use neura_model::hunt::follow;

/// Executions after which each must be found.
const EXECUTIONS: u64 = 20_000;
/// Schedules after which a broken core must be found.
const SCHEDULES: u64 = 300;

fn found(target: &Target, executions: u64) -> Crash {
    let crash = drill(target, executions, 1).unwrap_err();
    assert!(replay(target, &crash.input).is_err(), "what was found is not found again");
    crash
}

/// A body after its length; the check forgets that the length itself takes room.
fn forgets_the_header(bytes: &[u8]) {
    let Some((length, _)) = bytes.split_first_chunk::<4>() else { return };
    let length = u32::from_le_bytes(*length) as usize;
    if length <= bytes.len() {
        let _body = &bytes[4..4 + length];
    }
}

/// Numbers of one byte or, behind a mark, of two: which also hold what one byte would.
fn reads_numbers_twice(bytes: &[u8]) {
    let (value, read) = match bytes {
        [251, low, high, ..] => (u16::from_le_bytes([*low, *high]), 3),
        [value @ 0..=250, ..] => (u16::from(*value), 1),
        _ => return,
    };
    assert_eq!(read, if value <= 250 { 1 } else { 3 }, "a number has two encodings");
}

#[test]
fn a_length_that_is_checked_badly_is_found() {
    let seeds = || vec![b"\x04\0\0\0body".to_vec()];
    found(&Target::new("header", forgets_the_header, seeds), EXECUTIONS);
}

#[test]
fn a_second_encoding_of_a_number_is_found() {
    let crash =
        found(&Target::new("number", reads_numbers_twice, || vec![vec![7, 1, 2]]), EXECUTIONS);
    assert!(crash.message.contains("two encodings"), "{}", crash.message);
}

#[test]
fn a_replica_that_votes_twice_is_found() {
    let run = |bytes: &[u8]| {
        if let Some(violation) = follow(bytes, Some(Bug::VoteTwice)) {
            panic!("{violation}");
        }
    };
    found(&Target::new("votes-twice", run, find("core-sequence").unwrap().seeds), SCHEDULES);
}

#[test]
fn a_replica_that_sends_before_its_record_is_durable_is_found() {
    let run = |bytes: &[u8]| {
        if let Some(violation) = follow(bytes, Some(Bug::PersistAfterSend)) {
            panic!("{violation}");
        }
    };
    let crash =
        found(&Target::new("sends-first", run, find("core-sequence").unwrap().seeds), SCHEDULES);
    assert!(crash.message.contains("durable"), "{}", crash.message);
}
