//! One key in two places: on two data folders it is found out, on one it does not start twice.

use std::process::Command;

use neura::{config::NodeConfig, node::wire};
use neura_client::{Client, Key, Sender};
use neura_p2p::Class;
use neura_types::{
    Address, Amount, B256, Params, ValidatorIndex,
    abi::{IStaking, SolEvent},
    codec,
    keys::SecretKey,
    rest::ValidatorStatus,
    system,
    vote::{ChainContext, ConsensusMessage, Evidence, Signed, Statement},
};

use crate::{
    doors::p2p::join,
    harness::{Network, assert_same_chain, eventually, neura, output, quick, rpc},
};

/// Blocks after which every validator has had its turn to report.
const ALL_TURNS: u64 = 4 * 8 + 8;
/// Pays for a transfer, and for no report.
const FEE: Amount = Amount(1_000_000_000_000_000);
/// Views in advance of which the second place signs: it must not be late.
const VIEWS_AHEAD: u64 = 8;

/// A process of the binary on a data folder, which has a genesis file, with all validators as its peers.
fn node(network: &Network, config: &NodeConfig) -> Command {
    let mut command = neura(network.folder.path());
    command.arg("node").arg("--data").arg(&config.data).arg("--genesis").arg(&config.genesis);
    command.args(["--api", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0"]);
    command.args(config.peers.iter().flat_map(|peer| ["--peer", peer]));
    command
}

/// Slashings that the chain has logged: the operator, and what was taken of its stake.
async fn slashings(url: &str) -> Vec<(Address, u128)> {
    let filter = serde_json::json!([{
        "fromBlock": "0x0",
        "address": system::STAKING,
        "topics": [IStaking::Slashed::SIGNATURE_HASH],
    }]);
    let answer = rpc(url, "eth_getLogs", filter).await;
    let logs = answer["result"].as_array().unwrap_or_else(|| panic!("{answer}")).clone();
    let decode = |log: serde_json::Value| {
        let topics: Vec<neura_types::B256> = serde_json::from_value(log["topics"].clone()).unwrap();
        let data: neura_types::Bytes = serde_json::from_value(log["data"].clone()).unwrap();
        let event = IStaking::Slashed::decode_raw_log(topics, &data).unwrap();
        (event.operator, event.bonded)
    };
    logs.into_iter().map(decode).collect()
}

async fn stake(client: &Client, account: Address) -> (ValidatorStatus, Amount) {
    let info = client.validator(&account.to_string()).await.unwrap();
    (info.status, info.stake)
}

/// Proofs that a node keeps.
fn proofs(network: &Network, index: usize) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(network.devnet.nodes[index].data.join("evidence"));
    entries.into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

/// Two votes of validator 0 for one view.
fn two_votes(network: &Network, seed: [u8; 32]) -> Evidence {
    let genesis = &network.devnet.genesis;
    let chain = ChainContext { chain_id: genesis.chain_id, genesis: genesis.hash() };
    let [first, second] = [1, 2].map(|byte| {
        let statement = Statement::Vote { view: 9, block: B256::repeat_byte(byte), parent_view: 8 };
        let signature = SecretKey::from_seed(&seed).sign(statement.digest(&chain, 0).as_slice());
        Signed { epoch: 0, author: 0, statement, signature }
    });
    Evidence { first, second }
}

/// Signs with a validator's key what two places without a common memory would: votes for two blocks in each of the views
/// that come. Runs until it is dropped.
async fn sign_twice(network: &Network, seed: [u8; 32], me: ValidatorIndex) {
    let peer = join(network, seed, &[1, 2, 3], true).await;
    eventually("links to the validators", async || {
        (peer.handle.linked_validators().len() == 3).then_some(())
    })
    .await;
    let key = SecretKey::from_seed(&seed);
    let genesis = &network.devnet.genesis;
    let chain = ChainContext { chain_id: genesis.chain_id, genesis: genesis.hash() };
    let mut signed = 0;
    loop {
        let present = network.client(1).status().await.unwrap();
        for view in present.view.max(signed + 1)..present.view + VIEWS_AHEAD {
            signed = view;
            for block in [1, 2].map(B256::repeat_byte) {
                let statement = Statement::Vote { view, block, parent_view: view - 1 };
                let signature = key.sign(statement.digest(&chain, present.epoch).as_slice());
                let vote = Signed { epoch: present.epoch, author: me, statement, signature };
                let bytes = wire::encode(&ConsensusMessage::Vote(vote));
                // A link that fails is made again; there are other views.
                let _ = peer.handle.broadcast(Class::Consensus, bytes.into());
            }
        }
        tokio::task::yield_now().await;
    }
}

/// A validator's key lies on two machines. Nobody but the other nodes notices. Both places speak over one connection here:
/// whom of two peers with one id others hear is a matter of luck.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_signs_in_two_places_is_reported_slashed_once_and_the_chain_goes_on() {
    // Everything within one epoch: each in which the key contradicts itself would cost again.
    let params = Params { epoch_blocks: 1 << 24, ..quick() };
    let mut network = Network::start(4, params).await;
    let account = network.devnet.genesis.validators[0].account;
    let client = network.client(1);
    let before = client.validator(&account.to_string()).await.unwrap().stake;

    let seed = network.identity(0).0;
    network.stop_node(0).await;
    let left = Amount(before.0 - before.0 / 20);
    tokio::select! {
        () = sign_twice(&network, seed, 0) => unreachable!("it has no end"),
        () = async {
            eventually("the conviction", async || {
                let (status, _) = stake(&client, account).await;
                (status == ValidatorStatus::Tombstoned).then_some(())
            })
            .await;
            // It goes on to contradict itself while all others have their turn to report.
            network.advance(ALL_TURNS).await;
        } => {}
    }
    for index in 1..4 {
        let found = stake(&network.client(index), account).await;
        assert_eq!(found, (ValidatorStatus::Tombstoned, left), "validator {index}");
        assert_eq!(slashings(&network.url(index)).await, [(account, before.0 - left.0)]);
    }
    eventually("the end of all proofs, as they count", async || {
        (1..4).all(|index| proofs(&network, index).is_empty()).then_some(())
    })
    .await;

    let height = network.advance(8).await;
    assert_same_chain(&network.running(), 1..=height);
    network.stop().await;
}

/// A report that failed was never sent again, nor what an earlier run had kept.
#[tokio::test(flavor = "multi_thread")]
async fn evidence_is_taken_up_after_a_restart_and_sent_until_it_counts() {
    let base_fee = 1_000_000_000;
    let params = Params {
        epoch_blocks: 1 << 24,
        initial_base_fee: base_fee,
        min_base_fee: base_fee,
        ..quick()
    };
    let mut network = Network::start(4, params).await;
    let accused = network.devnet.genesis.validators[0].account;
    let reporter = Key::Identity(SecretKey::from_seed(&network.identity(1).0));
    let client = network.client(2);
    let balance = client.account(reporter.address()).await.unwrap().balance;
    let purse = Sender::new(network.client(2), reporter).await.unwrap();
    purse.transfer(accused, balance.0 - FEE.to_u256()).await.unwrap();
    network.stop_node(1).await;
    let folder = network.devnet.nodes[1].data.join("evidence");
    std::fs::create_dir_all(&folder).unwrap();
    let proof = two_votes(&network, network.identity(0).0);
    std::fs::write(folder.join("from-an-earlier-run.bin"), codec::encode(&proof)).unwrap();

    // It cannot pay for the report at first.
    network.start_node(1).await;
    network.advance(ALL_TURNS).await;
    assert_eq!(stake(&client, accused).await.0, ValidatorStatus::Active);
    assert_eq!(proofs(&network, 1).len(), 1);
    let alice = network.sender("alice", 2).await;
    alice.transfer(purse.address(), Amount::ankr(1).to_u256()).await.unwrap();
    eventually("the conviction", async || {
        (stake(&client, accused).await.0 == ValidatorStatus::Tombstoned).then_some(())
    })
    .await;
    eventually("the end of the proof", async || proofs(&network, 1).is_empty().then_some(())).await;
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_data_folder_of_a_validator_refuses_to_start() {
    let network = Network::start(1, quick()).await;
    let mut config = network.devnet.nodes[0].clone();
    config.peers.clear();
    let refused = output(node(&network, &config)).await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("in use by another process"), "{said}");

    // Nor when it was given a database of its own.
    let other = network.full_node("other");
    std::fs::create_dir_all(&other.data).unwrap();
    std::fs::hard_link(config.data.join("safety.dat"), other.data.join("safety.dat")).unwrap();
    let refused = output(node(&network, &other)).await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("one key must not sign in two places"), "{said}");
    network.advance(2).await;
    network.stop().await;
}
