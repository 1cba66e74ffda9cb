//! Batches of a validator that misbehaves: one that some lack is fetched, one that nobody has is not voted for.

use std::{sync::Arc, time::Duration};

use neura::node::{
    batches::Frame,
    chain::{Chain, unix_time_ms},
};
use neura_consensus::{
    Body, CommittedBlock, Config, FetchRequest, Input, Output, Peer, Recovered, Replica,
};
use neura_p2p::{Class, Event, Network as Direct, NetworkConfig};
use neura_types::{
    Address, Amount, Anchor, B256, BatchRef, Bytes, Height, ValidatorIndex, View, codec,
    keys::SecretKey, transaction::UnsignedTransaction, vote::ConsensusMessage,
};
use tokio::time::{Instant, sleep_until};

use crate::harness::{Network, assert_same_chain, eventually, quick};

const SOMEBODY: Address = Address::repeat_byte(0x51);
/// Index of the validator whose place the tests take.
const LIAR: usize = 3;

/// Stops a validator and joins the network in its place, linked with all others.
async fn replace(network: &mut Network) -> Direct {
    let (identity, _) = network.identity(LIAR);
    network.stop_node(LIAR).await;
    let genesis = &network.devnet.genesis;
    let tag = neura_p2p::chain_tag(genesis.chain_id, &genesis.hash());
    let mut config = NetworkConfig::new(identity, tag);
    for index in 0..=LIAR {
        let id = network.identity(index).1;
        config.validators.insert(id);
        if index != LIAR {
            config.bootstrap.push((id, network.devnet.nodes[index].listen[0].parse().unwrap()));
        }
    }
    let direct = Direct::start(config).await.unwrap();
    eventually("links to the others", async || {
        (direct.handle.linked_validators().len() == LIAR).then_some(())
    })
    .await;
    direct
}

fn transfer(network: &Network) -> Bytes {
    UnsignedTransaction {
        chain_id: network.devnet.genesis.chain_id,
        nonce: 0,
        gas_limit: 21_000,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 1,
        to: SOMEBODY.into(),
        value: Amount::ankr(1).to_u256(),
        input: Bytes::new(),
    }
    .sign_eth(&network.key("alice"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_was_not_sent_a_batch_fetches_it_and_votes() {
    let mut network = Network::start(4, quick()).await;
    let direct = replace(&mut network).await;
    let frame = Frame::seal(LIAR as ValidatorIndex, 1, vec![transfer(&network)]);
    // The author sends it to two of three and answers nobody. Without the third there is no quorum.
    for index in 0..2 {
        let id = network.identity(index).1;
        direct.handle.send(id, Class::Batch, frame.bytes.0.clone()).unwrap();
    }
    eventually("the transfer at all", async || {
        for index in 0..LIAR {
            let balance = network.client(index).account(SOMEBODY).await.unwrap().balance.0;
            if balance != Amount::ankr(1).to_u256() {
                return None;
            }
        }
        Some(())
    })
    .await;
    let digest = frame.reference.digest;
    assert!(network.node(2).chain.store.has_batch(digest).unwrap());
    let height = network.advance(2).await;
    assert_same_chain(&network.running(), 1..=height);
    direct.handle.shutdown().await;
    network.stop().await;
}

/// What is wrong with a block that is sound but for that.
type Lie = fn(&mut Body);

/// What the core cannot know, so that a node's own checks must find it.
const LIES: [Lie; 4] = [
    |body| body.batches = vec![NOWHERE],
    |body| body.executed.state_root = B256::repeat_byte(0xbb),
    |body| body.timestamp_ms += 60_000,
    |body| body.executed.next_base_fee += 1,
];

/// A batch that nobody has.
const NOWHERE: BatchRef =
    BatchRef { digest: B256::repeat_byte(0xbb), author: 0, bytes: 100, items: 1 };

/// A validator whose blocks lie, each in the next way. Apart from that it follows the protocol.
struct Liar<'a> {
    chain: &'a Chain,
    direct: Direct,
    replica: Replica,
    outputs: Vec<Output>,
    zero: Instant,
    timer: Instant,
    proposed: Vec<View>,
}

impl<'a> Liar<'a> {
    fn new(chain: &'a Chain, direct: Direct, identity: [u8; 32]) -> Self {
        let epoch = chain.epochs.current();
        let anchor = Anchor::genesis(chain.genesis_id);
        let scope = (Arc::new(epoch.set.clone()), epoch.last);
        let config = Config::new(chain.context(), anchor, scope, Some(LIAR as ValidatorIndex));
        let genesis = chain.store.block(chain.genesis_id).unwrap().unwrap();
        let key = SecretKey::from_seed(&identity);
        let recovered = Recovered::genesis(Arc::new(genesis));
        let (replica, outputs) = Replica::new(config, Some(key), recovered, 0).unwrap();
        let (zero, timer) = (Instant::now(), Instant::now() + Duration::from_secs(3600));
        Self { chain, direct, replica, outputs, zero, timer, proposed: Vec::new() }
    }

    /// Takes part until it has led so often.
    async fn lead(&mut self, times: usize) {
        let first = std::mem::take(&mut self.outputs);
        self.carry_out(first);
        while self.proposed.len() < times {
            let input = tokio::select! {
                event = self.direct.events.next() => match event.unwrap() {
                    Event::Message { from, bytes, .. } => {
                        let Ok(message) = codec::decode::<ConsensusMessage>(&bytes) else { continue };
                        let members = self.chain.epochs.current();
                        let is = |key: &[u8; 32]| neura_p2p::peer_id_from_public_key(key).ok() == Some(from);
                        let from = members.set.iter().find(|(_, v)| is(&v.public_key.0.0));
                        Input::Message { from: Peer::Validator(from.unwrap().0), message }
                    }
                    _ => continue,
                },
                () = sleep_until(self.timer) => {
                    self.timer += Duration::from_secs(3600);
                    Input::Timer
                }
            };
            self.step(input);
        }
    }

    fn step(&mut self, input: Input) {
        let now = self.zero.elapsed().as_millis() as u64;
        let outputs = self.replica.step(now, input);
        self.carry_out(outputs);
    }

    fn carry_out(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Broadcast(message) => {
                    let class = match &message {
                        ConsensusMessage::Proposal(_) => Class::Proposal,
                        _ => Class::Consensus,
                    };
                    self.direct.handle.broadcast(class, codec::encode(&message).into()).unwrap();
                }
                Output::SetTimer { at_ms } => self.timer = self.zero + Duration::from_millis(at_ms),
                Output::Validate { id, .. } => {
                    self.step(Input::Validated { block: id, verdict: Ok(()) });
                }
                Output::BuildPayload {
                    view, parent, parent_timestamp_ms, parent_executed, ..
                } => {
                    let mut body = Body {
                        timestamp_ms: unix_time_ms().max(parent_timestamp_ms + 1),
                        executed: self.chain.root(parent_executed).unwrap(),
                        ..Body::default()
                    };
                    LIES[self.proposed.len() % LIES.len()](&mut body);
                    self.proposed.push(view);
                    self.step(Input::Payload { view, parent, body: Box::new(body) });
                }
                Output::Fetch(FetchRequest::Committed { from, .. }) => self.catch_up(from),
                Output::Fetch(FetchRequest::Ancestors { of, .. }) => {
                    let block = self.chain.store.block(of).unwrap().map(Arc::new);
                    let blocks = block.into_iter().collect();
                    self.step(Input::Ancestors { from: Peer::Validator(0), of, blocks });
                }
                Output::Commit(CommittedBlock { .. }) | Output::Persist(_) => {}
                _ => {}
            }
        }
    }

    /// Reads final blocks from another's store.
    fn catch_up(&mut self, from: Height) {
        let mut blocks = Vec::new();
        let mut proof = None;
        for height in from..=self.chain.committed_height().min(from + 63) {
            let Some((_, block)) = self.chain.block_at(height).unwrap() else { break };
            blocks.push(block);
            if let Some((_, bytes)) =
                self.chain.store.commit_proof_at_or_after(height, height).unwrap()
            {
                proof = Some((blocks.len(), codec::decode(&bytes).unwrap()));
            }
        }
        let (proven, proof) = proof.map_or((0, None), |(proven, proof)| (proven, Some(proof)));
        blocks.truncate(proven);
        self.step(Input::Committed { from: Peer::Validator(0), blocks, proof });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_lie_about_what_only_nodes_know_get_no_votes_and_the_chain_goes_on() {
    let mut network = Network::start(4, quick()).await;
    let direct = replace(&mut network).await;
    let (identity, _) = network.identity(LIAR);
    let chain = Arc::clone(&network.node(0).chain);
    let mut liar = Liar::new(&chain, direct, identity);
    liar.lead(LIES.len()).await;
    let proposed = std::mem::take(&mut liar.proposed);
    liar.direct.handle.shutdown().await;
    drop(liar);
    let height = network.advance(6).await;
    for height in 1..=height {
        let (_, block) = chain.block_at(height).unwrap().unwrap();
        assert!(!proposed.contains(&block.header.view), "block {height} lies and is final");
    }
    assert_same_chain(&network.running(), 1..=height);
    drop(chain);
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_validator_acknowledged_before_it_stopped_is_executed_after_its_return() {
    let mut network = Network::start(4, quick()).await;
    // Alone it cannot order anything: what it takes stays with it.
    for index in 1..4 {
        network.stop_node(index).await;
    }
    let sent = network.client(0).submit(transfer(&network)).await;
    sent.unwrap();
    network.stop_node(0).await;
    for index in 0..4 {
        network.start_node(index).await;
    }
    eventually("the transfer", async || {
        let balance = network.client(1).account(SOMEBODY).await.unwrap().balance.0;
        (balance == Amount::ankr(1).to_u256()).then_some(())
    })
    .await;
    network.stop().await;
}
