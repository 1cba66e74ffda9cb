use super::*;
use crate::output::Fault;

#[test]
fn a_good_proposal_is_checked_stored_recorded_and_then_voted_for() {
    let rig = Rig::new();
    let mut replica = rig.replica(0);
    let block = rig.block(&rig.genesis, 1);
    let outputs = deliver(&mut replica, 1, rig.proposal(&block));
    assert!(said(&outputs).is_empty());
    assert!(outputs.iter().any(|o| matches!(o, Output::Validate { id, .. } if *id == block.id())));
    let outputs = approve(&mut replica, block.id());
    let kinds: Vec<u8> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::StoreBlock { id, .. } if *id == block.id() => Some(0),
            Output::Persist(record) if record.voted == 1 => Some(1),
            Output::Broadcast(ConsensusMessage::Vote(_)) => Some(2),
            _ => None,
        })
        .collect();
    assert_eq!(kinds, [0, 1, 2]);
    assert_eq!(said(&outputs), [vote_for(&block)]);
}

#[test]
fn a_refused_body_gets_no_vote() {
    let rig = Rig::new();
    let mut replica = rig.replica(0);
    let block = rig.block(&rig.genesis, 1);
    deliver(&mut replica, 1, rig.proposal(&block));
    let verdict = Err("wrong root".to_owned());
    let outputs = replica.step(1, Input::Validated { block: block.id(), verdict });
    assert!(said(&outputs).is_empty());
}

#[test]
fn a_second_block_in_a_view_gets_no_vote_and_convicts_its_leader() {
    let rig = Rig::new();
    let mut replica = rig.replica(0);
    let block = rig.block(&rig.genesis, 1);
    propose_and_approve(&rig, &mut replica, &block);
    let other = altered(&block, |b| b.header.timestamp_ms += 1);
    let outputs = deliver(&mut replica, 1, rig.proposal(&other));
    assert!(!outputs.iter().any(|o| matches!(o, Output::Validate { .. })));
    let evidence = outputs.iter().find_map(|output| match output {
        Output::Evidence(evidence) => Some(evidence),
        _ => None,
    });
    assert!(evidence.unwrap().verify(&rig.set, &rig.chain));
    assert!(said(&approve(&mut replica, other.id())).is_empty());
}

#[test]
fn no_vote_follows_a_timeout_of_the_same_view() {
    let rig = Rig::new();
    let mut replica = rig.replica(0);
    let block = rig.block(&rig.genesis, 1);
    deliver(&mut replica, 1, rig.proposal(&block));
    assert_eq!(said(&expire(&mut replica, 1_000)).len(), 1);
    assert!(said(&approve(&mut replica, block.id())).is_empty());
}

#[test]
fn three_votes_make_a_certificate_a_commit_vote_and_the_next_view() {
    let rig = Rig::new();
    let mut replica = rig.replica(0);
    let block = rig.block(&rig.genesis, 1);
    propose_and_approve(&rig, &mut replica, &block);
    deliver(&mut replica, 1, rig.vote(1, &block));
    let outputs = deliver(&mut replica, 2, rig.vote(2, &block));
    let commit = Statement::Commit { view: 1, block: block.id() };
    assert_eq!(said(&outputs), [commit]);
    assert_eq!(persisted(&outputs).unwrap().committed, 1);
    assert_eq!(replica.status().view, 2);
    let forwarded = outputs.iter().any(|output| {
        matches!(output, Output::Send { to: 2, message: ConsensusMessage::Quorum(_) })
    });
    assert!(forwarded, "the next leader is told");
}

#[test]
fn no_commit_vote_is_cast_in_a_view_given_up() {
    let rig = Rig::new();
    let mut replica = rig.replica(0);
    let block = rig.block(&rig.genesis, 1);
    expire(&mut replica, 1_000);
    let outputs = deliver(&mut replica, 1, ConsensusMessage::Quorum(Box::new(rig.qc(&block))));
    assert_eq!(replica.status().view, 2);
    assert!(said(&outputs).is_empty());
}

#[test]
fn a_bad_signature_among_votes_is_found_and_named_and_others_complete_the_quorum() {
    let rig = Rig::new();
    let mut replica = rig.replica(0);
    let block = rig.block(&rig.genesis, 1);
    propose_and_approve(&rig, &mut replica, &block);
    let mut forged = rig.signed(1, vote_for(&block));
    forged.signature.0[3] ^= 1;
    assert!(deliver(&mut replica, 1, ConsensusMessage::Vote(forged)).is_empty());
    let outputs = deliver(&mut replica, 2, rig.vote(2, &block));
    assert_eq!(faults(&outputs), [(Peer::Validator(1), Fault::Signature.to_string())]);
    assert_eq!(replica.status().view, 1);
    deliver(&mut replica, 3, rig.vote(3, &block));
    assert_eq!(replica.status().view, 2);
}

#[test]
fn a_relayed_forgery_does_not_take_the_place_of_the_real_vote() {
    let rig = Rig::new();
    let mut replica = rig.replica(0);
    let block = rig.block(&rig.genesis, 1);
    propose_and_approve(&rig, &mut replica, &block);
    let mut forged = rig.signed(1, vote_for(&block));
    forged.signature.0[3] ^= 1;
    let outputs = deliver(&mut replica, 3, ConsensusMessage::Vote(forged));
    assert_eq!(faults(&outputs), [(Peer::Validator(3), Fault::Signature.to_string())]);
    deliver(&mut replica, 1, rig.vote(1, &block));
    deliver(&mut replica, 2, rig.vote(2, &block));
    assert_eq!(replica.status().view, 2);
}

#[test]
fn a_message_of_the_wrong_kind_is_a_fault() {
    let rig = Rig::new();
    let mut replica = rig.replica(0);
    let statement = Statement::Propose { view: 1, block: B256::ZERO };
    let message = ConsensusMessage::Vote(rig.signed(2, statement));
    assert_eq!(faults(&deliver(&mut replica, 2, message)).len(), 1);
}

#[test]
fn long_chains_that_are_not_final_are_voted_for_only_without_transactions() {
    let rig = Rig::new();
    let mut config = rig.config(Some(0));
    config.max_uncommitted = 1;
    let recovered = Recovered::genesis(Arc::clone(&rig.genesis));
    let mut replica = Replica::new(config, Some(rig.keys[0].clone()), recovered, 0).unwrap().0;
    // Views 1, 3, 5 are never consecutive, so nothing becomes final without commit votes.
    let mut parent = Arc::clone(&rig.genesis);
    let mut asked = Vec::new();
    for view in [1, 3, 5, 7] {
        let justify = if view == 1 { rig.genesis_qc() } else { rig.qc(&parent) };
        let tc = (view > 1).then(|| rig.tc(view - 1, &justify));
        let block = rig.block_with(&parent, view, justify, tc);
        let outputs = deliver(&mut replica, block.header.proposer, rig.proposal(&block));
        asked.push(outputs.iter().any(|o| matches!(o, Output::Validate { .. })));
        parent = block;
    }
    assert_eq!(asked, [true, true, false, false]);
}
