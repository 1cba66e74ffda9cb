use super::*;
use neura_types::{CommitProof, commit_proof::CommitProofError};

/// A replica that knows the first blocks of a chain.
fn following(rig: &Rig, chain: &[Arc<Block>]) -> Replica {
    let mut replica = rig.replica(0);
    for block in chain {
        deliver(&mut replica, block.header.proposer, rig.proposal(block));
    }
    replica
}

#[test]
fn three_commit_votes_make_a_block_final() {
    let rig = Rig::new();
    let chain = rig.chain(1);
    let mut replica = following(&rig, &chain);
    deliver(&mut replica, 1, rig.commit_vote(1, &chain[0]));
    deliver(&mut replica, 2, rig.commit_vote(2, &chain[0]));
    let outputs = deliver(&mut replica, 3, rig.commit_vote(3, &chain[0]));
    assert_eq!(commits(&outputs), [(1, true)]);
    assert_eq!(replica.status().committed_id, chain[0].id());
}

#[test]
fn a_commit_certificate_makes_ancestors_final_too_oldest_first_with_one_proof() {
    let rig = Rig::new();
    // Every second view is empty, so that two chains never form.
    let mut chain: Vec<Arc<Block>> = Vec::new();
    let mut parent = Arc::clone(&rig.genesis);
    for view in [1, 3, 5] {
        let justify = if view == 1 { rig.genesis_qc() } else { rig.qc(&parent) };
        let tc = (view > 1).then(|| rig.tc(view - 1, &justify));
        parent = rig.block_with(&parent, view, justify, tc);
        chain.push(Arc::clone(&parent));
    }
    let mut replica = following(&rig, &chain);
    assert_eq!(replica.status().committed_height, 0);
    let proof = CommitProof::Certificate(rig.commit_certificate(&chain[2]));
    let message = ConsensusMessage::Committed(Box::new(proof));
    let outputs = deliver(&mut replica, 2, message.clone());
    assert_eq!(commits(&outputs), [(1, false), (2, false), (3, true)]);
    assert!(commits(&deliver(&mut replica, 2, message)).is_empty(), "each once");
}

#[test]
fn a_certified_child_of_the_next_view_makes_its_parent_final_with_a_proof() {
    let rig = Rig::new();
    let chain = rig.chain(3);
    let mut replica = following(&rig, &chain[..2]);
    let outputs = deliver(&mut replica, 3, rig.proposal(&chain[2]));
    assert_eq!(commits(&outputs), [(1, true)]);
    let proof = outputs.iter().find_map(|output| match output {
        Output::Commit(committed) => committed.proof.clone(),
        _ => None,
    });
    let proof = proof.unwrap();
    assert_eq!(proof.block(), chain[0].id());
    assert_eq!(proof.verify(&rig.set, &rig.chain, rig.anchor()), Ok(()));
}

#[test]
fn a_certified_child_of_a_later_view_does_not() {
    let rig = Rig::new();
    let first = rig.block(&rig.genesis, 1);
    let qc = rig.qc(&first);
    let second = rig.block_with(&first, 3, qc.clone(), Some(rig.tc(2, &qc)));
    let mut replica = following(&rig, &[first, Arc::clone(&second)]);
    let outputs = deliver(&mut replica, 1, ConsensusMessage::Quorum(Box::new(rig.qc(&second))));
    assert!(commits(&outputs).is_empty());
}

#[test]
fn a_commit_proof_that_was_tampered_with_proves_nothing() {
    let rig = Rig::new();
    let chain = rig.chain(3);
    let verify = |proof: CommitProof| proof.verify(&rig.set, &rig.chain, rig.anchor());
    let pair = neura_types::commit_proof::TwoChain {
        header: chain[1].header.clone(),
        justify: chain[1].justify.clone(),
        certificate: rig.qc(&chain[1]),
    };
    assert_eq!(verify(CommitProof::TwoChain(Box::new(pair.clone()))), Ok(()));
    let mut other = pair.clone();
    other.header.height += 1;
    assert_eq!(verify(CommitProof::TwoChain(Box::new(other))), Err(CommitProofError::Link));
    let mut other = pair.clone();
    other.certificate = rig.qc(&chain[2]);
    let gap = CommitProofError::Gap { block: 1, child: 3 };
    assert_eq!(verify(CommitProof::TwoChain(Box::new(other))), Err(gap));
    let mut other = pair;
    other.justify.signers = other.certificate.signers.clone();
    assert!(verify(CommitProof::TwoChain(Box::new(other))).is_err());
    let mut certificate = rig.commit_certificate(&chain[0]);
    certificate.view = 2;
    assert!(verify(CommitProof::Certificate(certificate)).is_err());
}

#[test]
fn a_proof_that_does_not_verify_is_a_fault_and_commits_nothing() {
    let rig = Rig::new();
    let chain = rig.chain(2);
    let mut replica = following(&rig, &chain);
    let mut certificate = rig.commit_certificate(&chain[0]);
    certificate.block = chain[1].id();
    let message = ConsensusMessage::Committed(Box::new(CommitProof::Certificate(certificate)));
    let outputs = deliver(&mut replica, 3, message);
    assert_eq!(faults(&outputs).len(), 1);
    assert!(commits(&outputs).is_empty());
}

#[test]
fn an_observer_commits_and_says_nothing() {
    let rig = Rig::new();
    let chain = rig.chain(3);
    let mut observer = rig.observer();
    let mut all = Vec::new();
    for block in &chain {
        all.extend(deliver(&mut observer, block.header.proposer, rig.proposal(block)));
        all.extend(approve(&mut observer, block.id()));
    }
    all.extend(expire(&mut observer, 1 << 40));
    assert!(sent(&all).is_empty() && persisted(&all).is_none());
    assert_eq!(commits(&all), [(1, true)]);
}
