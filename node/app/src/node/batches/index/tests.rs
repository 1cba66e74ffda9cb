use neura_types::Bytes;
use proptest::prelude::*;

use super::*;

const ALL: BlockLimits = BlockLimits { bytes: u64::MAX, gas: u64::MAX };

fn held(author: ValidatorIndex, sequence: u64, size: usize) -> Held {
    let frame = Frame::seal(author, sequence, vec![Bytes::from(vec![7; size])]);
    Held { frame, transactions: Arc::new([]), gas: 1 }
}

fn digest(held: &Held) -> B256 {
    held.frame.reference.digest
}

/// An index in which these batches wait, in this order.
fn waiting(batches: &[Held]) -> Index {
    let mut index = Index::default();
    for batch in batches {
        index.insert(batch.clone(), true, Instant::now());
    }
    index
}

fn none() -> HashSet<B256> {
    HashSet::new()
}

#[test]
fn batches_are_handed_out_in_the_order_in_which_they_came() {
    let batches = [held(2, 1, 10), held(0, 1, 10), held(2, 2, 10), held(1, 1, 10)];
    let index = waiting(&batches);
    assert_eq!(index.select(&none(), ALL), batches.clone().map(|batch| batch.frame.reference));
    let taken: HashSet<B256> = batches.iter().map(digest).collect();
    assert!(!index.has_waiting(&taken) && index.has_waiting(&none()));
    assert!(index.select(&taken, ALL).is_empty());
}

#[test]
fn who_sends_much_leaves_the_others_their_share() {
    let mut batches: Vec<Held> = (0..50).map(|sequence| held(0, sequence, 1_000)).collect();
    batches.extend([held(1, 0, 1_000), held(1, 1, 1_000), held(2, 0, 1_000)]);
    let limits = BlockLimits { bytes: 9_500, ..ALL };
    let chosen = waiting(&batches).select(&none(), limits);
    let of = |author| chosen.iter().filter(|batch| batch.author == author).count();
    assert_eq!((of(0), of(1), of(2)), (6, 2, 1));
}

#[test]
fn a_block_is_filled_within_its_bytes_and_gas_and_nothing_overtakes_within_an_author() {
    let batches = [held(0, 0, 600), held(0, 1, 600), held(0, 2, 10)];
    let index = waiting(&batches);
    let chosen = index.select(&none(), BlockLimits { bytes: 1_000, ..ALL });
    assert_eq!(chosen, [batches[0].frame.reference]);
    assert_eq!(index.select(&none(), BlockLimits { gas: 2, ..ALL }).len(), 2);
}

#[test]
fn nobody_fills_the_memory_of_the_others() {
    let quota = Quota { bytes: 3_000, batches: 4 };
    let mut index = Index::default();
    let mut offer = |batch: Held| {
        index.admit(&batch.frame, quota).map(|()| index.insert(batch, true, Instant::now()))
    };
    assert_eq!(offer(held(0, 0, 1_400)), Ok(()));
    assert_eq!(offer(held(0, 0, 1_400)), Err(Unwanted::Known));
    assert_eq!(offer(held(0, 1, 1_400)), Ok(()));
    assert_eq!(offer(held(0, 2, 1_400)), Err(Unwanted::Quota(0)), "bytes");
    for sequence in 0..4 {
        assert_eq!(offer(held(1, sequence, 1)), Ok(()), "others have their own");
    }
    assert_eq!(offer(held(1, 4, 1)), Err(Unwanted::Quota(1)), "batches");
}

#[test]
fn what_is_ordered_frees_its_authors_quota_and_is_never_handed_out_again() {
    let quota = Quota { bytes: 1 << 20, batches: 1 };
    let (first, second) = (held(0, 0, 10), held(0, 1, 10));
    let mut index = waiting(std::slice::from_ref(&first));
    index.ordered(5, vec![digest(&first)]);
    assert_eq!(index.waiting_bytes(0), 0);
    assert_eq!(index.admit(&second.frame, quota), Ok(()));
    assert!(index.was_ordered(&digest(&first), 6) && !index.was_ordered(&digest(&first), 5));
    assert!(index.get(&digest(&first)).is_some());
    index.executed(5 + 2 * EXECUTED_KEPT);
    assert!(index.get(&digest(&first)).is_none(), "memory is free");
    index.insert(first.clone(), true, Instant::now());
    assert!(!index.has_waiting(&none()), "an old batch that comes again");
}

#[test]
fn a_batch_that_comes_after_its_block_does_not_wait_for_another() {
    let late = held(0, 0, 10);
    let mut index = Index::default();
    index.ordered(1, vec![digest(&late)]);
    index.insert(late.clone(), true, Instant::now());
    assert!(index.get(&digest(&late)).is_some() && !index.has_waiting(&none()));
}

#[test]
fn what_no_block_names_expires_unless_a_proposal_does() {
    let (lost, named, asked) = (held(0, 0, 10), held(0, 1, 10), held(3, 0, 10));
    let mut index = waiting(&[lost.clone(), named.clone()]);
    index.insert(asked.clone(), false, Instant::now());
    let kept = HashSet::from([digest(&named)]);
    assert!(index.expire(Instant::now(), &kept).is_empty());
    let later = Instant::now() + EXPIRY + Duration::from_secs(1);
    let mut gone: Vec<B256> = index.expire(later, &kept).iter().map(digest).collect();
    let mut expected = vec![digest(&lost), digest(&asked)];
    gone.sort();
    expected.sort();
    assert_eq!(gone, expected);
    assert_eq!(index.select(&none(), ALL), [named.frame.reference]);
}

#[test]
fn what_was_asked_for_is_not_proposed() {
    let mut index = Index::default();
    index.insert(held(0, 0, 10), false, Instant::now());
    assert!(!index.has_waiting(&none()) && index.select(&none(), ALL).is_empty());
}

#[derive(Debug, Clone)]
enum Step {
    Push(ValidatorIndex, u64, usize),
    Need(ValidatorIndex, u64, usize),
    Order,
    Execute,
    Expire,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u16..3, 0u64..40, 1usize..300).prop_map(|(a, s, z)| Step::Push(a, s, z)),
        1 => (0u16..3, 0u64..40, 1usize..300).prop_map(|(a, s, z)| Step::Need(a, s, z)),
        2 => Just(Step::Order),
        1 => Just(Step::Execute),
        1 => Just(Step::Expire),
    ]
}

proptest! {
    #[test]
    fn quotas_hold_and_no_batch_is_ordered_twice(steps in prop::collection::vec(step(), 0..200)) {
        let quota = Quota { bytes: 2_000, batches: 6 };
        let (mut index, mut height, mut now) = (Index::default(), 0, Instant::now());
        let mut ordered = HashSet::new();
        for step in steps {
            match step {
                Step::Push(author, sequence, size) => {
                    let batch = held(author, sequence, size);
                    if index.admit(&batch.frame, quota).is_ok() {
                        index.insert(batch, true, now);
                    }
                }
                Step::Need(author, sequence, size) => index.insert(held(author, sequence, size), false, now),
                Step::Order => {
                    let chosen = index.select(&none(), BlockLimits { bytes: 900, ..ALL });
                    prop_assert!(chosen.iter().map(|b| u64::from(b.bytes)).sum::<u64>() <= 900);
                    height += 1;
                    let digests: Vec<B256> = chosen.iter().map(|batch| batch.digest).collect();
                    for digest in &digests {
                        prop_assert!(ordered.insert(*digest), "ordered twice");
                    }
                    index.ordered(height, digests);
                }
                Step::Execute => index.executed(height),
                Step::Expire => {
                    now += EXPIRY / 2;
                    index.expire(now, &none());
                }
            }
            for (author, waiting) in &index.authors {
                let sizes = waiting.queue.iter().map(|digest| index.held[digest].held.frame.bytes.len());
                prop_assert_eq!(sizes.sum::<usize>(), waiting.bytes, "of {}", author);
                prop_assert!(waiting.bytes <= quota.bytes && waiting.queue.len() <= quota.batches);
            }
        }
    }
}
