use super::*;
use crate::invariants::view_timer_ms;

#[test]
fn a_timer_that_runs_out_is_recorded_and_sent_and_sent_again_with_the_same_bytes() {
    let rig = Rig::new();
    let mut replica = rig.replica(0);
    assert!(sent(&expire(&mut replica, 999)).is_empty());
    let first = expire(&mut replica, 1_000);
    assert_eq!(persisted(&first).unwrap().timed_out, 1);
    let again = expire(&mut replica, 9_000);
    assert!(persisted(&again).is_none());
    assert_eq!(sent(&first), sent(&again));
}

#[test]
fn more_than_a_third_that_gave_up_take_the_others_along() {
    let rig = Rig::new();
    let mut replica = rig.replica(3);
    let genesis_qc = rig.genesis_qc();
    assert!(said(&deliver(&mut replica, 0, rig.timeout(0, 1, &genesis_qc))).is_empty());
    let outputs = deliver(&mut replica, 2, rig.timeout(2, 1, &genesis_qc));
    assert_eq!(said(&outputs), [Statement::Timeout { view: 1, high_qc_view: 0 }]);
    let certified = sent(&outputs).iter().any(|m| matches!(m, ConsensusMessage::ViewChange(_)));
    assert!(certified, "two others and our own are a quorum");
    assert_eq!(replica.status().view, 2);
}

#[test]
fn a_third_in_a_higher_view_is_joined_there() {
    let rig = Rig::new();
    let mut replica = rig.replica(3);
    deliver(&mut replica, 0, rig.timeout(0, 9, &rig.genesis_qc()));
    let outputs = deliver(&mut replica, 2, rig.timeout(2, 7, &rig.genesis_qc()));
    assert_eq!(said(&outputs), [Statement::Timeout { view: 7, high_qc_view: 0 }]);
    assert_eq!(replica.status().view, 7);
}

#[test]
fn a_leader_that_gave_up_is_not_waited_for() {
    let rig = Rig::new();
    let mut replica = rig.replica(3);
    let outputs = deliver(&mut replica, 1, rig.timeout(1, 1, &rig.genesis_qc()));
    assert_eq!(said(&outputs), [Statement::Timeout { view: 1, high_qc_view: 0 }]);
}

#[test]
fn a_timeout_brings_its_certificate_along() {
    let rig = Rig::new();
    let block = rig.block(&rig.genesis, 1);
    let mut replica = rig.replica(3);
    deliver(&mut replica, 1, rig.proposal(&block));
    let outputs = deliver(&mut replica, 0, rig.timeout(0, 2, &rig.qc(&block)));
    assert_eq!(replica.status().high_qc_view, 1);
    assert_eq!(said(&outputs), [Statement::Commit { view: 1, block: block.id() }]);
}

#[test]
fn a_timeout_that_contradicts_itself_or_is_forged_is_a_fault() {
    let rig = Rig::new();
    let block = rig.block(&rig.genesis, 1);
    let mut replica = rig.replica(3);
    let lie = Statement::Timeout { view: 2, high_qc_view: 0 };
    let message = ConsensusMessage::Timeout(rig.signed(0, lie), Box::new(rig.qc(&block)));
    assert_eq!(faults(&deliver(&mut replica, 0, message)).len(), 1);
    let ConsensusMessage::Timeout(mut signed, qc) = rig.timeout(0, 2, &rig.genesis_qc()) else {
        panic!()
    };
    signed.author = 2;
    let message = ConsensusMessage::Timeout(signed, qc);
    assert_eq!(faults(&deliver(&mut replica, 2, message)).len(), 1);
    assert_eq!(replica.status().view, 1);
}

#[test]
fn who_is_stuck_in_an_old_view_is_sent_the_best_certificate() {
    let rig = Rig::new();
    let block = rig.block(&rig.genesis, 1);
    let mut replica = rig.replica(3);
    deliver(&mut replica, 0, ConsensusMessage::Quorum(Box::new(rig.qc(&block))));
    let outputs = deliver(&mut replica, 2, rig.timeout(2, 1, &rig.genesis_qc()));
    assert!(matches!(
        &outputs[..],
        [Output::Send { to: 2, message: ConsensusMessage::Quorum(qc) }] if qc.view == 1
    ));
}

#[test]
fn a_forged_timeout_certificate_opens_nothing() {
    let rig = Rig::new();
    let mut replica = rig.replica(0);
    let mut tc = rig.tc(4, &rig.genesis_qc());
    tc.reported = vec![0, 0, 3];
    let message = ConsensusMessage::ViewChange(Box::new(tc));
    assert_eq!(faults(&deliver(&mut replica, 2, message)).len(), 1);
    assert_eq!(replica.status().view, 1);
}

#[test]
fn timers_grow_by_a_fifth_per_view_given_up_within_bounds() {
    let timers: Vec<u64> = (0..11).map(|k| view_timer_ms(1_000, 4_000, k)).collect();
    assert_eq!(
        timers,
        [1_000, 1_200, 1_440, 1_728, 2_073, 2_487, 2_984, 3_580, 4_000, 4_000, 4_000]
    );
}

#[test]
fn floods_of_far_views_leave_memory_flat_and_views_alone() {
    let rig = Rig::new();
    let mut replica = rig.replica(0);
    let qc = rig.genesis_qc();
    for step in 0..2_000u64 {
        let view = (1 << 63) + step;
        let statement = Statement::Vote { view, block: B256::ZERO, parent_view: view - 1 };
        deliver(&mut replica, 2, ConsensusMessage::Vote(rig.signed(2, statement)));
        let statement = Statement::Commit { view, block: B256::ZERO };
        deliver(&mut replica, 2, ConsensusMessage::Vote(rig.signed(2, statement)));
        if step < 50 {
            deliver(&mut replica, 2, rig.timeout(2, view, &qc));
        }
    }
    assert_eq!(replica.votes.size() + replica.commits.size(), 0);
    assert_eq!(replica.pacemaker.size(), 1);
    assert_eq!(replica.status().view, 1);
}

/// Found by the simulator: a voter that missed the commit votes of a block could not execute it, so it could not check
/// proposals that certify its state; with every other vote needed, the chain stood still for good.
#[test]
fn whoever_gives_up_a_view_shows_the_newest_proof_of_finality() {
    let rig = Rig::new();
    let chain = rig.chain(1);
    let mut replica = rig.replica(0);
    deliver(&mut replica, 1, rig.proposal(&chain[0]));
    for author in 1..4 {
        deliver(&mut replica, author, rig.commit_vote(author, &chain[0]));
    }
    deliver(&mut replica, 1, ConsensusMessage::Quorum(Box::new(rig.qc(&chain[0]))));
    for now_ms in [20_000, 40_000] {
        let messages = sent(&expire(&mut replica, now_ms));
        let shown = messages.iter().find_map(|message| match message {
            ConsensusMessage::Committed(proof) => Some(proof.block()),
            _ => None,
        });
        assert_eq!(shown, Some(chain[0].id()));
    }
}
