//! Remember which batches are missing, whom to ask for each and when.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use neura_types::{B256, BatchRef, ValidatorIndex};

/// A batch that is on its way need not be asked for: its author sends it to everyone.
const GRACE: Duration = Duration::from_millis(40);
/// Whoever has not answered after this long is not waited for: another is asked too.
const HEDGE: Duration = Duration::from_millis(120);
/// Longest pause between two questions for a batch.
const MAX_PAUSE: Duration = Duration::from_secs(2);
/// Batches wanted at a time: several full blocks. Those of a block beyond are asked for when it is looked at again.
const MAX_WANTED: usize = 4_096;

/// One missing batch.
#[derive(Debug, Clone)]
struct Want {
    reference: BatchRef,
    proposer: ValidatorIndex,
    asked: u32,
    due: Instant,
    until: Option<Instant>,
}

/// A batch to be asked for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) reference: BatchRef,
    pub(super) proposer: ValidatorIndex,
    /// How often it was asked for before.
    pub(super) asked: u32,
}

/// The missing batches.
#[derive(Debug, Default)]
pub(super) struct Wants(BTreeMap<B256, Want>);

impl Wants {
    /// Adds batches; says whether there are new ones.
    pub(super) fn add(
        &mut self,
        batches: &[BatchRef],
        proposer: ValidatorIndex,
        until: Option<Instant>,
        now: Instant,
    ) -> bool {
        let before = self.0.len();
        for reference in batches {
            if let Some(want) = self.0.get_mut(&reference.digest) {
                // The longer wish holds.
                want.until = want.until.and_then(|old| until.map(|new| old.max(new)));
            } else if self.0.len() < MAX_WANTED {
                let due = now + GRACE;
                let want = Want { reference: *reference, proposer, asked: 0, due, until };
                self.0.insert(reference.digest, want);
            }
        }
        self.0.len() > before
    }

    /// A batch came.
    pub(super) fn remove(&mut self, digest: &B256) {
        self.0.remove(digest);
    }

    pub(super) fn contains(&self, digest: &B256) -> bool {
        self.0.contains_key(digest)
    }

    /// When the next question is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(|want| want.due).min()
    }

    /// The questions that are due, at most `limit`; forgets what is wanted no more.
    pub(super) fn due(&mut self, now: Instant, limit: usize) -> Vec<Question> {
        self.0.retain(|_, want| want.until.is_none_or(|until| until > now));
        let mut questions = Vec::new();
        for want in self.0.values_mut().filter(|want| want.due <= now).take(limit) {
            let Want { reference, proposer, asked, .. } = *want;
            questions.push(Question { reference, proposer, asked });
            want.asked = asked.saturating_add(1);
            // The first few are asked quickly, one after the other.
            let pause = HEDGE.saturating_mul(1 << (want.asked / 4).min(8));
            want.due = now + pause.min(MAX_PAUSE);
        }
        questions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(n: u8) -> BatchRef {
        BatchRef { digest: B256::repeat_byte(n), author: 0, bytes: 1, items: 1 }
    }

    #[test]
    fn a_missing_batch_is_asked_for_again_and_again_until_it_comes() {
        let (mut wants, now) = (Wants::default(), Instant::now());
        assert!(wants.add(&[batch(1)], 2, None, now));
        assert!(!wants.add(&[batch(1)], 2, None, now), "known already");
        assert!(wants.due(now, 9).is_empty(), "it may be on its way");
        let mut at = now;
        for asked in 0..20 {
            at = wants.next().unwrap();
            assert_eq!(wants.due(at, 9), [Question { reference: batch(1), proposer: 2, asked }]);
        }
        assert!(wants.next().unwrap() - at <= MAX_PAUSE);
        wants.remove(&batch(1).digest);
        assert_eq!(wants.next(), None);
    }

    #[test]
    fn a_batch_for_a_vote_is_wanted_until_its_deadline_and_for_execution_for_ever() {
        let (mut wants, now) = (Wants::default(), Instant::now());
        let until = now + Duration::from_millis(200);
        wants.add(&[batch(1), batch(2)], 0, Some(until), now);
        wants.add(&[batch(2)], 0, None, now);
        let later: Vec<_> = wants.due(until, 9).into_iter().map(|q| q.reference).collect();
        assert_eq!(later, [batch(2)]);
        wants.add(&[batch(2)], 0, Some(until), now);
        assert!(wants.contains(&batch(2).digest), "a shorter wish does not end a longer one");
    }

    #[test]
    fn what_is_wanted_is_bounded() {
        let (mut wants, now) = (Wants::default(), Instant::now());
        for n in 0..2 * MAX_WANTED as u64 {
            let digest = neura_types::hash::keccak(&n.to_le_bytes());
            wants.add(&[BatchRef { digest, ..batch(0) }], 0, None, now);
        }
        assert_eq!(wants.0.len(), MAX_WANTED);
        assert_eq!(wants.due(now + GRACE, 64).len(), 64);
    }
}
