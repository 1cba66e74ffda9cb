//! Convert between a task's values and their ABI form.

use super::{AbiError, ITasks};
use crate::{
    Amount,
    task::{
        BlobRef, Checkpoint, EndReason, Outcome, Party, Requirement, ResultPrivacy, Settlement,
        Task, TaskResult, TaskState, Terms, VerificationPolicy,
    },
};

impl From<&BlobRef> for ITasks::BlobRef {
    fn from(blob: &BlobRef) -> Self {
        Self { locator: blob.locator.clone(), hash: blob.hash, size: blob.size }
    }
}

impl From<ITasks::BlobRef> for BlobRef {
    fn from(blob: ITasks::BlobRef) -> Self {
        Self { locator: blob.locator, hash: blob.hash, size: blob.size }
    }
}

impl From<&Requirement> for ITasks::Requirement {
    fn from(wanted: &Requirement) -> Self {
        Self {
            gpuModel: wanted.gpu_model.clone(),
            gpuMemoryMib: wanted.gpu_memory_mib,
            cpuCores: wanted.cpu_cores,
            ramMib: wanted.ram_mib,
            diskMib: wanted.disk_mib,
        }
    }
}

impl From<ITasks::Requirement> for Requirement {
    fn from(wanted: ITasks::Requirement) -> Self {
        Self {
            gpu_model: wanted.gpuModel,
            gpu_memory_mib: wanted.gpuMemoryMib,
            cpu_cores: wanted.cpuCores,
            ram_mib: wanted.ramMib,
            disk_mib: wanted.diskMib,
        }
    }
}

impl From<VerificationPolicy> for ITasks::Policy {
    fn from(policy: VerificationPolicy) -> Self {
        match policy {
            VerificationPolicy::None => Self::None,
            VerificationPolicy::Sampled => Self::Sampled,
            VerificationPolicy::Replicated => Self::Replicated,
            VerificationPolicy::Bisected => Self::Bisected,
        }
    }
}

impl TryFrom<ITasks::Policy> for VerificationPolicy {
    type Error = AbiError;

    fn try_from(policy: ITasks::Policy) -> Result<Self, AbiError> {
        match policy {
            ITasks::Policy::None => Ok(Self::None),
            ITasks::Policy::Sampled => Ok(Self::Sampled),
            ITasks::Policy::Replicated => Ok(Self::Replicated),
            ITasks::Policy::Bisected => Ok(Self::Bisected),
            ITasks::Policy::__Invalid => Err(AbiError { field: "verification" }),
        }
    }
}

impl From<ResultPrivacy> for ITasks::Privacy {
    fn from(privacy: ResultPrivacy) -> Self {
        match privacy {
            ResultPrivacy::Sealed => Self::Sealed,
            ResultPrivacy::Public => Self::Public,
        }
    }
}

impl TryFrom<ITasks::Privacy> for ResultPrivacy {
    type Error = AbiError;

    fn try_from(privacy: ITasks::Privacy) -> Result<Self, AbiError> {
        match privacy {
            ITasks::Privacy::Sealed => Ok(Self::Sealed),
            ITasks::Privacy::Public => Ok(Self::Public),
            ITasks::Privacy::__Invalid => Err(AbiError { field: "privacy" }),
        }
    }
}

impl From<&Terms> for ITasks::Terms {
    fn from(terms: &Terms) -> Self {
        Self {
            payload: (&terms.payload).into(),
            envelopeNonce: terms.envelope_nonce,
            provider: terms.provider,
            keyEpoch: terms.key_epoch,
            resultKey: terms.result_key,
            requirement: (&terms.requirement).into(),
            executor: terms.executor.clone(),
            durationBlocks: terms.duration_blocks,
            verification: terms.verification.into(),
            privacy: terms.privacy.into(),
        }
    }
}

impl TryFrom<ITasks::Terms> for Terms {
    type Error = AbiError;

    fn try_from(terms: ITasks::Terms) -> Result<Self, AbiError> {
        Ok(Self {
            payload: terms.payload.into(),
            envelope_nonce: terms.envelopeNonce,
            provider: terms.provider,
            key_epoch: terms.keyEpoch,
            result_key: terms.resultKey,
            requirement: terms.requirement.into(),
            executor: terms.executor,
            duration_blocks: terms.durationBlocks,
            verification: terms.verification.try_into()?,
            privacy: terms.privacy.try_into()?,
        })
    }
}

impl From<TaskState> for ITasks::State {
    fn from(state: TaskState) -> Self {
        match state {
            TaskState::Open => Self::Open,
            TaskState::Assigned => Self::Assigned,
            TaskState::Running => Self::Running,
            TaskState::Submitted => Self::Submitted,
            TaskState::Verifying => Self::Verifying,
            TaskState::Settled => Self::Settled,
            TaskState::Refunded => Self::Refunded,
            TaskState::Cancelled => Self::Cancelled,
            TaskState::Slashed => Self::Slashed,
        }
    }
}

impl From<EndReason> for ITasks::Reason {
    fn from(reason: EndReason) -> Self {
        match reason {
            EndReason::Approved => Self::Approved,
            EndReason::AcceptedByTimeout => Self::AcceptedByTimeout,
            EndReason::CancelledByOwner => Self::CancelledByOwner,
            EndReason::Declined => Self::Declined,
            EndReason::NotAccepted => Self::NotAccepted,
            EndReason::NotSubmitted => Self::NotSubmitted,
            EndReason::ResultWithdrawn => Self::ResultWithdrawn,
            EndReason::ResultContested => Self::ResultContested,
        }
    }
}

impl From<Party> for ITasks::Party {
    fn from(party: Party) -> Self {
        match party {
            Party::None => Self::None,
            Party::Owner => Self::Owner,
            Party::Provider => Self::Provider,
        }
    }
}

impl From<&Settlement> for ITasks::Settlement {
    fn from(settlement: &Settlement) -> Self {
        Self {
            provider: settlement.provider.0,
            model: settlement.model.0,
            validators: settlement.validators.0,
            treasury: settlement.treasury.0,
            refund: settlement.refund.0,
        }
    }
}

impl From<Option<&Outcome>> for ITasks::Outcome {
    fn from(outcome: Option<&Outcome>) -> Self {
        let settlement = outcome.map(|o| o.settlement).unwrap_or_default();
        Self {
            reason: outcome.map_or(ITasks::Reason::Pending, |o| o.reason.into()),
            atFault: outcome.map_or(ITasks::Party::None, |o| o.at_fault.into()),
            settlement: (&settlement).into(),
            height: outcome.map_or(0, |o| o.at),
        }
    }
}

impl From<Option<&TaskResult>> for ITasks::TaskResult {
    fn from(result: Option<&TaskResult>) -> Self {
        Self {
            blob: result.map_or(&BlobRef::NONE, |r| &r.blob).into(),
            commitment: result.map(|r| r.commitment).unwrap_or_default(),
            height: result.map_or(0, |r| r.at),
        }
    }
}

impl From<Option<&Checkpoint>> for ITasks::Checkpoint {
    fn from(checkpoint: Option<&Checkpoint>) -> Self {
        Self {
            step: checkpoint.map_or(0, |c| c.step),
            height: checkpoint.map_or(0, |c| c.at),
            blob: checkpoint.map_or(&BlobRef::NONE, |c| &c.blob).into(),
        }
    }
}

impl From<&Task> for ITasks::Task {
    fn from(task: &Task) -> Self {
        let wei = |amount: Amount| amount.0;
        Self {
            id: task.id,
            owner: task.owner,
            terms: (&task.terms).into(),
            pricePerBlock: wei(task.price_per_block),
            escrow: wei(task.escrow),
            challengeBond: wei(task.challenge_bond),
            challenges: task.challenges,
            state: task.state.into(),
            createdAt: task.created_at,
            acceptedAt: task.accepted_at,
            submittedAt: task.submitted_at,
            deadline: task.deadline,
            result: task.result.as_ref().into(),
            outcome: task.outcome.as_ref().into(),
            seenAt: task.seen_at,
            checkpoint: task.checkpoint.as_ref().into(),
        }
    }
}
