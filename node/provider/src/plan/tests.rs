use neura_types::{
    Amount, B256,
    task::{BlobRef, ResultPrivacy, Terms, VerificationPolicy},
};

use super::*;

const ME: Address = Address::repeat_byte(0x11);

fn task(state: TaskState, challenges: u8) -> Task {
    let blob = BlobRef { locator: "neura:00".into(), hash: B256::ZERO, size: 1 };
    Task {
        id: 7,
        owner: Address::repeat_byte(0x22),
        terms: Terms {
            payload: blob,
            envelope_nonce: B256::ZERO,
            provider: ME,
            key_epoch: 1,
            result_key: B256::ZERO,
            requirement: Default::default(),
            executor: "int8".into(),
            duration_blocks: 100,
            verification: VerificationPolicy::None,
            privacy: ResultPrivacy::Sealed,
        },
        price_per_block: Amount(1),
        escrow: Amount(100),
        challenge_bond: Amount::ZERO,
        challenges,
        state,
        created_at: 1,
        accepted_at: 0,
        submitted_at: 0,
        deadline: 100,
        result: None,
        outcome: None,
        seen_at: 1,
        checkpoint: None,
    }
}

fn result() -> ResultRecord {
    let blob = BlobRef { locator: "neura:01".into(), hash: B256::ZERO, size: 1 };
    ResultRecord { blob, commitment: B256::ZERO }
}

fn tx(byte: u8) -> SignedTx {
    SignedTx { raw: vec![byte].into() }
}

/// Every stage, in order.
fn stages() -> [Stage; 5] {
    [
        Stage::Seen,
        Stage::Answering { tx: tx(1), refusal: None },
        Stage::Executed { result: result() },
        Stage::Uploaded { result: result() },
        Stage::Submitting { result: result(), tx: tx(2) },
    ]
}

fn check(state: TaskState, expected: [Step; 5]) {
    for (stage, expected) in stages().into_iter().zip(expected) {
        let entry = Entry { stage: stage.clone(), ..Entry::new(7) };
        assert_eq!(next_step(ME, &task(state, 0), &entry), expected, "{state:?}, {stage:?}");
    }
}

#[test]
fn an_offered_task_is_answered_and_nothing_else() {
    use Step::*;
    check(TaskState::Assigned, [Vet, Send(tx(1)), Vet, Vet, Vet]);
}

#[test]
fn a_running_task_goes_on_from_its_stage() {
    use Step::*;
    let steps = [Execute, Execute, Upload(result()), Submit(result()), Send(tx(2))];
    check(TaskState::Running, steps.clone());
    check(TaskState::Verifying, steps);
}

#[test]
fn nothing_is_sent_for_a_task_that_waits_or_has_ended() {
    let same = |step: Step| [step.clone(), step.clone(), step.clone(), step.clone(), step];
    check(TaskState::Open, same(Step::Wait));
    check(TaskState::Submitted, same(Step::Wait));
    for state in [TaskState::Settled, TaskState::Refunded, TaskState::Cancelled, TaskState::Slashed]
    {
        check(state, same(Step::Finish));
    }
}

#[test]
fn a_contested_result_is_computed_again_once_per_round() {
    for stage in stages() {
        let entry = Entry { stage, ..Entry::new(7) };
        assert_eq!(next_step(ME, &task(TaskState::Verifying, 1), &entry), Step::Redo(1));
    }
    let again = Entry { round: 1, ..Entry::new(7) };
    assert_eq!(next_step(ME, &task(TaskState::Verifying, 1), &again), Step::Execute);
}

#[test]
fn a_task_of_another_provider_is_left_alone() {
    for stage in stages() {
        let entry = Entry { stage, ..Entry::new(7) };
        let other = Address::repeat_byte(0x33);
        assert_eq!(next_step(other, &task(TaskState::Running, 0), &entry), Step::Finish);
    }
}
