//! The module's tables.

use neura_types::{
    Amount, Height, system,
    task::{Task, TaskId},
};

use super::index::TaskSet;
use crate::modules::store::{Table, Words};

/// Tasks by number.
pub(super) const TASKS: Table<TaskId, Task> = Table::new(system::TASKS, 1);
/// Number of tasks created, which is the number of the newest.
pub(super) const COUNT: Words<(), u64> = Words::new(system::TASKS, 2);
/// Escrows and challenge bonds of the tasks that have not ended, in wei.
pub(super) const HELD: Words<(), Amount> = Words::new(system::TASKS, 3);
/// Tasks of an owner.
pub(super) const BY_OWNER: TaskSet = TaskSet::new(4);
/// Tasks of a provider: those that it has, and had when they ended.
pub(super) const BY_PROVIDER: TaskSet = TaskSet::new(5);
/// Number of tasks queued for a height.
pub(super) const DUE_COUNT: Words<Height, u64> = Words::new(system::TASKS, 6);
/// Tasks queued for a height, by position.
pub(super) const DUE: Words<(Height, u64), TaskId> = Words::new(system::TASKS, 7);
/// First height whose queue is not worked off; 0 if that is the height of the next block.
pub(super) const BACKLOG_HEIGHT: Words<(), Height> = Words::new(system::TASKS, 8);
/// First position in that height's queue that is not worked off.
pub(super) const BACKLOG_POSITION: Words<(), u64> = Words::new(system::TASKS, 9);
