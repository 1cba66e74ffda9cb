use super::*;
use crate::{RecordError, StartError};

fn recovered(rig: &Rig, record: SafetyRecord, uncommitted: Vec<Arc<Block>>) -> Recovered {
    Recovered { safety: Some(record), uncommitted, ..Recovered::genesis(Arc::clone(&rig.genesis)) }
}

#[test]
fn after_a_restart_the_same_vote_is_sent_again_and_no_other() {
    let rig = Rig::new();
    let mut replica = rig.replica(0);
    let block = rig.block(&rig.genesis, 1);
    let before = propose_and_approve(&rig, &mut replica, &block);
    let record = persisted(&before).unwrap();
    for stored in [vec![], vec![Arc::clone(&block)]] {
        let (mut again, outputs) = rig.restart(0, recovered(&rig, record.clone(), stored), 5);
        assert_eq!(sent(&outputs), sent(&before));
        let other = altered(&block, |b| b.header.timestamp_ms += 1);
        assert!(said(&propose_and_approve(&rig, &mut again, &other)).is_empty());
    }
}

#[test]
fn after_a_restart_a_leader_sends_its_proposal_again_and_no_other() {
    let rig = Rig::new();
    let (mut replica, _) = rig.start(1);
    let payload = |text: &'static [u8]| Input::Payload {
        view: 1,
        parent: rig.genesis.id(),
        body: Box::new(Body {
            timestamp_ms: 5,
            payload: vec![Bytes::from_static(text)],
            ..Body::default()
        }),
    };
    let before = replica.step(1, payload(b"one"));
    let record = persisted(&before).unwrap();
    let block = before.iter().find_map(|output| match output {
        Output::StoreBlock { block, .. } => Some(Arc::clone(block)),
        _ => None,
    });
    let (mut again, outputs) =
        rig.restart(1, recovered(&rig, record.clone(), vec![block.unwrap()]), 5);
    let (mut old, mut new) = (sent(&before), sent(&outputs));
    old.sort_by_key(|message| format!("{message:?}"));
    new.sort_by_key(|message| format!("{message:?}"));
    assert_eq!(old, new);
    assert!(said(&again.step(1, payload(b"two"))).is_empty());
    // Without the block, which a faulty disk lost, nothing is proposed at all.
    let (mut again, outputs) = rig.restart(1, recovered(&rig, record, vec![]), 5);
    assert!(!said(&outputs).iter().any(|s| matches!(s, Statement::Propose { .. })));
    assert!(said(&again.step(1, payload(b"two"))).is_empty());
}

#[test]
fn after_a_restart_the_same_timeout_is_sent_again() {
    let rig = Rig::new();
    let mut replica = rig.replica(0);
    let before = expire(&mut replica, 1_000);
    let record = persisted(&before).unwrap();
    let (again, outputs) = rig.restart(0, recovered(&rig, record, vec![]), 5);
    assert_eq!(sent(&outputs), sent(&before));
    assert_eq!(again.status().view, 1);
}

#[test]
fn a_commit_vote_survives_and_blocks_votes_below_it() {
    let rig = Rig::new();
    let chain = rig.chain(2);
    let mut replica = rig.replica(0);
    for block in &chain {
        deliver(&mut replica, block.header.proposer, rig.proposal(block));
    }
    let qc = ConsensusMessage::Quorum(Box::new(rig.qc(&chain[1])));
    let record = persisted(&deliver(&mut replica, 1, qc)).unwrap();
    assert_eq!((record.committed, record.voted, record.high_qc.view), (2, 2, 2));
    let (mut again, outputs) = rig.restart(0, recovered(&rig, record, vec![]), 5);
    assert_eq!(said(&outputs), [Statement::Commit { view: 2, block: chain[1].id() }]);
    assert_eq!(again.status().view, 3);
    assert!(said(&propose_and_approve(&rig, &mut again, &chain[0])).is_empty());
}

#[test]
fn a_node_that_lost_its_record_follows_and_signs_nothing() {
    let rig = Rig::new();
    let chain = rig.chain(3);
    let lost = Recovered { must_observe: true, ..Recovered::genesis(Arc::clone(&rig.genesis)) };
    let (mut replica, mut all) = rig.restart(0, lost, 0);
    for block in &chain {
        all.extend(deliver(&mut replica, block.header.proposer, rig.proposal(block)));
        all.extend(approve(&mut replica, block.id()));
    }
    all.extend(expire(&mut replica, 1 << 30));
    all.extend(replica.step(1 << 30, Input::Connected { peer: 1 }));
    assert!(replica.status().observing);
    assert!(sent(&all).is_empty() && persisted(&all).is_none());
    assert_eq!(commits(&all), [(1, true)]);
}

#[test]
fn a_record_of_another_chain_or_key_is_refused() {
    let rig = Rig::new();
    let key = rig.keys[0].public_key();
    let genesis_qc = rig.genesis_qc();
    let other_chain = ChainContext { chain_id: 8, ..rig.chain };
    let cases = [
        (SafetyRecord::new(other_chain, 0, key, genesis_qc.clone()), "chain"),
        (SafetyRecord::new(rig.chain, 1, key, genesis_qc.clone()), "epoch"),
        (SafetyRecord::new(rig.chain, 0, rig.keys[1].public_key(), genesis_qc), "key"),
    ];
    for (record, what) in cases {
        let result = Replica::new(
            rig.config(Some(0)),
            Some(rig.keys[0].clone()),
            recovered(&rig, record, vec![]),
            0,
        );
        assert_eq!(result.err(), Some(StartError::ForeignRecord(what)));
    }
    let genesis = || Recovered::genesis(Arc::clone(&rig.genesis));
    let wrong_key = Replica::new(rig.config(Some(0)), Some(rig.keys[1].clone()), genesis(), 0);
    assert_eq!(wrong_key.err(), Some(StartError::NotMember(0)));
    let no_key = Replica::new(rig.config(Some(0)), None, genesis(), 0);
    assert_eq!(no_key.err(), Some(StartError::KeyAndIndex));
}

#[test]
fn a_record_is_read_back_and_damage_is_noticed() {
    let rig = Rig::new();
    let mut replica = rig.replica(0);
    let record = persisted(&expire(&mut replica, 1_000)).unwrap();
    let bytes = record.encode();
    assert!(bytes.len() < 1_024);
    assert_eq!(SafetyRecord::decode(&bytes).unwrap(), record);
    for end in 0..bytes.len() {
        assert!(SafetyRecord::decode(&bytes[..end]).is_err());
    }
    let mut other = bytes.clone();
    other[0] = 99;
    assert!(matches!(SafetyRecord::decode(&other), Err(RecordError::Version(99))));
    other = bytes;
    other.push(0);
    assert!(SafetyRecord::decode(&other).is_err());
}

#[test]
fn a_peer_that_connects_again_is_sent_what_was_said_with_the_same_bytes() {
    let rig = Rig::new();
    let mut replica = rig.replica(0);
    let block = rig.block(&rig.genesis, 1);
    let vote = propose_and_approve(&rig, &mut replica, &block);
    let timeout = expire(&mut replica, 1_000);
    let outputs = replica.step(1_001, Input::Connected { peer: 2 });
    let expected: Vec<ConsensusMessage> = sent(&vote).into_iter().chain(sent(&timeout)).collect();
    assert_eq!(sent(&outputs), expected);
    assert!(persisted(&outputs).is_none());
}
