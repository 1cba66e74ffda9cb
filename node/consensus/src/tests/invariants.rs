use proptest::prelude::*;

use super::*;
use crate::invariants::{justified, may_commit, may_time_out, two_chain};

#[test]
fn justification_table() {
    let cases = [
        (1, 0, None, true),
        (2, 0, None, false),
        (2, 2, None, false),
        (0, u64::MAX, None, false),
        (3, 1, Some((2, 1)), true),
        (3, 1, Some((2, 0)), true),
        (3, 0, Some((2, 1)), false),
        (3, 2, Some((2, 1)), false),
        (4, 1, Some((2, 1)), false),
        (0, 0, Some((u64::MAX, 0)), false),
    ];
    for (view, parent, timeout, expected) in cases {
        assert_eq!(justified(view, parent, timeout), expected, "{view} {parent} {timeout:?}");
    }
}

#[test]
fn views_at_the_end_of_their_range_do_not_wrap() {
    assert!(!two_chain(u64::MAX, 0));
    assert!(!may_commit(0, 0, 0));
    assert!(!may_time_out(u64::MAX, u64::MAX, 0));
}

/// Any input at all: bytes of the rig's own messages, altered.
fn arbitrary_messages() -> impl Strategy<Value = Vec<(u16, u8, u64, u64)>> {
    proptest::collection::vec((0..5u16, 0..8u8, 0..6u64, 0..6u64), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever is delivered in whatever order, nothing is sent whose record was not persisted before it in the same or
    /// an earlier step, and no two statements of one kind and view differ.
    #[test]
    fn every_signature_follows_its_record(messages in arbitrary_messages()) {
        let rig = Rig::new();
        let chain = rig.chain(5);
        let mut replica = rig.replica(0);
        let mut record: Option<SafetyRecord> = None;
        let mut statements: Vec<Statement> = Vec::new();
        for (round, (from, kind, view, other)) in messages.into_iter().enumerate() {
            let block = &chain[(view.max(1) - 1) as usize % 5];
            let from = from % 4;
            let message = match kind {
                0 => rig.proposal(block),
                1 => rig.vote(from, block),
                2 => rig.commit_vote(from, block),
                3 => rig.timeout(from, view + 1, &if view == 0 { rig.genesis_qc() } else { rig.qc(block) }),
                4 => ConsensusMessage::Quorum(Box::new(rig.qc(block))),
                5 => ConsensusMessage::ViewChange(Box::new(rig.tc(other + 1, &rig.genesis_qc()))),
                6 => rig.proposal(&altered(block, |b| b.header.timestamp_ms += other)),
                _ => rig.timeout(from, other + 1, &rig.genesis_qc()),
            };
            let now_ms = round as u64 * 300;
            let mut outputs = replica.step(
                now_ms,
                Input::Message { from: Peer::Validator(from), message },
            );
            for block in &chain {
                let block = block.id();
                outputs.extend(replica.step(now_ms, Input::Validated { block, verdict: Ok(()) }));
            }
            outputs.extend(replica.step(now_ms, Input::Timer));
            for output in &outputs {
                if let Output::Persist(newer) = output {
                    record = Some((**newer).clone());
                }
                for statement in said(std::slice::from_ref(output)) {
                    let record = record.as_ref().expect("a record stands before the first signature");
                    let remembered = match statement {
                        Statement::Propose { view, .. } => record.proposed >= view,
                        Statement::Vote { view, .. } => record.voted >= view,
                        Statement::Commit { view, .. } => record.committed >= view,
                        Statement::Timeout { view, .. } => record.timed_out >= view,
                    };
                    prop_assert!(remembered);
                    let same_slot = |s: &&Statement| {
                        s.view() == statement.view()
                            && std::mem::discriminant(*s) == std::mem::discriminant(&statement)
                    };
                    prop_assert!(statements.iter().filter(same_slot).all(|s| *s == statement));
                    statements.push(statement);
                }
            }
        }
    }
}
