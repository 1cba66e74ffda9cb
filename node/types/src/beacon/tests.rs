use super::*;
use crate::{Block, ExecutedRoot};

const CHAIN: ChainContext = ChainContext { chain_id: 7, genesis: B256::repeat_byte(1) };

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn genesis() -> Header {
    Block::genesis(CHAIN.genesis, 0, ExecutedRoot::default()).header
}

fn on(parent: &Header) -> Place<'_> {
    Place { chain: &CHAIN, epoch: 0, parent }
}

#[test]
fn a_link_follows_for_its_proposer_and_its_place_only() {
    let parent = genesis();
    let link = Beacon::next(on(&parent), &key(1)).unwrap();
    let public = key(1).public_key();
    assert!(link.follows(on(&parent), &public));
    assert!(!link.follows(on(&parent), &key(2).public_key()), "key");

    let later = Header { height: 1, ..parent.clone() };
    assert!(!link.follows(on(&later), &public), "height");
    let other = Header { beacon: link, ..parent.clone() };
    assert!(!link.follows(on(&other), &public), "previous value");
    assert!(!link.follows(Place { epoch: 1, ..on(&parent) }, &public), "epoch");
    let chain = ChainContext { chain_id: 8, ..CHAIN };
    assert!(!link.follows(Place { chain: &chain, ..on(&parent) }, &public), "chain");
    let invented = Beacon { value: B256::repeat_byte(5), ..link };
    assert!(!invented.follows(on(&parent), &public), "value");
}

#[test]
fn what_a_leader_can_vary_leaves_the_value_as_it_is() {
    let parent = genesis();
    let first = Beacon::next(on(&parent), &key(1)).unwrap();
    // The same parent seen again in a later view, and a parent that differs in all but height and value.
    let mut varied = parent.clone();
    (varied.view, varied.timestamp_ms, varied.proposer) = (9, 9, 3);
    (varied.parent, varied.payload_digest) = (B256::repeat_byte(2), B256::repeat_byte(3));
    assert_eq!(Beacon::next(on(&varied), &key(1)), Some(first));
}

#[test]
fn values_of_a_chain_differ_and_those_of_two_leaders_too() {
    let mut header = genesis();
    let mut values = vec![header.beacon.value];
    for height in 1..20 {
        let [own, other] = [1, 2].map(|seed| Beacon::next(on(&header), &key(seed)).unwrap());
        values.extend([own.value, other.value]);
        header = Header { height, beacon: own, ..header };
    }
    let distinct: std::collections::BTreeSet<B256> = values.iter().copied().collect();
    assert_eq!(distinct.len(), values.len());
}
