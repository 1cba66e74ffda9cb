//! Networks of validators and full nodes: agreement, failures, joining, refusals to start.

use neura::{
    config::NodeConfig,
    node::{Node, StartOptions, chain::unix_time_ms},
};
use neura_types::{Address, Amount, Height, Params, U256};

use crate::harness::{Network, assert_same_chain, eventually, quick, reached};

const SOMEBODY: Address = Address::repeat_byte(0x50);

async fn start(config: &NodeConfig) -> Result<Node, String> {
    Node::start(config, StartOptions::default()).await.map_err(|error| format!("{error:#}"))
}

/// Sends one coin through a node; returns the height of its block.
async fn pay(network: &Network, through: usize) -> Height {
    let sender = network.sender("alice", through).await;
    sender.transfer(SOMEBODY, Amount::ankr(1).to_u256()).await.unwrap().height
}

async fn balance(network: &Network, of: usize) -> U256 {
    network.client(of).account(SOMEBODY).await.unwrap().balance.0
}

#[tokio::test(flavor = "multi_thread")]
async fn four_validators_execute_a_transfer_that_one_of_them_was_sent() {
    let network = Network::start(4, quick()).await;
    for through in 0..4 {
        let height = pay(&network, through).await;
        network.all_reached(height).await;
    }
    let height = network.advance(2).await;
    assert_same_chain(&network.running(), 1..=height);
    for index in 0..4 {
        assert_eq!(balance(&network, index).await, Amount::ankr(4).to_u256(), "validator {index}");
    }
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_of_four_validators_go_on_and_include_transactions() {
    let mut network = Network::start(4, quick()).await;
    network.stop_node(1).await;
    network.advance(4).await;
    let height = pay(&network, 0).await;
    network.all_reached(height).await;
    assert_same_chain(&network.running(), 1..=height);
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_was_down_catches_up_and_signs_again() {
    let mut network = Network::start(4, quick()).await;
    network.stop_node(3).await;
    network.advance(5).await;
    let missed = pay(&network, 0).await;
    network.start_node(3).await;
    reached(network.node(3), missed).await;
    // Without a second one, the other three are a quorum only with the one that was down.
    network.stop_node(0).await;
    let height = network.advance(5).await;
    let paid = pay(&network, 3).await;
    network.all_reached(paid).await;
    assert_same_chain(&network.running(), 1..=height);
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_starts_again_from_its_data() {
    let mut network = Network::start(4, quick()).await;
    let paid = pay(&network, 2).await;
    network.all_reached(paid).await;
    for index in 0..4 {
        network.stop_node(index).await;
    }
    for index in 0..4 {
        network.start_node(index).await;
    }
    let height = network.advance(3).await;
    assert!(height > paid);
    assert_same_chain(&network.running(), 1..=height);
    assert_eq!(balance(&network, 3).await, Amount::ankr(1).to_u256());
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_full_node_follows_from_genesis_and_passes_transactions_on() {
    let network = Network::start(4, quick()).await;
    let paid = pay(&network, 0).await;
    network.advance(3).await;
    let follower = start(&network.full_node("follower")).await.unwrap();
    assert_eq!(follower.chain.validator(), None);
    reached(&follower, paid).await;

    let client = neura_client::Client::new([format!("http://{}", follower.api_addr())]).unwrap();
    let key = neura_client::Key::Ethereum(network.key("bob"));
    let sender = neura_client::Sender::new(client, key).await.unwrap();
    let sent = sender.transfer(SOMEBODY, Amount::ankr(1).to_u256()).await.unwrap();
    network.all_reached(sent.height).await;

    let nodes = [network.running(), vec![&follower]].concat();
    assert_same_chain(&nodes, 1..=sent.height);
    follower.stop().await;
    network.stop().await;
}

/// Who is behind executes a block while it commits the one before; the base fee of each hangs on that one's gas.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_behind_computes_a_moving_base_fee_as_all_do() {
    let defaults = quick();
    let params = Params { initial_base_fee: defaults.min_base_fee * 1_000, ..defaults };
    let network = Network::start(1, params).await;
    let height = network.advance(30).await;
    let follower = start(&network.full_node("follower")).await.unwrap();
    reached(&follower, height).await;
    assert_same_chain(&[network.running(), vec![&follower]].concat(), 1..=height);
    let fee = |height| follower.chain.store.executed(height).unwrap().unwrap().base_fee;
    for height in 2..=height {
        let before = fee(height - 1);
        assert_eq!(fee(height), before - before / 8, "empty blocks lower it");
    }
    follower.stop().await;
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_stores_off_the_chain_is_found_at_all() {
    let network = Network::start(4, quick()).await;
    // More than fits one answer between nodes.
    let bytes: Vec<u8> = (0..10u32 << 20).map(|i| (i ^ (i >> 9)).to_le_bytes()[0]).collect();
    let stored = network.client(0).put_blob(bytes.clone()).await.unwrap();
    for index in (0..4).rev() {
        let found = network.client(index).blob(stored.hash, bytes.len()).await.unwrap();
        assert_eq!(found, bytes, "validator {index}");
    }
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_node_that_was_down_catches_up() {
    let network = Network::start(1, quick()).await;
    let config = network.full_node("follower");
    let follower = start(&config).await.unwrap();
    reached(&follower, 3).await;
    follower.stop().await;
    let height = network.advance(20).await;
    let follower = start(&config).await.unwrap();
    reached(&follower, height).await;
    assert_same_chain(&[network.node(0), &follower], 1..=height);
    follower.stop().await;
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_cannot_share_a_data_folder() {
    let network = Network::start(1, quick()).await;
    let data = network.devnet.nodes[0].data.clone();
    let second = NodeConfig { data, ..network.full_node("second") };
    let error = start(&second).await.unwrap_err();
    assert!(error.contains("in use by another process"), "{error}");
    network.advance(2).await;
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_of_another_chain_is_refused() {
    let mut network = Network::start(1, quick()).await;
    network.stop_node(0).await;
    let mut other = network.devnet.genesis.clone();
    other.timestamp_ms += 1;
    let genesis = network.folder.path().join("other.json");
    std::fs::write(&genesis, other.to_json().unwrap()).unwrap();
    let config = NodeConfig { genesis, ..network.devnet.nodes[0].clone() };
    let error = start(&config).await.unwrap_err();
    assert!(error.contains("chain"), "{error}");
    assert!(!error.contains("damaged"), "{error}");

    network.start_node(0).await;
    network.advance(1).await;
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_lost_its_safety_record_signs_again_in_an_epoch_that_began_after_its_return()
 {
    const LOST: u16 = 3;
    let index = usize::from(LOST);
    let mut network = Network::start(4, Params { epoch_blocks: 24, ..quick() }).await;
    network.stop_node(index).await;
    let record = network.devnet.nodes[index].data.join("safety.dat");
    std::fs::remove_file(&record).unwrap();
    let returned_ms = unix_time_ms();
    network.start_node(index).await;
    let start = network.advance(1).await;
    assert!(network.node(index).chain.consensus().unwrap().observing);
    let url = format!("{}/metrics", network.url(index));
    let metrics = reqwest::get(url).await.unwrap().text().await.unwrap();
    assert!(metrics.lines().any(|line| line == "neura_signs 0"), "{metrics}");
    eventually("its signature", async || {
        (!network.node(index).chain.consensus().unwrap().observing).then_some(())
    })
    .await;
    let end = network.advance(24).await;
    assert_same_chain(&network.running(), 1..=end);
    assert!(record.exists(), "a new record");

    let chain = &network.node(index).chain;
    let block_at = |height| chain.block_at(height).unwrap().unwrap().1;
    let mut proposed = 0;
    for height in start + 1..=end {
        let block = block_at(height);
        let config = chain.epochs.get(block.header.epoch).unwrap();
        let began = block_at(config.first - 1).header.timestamp_ms;
        if block.header.proposer == LOST {
            proposed += 1;
            assert!(began > returned_ms, "height {height}: the epoch is older than the return");
        }
        if height > config.first && began <= returned_ms {
            let signers = block.justify.signers.members(&config.set).unwrap();
            assert!(signers.iter().all(|(signer, _)| *signer != LOST), "height {height}");
        }
    }
    assert!(proposed > 0, "it leads again");
    network.stop().await;
}
