//! Validators that join, serve and leave, and votes that change parameters, while the network runs.

use neura::node::{Node, StartOptions};
use neura_client::{Client, proof};
use neura_types::{Address, Amount, Epoch, Height, Params};
use serde_json::Value;

use crate::harness::{Cli, Network, PATIENCE, eventually, quick, reached};

/// What each of the first validators has at stake, and the newcomer.
const STAKE: &str = "100000";

/// Epochs of a second or two.
fn short_epochs() -> Params {
    Params { epoch_blocks: 24, absence_epochs: 1_000, ..quick() }
}

struct Operator<'a> {
    cli: &'a Cli,
    identity: String,
}

impl Operator<'_> {
    async fn does(&self, args: &[&str]) -> Value {
        self.cli.json(&[args, &["--identity", &self.identity]].concat()).await
    }
}

async fn epoch(client: &Client) -> Epoch {
    client.status().await.unwrap().epoch
}

async fn until_epoch(client: &Client, wanted: Epoch) {
    eventually(&format!("epoch {wanted}"), async || (epoch(client).await >= wanted).then_some(()))
        .await;
}

async fn serves(client: &Client, account: Address) -> Option<u64> {
    let set = client.validators().await.unwrap();
    set.validators.iter().find(|info| info.account == account).map(|info| info.power)
}

/// Waits for a block of this proposer above a height.
async fn proposes(client: &Client, account: Address, mut from: Height) {
    eventually("a block of the newcomer", async || {
        let executed = client.status().await.ok()?.executed;
        while from < executed {
            from += 1;
            let block = client.block(&from.to_string()).await.ok()?;
            if block.block.proposer_account == account {
                return Some(());
            }
        }
        None
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fifth_validator_bonds_serves_leaves_and_gets_its_stake_back() {
    let network = Network::start(4, short_epochs()).await;
    let cli = Cli::new(network.url(0));
    let config = network.full_node("fifth");
    let fifth = Node::start(&config, StartOptions::default()).await.unwrap();
    assert_eq!(fifth.chain.validator(), None);
    let identity = config.identity.display().to_string();
    let newcomer = Operator { cli: &cli, identity: identity.clone() };
    let keys = cli.json(&["identity", &identity]).await;
    let account: Address = keys["address"].as_str().unwrap().parse().unwrap();
    let alice = network.devnet.accounts[0].1.display().to_string();
    cli.json(&["wallet", "send", &account.to_string(), "100100", "--key", &alice]).await;

    let bonded = newcomer.does(&["validator", "bond", STAKE, "--commission", "2.5"]).await;
    assert_eq!(bonded["public_key"], keys["public_key"]);
    let client = network.client(0);
    let standing = newcomer.does(&["validator", "status"]).await;
    assert_eq!(standing["validator"]["commission_bps"], 250);
    assert_eq!(standing["delegation"]["amount"], Amount::ankr(100_000).0.to_string());
    until_epoch(&client, bonded["serves_from"].as_u64().unwrap()).await;
    assert_eq!(serves(&client, account).await, Some(100_000));
    eventually("the newcomer knows that it serves", async || fifth.chain.validator()).await;
    proposes(&client, account, client.height().await.unwrap()).await;

    // Whoever knows genesis alone can tell that the newcomer is one of the validators now.
    let trusted =
        proof::Trusted::genesis(&network.devnet.genesis, network.node(0).chain.genesis_id);
    let mut trusted = trusted.unwrap();
    let proven = proof::account(&network.client(3), &mut trusted, account).await.unwrap();
    assert!(proven.is_some());
    assert!(trusted.config.set.iter().any(|(_, member)| member.account == account));

    newcomer.does(&["validator", "leave"]).await;
    let left = newcomer.does(&["validator", "undelegate", "self", "all"]).await;
    let early = cli.refused(&["validator", "withdraw", "--identity", &identity]).await;
    let released = left["released_at"].as_u64().unwrap();
    let until = format!("nothing to withdraw before epoch {released}");
    assert!(early.message.contains(&until), "{}", early.message);
    until_epoch(&client, released).await;
    assert_eq!(serves(&client, account).await, None);
    eventually("it knows that it does not", async || {
        fifth.chain.validator().is_none().then_some(())
    })
    .await;
    let paid = newcomer.does(&["validator", "withdraw"]).await;
    let paid: u128 = paid[0]["amount"].as_str().unwrap().parse().unwrap();
    assert!(paid > Amount::ankr(99_999).0 && paid <= Amount::ankr(100_001).0, "{paid}");
    assert!(client.account(account).await.unwrap().balance.0 > Amount::ankr(100_000).to_u256());
    assert!(client.staking(account).await.unwrap().delegations.is_empty());

    // It goes on following.
    let height = network.advance(2).await;
    reached(&fifth, height).await;
    fifth.stop().await;
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_thirds_vote_for_holds_from_an_epoch_on() {
    let network = Network::start(4, short_epochs()).await;
    let cli = Cli::new(network.url(0));
    let client = network.client(0);
    let operator = |index: usize| Operator {
        cli: &cli,
        identity: network.devnet.nodes[index].identity.display().to_string(),
    };
    let proposed =
        operator(0).does(&["governance", "propose", "slash_bps=600", "--title", "harder"]).await;
    let id = proposed["id"].as_u64().unwrap();
    for index in 0..3 {
        operator(index).does(&["governance", "vote", &id.to_string(), "yes"]).await;
    }
    let passed = eventually("the end of the vote", async || {
        let proposal = cli.json(&["governance", "show", &id.to_string()]).await;
        (proposal["status"] != "open").then_some(proposal)
    })
    .await;
    assert_eq!(passed["status"], "passed");
    assert_eq!(passed["changes"][0]["name"], "slash_bps");

    let takes_effect = eventually("the new value", async || {
        let slash_bps = client.params().await.ok()?.slash_bps;
        if slash_bps == 500 {
            return None;
        }
        assert_eq!(slash_bps, 600);
        Some(epoch(&client).await)
    })
    .await;
    let mut seen = Vec::new();
    for number in 0..=takes_effect {
        let config = client.epoch(&number.to_string()).await.unwrap().config;
        seen.push((config.params.slash_bps, config.set.len()));
    }
    assert!(seen.is_sorted(), "it changes once and for all: {seen:?}");
    assert_eq!((seen.first(), seen.last()), (Some(&(500, 4)), Some(&(600, 4))));
    let refused = cli
        .refused(&[
            "governance",
            "vote",
            &id.to_string(),
            "yes",
            "--identity",
            &operator(3).identity,
        ])
        .await;
    assert_eq!(refused.code, "proposal_ended", "{}", refused.message);
    network.stop().await;
}

/// An upgrade that nobody has installed is the one case in which all nodes stop together, and by intent.
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_this_program_does_not_speak_stops_it_before_its_first_block() {
    let mut network = Network::start(4, short_epochs()).await;
    let cli = Cli::new(network.url(0));
    let client = network.client(0);
    let operator = |index: usize| Operator {
        cli: &cli,
        identity: network.devnet.nodes[index].identity.display().to_string(),
    };
    let begins = epoch(&client).await + 4;
    let number = begins.to_string();
    let proposed = operator(0).does(&["governance", "upgrade", "2", "--epoch", &number]).await;
    let id = proposed["id"].as_u64().unwrap().to_string();
    for index in 0..3 {
        operator(index).does(&["governance", "vote", &id, "yes"]).await;
    }
    let reason = tokio::time::timeout(PATIENCE, network.node(0).failed()).await.unwrap();
    let first = network.devnet.genesis.params.epoch_blocks * begins + 1;
    let expected = format!("epoch {begins} (from block {first} on) needs protocol version 2");
    assert!(reason.contains(&expected), "{reason}");
    assert_eq!(network.node(0).chain.committed_height(), first - 1);

    // It says the same at every start, until another program is installed.
    network.stop_node(0).await;
    let again = Node::start(&network.devnet.nodes[0], StartOptions::default()).await.unwrap();
    let reason = tokio::time::timeout(PATIENCE, again.failed()).await.unwrap();
    assert!(reason.contains(&expected), "{reason}");
    again.stop().await;
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_a_stopped_node_fills_a_fresh_one_that_is_checked_from_genesis() {
    let mut network = Network::start(4, short_epochs()).await;
    let (cli, client) = (Cli::new(network.url(0)), network.client(0));
    until_epoch(&client, 2).await;
    network.stop_node(3).await;
    let config = network.devnet.nodes[3].clone();
    let genesis = config.genesis.display().to_string();
    let (data, out) = (config.data.display().to_string(), network.folder.path().join("snapshot"));
    let out = out.display().to_string();
    let base = ["--genesis", &genesis, "--data"];
    let made =
        cli.json(&[&["snapshot", "export", &out][..], &base, &[data.as_str()]].concat()).await;
    assert_eq!(made, cli.json(&["snapshot", "info", &out]).await);
    let height = made["height"].as_u64().unwrap();

    let nowhere = network.folder.path().join("nowhere");
    let from = nowhere.display().to_string();
    let refused =
        cli.refused(&[&["snapshot", "export", "x"][..], &base, &[from.as_str()]].concat()).await;
    assert!(refused.message.contains("holds no chain"), "{}", refused.message);
    let other = network.folder.path().join("other.json");
    let text = std::fs::read_to_string(&genesis).unwrap().replace("26770", "26771");
    std::fs::write(&other, text).unwrap();
    let other = ["--genesis", other.to_str().unwrap(), "--data", from.as_str()];
    let refused = cli.refused(&[&["snapshot", "import", &out][..], &other].concat()).await;
    assert!(refused.message.contains("snapshot is of chain 26770"), "{}", refused.message);
    assert!(!nowhere.exists(), "what is refused leaves nothing behind");

    let fresh = network.full_node("fresh");
    let data = fresh.data.display().to_string();
    let import = [&["snapshot", "import", &out][..], &base, &[data.as_str()]].concat();
    let wrong = format!("{height}:{}", neura_types::B256::repeat_byte(1));
    let refused = cli.refused(&[&import[..], &["--trust", &wrong]].concat()).await;
    assert!(refused.message.contains("not by the trusted"), "{}", refused.message);
    let imported = cli.json(&import).await;
    assert_eq!((&imported["height"], &imported["block"]), (&made["height"], &made["block"]));
    let again = cli.refused(&import).await;
    assert!(again.message.contains("holds a chain already"), "{}", again.message);

    network.start_node(3).await;
    let node = Node::start(&fresh, StartOptions::default()).await.unwrap();
    let later = network.advance(4).await;
    reached(&node, later).await;
    let of = |node: &Node| node.chain.store.executed_root(later).unwrap();
    assert_eq!(of(&node), of(network.node(0)));
    node.stop().await;
    network.stop().await;
}
