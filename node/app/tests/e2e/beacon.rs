//! The beacon as contracts, tools and other nodes see it.

use std::collections::BTreeSet;

use neura_types::{Address, B256, Height, U256, beacon::Place};
use serde_json::{Value, json};

use crate::harness::{Network, quick, rpc};

/// Creates an account whose word 0 is PREVRANDAO: `PREVRANDAO PUSH0 SSTORE STOP`.
const KEEPER: [u8; 4] = [0x44, 0x5f, 0x55, 0x00];
/// Returns PREVRANDAO: `PREVRANDAO PUSH0 MSTORE PUSH1 32 PUSH0 RETURN`.
const READER: &str = "0x445f5260205ff3";
/// Blocks looked at: every validator leads several.
const BLOCKS: Height = 16;

async fn result(url: &str, method: &str, params: Value) -> Value {
    let answer = rpc(url, method, params).await;
    assert!(answer["error"].is_null(), "{method}: {answer}");
    answer["result"].clone()
}

async fn mix_hash(url: &str, height: Height) -> B256 {
    let block = result(url, "eth_getBlockByNumber", json!([format!("{height:#x}"), false])).await;
    serde_json::from_value(block["mixHash"].clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn contracts_and_tools_of_all_nodes_see_the_beacon_of_each_block() {
    let network = Network::start(4, quick()).await;
    let sender = network.sender("alice", 0).await;
    let created = sender.create(U256::ZERO, KEEPER.to_vec()).await.unwrap();
    let keeper = sender.address().create(created.info.nonce);
    network.all_reached(created.height.max(BLOCKS)).await;

    let mut values = BTreeSet::new();
    for height in 0..=BLOCKS {
        let seen = mix_hash(&network.url(0), height).await;
        assert!(values.insert(seen), "the value of height {height} is not new");
        for node in 1..4 {
            assert_eq!(mix_hash(&network.url(node), height).await, seen, "{node}");
        }
        let block = network.client(1).block(&height.to_string()).await.unwrap();
        assert_eq!(block.block.beacon, seen);
        let at = json!([
            { "to": Address::repeat_byte(0x51) },
            format!("{height:#x}"),
            { Address::repeat_byte(0x51).to_string(): { "code": READER } },
        ]);
        assert_eq!(result(&network.url(2), "eth_call", at).await, json!(seen), "{height}");
    }
    let stored = json!([keeper, "0x0", "latest"]);
    let stored = result(&network.url(3), "eth_getStorageAt", stored).await;
    assert_eq!(stored, json!(mix_hash(&network.url(0), created.height).await));
    proved(&network);
    network.stop().await;
}

/// Every value follows from the one before it by the key of the block's proposer.
fn proved(network: &Network) {
    let chain = &network.node(3).chain;
    let blocks = (0..=BLOCKS).map(|height| chain.block_at(height).unwrap().unwrap().1);
    let blocks: Vec<_> = blocks.collect();
    let mut proposers = BTreeSet::new();
    for pair in blocks.windows(2) {
        let (parent, header) = (&pair[0].header, &pair[1].header);
        let set = &chain.epochs.get(header.epoch).unwrap().set;
        let key = set.get(header.proposer).unwrap().public_key;
        let place = Place { chain: &chain.context(), epoch: header.epoch, parent };
        assert!(header.beacon.follows(place, &key), "height {}", header.height);
        proposers.insert(header.proposer);
    }
    assert!(proposers.len() > 1, "{proposers:?}");
}
