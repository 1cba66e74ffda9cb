//! Short versions of the long runs, and attacks on a live network. All with real processes of `neura`.

use std::{path::PathBuf, process::Command, time::Duration};

use neura_testnet::{
    Checker, LinkKind, Network, Payments, Plan, QUICK, Task, binary,
    flood::{Attack, raise_file_limit},
    payers,
};

/// Time for a network to do what is awaited, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Memory of one node under attack. At rest it holds about 100 MiB; the API holds at most 256 requests with bodies of at
/// most 5 MiB, and 16 blobs of 64 MiB.
const MAX_RESIDENT: u64 = 3 << 30;

fn node() -> PathBuf {
    binary::find(None).unwrap()
}

fn run(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_neura-testnet")).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let result = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{args:?}: {result}\n{said}");
    result.into_owned()
}

async fn network(params: &str) -> (Network, Payments) {
    let payers = payers(2).unwrap();
    let plan = Plan {
        validators: 4,
        full_nodes: 0,
        params: params.to_owned(),
        accounts: payers.iter().map(|payer| payer.key.address()).collect(),
        by_snapshot: Vec::new(),
        links: LinkKind::Direct,
        task: Task::Serve,
    };
    let network = Network::start(&node(), &plan).await.unwrap();
    let payments = Payments::start(&network, payers, 1);
    (network, payments)
}

#[test]
fn nodes_that_are_killed_lose_nothing_that_was_acknowledged() {
    let result = run(&["crash", "--cycles", "8", "--check-every", "4"]);
    assert!(result.ends_with("8 cycles, 0 violations\n"), "{result}");
}

#[test]
fn a_generated_network_stays_one_chain_through_what_happens_to_it() {
    let result = run(&["seeds", "--seeds", "1", "--from", "3"]);
    assert!(result.ends_with("1 seeds, 0 violations\n"), "{result}");
}

#[test]
fn without_namespaces_nodes_are_cut_off_by_proxies() {
    let result = run(&["seeds", "--seeds", "1", "--from", "1", "--links", "proxies"]);
    assert!(result.ends_with("1 seeds, 0 violations\n"), "{result}");
}

/// The runs above would say the same of a network that they cannot see through.
#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_forgot_what_it_acknowledged_is_found_out() {
    let (mut network, mut payments) = network(QUICK).await;
    network.all_advance(10, PATIENCE).await.unwrap();
    payments.finish(PATIENCE).await.unwrap();
    let mut checker = Checker::default();
    checker.check(&mut network, &payments).await.unwrap();
    assert_eq!(checker.violations.texts(), [""; 0]);
    for node in &mut network.nodes {
        node.kill().unwrap();
        std::fs::remove_dir_all(node.data.join("chain")).unwrap();
        std::fs::remove_file(node.data.join("safety.dat")).unwrap();
        std::fs::remove_file(node.data.join("transactions.journal")).unwrap();
    }
    for node in &mut network.nodes {
        node.start().unwrap();
    }
    network.all_reach(checker.height() + 1, PATIENCE).await.unwrap();
    checker.check_all(&mut network, &payments).await.unwrap();
    let found = checker.violations.texts().join("\n");
    assert!(found.contains("was acknowledged, and its receipt is None"), "{found}");
    assert!(found.contains("height 1 was"), "{found}");
    assert!(found.contains("transfers of 1 wei"), "{found}");
}

async fn blocks_go_on_under(attacks: &[Attack]) {
    raise_file_limit().unwrap();
    let (mut network, mut payments) = network("idle_block_interval_ms = 50\n").await;
    let (api, p2p) = (network.nodes[0].api, network.nodes[0].p2p_addr());
    let running: Vec<_> =
        attacks.iter().zip(0..).map(|(attack, seed)| attack.start(api, p2p, seed)).collect();
    let mut most = 0;
    for _ in 0..20 {
        // The attacked node may have no slot left for a question about its height; the others see that blocks go on.
        let goal = network.nodes[1].height().await.unwrap() + 5;
        while network.nodes[1].height().await.unwrap() < goal {
            network.none_ended().unwrap();
            most = most.max(network.nodes[0].resident_bytes().unwrap());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert!(most < MAX_RESIDENT, "the attacked node holds {} MiB", most >> 20);
    drop(running);
    network.all_advance(3, PATIENCE).await.unwrap();
    payments.finish(PATIENCE).await.unwrap();
    let mut checker = Checker::default();
    checker.check(&mut network, &payments).await.unwrap();
    assert_eq!(checker.violations.texts(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_go_on_under_a_flood_of_subscriptions_and_connections() {
    blocks_go_on_under(&[Attack::Subscriptions, Attack::Connections]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_go_on_under_oversized_bodies_and_garbage() {
    blocks_go_on_under(&[Attack::Oversized, Attack::GarbageRpc, Attack::GarbageP2p]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_go_on_under_all_attacks_at_once() {
    blocks_go_on_under(&Attack::ALL).await;
}
