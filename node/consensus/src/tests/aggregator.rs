use super::*;
use crate::aggregator::{Added, Aggregator, FUTURE_VIEWS};

fn vote(rig: &Rig, author: ValidatorIndex, view: View, block: u8) -> Signed {
    let block = B256::repeat_byte(block);
    rig.signed(author, Statement::Vote { view, block, parent_view: view - 1 })
}

#[test]
fn a_quorum_is_returned_once_and_verifies() {
    let rig = Rig::new();
    let mut votes = Aggregator::new(Arc::clone(&rig.set));
    let check = |signed: &Signed| signed.verify(&rig.set, &rig.chain);
    let statement = vote(&rig, 0, 1, 5).statement;
    for author in 0..2 {
        assert_eq!(votes.add(vote(&rig, author, 1, 5), true, check), Added::Kept);
        assert!(votes.collect(&statement, check).signers.is_none());
    }
    assert_eq!(votes.add(vote(&rig, 3, 1, 5), true, check), Added::Kept);
    let signers = votes.collect(&statement, check).signers.unwrap();
    assert_eq!(signers.verify(&rig.set, &rig.chain, |_| statement), Ok(()));
    assert!(votes.collect(&statement, check).signers.is_none());
}

#[test]
fn one_author_counts_once_and_its_second_word_convicts_it() {
    let rig = Rig::new();
    let mut votes = Aggregator::new(Arc::clone(&rig.set));
    let check = |signed: &Signed| signed.verify(&rig.set, &rig.chain);
    let first = vote(&rig, 2, 1, 5);
    assert_eq!(votes.add(first, true, check), Added::Kept);
    assert_eq!(votes.add(first, true, check), Added::Ignored);
    let Added::Conflict(evidence) = votes.add(vote(&rig, 2, 1, 6), true, check) else { panic!() };
    assert!(evidence.verify(&rig.set, &rig.chain));
    assert_eq!(votes.add(vote(&rig, 2, 1, 7), true, check), Added::Ignored);
}

#[test]
fn a_forged_first_word_gives_way_to_the_real_one() {
    let rig = Rig::new();
    let mut votes = Aggregator::new(Arc::clone(&rig.set));
    let check = |signed: &Signed| signed.verify(&rig.set, &rig.chain);
    let mut forged = vote(&rig, 2, 1, 5);
    forged.signature.0[0] ^= 1;
    assert_eq!(votes.add(forged, true, check), Added::Kept);
    let real = vote(&rig, 2, 1, 6);
    assert_eq!(votes.add(real, true, check), Added::Kept);
    assert!(votes.verified(2, &real.statement, &real.signature));
    assert!(!votes.verified(2, &forged.statement, &forged.signature));
}

#[test]
fn only_a_window_of_views_is_kept() {
    let rig = Rig::new();
    let mut votes = Aggregator::new(Arc::clone(&rig.set));
    assert_eq!(votes.add(vote(&rig, 0, FUTURE_VIEWS + 1, 5), true, |_| true), Added::Ignored);
    for view in 1..1_000 {
        votes.advance(view);
        assert_eq!(votes.add(vote(&rig, 0, view, 5), true, |_| true), Added::Kept);
        assert!(votes.size() <= 64);
    }
    assert_eq!(votes.add(vote(&rig, 1, 3, 5), true, |_| true), Added::Ignored);
    votes.advance(2_000);
    assert_eq!(votes.size(), 0);
}
