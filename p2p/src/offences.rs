//! How bad a peer has been, and for how long it stays out.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

use crate::Penalty;

/// Most offenders remembered, and most bans in force: identities are free to make, memory is not.
const MAX_OFFENDERS: usize = 4096;
/// A record with less than this much left is forgotten.
const FORGOTTEN: f64 = 0.05;
/// With a score of so much, a peer is banned: fifty points, less what is forgotten of small ones
/// while they add up.
const BAN_SCORE: f64 = Penalty::Fatal.weight() - 0.5;

/// How bans are dealt out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BanPolicy {
    /// The first ban; each further one that is not forgotten is twice as long.
    pub(crate) base: Duration,
    /// The longest ban.
    pub(crate) max: Duration,
    /// In this time half of everything is forgotten.
    pub(crate) half_life: Duration,
}

/// Scores of peers or hosts, forgotten by halves.
#[derive(Debug)]
pub(crate) struct Offences<K> {
    records: HashMap<K, Record>,
    policy: BanPolicy,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    /// Weight of the offences since the last ban.
    score: f64,
    /// Number of bans.
    bans: f64,
    at: Instant,
}

impl<K: Copy + Eq + Hash> Offences<K> {
    pub(crate) fn new(policy: BanPolicy) -> Self {
        let half_life = policy.half_life.max(Duration::from_secs(1));
        Self { records: HashMap::new(), policy: BanPolicy { half_life, ..policy } }
    }

    /// Notes an offence. Returns the ban for it if it was one too many: `base` doubled for each
    /// earlier ban that is not yet forgotten, at most `max`.
    pub(crate) fn record(&mut self, key: K, penalty: Penalty, now: Instant) -> Option<Duration> {
        let BanPolicy { base, max, half_life } = self.policy;
        if self.records.len() >= MAX_OFFENDERS && !self.records.contains_key(&key) {
            self.forget_least(now);
        }
        let new = Record { score: 0.0, bans: 0.0, at: now };
        let record = self.records.entry(key).or_insert(new);
        *record = record.at(now, half_life);
        record.score += penalty.weight();
        if record.score < BAN_SCORE {
            return None;
        }
        let ban = base.as_secs_f64() * record.bans.min(32.0).exp2();
        record.score = 0.0;
        record.bans += 1.0;
        Some(Duration::from_secs_f64(ban.min(max.as_secs_f64())))
    }

    /// Forgets offences long past.
    pub(crate) fn prune(&mut self, now: Instant) {
        let half_life = self.policy.half_life;
        self.records.retain(|_, record| record.at(now, half_life).weight() >= FORGOTTEN);
    }

    /// Offenders remembered.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    fn forget_least(&mut self, now: Instant) {
        let half_life = self.policy.half_life;
        let weight = |record: &Record| record.at(now, half_life).weight();
        let least = self.records.iter().min_by(|a, b| weight(a.1).total_cmp(&weight(b.1)));
        if let Some(key) = least.map(|(key, _)| *key) {
            self.records.remove(&key);
        }
    }
}

impl Record {
    /// The record with what time has forgotten.
    fn at(&self, now: Instant, half_life: Duration) -> Self {
        let halvings = now.duration_since(self.at).as_secs_f64() / half_life.as_secs_f64();
        let left = (-halvings).exp2();
        Self { score: self.score * left, bans: self.bans * left, at: now }
    }

    fn weight(&self) -> f64 {
        self.score / BAN_SCORE + self.bans
    }
}

/// Bans in force. They outlast connections.
#[derive(Debug)]
pub(crate) struct Bans<K> {
    until: HashMap<K, Instant>,
}

impl<K> Default for Bans<K> {
    fn default() -> Self {
        Self { until: HashMap::new() }
    }
}

impl<K: Copy + Eq + Hash> Bans<K> {
    /// Bans until `until`, or longer if the ban in force is longer. The ban that ends first makes
    /// room in a full table.
    pub(crate) fn add(&mut self, key: K, until: Instant) {
        if self.until.len() >= MAX_OFFENDERS && !self.until.contains_key(&key) {
            let first = self.until.iter().min_by_key(|(_, until)| **until).map(|(key, _)| *key);
            first.and_then(|key| self.until.remove(&key));
        }
        let end = self.until.entry(key).or_insert(until);
        *end = until.max(*end);
    }

    /// Whether a ban is in force.
    pub(crate) fn holds(&self, key: &K, now: Instant) -> bool {
        self.until.get(key).is_some_and(|until| *until > now)
    }

    /// Forgets bans that are over.
    pub(crate) fn prune(&mut self, now: Instant) {
        self.until.retain(|_, until| *until > now);
    }

    /// Bans remembered.
    pub(crate) fn len(&self) -> usize {
        self.until.len()
    }
}

#[cfg(test)]
mod tests {
    use libp2p::PeerId;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn offences() -> Offences<PeerId> {
        Offences::new(BanPolicy { base: MINUTE, max: 10 * MINUTE, half_life: MINUTE })
    }

    #[test]
    fn repeated_bans_double_up_to_the_maximum() {
        let mut offences = offences();
        let (peer, now) = (PeerId::random(), Instant::now());
        let bans: Vec<_> =
            (0..6).map_while(|_| offences.record(peer, Penalty::Fatal, now)).collect();
        assert_eq!(bans[..4], [MINUTE, 2 * MINUTE, 4 * MINUTE, 8 * MINUTE]);
        assert_eq!(bans[4..], [10 * MINUTE, 10 * MINUTE]);
    }

    #[test]
    fn small_offences_add_up_to_a_ban_and_no_earlier() {
        for (penalty, count) in [(Penalty::Low, 50), (Penalty::Medium, 10), (Penalty::High, 5)] {
            let mut offences = offences();
            let (peer, now) = (PeerId::random(), Instant::now());
            for _ in 1..count {
                assert_eq!(offences.record(peer, penalty, now), None);
            }
            assert_eq!(offences.record(peer, penalty, now), Some(MINUTE));
            assert_eq!(offences.record(peer, penalty, now), None, "a ban settles the score");
        }
    }

    #[test]
    fn rare_small_offences_never_add_up() {
        let mut offences = offences();
        let (peer, start) = (PeerId::random(), Instant::now());
        for minutes in 0..1000 {
            assert_eq!(offences.record(peer, Penalty::High, start + minutes * MINUTE), None);
        }
    }

    #[test]
    fn offences_are_forgotten_with_time() {
        let mut offences = offences();
        let (peer, now) = (PeerId::random(), Instant::now());
        offences.record(peer, Penalty::Fatal, now);
        offences.prune(now + 100 * MINUTE);
        assert!(offences.records.is_empty());
        assert_eq!(offences.record(peer, Penalty::Fatal, now + 100 * MINUTE), Some(MINUTE));
    }

    #[test]
    fn the_memory_of_offenders_is_bounded_and_keeps_the_worst() {
        let mut offences = offences();
        let (worst, now) = (PeerId::random(), Instant::now());
        offences.record(worst, Penalty::Fatal, now);
        for _ in 0..MAX_OFFENDERS + 10 {
            offences.record(PeerId::random(), Penalty::Low, now);
        }
        assert_eq!(offences.len(), MAX_OFFENDERS);
        assert_eq!(offences.record(worst, Penalty::Fatal, now), Some(2 * MINUTE));
    }

    #[test]
    fn a_ban_ends_and_a_shorter_one_does_not_shorten_it() {
        let (mut bans, peer, now) = (Bans::default(), PeerId::random(), Instant::now());
        bans.add(peer, now + 60 * MINUTE);
        bans.add(peer, now + MINUTE);
        bans.prune(now + 2 * MINUTE);
        assert!(bans.holds(&peer, now + 59 * MINUTE));
        assert!(!bans.holds(&peer, now + 61 * MINUTE));
        bans.prune(now + 61 * MINUTE);
        assert_eq!(bans.len(), 0);
    }

    #[test]
    fn the_table_of_bans_is_bounded_and_loses_the_one_that_ends_first() {
        let (mut bans, now) = (Bans::default(), Instant::now());
        let first = PeerId::random();
        bans.add(first, now + MINUTE);
        let others: Vec<_> = (0..MAX_OFFENDERS).map(|_| PeerId::random()).collect();
        others.iter().for_each(|peer| bans.add(*peer, now + 2 * MINUTE));
        assert_eq!(bans.len(), MAX_OFFENDERS);
        assert!(!bans.holds(&first, now));
        assert!(others.iter().all(|peer| bans.holds(peer, now)));
    }
}
