//! Into the registry, and out of it.

use neura_provider::{Keys, Operator, Progress, ProviderError};
use neura_types::{Amount, U256, provider::ProviderStatus};

use crate::mock::{
    Chain, Node,
    owner::{Watched, config, name, offer_job},
};

async fn devnet() -> (Node, tempfile::TempDir) {
    let node = Node::start(Chain { faucet: true, ..Chain::default() }).await;
    (node, tempfile::tempdir().unwrap())
}

/// Starts an agent and returns what it told until it served.
async fn start(node: &Node, data: &tempfile::TempDir) -> (Watched, Vec<String>) {
    let mut agent = Watched::start(config(node, data.path())).await.unwrap();
    let told = agent.until(|progress| matches!(progress, Progress::Serving { .. })).await;
    let told = told.iter().map(name).collect();
    (agent, told)
}

#[tokio::test]
async fn a_newcomer_makes_keys_gets_coins_and_registers() {
    let (node, data) = devnet().await;
    let (agent, told) = start(&node, &data).await;
    let steps = [
        "keys_made",
        "machine",
        "means",
        "connected",
        "faucet_asked",
        "faucet_paid",
        "faucet_asked",
        "faucet_paid",
        "registering",
        "registered",
        "serving",
    ];
    assert_eq!(told, steps, "one grant does not pay the bond of 100 ANKR");
    let chain = node.chain();
    let entry = &chain.providers[&agent.address()];
    assert_eq!(entry.bond, Amount::ankr(100));
    assert_eq!(entry.executors, ["int8"]);
    assert_eq!(entry.capability.gpu_backend, "cpu");
    assert_eq!(entry.payout, agent.address());
    let keys = Keys::load(data.path()).unwrap();
    assert_eq!(entry.encryption_key.0, *keys.encryption.public_key().as_bytes());
}

#[tokio::test]
async fn with_a_sandbox_foreign_code_is_offered_too() {
    let (node, data) = devnet().await;
    let mut config = config(&node, data.path());
    config.sandbox = true;
    let agent = Watched::start(config).await.unwrap();
    let entry = &node.chain().providers[&agent.address()];
    assert_eq!(entry.executors, ["int8", "onnx", "wasm"], "kernels need a GPU");
}

#[tokio::test]
async fn one_who_comes_back_changes_only_what_is_different() {
    let (node, data) = devnet().await;
    let (first, _) = start(&node, &data).await;
    let me = first.address();
    first.agent.shutdown().await;

    let (again, told) = start(&node, &data).await;
    assert_eq!(told, ["machine", "means", "connected", "serving"]);
    again.agent.shutdown().await;

    let mut dearer = config(&node, data.path());
    dearer.offer.price_per_block = Amount(77);
    std::fs::remove_file(data.path().join("encryption.key")).unwrap();
    node.act(|chain| chain.providers.get_mut(&me).unwrap().status = ProviderStatus::Draining);
    let mut agent = Watched::start(dearer).await.unwrap();
    let told = agent.until(|progress| matches!(progress, Progress::Serving { .. })).await;
    let updates = told.iter().filter(|progress| matches!(progress, Progress::Updated { .. }));
    assert_eq!(updates.count(), 3, "key, offer and status");
    let chain = node.chain();
    let entry = &chain.providers[&me];
    assert_eq!((entry.price_per_block, entry.key_epoch), (Amount(77), 2));
    assert_eq!(entry.status, ProviderStatus::Active);
    assert_eq!(chain.took_effect("register"), 1);
}

#[tokio::test]
async fn without_coins_and_faucet_the_account_to_pay_is_named() {
    let node = Node::start(Chain::default()).await;
    let data = tempfile::tempdir().unwrap();
    let error = Watched::start(config(&node, data.path())).await.err().unwrap();
    let ProviderError::Funds { address, have, .. } = &error else { panic!("{error}") };
    assert_eq!(*address, Keys::load(data.path()).unwrap().address());
    assert_eq!(*have, U256::ZERO);
    assert!(error.to_string().contains("100 ANKR"), "{error}");
}

#[tokio::test]
async fn a_bond_below_the_chains_least_is_refused_before_anything_is_sent() {
    let (node, data) = devnet().await;
    let mut config = config(&node, data.path());
    config.offer.bond = Some(Amount::ankr(99));
    let error = Watched::start(config).await.err().unwrap();
    assert_eq!(error.code(), "bond_too_small");
    assert!(node.chain().seen.is_empty());
}

#[tokio::test]
async fn two_agents_do_not_share_a_folder() {
    let (node, data) = devnet().await;
    let (first, _) = start(&node, &data).await;
    let error = Watched::start(config(&node, data.path())).await.err().unwrap();
    assert_eq!(error.code(), "data_in_use");
    first.agent.shutdown().await;
    start(&node, &data).await;
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused_by_name() {
    let (node, data) = devnet().await;
    let good = config(&node, data.path());
    let mut bad = [good.clone(), good.clone(), good.clone(), good];
    bad[0].offer.capacity = 0;
    bad[1].offer.endpoint = "ftp://store".into();
    bad[2].offer.region = "x".repeat(129);
    bad[3].limits.attempts = 0;
    for (config, setting) in bad.into_iter().zip(["capacity", "endpoint", "region", "attempts"]) {
        let error = Watched::start(config).await.err().unwrap();
        assert!(error.to_string().contains(setting), "{error}");
        assert_eq!(error.code(), "invalid_config");
    }
}

#[tokio::test]
async fn a_provider_drains_leaves_takes_its_bond_and_can_return() {
    let (node, data) = devnet().await;
    let (mut agent, _) = start(&node, &data).await;
    let nodes = vec![node.url.clone()];
    let operator = Operator::open(&nodes, data.path()).await.unwrap();

    let id = offer_job(&node, agent.address());
    agent.until(|progress| matches!(progress, Progress::Submitted { .. })).await;
    operator.drain().await.unwrap();
    let status = operator.status().await.unwrap();
    assert_eq!(status.tasks.iter().map(|task| task.id).collect::<Vec<_>>(), [id]);
    assert!(status.remarks[0].starts_with("draining"), "{:?}", status.remarks);
    operator.resume().await.unwrap();
    assert_eq!(operator.leave().await.unwrap_err().code(), "tasks_active");

    node.act(|chain| {
        use neura_types::task::{EndReason, TaskState};
        chain.end(id, TaskState::Settled, EndReason::Approved);
    });
    agent.agent.shutdown().await;
    let free_at = operator.leave().await.unwrap();
    assert_eq!(operator.withdraw_bond().await.unwrap_err().code(), "bond_locked");
    let error = Watched::start(config(&node, data.path())).await.err().unwrap();
    assert_eq!(error.code(), "bond_locked");

    node.act(|chain| chain.height = free_at);
    assert_eq!(operator.withdraw_bond().await.unwrap(), Amount::ankr(100));
    let (_, told) = start(&node, &data).await;
    assert!(told.contains(&"registered".to_owned()), "{told:?}");
    assert_eq!(node.chain().took_effect("register"), 2);
}

#[tokio::test]
async fn a_stranger_is_told_to_register_first() {
    let (node, data) = devnet().await;
    Keys::load_or_create(data.path()).unwrap();
    let operator = Operator::open(std::slice::from_ref(&node.url), data.path()).await.unwrap();
    assert!(operator.status().await.unwrap().provider.is_none());
    assert_eq!(operator.withdraw_bond().await.unwrap_err().code(), "unknown_provider");
}

#[tokio::test]
async fn a_quiet_provider_shows_that_it_is_alive() {
    let (node, data) = devnet().await;
    let (mut agent, _) = start(&node, &data).await;
    node.act(|chain| chain.height += 5_000);
    agent.until(|progress| matches!(progress, Progress::Heartbeat { .. })).await;
    assert_eq!(node.chain().took_effect("heartbeat"), 1);
}
