use neura_types::{CommitProof, commit_proof::TwoChain};

use super::{beacon::proposal_of, *};

/// An epoch of two blocks.
fn short() -> Rig {
    Rig { last_height: 2, ..Rig::new() }
}

/// A commit certificate of a block, cast in the view of a block that follows it.
fn tail_certificate(rig: &Rig, view: View, block: BlockId) -> CommitCertificate {
    let statement = Statement::Commit { view, block };
    CommitCertificate { epoch: 0, view, block, signers: rig.signers(&[0, 1, 2], |_| statement) }
}

#[test]
fn the_leader_of_the_last_block_is_asked_for_the_next_epoch() {
    let rig = short();
    let chain = rig.chain(2);
    let mut replica = rig.replica(2);
    propose_and_approve(&rig, &mut replica, &chain[0]);
    let outputs = deliver(&mut replica, 0, ConsensusMessage::Quorum(Box::new(rig.qc(&chain[0]))));
    let asked = outputs.iter().any(|output| {
        matches!(output, Output::BuildPayload { ends_epoch: true, must_be_empty: false, .. })
    });
    assert!(asked, "{outputs:?}");
}

#[test]
fn what_follows_the_last_block_must_be_empty_and_earns_it_commit_votes() {
    let rig = short();
    let chain = rig.chain(3);
    let mut replica = rig.replica(0);
    for block in &chain {
        propose_and_approve(&rig, &mut replica, block);
    }
    let outputs = deliver(&mut replica, 1, ConsensusMessage::Quorum(Box::new(rig.qc(&chain[2]))));
    assert!(said(&outputs).contains(&Statement::Commit { view: 3, block: chain[1].id() }));

    let mut replica = rig.replica(0);
    for block in &chain[..2] {
        propose_and_approve(&rig, &mut replica, block);
    }
    let full = altered(&chain[2], |block| {
        block.payload = vec![Bytes::from_static(b"one more")];
        block.header.payload_digest = payload_digest(&[], &block.payload);
    });
    assert_eq!(faults(&deliver(&mut replica, 3, rig.proposal(&full))).len(), 1);
}

#[test]
fn a_certificate_of_a_later_view_makes_the_last_block_final_and_ends_the_epoch() {
    let rig = short();
    let chain = rig.chain(4);
    let mut replica = rig.replica(0);
    for block in &chain[..3] {
        propose_and_approve(&rig, &mut replica, block);
    }
    let proof = CommitProof::Certificate(tail_certificate(&rig, 3, chain[1].id()));
    assert_eq!(proof.verify(&rig.set, &rig.chain, rig.anchor()), Ok(()));
    let outputs = deliver(&mut replica, 1, ConsensusMessage::Committed(Box::new(proof)));
    assert_eq!(commits(&outputs), [(2, true)], "two views in a row have made the first final");
    for message in [rig.proposal(&chain[3]), rig.timeout(1, 9, &rig.qc(&chain[2]))] {
        assert!(said(&deliver(&mut replica, 1, message)).is_empty(), "nothing is signed any more");
    }
    assert!(expire(&mut replica, 1_000_000).is_empty());
}

#[test]
fn what_follows_the_last_block_never_becomes_final() {
    let rig = short();
    let chain = rig.chain(2);
    let last = &chain[1];
    let mut replica = rig.replica(0);
    propose_and_approve(&rig, &mut replica, &chain[0]);
    deliver(&mut replica, 2, rig.proposal(last));
    // View 3 is given up; two blocks of consecutive views follow the last one.
    let tail = rig.block_with(last, 4, rig.qc(last), Some(rig.tc(3, &rig.qc(last))));
    let second = rig.block(&tail, 5);
    for block in [&tail, &second] {
        assert!(
            faults(&deliver(&mut replica, block.header.proposer, rig.proposal(block))).is_empty()
        );
    }
    let outputs = deliver(&mut replica, 1, ConsensusMessage::Quorum(Box::new(rig.qc(&second))));
    assert!(commits(&outputs).is_empty());
    assert!(said(&outputs).contains(&Statement::Commit { view: 5, block: last.id() }));
    assert_eq!(replica.status().committed_height, 1);
    let proof = CommitProof::Certificate(tail_certificate(&rig, 5, last.id()));
    let outputs = deliver(&mut replica, 1, ConsensusMessage::Committed(Box::new(proof)));
    assert_eq!(commits(&outputs), [(2, true)]);
}

#[test]
fn the_next_epoch_starts_on_the_last_block_and_helps_those_left_behind() {
    let rig = short();
    let chain = rig.chain(3);
    let last = &chain[1];
    let pair = TwoChain {
        header: chain[2].header.clone(),
        justify: rig.qc(last),
        certificate: rig.qc(&chain[2]),
    };
    let proof = CommitProof::TwoChain(Box::new(pair));
    assert_eq!(proof.verify(&rig.set, &rig.chain, rig.anchor()), Ok(()));
    let set = ValidatorSet::new(1, rig.set.iter().map(|(_, v)| v.clone()).collect()).unwrap();
    let anchor = Anchor { view: last.header.view, block: last.id() };
    let config = Config::new(rig.chain, anchor, (Arc::new(set), 4), Some(3));
    let recovered = Recovered {
        committed: (Arc::clone(last), last.id(), Some(proof.clone())),
        ..Recovered::genesis(Arc::clone(&rig.genesis))
    };
    let key = rig.keys[3].clone();
    let (mut replica, outputs) = Replica::new(config, Some(key), recovered, 0).unwrap();
    assert_eq!(replica.status().view, 3);
    let asked = outputs.iter().any(|o| matches!(o, Output::BuildPayload { height: 3, .. }));
    assert!(asked, "its view is 3, which validator 3 leads: {outputs:?}");
    let first = proposal_of(&mut replica, &outputs, 1);
    let place = Place { chain: &rig.chain, epoch: 1, parent: &last.header };
    assert_eq!(Some(first.header.beacon), Beacon::next(place, &rig.keys[3]));

    let stuck = rig.timeout(1, 4, &rig.qc(last));
    let sent = sent(&deliver(&mut replica, 1, stuck));
    assert_eq!(sent, [ConsensusMessage::Committed(Box::new(proof))]);
}

#[test]
fn a_message_of_a_later_epoch_makes_a_replica_ask_for_final_blocks() {
    let rig = Rig::new();
    let mut replica = rig.replica(0);
    let mut vote = rig.signed(2, vote_for(&rig.block(&rig.genesis, 1)));
    vote.epoch = 3;
    let outputs = deliver(&mut replica, 2, ConsensusMessage::Vote(vote));
    let asked = outputs.iter().any(|output| {
        matches!(output, Output::Fetch(crate::FetchRequest::Committed { from: 1, ask })
            if ask == &[Peer::Validator(2)])
    });
    assert!(asked, "{outputs:?}");
}
