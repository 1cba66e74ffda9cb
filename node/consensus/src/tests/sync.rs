use super::*;
use crate::{FetchRequest, MAX_RANGE_BLOCKS};
use neura_types::CommitProof;

fn request(outputs: &[Output]) -> Option<FetchRequest> {
    outputs.iter().find_map(|output| match output {
        Output::Fetch(request) => Some(request.clone()),
        _ => None,
    })
}

fn proof(rig: &Rig, block: &Block) -> CommitProof {
    CommitProof::Certificate(rig.commit_certificate(block))
}

fn announce(rig: &Rig, block: &Block) -> ConsensusMessage {
    ConsensusMessage::Committed(Box::new(proof(rig, block)))
}

#[test]
fn a_certified_block_that_is_missing_is_fetched_with_its_ancestors() {
    let rig = Rig::new();
    let chain = rig.chain(5);
    let mut replica = rig.replica(3);
    let outputs = deliver(&mut replica, 1, announce(&rig, &chain[4]));
    let ask = [1, 0, 2].map(Peer::Validator).to_vec();
    let expected = FetchRequest::Ancestors { of: chain[4].id(), down_to: 0, ask };
    assert_eq!(request(&outputs), Some(expected));
    let answer =
        Input::Ancestors { from: Peer::Validator(1), of: chain[4].id(), blocks: chain.clone() };
    let outputs = replica.step(2, answer);
    assert_eq!(commits(&outputs), [(1, false), (2, false), (3, false), (4, false), (5, true)]);
    assert!(!replica.status().fetching);
}

#[test]
fn a_proposal_whose_parent_is_missing_waits_for_it_and_is_then_voted_for() {
    let rig = Rig::new();
    let chain = rig.chain(3);
    let mut replica = rig.replica(0);
    let outputs = deliver(&mut replica, 3, rig.proposal(&chain[2]));
    assert!(matches!(
        request(&outputs),
        Some(FetchRequest::Ancestors { of, .. }) if of == chain[1].id()
    ));
    assert_eq!(replica.status().orphan_blocks, 1);
    let answer = Input::Ancestors {
        from: Peer::Validator(3),
        of: chain[1].id(),
        blocks: chain[..2].to_vec(),
    };
    let outputs = replica.step(2, answer);
    assert!(
        outputs.iter().any(|o| matches!(o, Output::Validate { id, .. } if *id == chain[2].id()))
    );
    assert_eq!(said(&approve(&mut replica, chain[2].id())), [vote_for(&chain[2])]);
}

#[test]
fn a_range_that_is_cut_short_is_continued_backwards() {
    let rig = Rig::new();
    let chain = rig.chain(6);
    let mut replica = rig.replica(3);
    deliver(&mut replica, 1, announce(&rig, &chain[5]));
    let from = Peer::Validator(1);
    let blocks = chain[3..].to_vec();
    let outputs = replica.step(2, Input::Ancestors { from, of: chain[5].id(), blocks });
    let Some(FetchRequest::Ancestors { of, .. }) = request(&outputs) else { panic!() };
    assert_eq!(of, chain[2].id());
    let blocks = chain[..3].to_vec();
    let outputs = replica.step(3, Input::Ancestors { from, of, blocks });
    assert_eq!(commits(&outputs).len(), 6);
}

#[test]
fn a_long_gap_is_closed_by_final_ranges_with_proofs() {
    let rig = Rig::new();
    let length = 2 * MAX_RANGE_BLOCKS as u64 + 10;
    let chain = rig.chain(length);
    let mut observer = rig.observer();
    let newest = chain.last().unwrap();
    deliver(&mut observer, 1, announce(&rig, newest));
    let from = Peer::Other(5);
    let tail = chain[chain.len() - MAX_RANGE_BLOCKS..].to_vec();
    let mut outputs = observer.step(2, Input::Ancestors { from, of: newest.id(), blocks: tail });
    let mut heights = Vec::new();
    while let Some(request) = request(&outputs) {
        let FetchRequest::Committed { from: first, .. } = request else { panic!() };
        let start = first as usize - 1;
        let end = (start + MAX_RANGE_BLOCKS).min(chain.len());
        let blocks = chain[start..end].to_vec();
        let proof = Some(proof(&rig, &chain[end - 1]));
        outputs = observer.step(3, Input::Committed { from, blocks, proof });
        heights.extend(commits(&outputs).iter().map(|(height, _)| *height));
    }
    assert_eq!(heights, (1..=length).collect::<Vec<u64>>());
}

#[test]
fn a_range_that_is_not_the_one_asked_for_is_a_fault_and_asked_again_elsewhere() {
    let rig = Rig::new();
    let chain = rig.chain(4);
    let mut replica = rig.replica(3);
    deliver(&mut replica, 1, announce(&rig, &chain[3]));
    let from = Peer::Validator(1);
    let of = chain[3].id();
    let gap = vec![chain[0].clone(), chain[2].clone(), chain[3].clone()];
    let other_end = chain[..3].to_vec();
    let body = altered(&chain[3], |b| b.payload.clear());
    let other_body = vec![chain[2].clone(), body];
    for blocks in [gap, other_end, other_body] {
        let outputs = replica.step(2, Input::Ancestors { from, of, blocks });
        assert_eq!(faults(&outputs).len(), 1);
        assert!(commits(&outputs).is_empty());
    }
    let outputs = replica.step(400, Input::Timer);
    let Some(FetchRequest::Ancestors { ask, .. }) = request(&outputs) else { panic!() };
    assert_ne!(ask.first(), Some(&from));
}

#[test]
fn a_final_range_without_a_valid_proof_or_off_our_chain_commits_nothing() {
    let rig = Rig::new();
    let chain = rig.chain(4);
    let mut replica = rig.replica(3);
    let from = Peer::Other(9);
    let mut forged = rig.commit_certificate(&chain[3]);
    forged.view += 1;
    let forged = Some(CommitProof::Certificate(forged));
    let outputs = replica.step(2, Input::Committed { from, blocks: chain.clone(), proof: forged });
    assert_eq!(faults(&outputs).len(), 1);
    let good = Some(proof(&rig, &chain[3]));
    let holed = vec![chain[0].clone(), chain[3].clone()];
    let outputs = replica.step(2, Input::Committed { from, blocks: holed, proof: good.clone() });
    assert_eq!(faults(&outputs).len(), 1);
    assert!(commits(&outputs).is_empty());
    let outputs = replica.step(2, Input::Committed { from, blocks: chain.clone(), proof: good });
    assert_eq!(commits(&outputs).len(), 4);
}

#[test]
fn a_proof_beyond_the_range_starts_a_fetch_of_its_ancestors() {
    let rig = Rig::new();
    let chain = rig.chain(4);
    let mut replica = rig.replica(3);
    let proof = Some(proof(&rig, &chain[3]));
    let outputs = replica.step(2, Input::Committed { from: Peer::Other(1), blocks: vec![], proof });
    assert!(matches!(
        request(&outputs),
        Some(FetchRequest::Ancestors { of, .. }) if of == chain[3].id()
    ));
}

#[test]
fn unasked_ancestors_are_ignored() {
    let rig = Rig::new();
    let chain = rig.chain(3);
    let mut replica = rig.replica(3);
    let from = Peer::Other(1);
    let outputs = replica.step(1, Input::Ancestors { from, of: chain[2].id(), blocks: chain });
    assert!(outputs.is_empty());
    assert_eq!(replica.status().tree_blocks, 1);
}

#[test]
fn the_number_of_waiting_blocks_is_bounded() {
    let rig = Rig::new();
    let bound = crate::tree::MAX_ORPHANS;
    let chain = rig.chain(bound as u64 + 20);
    let mut replica = rig.replica(0);
    for block in chain.iter().skip(1) {
        deliver(&mut replica, block.header.proposer, rig.proposal(block));
    }
    assert_eq!(replica.status().orphan_blocks, bound);
    assert!(replica.status().fetching);
}
