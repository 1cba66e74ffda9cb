//! Jobs that are cut off go on from their last checkpoint, and end in the same bits.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use neura_blobs::{EncryptionPublicKey, EncryptionSecretKey, Locator, Purpose, open, seal};
use neura_provider::{AgentConfig, Progress};
use neura_types::{
    Address, B256,
    hash::content_hash,
    note::Remark,
    task::{BlobRef, Checkpoint, TaskId, TaskState},
};

use crate::mock::{
    Chain, Node,
    owner::{
        LONG_STEPS, Watched, check_result_of, config, context, copy_dir, long_job, mortal_worker,
        name, offer, owner_key, sealed,
    },
};

async fn node() -> Node {
    Node::start(Chain { faucet: true, approving: true, ..Chain::default() }).await
}

/// A checkpoint after every step.
fn keeping(node: &Node, data: &Path) -> AgentConfig {
    let mut config = config(node, data);
    config.timing.checkpoint_every = Some(Duration::ZERO);
    config
}

fn count(told: &[String], wanted: &str) -> usize {
    told.iter().filter(|told| *told == wanted).count()
}

#[tokio::test]
async fn a_worker_that_dies_after_every_step_still_comes_to_the_same_result() {
    for end in ["killed", "device"] {
        let (node, data) = (node().await, tempfile::tempdir().unwrap());
        let mut config = keeping(&node, data.path());
        config.worker = mortal_worker(end);
        let mut agent = Watched::start(config).await.unwrap();
        let id = offer(&node, agent.address(), &long_job());
        let told = agent.until_ended(id).await;
        check_result_of(&node, id, &long_job());
        assert_eq!(count(&told, "executing"), LONG_STEPS, "{told:?}");
        assert_eq!(count(&told, "going_on"), LONG_STEPS - 1, "{end}: {told:?}");
        assert_eq!(node.chain().took_effect("submit"), 1);
    }
}

/// An agent's data and its chain as a crash at some moment leaves them.
type Moment = (String, std::path::PathBuf, Chain);

/// The moments that are kept: around what is written down of the work.
const KEPT: [&str; 3] = ["executing", "checkpoint_kept", "executed"];

/// Runs the long job to its end, with a worker that dies after every step, and keeps moments of it.
async fn moments(place: &Path) -> Vec<Moment> {
    let node = node().await;
    let data = place.join("original");
    let kept: Arc<Mutex<Vec<Moment>>> = Arc::default();
    let keep = {
        let (node, data, kept, place) =
            (node.clone(), data.clone(), Arc::clone(&kept), place.to_owned());
        move |progress: &Progress| {
            if KEPT.contains(&name(progress).as_str()) {
                let mut kept = kept.lock().unwrap();
                let copy = place.join(format!("moment-{}", kept.len()));
                copy_dir(&data, &copy);
                kept.push((name(progress), copy, node.chain().clone()));
            }
        }
    };
    let mut config = keeping(&node, &data);
    config.worker = mortal_worker("killed");
    let mut agent = Watched::start_with(config, keep).await.unwrap();
    let id = offer(&node, agent.address(), &long_job());
    agent.until_ended(id).await;
    agent.agent.shutdown().await;
    std::mem::take(&mut *kept.lock().unwrap())
}

#[tokio::test]
async fn an_agent_that_is_killed_at_any_moment_goes_on_from_the_last_checkpoint() {
    let place = tempfile::tempdir().unwrap();
    let moments = moments(place.path()).await;
    let mut written = false;
    for (at, data, chain) in &moments {
        written |= at == "checkpoint_kept";
        if chain.tasks[&1].state.is_terminal() {
            continue;
        }
        let node = Node::start(chain.clone()).await;
        let mut agent = Watched::start(keeping(&node, data)).await.unwrap();
        let told = agent.until_ended(1).await;
        check_result_of(&node, 1, &long_job());
        assert_eq!(node.chain().took_effect("submit"), 1, "after {at}");
        if written && count(&told, "executing") > 0 {
            assert_eq!(count(&told, "going_on"), 1, "after {at}: {told:?}");
        }
    }
    assert!(written);
}

/// A task that another provider has begun: its first step is noted, and sealed to its owner.
async fn begun() -> (Node, TaskId, tempfile::TempDir) {
    let (node, data) = (node().await, tempfile::tempdir().unwrap());
    let mut config = keeping(&node, data.path());
    config.worker = mortal_worker("hangs");
    let mut agent = Watched::start(config).await.unwrap();
    let id = offer(&node, agent.address(), &long_job());
    let noted = |progress: &Progress| matches!(progress, Progress::CheckpointNoted { .. });
    agent.until(noted).await;
    agent.agent.shutdown().await;
    (node, id, data)
}

/// Gives the task to this provider, as its owner does; `change` may falsify the plain checkpoint.
fn reassign(node: &Node, id: TaskId, to: Address, change: impl FnOnce(&mut Vec<u8>)) {
    let payload = sealed(node, to, &long_job().encode().unwrap());
    let task = node.chain().tasks[&id].clone();
    let noted = task.checkpoint.unwrap();
    let envelope = node.chain().blobs[&noted.blob.hash].clone();
    let from = context(Purpose::Checkpoint, task.terms.provider);
    let mut plain = open(&from, &owner_key(), &envelope, 1 << 20).unwrap().to_vec();
    change(&mut plain);
    let key = EncryptionPublicKey::from_bytes(node.chain().providers[&to].encryption_key.0);
    let recipients = [owner_key().public_key(), key.unwrap()];
    let context = context(Purpose::Checkpoint, to);
    let checkpoint = seal(&context, &recipients, &plain, &mut rand::rng()).unwrap();
    let store = |bytes: Vec<u8>| {
        let hash: B256 = content_hash(&bytes);
        let blob = BlobRef {
            locator: Locator::from_hash(hash.0).to_string(),
            hash,
            size: bytes.len() as u64,
        };
        node.chain().blobs.insert(hash, bytes);
        blob
    };
    let (payload, blob) = (store(payload), store(checkpoint));
    node.act(|chain| {
        let deadline = chain.height + chain.params.accept_window_blocks;
        let key_epoch = chain.providers[&to].key_epoch;
        let task = chain.tasks.get_mut(&id).unwrap();
        task.terms.payload = payload;
        task.terms.provider = to;
        task.terms.key_epoch = key_epoch;
        task.state = TaskState::Assigned;
        task.deadline = deadline;
        task.checkpoint = Some(Checkpoint { blob, ..noted });
        chain.providers.get_mut(&to).unwrap().active_tasks += 1;
        chain.changed.push(id);
    });
}

/// What a second provider tells of a task that a first one began, and how far its first step got it.
async fn taken_over(change: impl FnOnce(&mut Vec<u8>)) -> (Vec<String>, u64) {
    let (node, id, _first) = begun().await;
    let data = tempfile::tempdir().unwrap();
    let mut second = Watched::start(keeping(&node, data.path())).await.unwrap();
    reassign(&node, id, second.address(), change);
    let all = second.until(|progress| matches!(progress, Progress::Ended { .. })).await;
    check_result_of(&node, id, &long_job());
    let first = all.iter().find_map(|progress| match progress {
        Progress::Advanced { done, .. } => Some(*done),
        _ => None,
    });
    (all.iter().map(name).collect(), first.unwrap())
}

#[tokio::test]
async fn a_second_provider_goes_on_where_the_first_one_was() {
    let (told, first) = taken_over(|_| {}).await;
    assert_eq!(count(&told, "going_on"), 1, "{told:?}");
    assert_eq!(count(&told, "checkpoint_set_aside"), 0);
    assert_eq!(first, 2, "the first step is not done again");
}

#[tokio::test]
async fn a_checkpoint_of_another_job_is_set_aside_and_the_job_begun_anew() {
    let (told, first) = taken_over(|plain| plain[20] ^= 1).await;
    assert_eq!(count(&told, "checkpoint_set_aside"), 1, "{told:?}");
    assert_eq!(count(&told, "going_on"), 0);
    assert_eq!(first, 1);
}

#[tokio::test]
async fn a_checkpoint_of_another_step_than_the_chain_notes_is_set_aside() {
    let (told, first) = taken_over(|plain| plain[42] += 1).await;
    assert_eq!(count(&told, "checkpoint_set_aside"), 1, "{told:?}");
    assert_eq!(first, 1);
}

#[tokio::test]
async fn a_checkpoint_that_only_the_worker_finds_wrong_is_set_aside_too() {
    let (told, first) = taken_over(|plain| plain.truncate(plain.len() - 1)).await;
    assert_eq!(count(&told, "checkpoint_set_aside"), 1, "{told:?}");
    assert_eq!(first, 1);
}

#[tokio::test]
async fn after_a_contest_nothing_of_the_contested_work_is_used() {
    let node = Node::start(Chain { faucet: true, ..Chain::default() }).await;
    let data = tempfile::tempdir().unwrap();
    let mut agent = Watched::start(keeping(&node, data.path())).await.unwrap();
    let id = offer(&node, agent.address(), &long_job());
    agent.until(|progress| matches!(progress, Progress::Submitted { .. })).await;
    node.act(|chain| chain.contest(id));
    let submitted = |progress: &Progress| matches!(progress, Progress::Submitted { .. });
    let told: Vec<String> = agent.until(submitted).await.iter().map(name).collect();
    assert_eq!(count(&told, "going_on"), 0, "{told:?}");
    assert_eq!(count(&told, "executing"), 1);
    check_result_of(&node, id, &long_job());
}

#[tokio::test]
async fn while_a_job_runs_the_chain_is_told_so_before_it_takes_the_provider_for_silent() {
    let place = tempfile::tempdir().unwrap();
    let (script, writers) = crate::workers::hanging(&place);
    let (node, mut agent, _data) = crate::workers::serving(&script, Duration::from_secs(60)).await;
    node.act(|chain| chain.params.silence_blocks = 20);
    let id = offer(&node, agent.address(), &long_job());
    writers.begun.await.unwrap();
    for signs in 1..4 {
        let seen = node.chain().tasks[&id].seen_at;
        node.act(|chain| chain.height = seen + chain.params.silence_blocks / 2);
        agent.until(|progress| matches!(progress, Progress::SignOfLife { .. })).await;
        assert_eq!(node.chain().took_effect("heartbeat"), signs);
        assert!(node.chain().tasks[&id].seen_at > seen);
    }
    agent.agent.shutdown().await;
}

#[tokio::test]
async fn the_owner_reads_how_the_work_goes_and_nobody_else() {
    let (node, data) = (node().await, tempfile::tempdir().unwrap());
    let mut agent = Watched::start(config(&node, data.path())).await.unwrap();
    let id = offer(&node, agent.address(), &long_job());
    agent.until_ended(id).await;
    let context = context(Purpose::Note, agent.address());
    let stranger = EncryptionSecretKey::from_bytes([0x33; 32]);
    let mut remarks = Vec::new();
    for note in &node.chain().notes {
        assert_eq!(note.task, id);
        let plain = open(&context, &owner_key(), &note.sealed, 1 << 12).unwrap();
        remarks.extend(Remark::decode_list(&plain).unwrap());
        assert!(open(&context, &stranger, &note.sealed, 1 << 12).is_err());
    }
    let last = remarks.iter().rev().find_map(|remark| match remark {
        Remark::Progress { done, total, .. } => Some((*done, *total)),
        Remark::Log(_) => None,
    });
    assert_eq!(last, Some((11, 11)), "{remarks:?}");
    let logs = |text: &str| {
        remarks.iter().any(|remark| matches!(remark, Remark::Log(line) if line.contains(text)))
    };
    assert!(logs("(reference)") && logs("3 requests, 11 rows or tokens"), "{remarks:?}");
}
