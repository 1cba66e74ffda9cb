//! A bounty for a result: whoever first has a settled task with the wanted commitment is paid.
//!
//! Created with the constructor's `(bytes32 commitment, uint64 deadline)` and the bounty as value. `claim(uint64)`
//! pays the provider of a settled task whose result has that commitment; `refund()` returns the bounty to its
//! sponsor after the deadline, a height. `bounty()` returns commitment, deadline and what is left.
#![no_std]

use neura_wasm_sdk::{
    Address, Reader, Refusal, Vec, Word, Writer, block, constant_hash, entrypoint, log, message,
    pay, selector, storage::Slot, view,
};

/// The task module.
const TASKS: Address = [0x4e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3];
const TASK: [u8; 4] = selector("task(uint64)");

const CLAIM: [u8; 4] = selector("claim(uint64)");
const REFUND: [u8; 4] = selector("refund()");
const BOUNTY: [u8; 4] = selector("bounty()");
const PAID: Word = Word(constant_hash(b"Paid(uint64,address,uint128)"));

const SPONSOR: Slot = Slot::at(0);
const COMMITMENT: Slot = Slot::at(1);
const DEADLINE: Slot = Slot::at(2);
const LEFT: Slot = Slot::at(3);

/// `ITasks.State.Settled`.
const STATE_SETTLED: u128 = 5;

fn construct(mut values: Reader<'_>) -> Result<Vec<u8>, Refusal> {
    let (commitment, deadline) = (values.word()?, values.u64()?);
    if message::value()? == 0 || deadline <= block::number() {
        return Err(Refusal::new("no_bounty", "send the bounty, and set a deadline to come"));
    }
    SPONSOR.set_address(message::sender());
    COMMITMENT.set_word(commitment);
    DEADLINE.set(deadline);
    LEFT.set(message::value()?);
    Ok(Vec::new())
}

/// Provider and commitment of a settled task.
fn result(task: u64) -> Result<(Address, Word), Refusal> {
    let answer = view(TASKS, &Writer::call(TASK).number(task).done())?;
    let mut task = Reader::new(&answer).follow()?;
    task.skip(2)?;
    let mut terms = task.follow()?;
    // payload, envelopeNonce
    terms.skip(2)?;
    let provider = terms.address()?;
    // pricePerBlock, escrow, challengeBond, challenges
    task.skip(4)?;
    if task.u128()? != STATE_SETTLED {
        return Err(Refusal::new("task_not_settled", "claim it when its owner has paid"));
    }
    // createdAt, acceptedAt, submittedAt, deadline
    task.skip(4)?;
    let mut result = task.follow()?;
    // blob
    result.skip(1)?;
    Ok((provider, result.word()?))
}

/// Pays all that is left, once.
fn pay_out(to: Address) -> Result<u128, Refusal> {
    let left = LEFT.u128()?;
    if left == 0 {
        return Err(Refusal::new("nothing_left", "the bounty is paid"));
    }
    LEFT.set(0u8);
    pay(to, left)?;
    Ok(left)
}

fn claim(task: u64) -> Result<Vec<u8>, Refusal> {
    let (provider, commitment) = result(task)?;
    if commitment != COMMITMENT.word() {
        return Err(Refusal::new("other_result", "the task has another result"));
    }
    let paid = pay_out(provider)?;
    let data = Writer::new().number(paid).done();
    log(&[PAID, Word::number(task.into()), Word::address(provider)], &data);
    Ok(Vec::new())
}

fn refund() -> Result<Vec<u8>, Refusal> {
    if block::number() <= DEADLINE.u64()? {
        return Err(Refusal::new("too_early", "the deadline has not passed"));
    }
    pay_out(SPONSOR.address()?)?;
    Ok(Vec::new())
}

fn call(selector: [u8; 4], mut values: Reader<'_>) -> Result<Vec<u8>, Refusal> {
    if message::value()? != 0 {
        return Err(Refusal::new("not_payable", "the bounty was sent when it was created"));
    }
    match selector {
        CLAIM => claim(values.u64()?),
        REFUND => refund(),
        BOUNTY => Ok(Writer::new()
            .word(COMMITMENT.word())
            .number(DEADLINE.u64()?)
            .number(LEFT.u128()?)
            .done()),
        _ => Err(Refusal::new("unknown_function", "there are claim, refund and bounty")),
    }
}

entrypoint!(call, construct);
