use neura_types::vote::Evidence;

use super::*;

fn evidence(outputs: &[Output]) -> Vec<Evidence> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Evidence(evidence) => Some(**evidence),
            _ => None,
        })
        .collect()
}

#[test]
fn a_timeout_that_denies_a_lock_convicts_in_either_order() {
    let rig = Rig::new();
    let block = rig.block(&rig.genesis, 1);
    let commit = rig.commit_vote(2, &block);
    let denial = rig.timeout(2, 1, &rig.genesis_qc());
    for messages in [[commit.clone(), denial.clone()], [denial, commit]] {
        let mut replica = rig.replica(0);
        let found: Vec<_> = messages
            .into_iter()
            .flat_map(|message| evidence(&deliver(&mut replica, 2, message)))
            .collect();
        assert_eq!(found.len(), 1);
        assert!(found[0].verify(&rig.set, &rig.chain));
        assert_eq!(found[0].first.author, 2);
    }
}

#[test]
fn a_vote_above_a_certificate_that_a_later_timeout_hides_convicts() {
    let rig = Rig::new();
    let chain = rig.chain(2);
    let mut replica = rig.replica(0);
    deliver(&mut replica, 3, rig.vote(3, &chain[1]));
    let found = evidence(&deliver(&mut replica, 3, rig.timeout(3, 2, &rig.genesis_qc())));
    assert_eq!(found.len(), 1);
    assert!(found[0].verify(&rig.set, &rig.chain));
}

#[test]
fn one_validator_is_reported_once() {
    let rig = Rig::new();
    let one = rig.block(&rig.genesis, 1);
    let mut replica = rig.replica(0);
    let mut found = 0;
    for step in 0..5 {
        let other = altered(&one, |block| block.header.timestamp_ms += step);
        found += evidence(&deliver(&mut replica, 2, rig.vote(2, &other))).len();
        found += evidence(&deliver(&mut replica, 2, rig.commit_vote(2, &other))).len();
    }
    assert_eq!(found, 1);
}

/// A key in two places leads twice before it votes twice: who sees that first must not miss what costs the stake.
#[test]
fn a_double_proposal_does_not_hide_a_double_vote() {
    let rig = Rig::new();
    let one = rig.block(&rig.genesis, 1);
    let other = altered(&one, |block| block.header.timestamp_ms += 1);
    let leader = one.header.proposer;
    let proposals = [rig.proposal(&one), rig.proposal(&other)];
    let votes = [rig.vote(leader, &one), rig.vote(leader, &other)];
    let found_in = |messages: Vec<ConsensusMessage>| {
        let mut replica = rig.replica((leader + 1) % 4);
        let found = messages
            .into_iter()
            .flat_map(|message| evidence(&deliver(&mut replica, leader, message)));
        found.map(|found| matches!(found.first.statement, Statement::Propose { .. })).collect()
    };
    let light_first: Vec<bool> = found_in([proposals.clone(), votes.clone()].concat());
    assert_eq!(light_first, [true, false]);
    let grave_first: Vec<bool> = found_in([votes, proposals].concat());
    assert_eq!(grave_first, [false]);
}

#[test]
fn a_commit_vote_for_a_settled_view_still_convicts() {
    let rig = Rig::new();
    let block = rig.block(&rig.genesis, 1);
    let mut replica = rig.replica(0);
    propose_and_approve(&rig, &mut replica, &block);
    deliver(&mut replica, 1, rig.commit_vote(1, &block));
    let proof = neura_types::CommitProof::Certificate(rig.commit_certificate(&block));
    deliver(&mut replica, 2, ConsensusMessage::Committed(Box::new(proof)));
    assert_eq!(replica.status().committed_height, 1);
    let other = altered(&block, |block| block.header.timestamp_ms += 1);
    assert_eq!(evidence(&deliver(&mut replica, 1, rig.commit_vote(1, &other))).len(), 1);
}

#[test]
fn what_an_honest_validator_says_never_excludes_itself() {
    let rig = Rig::new();
    let chain = rig.chain(3);
    let genesis = Statement::Timeout { view: 1, high_qc_view: 0 };
    let honest = [
        genesis,
        vote_for(&chain[1]),
        Statement::Commit { view: 2, block: chain[1].id() },
        Statement::Timeout { view: 3, high_qc_view: 2 },
        Statement::Timeout { view: 4, high_qc_view: 3 },
    ];
    for first in honest {
        for second in honest {
            let (first, second) = (rig.signed(1, first), rig.signed(1, second));
            assert!(!first.conflicts_with(&second), "{first:?} {second:?}");
        }
    }
}
