//! The module's tables.

use alloy_primitives::Address;
use neura_types::{
    Amount, Height, system,
    task::{Task, TaskId},
};

use crate::modules::{
    host::{Fault, Host},
    store::{Table, Words},
};

/// Tasks by number.
pub(super) const TASKS: Table<TaskId, Task> = Table::new(system::TASKS, 1);
/// Number of tasks created, which is the number of the newest.
pub(super) const COUNT: Words<(), u64> = Words::new(system::TASKS, 2);
/// Escrows and challenge bonds of the tasks that have not ended, in wei.
pub(super) const HELD: Words<(), Amount> = Words::new(system::TASKS, 3);
/// Tasks of an owner.
pub(super) const BY_OWNER: PartyIndex = PartyIndex::new(4, 5);
/// Tasks of a provider.
pub(super) const BY_PROVIDER: PartyIndex = PartyIndex::new(6, 7);
/// Number of tasks queued for a height.
pub(super) const DUE_COUNT: Words<Height, u64> = Words::new(system::TASKS, 8);
/// Tasks queued for a height, by position.
pub(super) const DUE: Words<(Height, u64), TaskId> = Words::new(system::TASKS, 9);
/// First height whose queue is not worked off; 0 if that is the height of the next block.
pub(super) const BACKLOG_HEIGHT: Words<(), Height> = Words::new(system::TASKS, 10);
/// First position in that height's queue that is not worked off.
pub(super) const BACKLOG_POSITION: Words<(), u64> = Words::new(system::TASKS, 11);

/// The numbers of one party's tasks, in ascending order.
#[derive(Debug)]
pub(super) struct PartyIndex {
    len: Words<Address, u64>,
    ids: Words<(Address, u64), TaskId>,
}

impl PartyIndex {
    const fn new(len: u8, ids: u8) -> Self {
        Self { len: Words::new(system::TASKS, len), ids: Words::new(system::TASKS, ids) }
    }

    /// Adds the newest task.
    pub(super) fn push(
        &self,
        host: &mut dyn Host,
        party: Address,
        id: TaskId,
    ) -> Result<(), Fault> {
        let position = self.len(host, party)?;
        self.ids.set(host, &(party, position), id)?;
        self.len.set(host, &party, position.saturating_add(1))
    }

    /// Number of the party's tasks.
    pub(super) fn len(&self, host: &mut dyn Host, party: Address) -> Result<u64, Fault> {
        self.len.get(host, &party)
    }

    /// The task at a position.
    pub(super) fn at(
        &self,
        host: &mut dyn Host,
        party: Address,
        position: u64,
    ) -> Result<TaskId, Fault> {
        self.ids.get(host, &(party, position))
    }

    /// Position of the first task with a number of at least `id`: a binary search.
    pub(super) fn first_from(
        &self,
        host: &mut dyn Host,
        party: Address,
        id: TaskId,
    ) -> Result<u64, Fault> {
        let (mut low, mut high) = (0, self.len(host, party)?);
        while low < high {
            let middle = low.midpoint(high);
            if self.at(host, party, middle)? < id {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}
