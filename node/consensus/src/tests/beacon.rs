//! The link of the beacon that a leader adds: made, checked, and the same whatever else the leader does.

use super::*;

/// Has a leader build its block in the view that it was asked for, with one transaction.
pub(super) fn proposal_of(replica: &mut Replica, outputs: &[Output], item: u8) -> Arc<Block> {
    let asked = outputs.iter().find_map(|output| match output {
        Output::BuildPayload { view, parent, .. } => Some((*view, *parent)),
        _ => None,
    });
    let (view, parent) = asked.expect("the replica is asked for a body");
    let body = Body {
        timestamp_ms: 1_000 + u64::from(item),
        payload: vec![Bytes::from(vec![item])],
        ..Body::default()
    };
    let outputs = replica.step(1, Input::Payload { view, parent, body: Box::new(body) });
    let proposed = sent(&outputs).into_iter().find_map(|message| match message {
        ConsensusMessage::Proposal(proposal) => Some(proposal.block),
        _ => None,
    });
    proposed.expect("the replica proposes")
}

fn accused(rig: &Rig, block: &Arc<Block>) -> Vec<String> {
    let mut replica = rig.replica(0);
    let outputs = deliver(&mut replica, 1, rig.proposal(block));
    assert!(!outputs.iter().any(|output| matches!(output, Output::Validate { .. })));
    faults(&outputs).into_iter().map(|(_, reason)| reason).collect()
}

#[test]
fn a_leader_adds_the_link_that_follows_from_its_parent() {
    let rig = Rig::new();
    let (mut replica, outputs) = rig.start(1);
    let block = proposal_of(&mut replica, &outputs, 1);
    assert_eq!(block.header.beacon, rig.beacon(&rig.genesis.header, 1));
    assert_ne!(block.header.beacon.value, rig.genesis.header.beacon.value);
}

#[test]
fn a_link_of_another_key_height_or_value_is_refused_by_name() {
    let rig = Rig::new();
    let genesis = &rig.genesis.header;
    let good = rig.block(&rig.genesis, 1);
    let higher = Header { height: 1, ..genesis.clone() };
    let other_value = Header { beacon: good.header.beacon, ..genesis.clone() };
    let own = good.header.beacon;
    let links = [
        ("key", rig.beacon(genesis, 2)),
        ("height", rig.beacon(&higher, 1)),
        ("previous value", rig.beacon(&other_value, 1)),
        ("no proof", Beacon::genesis(rig.chain.genesis)),
        ("invented value", Beacon { value: B256::repeat_byte(1), ..own }),
        ("parent's", genesis.beacon),
    ];
    for (what, link) in links {
        let block = altered(&good, |block| block.header.beacon = link);
        let reasons = accused(&rig, &block);
        assert!(reasons.len() == 1 && reasons[0].contains("beacon"), "{what}: {reasons:?}");
    }
}

#[test]
fn a_link_that_is_not_due_costs_the_leader_its_turn_only() {
    let rig = Rig::new();
    let mut replica = rig.replica(0);
    let false_link =
        altered(&rig.block(&rig.genesis, 1), |block| block.header.beacon.value = B256::ZERO);
    deliver(&mut replica, 1, rig.proposal(&false_link));
    let tc = rig.tc(1, &rig.genesis_qc());
    deliver(&mut replica, 2, ConsensusMessage::ViewChange(Box::new(tc.clone())));
    let next = rig.block_with(&rig.genesis, 2, rig.genesis_qc(), Some(tc));
    let outputs = propose_and_approve(&rig, &mut replica, &next);
    assert!(said(&outputs).contains(&vote_for(&next)));
}

#[test]
fn neither_body_nor_time_nor_view_gives_a_leader_a_second_value() {
    let rig = Rig::new();
    let values = [1, 2].map(|item| {
        let (mut replica, outputs) = rig.start(1);
        proposal_of(&mut replica, &outputs, item).header.clone()
    });
    assert_ne!(values[0].payload_digest, values[1].payload_digest);
    assert_ne!(values[0].timestamp_ms, values[1].timestamp_ms);
    assert_eq!(values[0].beacon, values[1].beacon);

    // The leader of view 1 lets it pass and leads a later one on the same parent.
    let later = (2..20).find(|view| leader_after(&rig.set, *view, &rig.genesis.header) == 1);
    let view = later.expect("every validator leads in turn");
    let (mut replica, _) = rig.start(1);
    let tc = rig.tc(view - 1, &rig.genesis_qc());
    let outputs = deliver(&mut replica, 0, ConsensusMessage::ViewChange(Box::new(tc)));
    let block = proposal_of(&mut replica, &outputs, 3);
    assert_eq!((block.header.view, block.header.beacon), (view, values[0].beacon));
}

#[test]
fn a_proposal_repeated_after_a_restart_carries_the_same_link() {
    let rig = Rig::new();
    let (mut replica, outputs) = rig.start(1);
    let block = proposal_of(&mut replica, &outputs, 1);
    let recovered = Recovered {
        safety: replica_record(&replica),
        uncommitted: vec![Arc::clone(&block)],
        ..Recovered::genesis(Arc::clone(&rig.genesis))
    };
    let (_, outputs) = rig.restart(1, recovered, 5);
    let again = sent(&outputs).into_iter().find_map(|message| match message {
        ConsensusMessage::Proposal(proposal) => Some(proposal.block),
        _ => None,
    });
    assert_eq!(again, Some(block));
}

fn replica_record(replica: &Replica) -> Option<SafetyRecord> {
    replica.safety.record().cloned()
}
