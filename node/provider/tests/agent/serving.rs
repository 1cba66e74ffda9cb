//! An agent against a node: tasks that are done, and tasks that are declined.

use crate::mock::{
    Chain, Node,
    owner::{OWNER, Watched, check_result, config, job, name, offer_job, sealed, terms},
};
use neura_provider::{Device, Progress};
use neura_types::{
    Address,
    task::{EndReason, ResultPrivacy, TaskId, TaskState, Terms},
};

async fn serving(chain: Chain) -> (Node, Watched, tempfile::TempDir) {
    let node = Node::start(Chain { faucet: true, ..chain }).await;
    let data = tempfile::tempdir().unwrap();
    let agent = Watched::start(config(&node, data.path())).await.unwrap();
    (node, agent, data)
}

fn approving() -> Chain {
    Chain { approving: true, ..Chain::default() }
}

#[tokio::test]
async fn a_task_is_taken_from_its_offer_to_its_payment() {
    let (node, mut agent, data) = serving(approving()).await;
    let id = offer_job(&node, agent.address());
    let told = agent.until_ended(id).await;
    let steps = [
        "task_offered",
        "payload_fetched",
        "payload_opened",
        "accepting",
        "accepted",
        "executing",
        "device_opened",
        "logged",
        "advanced",
        "executed",
        "result_stored",
        "submitting",
        "submitted",
        "ended",
    ];
    assert_eq!(told, steps);
    check_result(&node, id);
    assert_eq!(node.chain().took_effect("submit"), 1);
    let journal = std::fs::read_dir(data.path().join("journal")).unwrap().next().unwrap().unwrap();
    assert_eq!(std::fs::read_dir(journal.path()).unwrap().count(), 0, "nothing is left behind");
}

#[tokio::test]
async fn a_job_on_a_gpu_gives_the_reference_result() {
    let node = Node::start(Chain { faucet: true, ..approving() }).await;
    let data = tempfile::tempdir().unwrap();
    let mut on_gpu = config(&node, data.path());
    on_gpu.device = Device::Best;
    let mut agent = Watched::start(on_gpu).await.unwrap_or_else(|error| {
        panic!("this test needs a GPU or Mesa's software Vulkan driver: {error}")
    });
    assert_ne!(agent.agent.machine().device.backend, "reference");
    let id = offer_job(&node, agent.address());
    agent.until_ended(id).await;
    check_result(&node, id);
}

#[tokio::test]
async fn a_public_result_is_stored_for_everyone_to_read() {
    let (node, mut agent, _data) = serving(approving()).await;
    let payload = sealed(&node, agent.address(), &job());
    let terms = Terms { privacy: ResultPrivacy::Public, ..terms(&node, agent.address(), &payload) };
    node.chain().blobs.insert(terms.payload.hash, payload);
    let id = node.act(|chain| chain.create(OWNER, terms));
    agent.until_ended(id).await;
    check_result(&node, id);
}

#[tokio::test]
async fn several_tasks_at_once_are_all_done() {
    let (node, mut agent, _data) = serving(approving()).await;
    let ids: Vec<TaskId> = (0..5).map(|_| offer_job(&node, agent.address())).collect();
    let mut left = ids.clone();
    while !left.is_empty() {
        let all = agent.until(|progress| matches!(progress, Progress::Ended { .. })).await;
        left.retain(|id| all.last().and_then(Progress::task) != Some(*id));
    }
    for id in ids {
        check_result(&node, id);
    }
    assert_eq!(node.chain().took_effect("submit"), 5);
}

#[tokio::test]
async fn a_task_that_no_event_told_of_is_found() {
    let (node, mut agent, _data) = serving(approving()).await;
    agent.until(|progress| matches!(progress, Progress::Serving { .. })).await;
    let payload = sealed(&node, agent.address(), &job());
    let terms = terms(&node, agent.address(), &payload);
    let id = {
        let mut chain = node.chain();
        chain.blobs.insert(terms.payload.hash, payload);
        let id = chain.create(OWNER, terms);
        chain.take_events();
        id
    };
    agent.until_ended(id).await;
    check_result(&node, id);
}

#[tokio::test]
async fn a_lost_connection_is_told_and_made_again() {
    let (node, mut agent, _data) = serving(approving()).await;
    let first = offer_job(&node, agent.address());
    agent.until_ended(first).await;
    node.disconnect();
    agent.until(|progress| matches!(progress, Progress::Disconnected { .. })).await;
    let second = offer_job(&node, agent.address());
    agent.until_ended(second).await;
    check_result(&node, second);
}

#[tokio::test]
async fn answers_that_are_lost_on_their_way_do_not_hold_a_task_up() {
    let losing = vec!["accept", "submit", "accept", "submit"];
    let (node, mut agent, _data) = serving(Chain { losing, ..approving() }).await;
    let id = offer_job(&node, agent.address());
    agent.until_ended(id).await;
    check_result(&node, id);
    assert_eq!(node.chain().distinct("submit").len(), 1, "the same bytes are sent again");
}

#[tokio::test]
async fn a_contested_result_is_computed_and_submitted_again() {
    let (node, mut agent, _data) = serving(Chain::default()).await;
    let id = offer_job(&node, agent.address());
    agent.until(|progress| matches!(progress, Progress::Submitted { .. })).await;
    node.act(|chain| chain.contest(id));
    agent.until(|progress| matches!(progress, Progress::Contested { round: 1, .. })).await;
    agent.until(|progress| matches!(progress, Progress::Submitted { .. })).await;
    check_result(&node, id);
    assert_eq!(node.chain().took_effect("submit"), 2);
    node.act(|chain| chain.end(id, TaskState::Settled, EndReason::AcceptedByTimeout));
    agent.until_ended(id).await;
}

#[tokio::test]
async fn a_task_that_its_owner_takes_back_is_forgotten() {
    let node = Node::start(Chain { faucet: true, ..Chain::default() }).await;
    let data = tempfile::tempdir().unwrap();
    let mut patient = config(&node, data.path());
    patient.timing.fetch_attempts = u32::MAX;
    let mut agent = Watched::start(patient).await.unwrap();
    let missing = terms(&node, agent.address(), b"a payload that nobody has");
    let id = node.act(|chain| chain.create(OWNER, missing));
    agent.until(|progress| matches!(progress, Progress::TaskOffered { .. })).await;
    node.act(|chain| chain.end(id, TaskState::Cancelled, EndReason::CancelledByOwner));
    agent.until_ended(id).await;
    let chain = node.chain();
    assert_eq!(chain.took_effect("decline") + chain.took_effect("accept"), 0);
}

/// Offers a task and returns the code of the reason for which it is declined.
async fn declined(
    (node, agent): (&Node, &mut Watched),
    stored: Option<&[u8]>,
    terms: Terms,
) -> String {
    if let Some(stored) = stored {
        node.chain().blobs.insert(terms.payload.hash, stored.to_vec());
    }
    let id = node.act(|chain| chain.create(OWNER, terms));
    let all = agent.until(|progress| matches!(progress, Progress::Ended { .. })).await;
    assert_eq!(node.chain().tasks[&id].state, TaskState::Refunded);
    let reason = all.iter().find_map(|progress| match progress {
        Progress::Declining { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    reason
        .unwrap_or_else(|| panic!("{:?}", all.iter().map(name).collect::<Vec<_>>()))
        .split(':')
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test]
async fn what_cannot_be_done_is_declined_before_acceptance_with_the_reason() {
    let (node, mut agent, _data) = serving(Chain::default()).await;
    let me = agent.address();
    let good = sealed(&node, me, &job());
    let with = |payload: &[u8]| terms(&node, me, payload);

    let garbage = b"not an envelope at all".as_slice();
    assert_eq!(
        declined((&node, &mut agent), Some(garbage), with(garbage)).await,
        "payload_unreadable"
    );
    let mut tampered = good.clone();
    *tampered.last_mut().unwrap() ^= 1;
    let of_tampered = with(&tampered);
    assert_eq!(
        declined((&node, &mut agent), Some(&tampered), of_tampered).await,
        "payload_unreadable"
    );
    let for_another = Terms { envelope_nonce: Default::default(), ..with(&good) };
    assert_eq!(declined((&node, &mut agent), Some(&good), for_another).await, "payload_unreadable");
    let no_job = sealed(&node, me, b"sealed well, but no job");
    assert_eq!(declined((&node, &mut agent), Some(&no_job), with(&no_job)).await, "invalid_job");

    let other_bytes = good[1..].to_vec();
    let another = sealed(&node, me, &job());
    let of_another = with(&another);
    assert_eq!(
        declined((&node, &mut agent), Some(&other_bytes), of_another).await,
        "payload_mismatch"
    );
    assert_eq!(
        declined((&node, &mut agent), None, with(b"nobody has it")).await,
        "payload_unavailable"
    );
    let mut wrong_size = with(&good);
    wrong_size.payload.size -= 1;
    assert_eq!(declined((&node, &mut agent), Some(&good), wrong_size).await, "payload_size");
    let mut wrong_size = with(&good);
    wrong_size.payload.size += 1;
    assert_eq!(declined((&node, &mut agent), Some(&good), wrong_size).await, "payload_size");

    let executor = Terms { executor: "oci".into(), ..with(&good) };
    assert_eq!(declined((&node, &mut agent), Some(&good), executor).await, "executor_not_offered");
    let mut greedy = with(&good);
    greedy.requirement.ram_mib = u32::MAX;
    assert_eq!(declined((&node, &mut agent), Some(&good), greedy).await, "requirement_not_met");
    let old_key = Terms { key_epoch: 0, ..with(&good) };
    assert_eq!(declined((&node, &mut agent), Some(&good), old_key).await, "wrong_key_epoch");

    assert_eq!(node.chain().took_effect("accept"), 0);
    assert_ne!(me, Address::ZERO);
}
