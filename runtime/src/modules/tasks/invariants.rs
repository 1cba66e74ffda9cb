//! What holds of the tasks after every block.

use neura_types::{
    Amount, system,
    task::{Outcome, Task},
};

use super::{count, held, recorded, state};
use crate::modules::host::{Fault, Host};

/// Checks in a few reads that escrows and bonds are there.
pub(crate) fn check(host: &mut dyn Host) -> Result<Vec<String>, Fault> {
    let held = held(host)?;
    let balance = host.balance(system::TASKS)?;
    let mut broken = Vec::new();
    if balance < held.to_u256() {
        broken.push(format!("tasks: {balance} wei held for escrows and bonds of {} wei", held.0));
    }
    Ok(broken)
}

/// Walks all tasks.
pub(crate) fn audit(host: &mut dyn Host) -> Result<Vec<String>, Fault> {
    let mut broken = Vec::new();
    let mut sum = Amount::ZERO;
    for id in 1..=count(host)? {
        let task = recorded(host, id)?;
        if task.state.is_terminal() {
            broken.extend(ended(&task));
            continue;
        }
        sum = sum.add(task.escrow)?.add(task.challenge_bond)?;
        let price = task.price_per_block.times(task.terms.duration_blocks)?;
        if price > task.escrow {
            broken.push(format!("tasks: {id} may cost more than its escrow"));
        }
        let provider = task.terms.provider;
        if state::BY_PROVIDER.below(host, provider, id.saturating_add(1))? != Some(id) {
            broken.push(format!("tasks: {id} is not among those of {provider}"));
        }
        if task.outcome.is_some() || !queued(host, &task)? {
            broken.push(format!("tasks: {id} is {} without a deadline", task.state.name()));
        }
    }
    if sum != held(host)? {
        broken.push(format!("tasks: escrows and bonds sum up to {} wei, not the total", sum.0));
    }
    Ok(broken)
}

/// What is wrong with a task that has ended.
fn ended(task: &Task) -> Option<String> {
    let Some(Outcome { settlement: parts, .. }) = task.outcome else {
        return Some(format!("tasks: {} is {} without an outcome", task.id, task.state.name()));
    };
    let sum = [parts.provider, parts.model, parts.validators, parts.treasury, parts.refund]
        .into_iter()
        .try_fold(Amount::ZERO, Amount::add);
    let whole = sum == Ok(task.escrow) && task.challenge_bond == Amount::ZERO;
    (!whole || task.deadline != 0)
        .then(|| format!("tasks: {} ended with parts that are not its escrow", task.id))
}

/// Whether a task stands in the queue of its deadline.
fn queued(host: &mut dyn Host, task: &Task) -> Result<bool, Fault> {
    for position in 0..state::DUE_COUNT.get(host, &task.deadline)? {
        if state::DUE.get(host, &(task.deadline, position))? == task.id {
            return Ok(true);
        }
    }
    Ok(false)
}
