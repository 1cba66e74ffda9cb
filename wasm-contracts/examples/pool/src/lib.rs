//! Members buy compute together: each sends a share, one task is created from the pot, what comes back is split.
//!
//! `join()` takes a member's share. `buy(bytes terms)`, by the organiser, creates a task from the whole pot; `terms`
//! are the encoded arguments of `ITasks.create`. `approve()` and `cancel()`, by the organiser, pass on to the task.
//! `leave()` pays a member's part of what the pool holds: all of it before a task is bought, else of what the task
//! returned once it has ended. `pool()` returns the sum of shares, the task's number (0: none) and what is held.
#![no_std]

use neura_wasm_sdk::{
    Address, Reader, Refusal, Vec, Word, Writer, call as call_contract, constant_hash, entrypoint,
    log, message, pay, selector, storage::Slot, view,
};

/// The task module.
const TASKS: Address = [0x4e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3];
const TASK: [u8; 4] = selector("task(uint64)");
const TASK_CREATE: [u8; 4] = selector(
    "create(((string,bytes32,uint64),bytes32,address,uint32,bytes32,\
     (string,uint32,uint32,uint32,uint32),string,uint64,uint8,uint8))",
);
const TASK_APPROVE: [u8; 4] = selector("approve(uint64)");
const TASK_CANCEL: [u8; 4] = selector("cancel(uint64)");

const JOIN: [u8; 4] = selector("join()");
const BUY: [u8; 4] = selector("buy(bytes)");
const APPROVE: [u8; 4] = selector("approve()");
const CANCEL: [u8; 4] = selector("cancel()");
const LEAVE: [u8; 4] = selector("leave()");
const POOL: [u8; 4] = selector("pool()");
const RECEIVE: [u8; 4] = [0; 4];
const JOINED: Word = Word(constant_hash(b"Joined(address,uint128)"));
const LEFT: Word = Word(constant_hash(b"Left(address,uint128)"));
const BOUGHT: Word = Word(constant_hash(b"Bought(uint64,uint128)"));

const ORGANISER: Slot = Slot::at(0);
/// Shares of those who are in.
const SUM: Slot = Slot::at(1);
/// What is held for them, in wei.
const HELD: Slot = Slot::at(2);
/// Number of the task; 0 before it is bought.
const BOUGHT_TASK: Slot = Slot::at(3);
/// Whether what the task returned is counted in [`HELD`].
const COUNTED: Slot = Slot::at(4);
/// Share by member.
const SHARES: Slot = Slot::at(5);

fn construct(_: Reader<'_>) -> Result<Vec<u8>, Refusal> {
    if message::value()? != 0 {
        return Err(Refusal::new("not_payable", "join with a share"));
    }
    ORGANISER.set_address(message::sender());
    Ok(Vec::new())
}

fn join() -> Result<Vec<u8>, Refusal> {
    let value = message::value()?;
    if value == 0 || BOUGHT_TASK.u64()? != 0 {
        return Err(Refusal::new("cannot_join", "send a share, before the task is bought"));
    }
    let share = SHARES.of_address(message::sender());
    share.set(share.u128()?.saturating_add(value));
    SUM.set(SUM.u128()?.saturating_add(value));
    HELD.set(HELD.u128()?.saturating_add(value));
    let data = Writer::new().number(value).done();
    log(&[JOINED, Word::address(message::sender())], &data);
    Ok(Vec::new())
}

fn only_organiser() -> Result<(), Refusal> {
    match message::sender() == ORGANISER.address()? {
        true => Ok(()),
        false => Err(Refusal::new("not_organiser", "the organiser buys for all")),
    }
}

fn buy(terms: &[u8]) -> Result<Vec<u8>, Refusal> {
    only_organiser()?;
    let pot = HELD.u128()?;
    if BOUGHT_TASK.u64()? != 0 || pot == 0 {
        return Err(Refusal::new("cannot_buy", "one task is bought, from a pot that is not empty"));
    }
    HELD.set(0u8);
    let answer = call_contract(TASKS, pot, &Writer::call(TASK_CREATE).raw(terms).done())?;
    let task = Reader::new(&answer).u64()?;
    if task == 0 {
        return Err(Refusal::new("no_task", "the terms did not create a task"));
    }
    BOUGHT_TASK.set(task);
    let data = Writer::new().number(pot).done();
    log(&[BOUGHT, Word::number(task.into())], &data);
    Ok(Writer::new().number(task).done())
}

/// Passes the organiser's decision on to the task.
fn decide(function: [u8; 4]) -> Result<Vec<u8>, Refusal> {
    only_organiser()?;
    let input = Writer::call(function).number(BOUGHT_TASK.u64()?).done();
    Ok(call_contract(TASKS, 0, &input)?)
}

/// What the ended task returned to its owner, this contract.
fn refund(task: u64) -> Result<u128, Refusal> {
    let answer = view(TASKS, &Writer::call(TASK).number(task).done())?;
    let mut task = Reader::new(&answer).follow()?;
    // id to result; see ITasks.Task
    task.skip(13)?;
    if task.u128()? == 0 {
        return Err(Refusal::new("task_not_ended", "shares are split when the task has ended"));
    }
    // atFault, and the settlement's parts before the refund
    task.skip(5)?;
    Ok(task.u128()?)
}

fn leave() -> Result<Vec<u8>, Refusal> {
    let task = BOUGHT_TASK.u64()?;
    if task != 0 && COUNTED.u64()? == 0 {
        HELD.set(HELD.u128()?.saturating_add(refund(task)?));
        COUNTED.set(1u8);
    }
    let member = message::sender();
    let (share, sum, held) = (SHARES.of_address(member), SUM.u128()?, HELD.u128()?);
    let own = share.u128()?;
    if own == 0 {
        return Err(Refusal::new("not_a_member", "there is no share of yours"));
    }
    let part = part_of(held, own, sum);
    share.set(0u8);
    SUM.set(sum.saturating_sub(own));
    HELD.set(held.saturating_sub(part));
    pay(member, part)?;
    log(&[LEFT, Word::address(member)], &Writer::new().number(part).done());
    Ok(Vec::new())
}

/// `held × own ÷ sum`, rounded down, without overflow: bit by bit.
fn part_of(held: u128, own: u128, sum: u128) -> u128 {
    let (mut quotient, mut rest) = (0u128, 0u128);
    for bit in (0..128).rev() {
        // Amounts of coins stay far below 2^127.
        quotient = quotient.saturating_mul(2);
        rest = rest.saturating_mul(2);
        if held >> bit & 1 == 1 {
            rest = rest.saturating_add(own);
        }
        while rest >= sum {
            rest -= sum;
            quotient = quotient.saturating_add(1);
        }
    }
    quotient
}

fn call(selector: [u8; 4], mut values: Reader<'_>) -> Result<Vec<u8>, Refusal> {
    if selector != JOIN && message::value()? != 0 {
        return Err(Refusal::new("not_payable", "only join takes coins"));
    }
    match selector {
        JOIN => join(),
        BUY => buy(values.bytes()?),
        APPROVE => decide(TASK_APPROVE),
        CANCEL => decide(TASK_CANCEL),
        LEAVE => leave(),
        POOL => Ok(Writer::new()
            .number(SUM.u128()?)
            .number(BOUGHT_TASK.u64()?)
            .number(HELD.u128()?)
            .done()),
        RECEIVE => Err(Refusal::new("use_join", "coins are taken by join()")),
        _ => Err(Refusal::new("unknown_function", "see the contract's documentation")),
    }
}

entrypoint!(call, construct);
