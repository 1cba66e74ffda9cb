//! The command line against a chain of one validator, made from flags alone.

use std::path::Path;

use neura::keyfile;
use neura_types::U256;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::{Cli, Network, Running, children, eventually, neura, output, quick};

const TREASURY: &str = "0x0000000000000000000000000000000000000099";

/// As in `neura epoch | head -1`.
#[test]
fn a_reader_that_has_seen_enough_makes_no_command_fail() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let key = folder.path().join("some.key");
    let mut command = neura(folder.path());
    command.arg("identity").arg(&key).stdout(writer).stderr(std::process::Stdio::piped());
    let done = command.spawn().unwrap().wait_with_output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(key.exists());
}

/// Whoever points a suite at the wrong place shall not take it for passed.
#[test]
fn a_suite_of_which_nothing_is_run_fails_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let suite = folder.path().join("suite");
    std::fs::create_dir(&suite).unwrap();
    let run = |what: &str| {
        let done = neura(folder.path()).args(["evm", what]).arg(&suite).output().unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap())
    };
    for (what, missing) in [("statetest", ".json"), ("rpc-compat", ".io")] {
        let (code, told) = run(what);
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains(missing) && told.ends_with("\n0 passed, 0 failed\n"), "{told}");
    }
    std::fs::write(suite.join("list.json"), "[1]").unwrap();
    let (code, told) = run("statetest");
    assert_eq!((code, told.ends_with("\n0 passed, 0 failed\n")), (Some(1), true), "{told}");
    let test = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/evm/fixtures/legacy_run.json");
    std::fs::copy(test, suite.join("test.json")).unwrap();
    let (code, told) = run("statetest");
    assert_eq!((code, told.ends_with(" passed, 0 failed\n")), (Some(0), true), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_one_validator_is_made_from_flags() {
    let cli = Cli::new("http://127.0.0.1:9");
    let folder = cli.home.path();
    let (identity, genesis) = (folder.join("validator.key"), folder.join("genesis.json"));
    let path = identity.display().to_string();
    let keys = cli.json(&["identity", &path]).await;
    assert_eq!(
        (&keys["made"], &cli.json(&["identity", &path]).await["made"]),
        (&true.into(), &false.into())
    );
    let public = keys["public_key"].as_str().unwrap().to_owned();
    let account = cli.json(&["wallet", "new"]).await["address"].as_str().unwrap().to_owned();
    let (funded, out) = (format!("{account}=1000"), genesis.display().to_string());
    let args = ["genesis", "--chain-id", "4242", "--validator", &public, "--account", &funded];
    let made = cli.json(&[&args[..], &["--treasury", TREASURY, "--out", &out]].concat()).await;

    let mut node = start_node(folder, "data", &genesis, &["--identity", &path]);
    let url = api_of(&mut node).await;
    let status = executed(&cli, &url, 2).await;
    assert_eq!((&status["chain_id"], &status["validator"]), (&4_242.into(), &0.into()));
    assert_eq!((&status["genesis_hash"], &status["faucet"]), (&made["hash"], &false.into()));

    let cli_of = ["--url", &url];
    let to = "0x0000000000000000000000000000000000000050";
    let sent = cli.json(&[&["wallet", "send", to, "1.5"][..], &cli_of].concat()).await;
    assert_eq!(sent["receipt"]["success"], true, "{sent}");
    let there = cli.json(&[&["wallet", "balance", to][..], &cli_of].concat()).await;
    assert_eq!(there["balance"], "1500000000000000000");
    let refusal = cli.refused(&[&["faucet", to][..], &cli_of].concat()).await;
    assert_eq!(refusal.code, "no_faucet", "{}", refusal.message);

    // A full node that is told where the validator is.
    let listening = node.says("listening address=").await;
    let address = listening.split("address=").nth(1).unwrap();
    let peer = format!("{address}/p2p/{}", keys["peer_id"].as_str().unwrap());
    let mut follower = start_node(folder, "other", &genesis, &["--peer", &peer]);
    let follower_url = api_of(&mut follower).await;
    let height = sent["inclusion"]["height"].as_u64().unwrap();
    let status = executed(&cli, &follower_url, height).await;
    assert_eq!(status["validator"], Value::Null);
    let there = cli.json(&["wallet", "balance", to, "--url", &follower_url]).await;
    assert_eq!(there["balance"], "1500000000000000000");

    node.signal(Signal::SIGTERM);
    assert!(node.ended().await.success(), "{}", node.said());
    let mut node = start_node(folder, "data", &genesis, &["--identity", &path]);
    let url = api_of(&mut node).await;
    executed(&cli, &url, height + 1).await;
    let there = cli.json(&["wallet", "balance", to, "--url", &url]).await;
    assert_eq!(there["balance"], "1500000000000000000");
}

fn start_node(folder: &Path, data: &str, genesis: &Path, more: &[&str]) -> Running {
    let mut command = neura(folder);
    command.args(["node", "--api", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0", "--data"]);
    command.arg(folder.join(data)).arg("--genesis").arg(genesis).args(more);
    Running::start(command)
}

/// Where a node listens, as its log says.
async fn api_of(node: &mut Running) -> String {
    let line = node.says("node started").await;
    let address = line.split("api=").nth(1).and_then(|rest| rest.split_whitespace().next());
    format!("http://{}", address.unwrap_or_else(|| panic!("{line}")))
}

async fn executed(cli: &Cli, url: &str, height: u64) -> Value {
    eventually("some blocks", async || {
        let status = cli.json(&["status", "--url", url]).await;
        (status["executed"].as_u64().unwrap() >= height).then_some(status)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_made_listed_filled_and_spent() {
    let network = Network::start(1, quick()).await;
    let cli = Cli::new(network.url(0));
    let first = cli.json(&["wallet", "new", "first"]).await;
    let address = first["address"].as_str().unwrap();
    let path = Path::new(first["path"].as_str().unwrap());
    keyfile::check_private(path).unwrap();
    assert!(cli.refused(&["wallet", "new", "first"]).await.message.contains("exists already"));
    assert!(cli.refused(&["wallet", "new", "../first"]).await.message.contains("no name"));

    let mut command = cli.command(&["wallet", "new", "second", "--json"]);
    command.env("NEURA_PASSWORD", "correct horse");
    let second = output(command).await;
    assert!(second.status.success(), "{second:?}");
    let second: Value = serde_json::from_slice(&second.stdout).unwrap();
    let locked = second["path"].as_str().unwrap();
    keyfile::check_private(Path::new(locked)).unwrap();
    assert!(std::fs::read_to_string(locked).unwrap().contains("\"crypto\""));
    let listed = cli.json(&["wallet", "list"]).await;
    let names: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|account| account["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["first", "second"]);

    let second = second["address"].as_str().unwrap();
    let granted = cli.json(&["faucet", second, "--amount", "7"]).await;
    assert_eq!(granted["amount"], "7000000000000000000");
    eventually("the faucet's coins", async || {
        let account = cli.json(&["wallet", "balance", second]).await;
        (account["balance"] == "7000000000000000000").then_some(())
    })
    .await;
    let send = ["wallet", "send", address, "2", "--key", locked, "--json"];
    for (password, spent) in [(None, false), (Some("wrong"), false), (Some("correct horse"), true)]
    {
        let mut command = cli.command(&send);
        command.envs(password.map(|password| ("NEURA_PASSWORD", password)));
        let output = output(command).await;
        assert_eq!(output.status.success(), spent, "{password:?}: {output:?}");
    }
    let text = cli.text(&["wallet", "balance", address]).await;
    assert!(text.contains("2 ANKR"), "{text}");
    let left = cli.json(&["wallet", "balance", second]).await;
    let left: U256 = left["balance"].as_str().unwrap().parse().unwrap();
    assert!(left < neura_types::Amount::ankr(5).to_u256() && left > U256::ZERO, "{left}");
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_is_shown_for_people_and_machines() {
    let network = Network::start(1, quick()).await;
    let cli = Cli::new(format!("http://127.0.0.1:9,{}", network.url(0)));
    let status = cli.json(&["status"]).await;
    assert_eq!(status["chain_id"], network.devnet.genesis.chain_id);
    assert_eq!(status["validator"], 0);
    let text = cli.text(&["status"]).await;
    assert!(text.contains("validator 0") && text.contains("executed"), "{text}");
    network.stop().await;
    let refusal = cli.refused(&["status"]).await;
    assert_eq!(refusal.code, "unreachable", "{}", refusal.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_are_printed_for_every_shell() {
    let cli = Cli::new("http://127.0.0.1:9");
    for shell in ["bash", "zsh", "fish"] {
        let text = cli.text(&["completions", shell]).await;
        assert!(text.contains("neura") && text.contains("devnet"), "{shell}");
    }
    let output = cli.run(&["completions", "abacus"]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_devnet_that_cannot_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("devnet").display().to_string();
    let devnet = ["devnet", "--once", "--no-provider", "--data", &data];
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (more, because) in [
        (vec!["--validators", "0", "--base-port", "0"], "1 to 50"),
        (vec!["--validators", "1000", "--base-port", "0"], "1 to 50"),
        (vec!["--base-port", &port], "is taken"),
        (vec!["--base-port", "65535"], "too high"),
    ] {
        let mut command = neura(folder.path());
        command.args(devnet).args(&more);
        let output = output(command).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{more:?}: {stderr}");
        assert!(stderr.contains(because), "{more:?}: {stderr}");
    }
    let mut command = neura(folder.path());
    let fresh = folder.path().join("fresh").display().to_string();
    command.args(["devnet", "--once", "--no-provider", "--base-port", "0", "--validators", "1"]);
    command.args(["--data", &fresh]);
    let output = output(command).await;
    assert!(output.status.success(), "{output:?}");
    assert!(children(std::process::id()).is_empty());
}
