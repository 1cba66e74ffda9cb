use super::*;

fn body(replica: &mut Replica, outputs: &[Output]) -> Vec<Output> {
    let request = outputs.iter().find_map(|output| match output {
        Output::BuildPayload { view, parent, .. } => Some((*view, *parent)),
        _ => None,
    });
    let (view, parent) = request.expect("a body is asked for");
    replica.step(1, payload(view, parent))
}

fn payload(view: View, parent: BlockId) -> Input {
    Input::Payload {
        view,
        parent,
        body: Box::new(Body {
            timestamp_ms: 77,
            payload: vec![Bytes::from_static(b"transaction")],
            ..Body::default()
        }),
    }
}

#[test]
fn the_leader_of_view_one_proposes_on_genesis_and_votes_for_it() {
    let rig = Rig::new();
    let (mut replica, outputs) = rig.start(1);
    let outputs = body(&mut replica, &outputs);
    let statements = said(&outputs);
    assert!(matches!(statements[..], [Statement::Propose { view: 1, .. }, Statement::Vote { .. }]));
    let record = persisted(&outputs).unwrap();
    assert_eq!((record.proposed, record.voted), (1, 1));
    let [ConsensusMessage::Proposal(proposal), ..] = &sent(&outputs)[..] else { panic!() };
    let block = proposal.block.clone();
    assert_eq!(block.header.timestamp_ms, 77);
    let mut other = rig.replica(0);
    assert!(
        faults(&deliver(&mut other, 1, ConsensusMessage::Proposal(proposal.clone()))).is_empty()
    );
    assert_eq!(said(&approve(&mut other, block.id())), [vote_for(&block)]);
}

#[test]
fn others_do_not_propose() {
    let rig = Rig::new();
    for index in [0, 2, 3] {
        let (mut replica, outputs) = rig.start(index);
        assert!(!outputs.iter().any(|o| matches!(o, Output::BuildPayload { .. })));
        assert!(sent(&replica.step(1, payload(1, rig.genesis.id()))).is_empty());
    }
}

#[test]
fn a_late_or_repeated_body_is_ignored() {
    let rig = Rig::new();
    let (mut replica, outputs) = rig.start(1);
    body(&mut replica, &outputs);
    assert!(sent(&replica.step(1, payload(1, rig.genesis.id()))).is_empty());
    assert!(sent(&replica.step(1, payload(5, rig.genesis.id()))).is_empty());
    let (mut replica, _) = rig.start(1);
    expire(&mut replica, 1_000);
    assert!(sent(&replica.step(1, payload(1, rig.genesis.id()))).is_empty());
}

#[test]
fn a_timeout_certificate_lets_the_next_leader_propose_on_the_highest_certificate() {
    let rig = Rig::new();
    let chain = rig.chain(1);
    let qc = rig.qc(&chain[0]);
    let mut replica = rig.replica(3);
    deliver(&mut replica, 1, rig.proposal(&chain[0]));
    let tc = rig.tc(2, &qc);
    let outputs = deliver(&mut replica, 0, ConsensusMessage::ViewChange(Box::new(tc.clone())));
    let outputs = body(&mut replica, &outputs);
    let [ConsensusMessage::Proposal(proposal), ..] = &sent(&outputs)[..] else { panic!() };
    assert_eq!(proposal.block.header.view, 3);
    assert_eq!(proposal.block.header.parent, chain[0].id());
    assert_eq!(proposal.block.timeout, Some(tc));
}

#[test]
fn a_late_certificate_changes_the_parent_within_the_view() {
    let rig = Rig::new();
    let chain = rig.chain(1);
    let mut replica = rig.replica(2);
    deliver(&mut replica, 1, rig.proposal(&chain[0]));
    let tc = rig.tc(1, &rig.genesis_qc());
    let outputs = deliver(&mut replica, 0, ConsensusMessage::ViewChange(Box::new(tc)));
    assert!(
        outputs.iter().any(
            |o| matches!(o, Output::BuildPayload { parent, .. } if *parent == rig.genesis.id())
        )
    );
    let qc = rig.qc(&chain[0]);
    let outputs = deliver(&mut replica, 0, ConsensusMessage::Quorum(Box::new(qc)));
    assert!(sent(&replica.step(1, payload(2, rig.genesis.id()))).is_empty());
    let outputs = body(&mut replica, &outputs);
    let [ConsensusMessage::Proposal(proposal), ..] = &sent(&outputs)[..] else { panic!() };
    assert_eq!(proposal.block.header.parent, chain[0].id());
    assert_eq!(proposal.block.timeout, None);
}

#[test]
fn proposals_that_break_a_rule_are_named_and_not_voted_for() {
    type Change = fn(&Rig, &mut Block);
    let rules: [(&str, Change); 11] = [
        ("leader", |_, b| b.header.proposer = 0),
        ("height", |_, b| b.header.height += 1),
        ("payload", |_, b| b.payload.push(Bytes::new())),
        ("parent", |_, b| b.header.parent = B256::ZERO),
        ("time", |r, b| b.header.timestamp_ms = r.genesis.header.timestamp_ms),
        ("beacon", |_, b| b.header.beacon.value = B256::ZERO),
        ("executed", |_, b| b.header.executed.height = b.header.height),
        ("skipped view", |_, b| b.header.view = 5),
        ("needless timeout", |r, b| b.timeout = Some(r.tc(0, &r.genesis_qc()))),
        ("forged certificate", |_, b| b.justify.block = B256::ZERO),
        ("parent view", |_, b| b.justify.parent_view = 3),
    ];
    let rig = Rig::new();
    for (rule, change) in rules {
        let mut replica = rig.replica(0);
        let block = altered(&rig.block(&rig.genesis, 1), |b| change(&rig, b));
        let outputs = deliver(&mut replica, 1, rig.proposal(&block));
        assert_eq!(faults(&outputs).len(), 1, "{rule}");
        assert!(!outputs.iter().any(|o| matches!(o, Output::Validate { .. })), "{rule}");
    }
}

#[test]
fn a_parent_below_a_reported_certificate_is_refused() {
    let rig = Rig::new();
    let chain = rig.chain(1);
    let tc = rig.tc(2, &rig.qc(&chain[0]));
    let mut replica = rig.replica(0);
    let block = rig.block_with(&rig.genesis, 3, rig.genesis_qc(), Some(tc));
    assert_eq!(faults(&deliver(&mut replica, 3, rig.proposal(&block))).len(), 1);
}

#[test]
fn a_proposal_under_anothers_signature_is_a_fault_of_the_sender() {
    let rig = Rig::new();
    let mut replica = rig.replica(0);
    let block = rig.block(&rig.genesis, 1);
    let statement = Statement::Propose { view: 1, block: block.id() };
    let signature = rig.signed(2, statement).signature;
    let message = ConsensusMessage::Proposal(Box::new(Proposal { block, signature }));
    assert_eq!(faults(&deliver(&mut replica, 3, message))[0].0, Peer::Validator(3));
}

#[test]
fn above_the_limit_of_blocks_that_are_not_final_only_empty_ones_are_built() {
    let rig = Rig::new();
    let mut config = rig.config(Some(3));
    config.max_uncommitted = 1;
    let recovered = Recovered::genesis(Arc::clone(&rig.genesis));
    let mut replica = Replica::new(config, Some(rig.keys[3].clone()), recovered, 0).unwrap().0;
    let block = rig.block(&rig.genesis, 1);
    deliver(&mut replica, 1, rig.proposal(&block));
    let tc = rig.tc(2, &rig.qc(&block));
    let outputs = deliver(&mut replica, 0, ConsensusMessage::ViewChange(Box::new(tc)));
    assert!(outputs.iter().any(|o| matches!(o, Output::BuildPayload { must_be_empty: true, .. })));
}
