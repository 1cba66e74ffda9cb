//! End tasks: the only place from which coins leave the module.

use alloy_primitives::Address;
use neura_types::{
    Amount, system,
    task::{EndReason, Outcome, Party, Settlement, Task, TaskState},
};

use super::{events, state};
use crate::modules::{
    entry,
    host::{Fault, Host},
    providers,
    record::Ending,
    requesters,
};

/// Who receives what when a task ends, apart from the escrow's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bonds {
    /// To the owner who put them up.
    Returned,
    /// To the provider.
    Forfeited,
}

/// Counts coins that came with a call as held.
pub(super) fn hold(host: &mut dyn Host, amount: Amount) -> Result<(), Fault> {
    let held = state::HELD.get(host, &())?.add(amount)?;
    state::HELD.set(host, &(), held)
}

/// Pays a submitted result.
pub(super) fn settle(host: &mut dyn Host, task: Task, reason: EndReason) -> Result<(), Fault> {
    let settlement = split(host, &task)?;
    let outcome = Outcome { reason, at_fault: Party::None, settlement, at: host.block().height };
    end(host, task, TaskState::Settled, outcome, Bonds::Returned)
}

/// Returns the escrow.
pub(super) fn refund(
    host: &mut dyn Host,
    task: Task,
    reason: EndReason,
    at_fault: Party,
) -> Result<(), Fault> {
    let settlement = Settlement { refund: task.escrow, ..Settlement::default() };
    let outcome = Outcome { reason, at_fault, settlement, at: host.block().height };
    let state = match reason {
        EndReason::CancelledByOwner => TaskState::Cancelled,
        _ => TaskState::Refunded,
    };
    end(host, task, state, outcome, Bonds::Returned)
}

/// Returns the escrow to an owner who contested twice; the price of it, both bonds, goes to the provider.
pub(super) fn veto(host: &mut dyn Host, task: Task) -> Result<(), Fault> {
    let settlement = Settlement { refund: task.escrow, ..Settlement::default() };
    let outcome = Outcome {
        reason: EndReason::ResultContested,
        at_fault: Party::None,
        settlement,
        at: host.block().height,
    };
    end(host, task, TaskState::Refunded, outcome, Bonds::Forfeited)
}

/// Splits a task's escrow by what was used of it.
fn split(host: &mut dyn Host, task: &Task) -> Result<Settlement, Fault> {
    let shares = host.block().params().fee_split;
    let used_blocks = task.submitted_at.saturating_sub(task.accepted_at).max(1);
    // Past 2^128 wei the escrow is the smaller anyway.
    let fee = task.price_per_block.times(used_blocks).unwrap_or(task.escrow).min(task.escrow);
    let validators = fee.share(shares.validators_bps)?;
    let treasury = fee.share(shares.treasury_bps)?;
    // No model is named in a task yet: its owners' share stays with the provider.
    Ok(Settlement {
        provider: fee.sub(validators)?.sub(treasury)?,
        model: Amount::ZERO,
        validators,
        treasury,
        refund: task.escrow.sub(fee)?,
    })
}

/// Writes the end of a task, then pays.
fn end(
    host: &mut dyn Host,
    mut task: Task,
    state: TaskState,
    outcome: Outcome,
    bonds: Bonds,
) -> Result<(), Fault> {
    let bond = std::mem::take(&mut task.challenge_bond);
    let held = state::HELD.get(host, &())?.sub(task.escrow)?.sub(bond)?;
    state::HELD.set(host, &(), held)?;
    let was = std::mem::replace(&mut task.state, state);
    task.deadline = 0;
    task.outcome = Some(outcome);
    state::TASKS.put(host, &task.id, &task)?;

    let (of_owner, of_provider) = endings(state, outcome.at_fault);
    let payout = providers::task_ended(host, task.terms.provider, was, of_provider)?;
    requesters::task_ended(host, task.owner, of_owner)?;

    let parts = outcome.settlement;
    let (to_owner, to_provider) = match bonds {
        Bonds::Returned => (parts.refund.add(bond)?, parts.provider),
        Bonds::Forfeited => (parts.refund, parts.provider.add(bond)?),
    };
    let treasury = host.block().treasury;
    pay(host, payout, to_provider)?;
    pay(host, system::REWARDS, parts.validators)?;
    pay(host, treasury, parts.treasury)?;
    pay(host, task.owner, to_owner)?;
    events::ended(host, &task, &outcome)
}

/// What an end means for the records of owner and provider.
fn endings(state: TaskState, at_fault: Party) -> (Ending, Ending) {
    match (state, at_fault) {
        (TaskState::Settled, _) => (Ending::Settled, Ending::Settled),
        (_, Party::Owner) => (Ending::AtFault, Ending::Refunded),
        (_, Party::Provider) => (Ending::Refunded, Ending::AtFault),
        (_, Party::None) => (Ending::Refunded, Ending::Refunded),
    }
}

/// Pays out of what the module holds; it cannot lack coins unless an invariant is broken.
fn pay(host: &mut dyn Host, to: Address, amount: Amount) -> Result<(), Fault> {
    if amount == Amount::ZERO {
        return Ok(());
    }
    host.transfer(system::TASKS, to, amount).map_err(|fault| match fault {
        Fault::Refused(refusal) => {
            entry::broken(&format!("the tasks module cannot pay: {refusal}"))
        }
        other => other,
    })
}
