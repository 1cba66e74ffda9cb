//! Peers that send rubbish without end. The validators finalise, execute and agree nevertheless.

use std::sync::atomic::{AtomicU64, Ordering};

use neura::node::{
    batches::Frame,
    wire::{self, BlobRequest, BlockRequest, Bundle, Request},
};
use neura_p2p::{Class, Network as Peer, NetworkConfig};
use neura_types::{Amount, B256, Bytes, vote::ConsensusMessage};

use super::{good, noise};
use crate::harness::{Network, assert_same_chain, eventually, quick};

/// Requests that were answered or refused.
static ASKED: AtomicU64 = AtomicU64::new(0);
/// So many requests show that the flood has set in.
const SET_IN: u64 = 200;

/// Distinct numbers for the noise of all peers.
static SEED: AtomicU64 = AtomicU64::new(1);

fn fresh() -> u64 {
    SEED.fetch_add(1, Ordering::Relaxed)
}

/// Joins the network with an identity and connects to the validators with these indices.
pub(crate) async fn join(
    network: &Network,
    identity: [u8; 32],
    to: &[usize],
    validators: bool,
) -> Peer {
    let genesis = &network.devnet.genesis;
    let tag = neura_p2p::chain_tag(genesis.chain_id, &genesis.hash());
    let mut config = NetworkConfig::new(identity, tag);
    for index in to {
        let id = network.identity(*index).1;
        let address = network.devnet.nodes[*index].listen[0].parse().unwrap();
        config.bootstrap.push((id, address));
        if validators {
            config.validators.insert(id);
        }
    }
    if validators {
        config.validators.insert(neura_p2p::peer_id_from_seed(&identity).unwrap());
    }
    Peer::start(config).await.unwrap()
}

/// Requests that are none, or ask for what no one should.
fn requests() -> Vec<Bytes> {
    let seed = fresh();
    let whole = wire::encode(&Request::Blob(BlobRequest { hash: B256::ZERO, offset: u64::MAX }));
    let ancestors = BlockRequest::Ancestors { of: B256::repeat_byte(1), above: 0 };
    vec![
        noise(seed, 1).into(),
        noise(seed, 900).into(),
        noise(seed, 60_000).into(),
        whole.slice(..whole.len() - 1),
        [&whole[..], &[0]].concat().into(),
        whole,
        wire::encode(&Request::Blocks(ancestors)),
        wire::encode(&Request::Blocks(BlockRequest::Committed { from: 0, wait_ms: u64::MAX })),
        wire::encode(&Request::Blocks(BlockRequest::Committed { from: u64::MAX, wait_ms: 0 })),
        wire::encode(&Request::Batches(vec![B256::repeat_byte(1); 100])),
    ]
}

/// Bundles of transactions that are none.
fn bundles(transaction: &Bytes) -> Vec<Bytes> {
    let seed = fresh();
    let bundle = wire::encode(&Bundle(vec![transaction.clone(); 3]));
    vec![
        noise(seed, 40).into(),
        noise(seed, 100_000).into(),
        wire::encode(&Bundle(vec![noise(seed, 200).into(); 50])),
        bundle.slice(..bundle.len() / 2),
        // A list that claims to be of the greatest length.
        vec![0xfd; 64].into(),
        vec![0xff; 64].into(),
    ]
}

/// Sends rubbish under ever new identities, as each is thrown out sooner or later. Runs until it is dropped.
async fn flood(network: &Network, number: u8) {
    let transaction = good(network, &network.key("carol"))[0].clone();
    for round in 0u64.. {
        let identity = B256::from(neura_types::U256::from(round + 1_000 * u64::from(number) + 1));
        let peer = join(network, identity.0, &[0, 1, 2, 3], false).await;
        for _ in 0..200 {
            let known = peer.handle.peers();
            let asked = known.iter().flat_map(|id| {
                requests().into_iter().map(|request| peer.handle.request(*id, request.into()))
            });
            for bundle in bundles(&transaction) {
                // A queue that is full is what a flood is about.
                let _ = peer.handle.publish(bundle.into());
            }
            let answers = futures::future::join_all(asked).await;
            ASKED.fetch_add(answers.len() as u64, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
        peer.handle.shutdown().await;
    }
}

/// Checks that all running nodes finalise blocks, take a transaction and agree.
async fn assert_alive(network: &Network) {
    let end = network.advance(10).await;
    let sender = network.sender("alice", 0).await;
    let to = neura_types::Address::repeat_byte(0x50);
    let sent = sender.transfer(to, Amount::ankr(1).to_u256()).await.unwrap();
    network.all_reached(sent.height).await;
    assert_same_chain(&network.running(), 1..=end.max(sent.height));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_validators_finalise_while_peers_flood_them() {
    let network = Network::start(4, quick()).await;
    tokio::select! {
        () = flood(&network, 1) => unreachable!("a flood has no end"),
        () = flood(&network, 2) => unreachable!("a flood has no end"),
        () = async {
            eventually("the flood", async || {
                (ASKED.load(Ordering::Relaxed) > SET_IN).then_some(())
            })
            .await;
            assert_alive(&network).await;
        } => {}
    }
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_validators_finalise_while_the_fourth_sends_rubbish() {
    let mut network = Network::start(4, quick()).await;
    let (identity, _) = network.identity(3);
    network.stop_node(3).await;
    let peer = join(&network, identity, &[0, 1, 2], true).await;
    eventually("links to the validators", async || {
        (!peer.handle.linked_validators().is_empty()).then_some(())
    })
    .await;
    let newest = network.advance(1).await;
    let (_, block) = network.node(0).chain.block_at(newest).unwrap().unwrap();
    let quorum = block.justify.clone();
    let rubbish = async {
        loop {
            for class in Class::ALL {
                let seed = fresh();
                let old = wire::encode(&ConsensusMessage::Quorum(Box::new(quorum.clone())));
                // Batches of nothing that can be executed, ever new ones, as many as go out.
                let junk = vec![Bytes::from(noise(seed, 500)); 100];
                let batch = Frame::seal(3, seed, junk).bytes;
                for frame in [
                    noise(seed, 1).into(),
                    noise(seed, 3_000).into(),
                    noise(seed, 200_000).into(),
                    old.slice(..old.len() - 1),
                    old,
                    batch,
                ] {
                    // What is not linked just now, as it is banned, misses nothing.
                    let _ = peer.handle.broadcast(class, frame.into());
                }
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = rubbish => unreachable!("it has no end"),
        () = assert_alive(&network) => {}
    }
    peer.handle.shutdown().await;
    network.stop().await;
}
