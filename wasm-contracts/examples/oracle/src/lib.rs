//! Keep scores of providers: anyone reports a task that has ended, and the task module says how it ended.
//!
//! `report(uint64)` counts a task once. `score(address)` returns settled tasks, failed tasks and the coins earned.
#![no_std]

use neura_wasm_sdk::{
    Address, Reader, Refusal, Vec, Word, Writer, constant_hash, entrypoint, log, selector,
    storage::Slot, view,
};

/// The task module.
const TASKS: Address = [0x4e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3];
const TASK: [u8; 4] = selector("task(uint64)");

const REPORT: [u8; 4] = selector("report(uint64)");
const SCORE: [u8; 4] = selector("score(address)");
const REPORTED: Word = Word(constant_hash(b"Reported(uint64,address,bool)"));

/// Whether a task was reported, by its number.
const SEEN: Slot = Slot::at(0);
/// Settled tasks, failed tasks and coins earned, by provider.
const SETTLED: Slot = Slot::at(1);
const FAILED: Slot = Slot::at(2);
const EARNED: Slot = Slot::at(3);

/// `ITasks.State.Settled`.
const STATE_SETTLED: u128 = 5;
/// `ITasks.Party.Provider`.
const FAULT_OF_PROVIDER: u128 = 2;

/// What the task module says about a task that has ended.
struct Receipt {
    provider: Address,
    is_settled: bool,
    is_failed: bool,
    paid: u128,
}

/// Reads the parts of `ITasks.Task` that count.
fn receipt(task: u64) -> Result<Receipt, Refusal> {
    let answer = view(TASKS, &Writer::call(TASK).number(task).done())?;
    let mut task = Reader::new(&answer).follow()?;
    task.skip(2)?;
    let mut terms = task.follow()?;
    // payload, envelopeNonce
    terms.skip(2)?;
    let provider = terms.address()?;
    // pricePerBlock, escrow, challengeBond, challenges
    task.skip(4)?;
    let state = task.u128()?;
    // createdAt, acceptedAt, submittedAt, deadline, result
    task.skip(5)?;
    let reason = task.u128()?;
    if reason == 0 {
        return Err(Refusal::new("task_not_ended", "report it when it has ended"));
    }
    let fault = task.u128()?;
    let paid = task.u128()?;
    let is_settled = state == STATE_SETTLED;
    Ok(Receipt { provider, is_settled, is_failed: fault == FAULT_OF_PROVIDER, paid })
}

fn report(task: u64) -> Result<Vec<u8>, Refusal> {
    let seen = SEEN.of_number(task);
    if seen.u64()? != 0 {
        return Err(Refusal::new("already_reported", "every task counts once"));
    }
    let Receipt { provider, is_settled, is_failed, paid } = receipt(task)?;
    seen.set(1u8);
    if is_settled {
        let count = SETTLED.of_address(provider);
        count.set(count.u128()?.saturating_add(1));
        let earned = EARNED.of_address(provider);
        earned.set(earned.u128()?.saturating_add(paid));
    }
    if is_failed {
        let count = FAILED.of_address(provider);
        count.set(count.u128()?.saturating_add(1));
    }
    let data = Writer::new().number(u8::from(is_settled)).done();
    log(&[REPORTED, Word::number(task.into()), Word::address(provider)], &data);
    Ok(Vec::new())
}

fn call(selector: [u8; 4], mut values: Reader<'_>) -> Result<Vec<u8>, Refusal> {
    match selector {
        REPORT => report(values.u64()?),
        SCORE => {
            let provider = values.address()?;
            Ok(Writer::new()
                .number(SETTLED.of_address(provider).u128()?)
                .number(FAILED.of_address(provider).u128()?)
                .number(EARNED.of_address(provider).u128()?)
                .done())
        }
        _ => Err(Refusal::new("unknown_function", "there are report(uint64) and score(address)")),
    }
}

entrypoint!(call);
