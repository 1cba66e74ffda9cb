//! What owners and providers do to tasks, in one line each.

use alloy_primitives::Address;
use neura_types::{
    Amount,
    abi::ITasks,
    system,
    task::{BlobRef, TaskId},
};

use crate::modules::{
    host::Fault,
    providers, tasks,
    testing::{World, account, blob},
};

impl World {
    pub(super) fn challenge(
        &mut self,
        caller: Address,
        id: TaskId,
        bond: Amount,
    ) -> Result<(), Fault> {
        let call = ITasks::challengeCall { taskId: id, reason: "it cannot be opened".into() };
        self.call(caller, bond, system::TASKS, &call).map(|_| ())
    }

    pub(super) fn heartbeat(&mut self, seed: u8, id: TaskId) -> Result<(), Fault> {
        self.on_task(account(seed), ITasks::heartbeatCall { taskId: id })
    }

    pub(super) fn checkpoint(&mut self, seed: u8, id: TaskId, step: u64) -> Result<(), Fault> {
        let blob = (&blob(0x40 + seed)).into();
        self.on_task(account(seed), ITasks::checkpointCall { taskId: id, step, blob })
    }

    /// The owner gives a task to the provider of a seed, with the last checkpoint if there is one.
    pub(super) fn reassign(&mut self, owner: Address, id: TaskId, seed: u8) -> Result<(), Fault> {
        let epoch = providers::get(self, account(seed))?.map_or(1, |p| p.key_epoch);
        let noted = tasks::get(self, id)?.and_then(|task| task.checkpoint);
        let sealed_anew = noted.map_or(BlobRef::NONE, |_| blob(0x50 + seed));
        let call = ITasks::reassignCall {
            taskId: id,
            provider: account(seed),
            keyEpoch: epoch,
            payload: (&blob(0x60 + seed)).into(),
            resumeFrom: (&sealed_anew).into(),
        };
        self.on_task(owner, call)
    }
}
