//! An agent that is killed at any moment goes on where it was, and submits once.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use crate::mock::{
    Chain, Node,
    owner::{Watched, check_result, config, copy_dir, name, offer_job},
};
use neura_provider::Progress;
use neura_types::{Address, B256, U256};

/// What a crash leaves: the data folder, and a chain that goes on.
struct Moment {
    name: String,
    data: PathBuf,
    chain: Chain,
    has_entry: bool,
}

fn entries(data: &Path) -> usize {
    let journals = std::fs::read_dir(data.join("journal")).into_iter().flatten();
    let files = journals.flat_map(|journal| std::fs::read_dir(journal.unwrap().path()).unwrap());
    files
        .filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|e| e == "json"))
        .count()
}

/// Runs a task to its end and keeps every moment of it.
async fn moments(place: &Path) -> (Vec<Moment>, Chain, B256) {
    let node = Node::start(Chain { faucet: true, approving: true, ..Chain::default() }).await;
    let data = place.join("original");
    let kept: Arc<Mutex<Vec<Moment>>> = Arc::default();
    let keep = {
        let (node, data, kept, place) =
            (node.clone(), data.clone(), Arc::clone(&kept), place.to_owned());
        move |progress: &Progress| {
            if progress.task().is_none() {
                return;
            }
            let mut kept = kept.lock().unwrap();
            let copy = place.join(format!("moment-{}", kept.len()));
            copy_dir(&data, &copy);
            let (name, chain, has_entry) =
                (name(progress), node.chain().clone(), entries(&copy) > 0);
            kept.push(Moment { name, data: copy, chain, has_entry });
        }
    };
    let mut agent = Watched::start_with(config(&node, &data), keep).await.unwrap();
    let id = offer_job(&node, agent.address());
    agent.until_ended(id).await;
    agent.agent.shutdown().await;
    let submitted = node.chain().distinct("submit");
    assert_eq!(submitted.len(), 1);
    let last = node.chain().clone();
    let moments = std::mem::take(&mut *kept.lock().unwrap());
    (moments, last, submitted[0])
}

#[tokio::test]
async fn after_a_crash_at_any_step_the_task_is_finished_and_submitted_once() {
    let place = tempfile::tempdir().unwrap();
    let (moments, _, original) = moments(place.path()).await;
    let names: Vec<&str> = moments.iter().map(|moment| moment.name.as_str()).collect();
    for step in ["task_offered", "accepting", "accepted", "executed", "result_stored", "submitting"]
    {
        assert!(names.contains(&step), "{names:?}");
    }
    for moment in moments.iter().filter(|moment| moment.name != "ended") {
        let node = Node::start(moment.chain.clone()).await;
        let mut agent = Watched::start(config(&node, &moment.data)).await.unwrap();
        agent.until_ended(1).await;
        check_result(&node, 1);
        let chain = node.chain();
        let at = &moment.name;
        assert_eq!(chain.took_effect("accept"), 1, "after {at}");
        assert_eq!(chain.took_effect("submit"), 1, "after {at}");
        let seen = chain.distinct("submit");
        assert_eq!(seen.len(), 1, "after {at}");
        if matches!(at.as_str(), "submitting" | "submitted") {
            assert_eq!(seen, [original], "after {at} the very same bytes are sent");
        }
    }
}

#[tokio::test]
async fn an_agent_that_comes_back_when_all_is_over_sends_nothing() {
    let place = tempfile::tempdir().unwrap();
    let (moments, last, original) = moments(place.path()).await;
    for moment in moments.iter().filter(|moment| moment.has_entry) {
        let node = Node::start(last.clone()).await;
        let mut agent = Watched::start(config(&node, &moment.data)).await.unwrap();
        agent.until_ended(1).await;
        let chain = node.chain();
        assert_eq!(chain.seen.len(), last.seen.len(), "after {}", moment.name);
        assert_eq!(chain.distinct("submit"), [original]);
    }
}

#[tokio::test]
async fn a_submission_whose_nonce_was_used_otherwise_is_signed_again_once() {
    let place = tempfile::tempdir().unwrap();
    let (moments, _, original) = moments(place.path()).await;
    let moment = moments.iter().find(|moment| moment.name == "submitting").unwrap();
    let mut chain = moment.chain.clone();
    // The operator withdrew coins with the same key from another machine.
    let provider: Address = *chain.providers.keys().next().unwrap();
    *chain.nonces.get_mut(&provider).unwrap() += 1;
    let node = Node::start(chain).await;
    let mut agent = Watched::start(config(&node, &moment.data)).await.unwrap();
    agent.until_ended(1).await;
    check_result(&node, 1);
    let chain = node.chain();
    assert_eq!(chain.took_effect("submit"), 1);
    let seen = chain.distinct("submit");
    assert!(seen.len() == 2 && seen.contains(&original), "the old bytes are tried first");
}

#[tokio::test]
async fn a_damaged_result_is_computed_again() {
    let place = tempfile::tempdir().unwrap();
    let (moments, ..) = moments(place.path()).await;
    let moment = moments.iter().find(|moment| moment.name == "result_stored").unwrap();
    let journal = std::fs::read_dir(moment.data.join("journal")).unwrap().next().unwrap().unwrap();
    let entry = journal.path().join("1.json");
    let text = std::fs::read_to_string(&entry).unwrap().replace("uploaded", "executed");
    std::fs::write(&entry, text).unwrap();
    std::fs::write(journal.path().join("1.result"), b"torn").unwrap();
    let node = Node::start(moment.chain.clone()).await;
    let mut agent = Watched::start(config(&node, &moment.data)).await.unwrap();
    let told = agent.until_ended(1).await;
    assert!(told.contains(&"executed".to_owned()), "{told:?}");
    check_result(&node, 1);
}

#[tokio::test]
async fn a_lost_journal_costs_work_but_never_a_second_submission() {
    let place = tempfile::tempdir().unwrap();
    let (moments, ..) = moments(place.path()).await;
    for moment in moments.iter().filter(|moment| moment.name != "ended") {
        std::fs::remove_dir_all(moment.data.join("journal")).unwrap();
        let node = Node::start(moment.chain.clone()).await;
        if node.chain().tasks[&1].state.is_terminal() {
            continue;
        }
        let mut agent = Watched::start(config(&node, &moment.data)).await.unwrap();
        agent.until_ended(1).await;
        assert_eq!(node.chain().took_effect("submit"), 1, "after {}", moment.name);
        assert!(node.chain().balances.values().all(|balance| *balance > U256::ZERO));
    }
}
