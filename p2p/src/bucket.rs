//! Token buckets per peer or per host.

use std::{collections::HashMap, hash::Hash, time::Instant};

/// Most keys with an entry: identities and addresses are free to make, memory is not.
const MAX_LEVELS: usize = 16 * 1024;

/// One token bucket per key, all of the same rate and depth. A key without an entry has a full
/// bucket, so entries of keys at rest can be forgotten. While the table is full of busy keys, an
/// unknown one gets nothing.
#[derive(Debug)]
pub(crate) struct Buckets<K> {
    levels: HashMap<K, Level>,
    per_second: f64,
    burst: f64,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    tokens: f64,
    at: Instant,
}

impl<K: Copy + Eq + Hash> Buckets<K> {
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        Self { levels: HashMap::new(), per_second: per_second.into(), burst: burst.into() }
    }

    /// Takes one token, or says that there is none.
    pub(crate) fn take(&mut self, key: K, now: Instant) -> bool {
        self.take_many(key, 1, now)
    }

    /// Takes so many tokens, or says that there are not so many and takes none.
    pub(crate) fn take_many(&mut self, key: K, tokens: u32, now: Instant) -> bool {
        let Some(level) = self.refilled(key, now) else { return false };
        let granted = level.tokens >= f64::from(tokens);
        if granted {
            level.tokens -= f64::from(tokens);
        }
        granted
    }

    /// Takes tokens for work already done, into debt if need be.
    pub(crate) fn charge(&mut self, key: K, tokens: u32, now: Instant) {
        if let Some(level) = self.refilled(key, now) {
            level.tokens -= f64::from(tokens);
        }
    }

    /// Forgets keys whose bucket is full again.
    pub(crate) fn prune(&mut self, now: Instant) {
        let (per_second, burst) = (self.per_second, self.burst);
        self.levels.retain(|_, level| {
            level.tokens + per_second * now.duration_since(level.at).as_secs_f64() < burst
        });
    }

    /// Keys with an entry.
    pub(crate) fn len(&self) -> usize {
        self.levels.len()
    }

    fn refilled(&mut self, key: K, now: Instant) -> Option<&mut Level> {
        if self.levels.len() >= MAX_LEVELS && !self.levels.contains_key(&key) {
            self.prune(now);
            if self.levels.len() >= MAX_LEVELS {
                return None;
            }
        }
        let full = Level { tokens: self.burst, at: now };
        let level = self.levels.entry(key).or_insert(full);
        let gained = self.per_second * now.duration_since(level.at).as_secs_f64();
        *level = Level { tokens: (level.tokens + gained).min(self.burst), at: now };
        Some(level)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use libp2p::PeerId;

    use super::*;

    #[test]
    fn a_peer_gets_its_burst_and_then_its_rate() {
        let mut buckets = Buckets::new(2, 3);
        let (peer, start) = (PeerId::random(), Instant::now());
        let taken =
            |buckets: &mut Buckets<_>, at| (0..10).filter(|_| buckets.take(peer, at)).count();
        assert_eq!(taken(&mut buckets, start), 3);
        assert_eq!(taken(&mut buckets, start + Duration::from_secs(1)), 2);
        assert_eq!(taken(&mut buckets, start + Duration::from_secs(100)), 3);
    }

    #[test]
    fn many_tokens_are_taken_whole_or_not_at_all() {
        let mut buckets = Buckets::new(1, 10);
        let (peer, start) = (PeerId::random(), Instant::now());
        assert!(buckets.take_many(peer, 7, start));
        assert!(!buckets.take_many(peer, 7, start));
        assert!(buckets.take_many(peer, 3, start));
    }

    #[test]
    fn a_debt_is_worked_off_before_the_next_token() {
        let mut buckets = Buckets::new(1, 2);
        let (peer, start) = (PeerId::random(), Instant::now());
        buckets.charge(peer, 5, start);
        assert!(!buckets.take(peer, start + Duration::from_secs(3)));
        assert!(buckets.take(peer, start + Duration::from_secs(4)));
    }

    #[test]
    fn only_peers_at_rest_are_forgotten() {
        let mut buckets = Buckets::new(1, 2);
        let (busy, calm, start) = (PeerId::random(), PeerId::random(), Instant::now());
        buckets.charge(busy, 50, start);
        buckets.charge(calm, 1, start);
        buckets.prune(start + Duration::from_secs(5));
        assert!(buckets.levels.contains_key(&busy));
        assert!(!buckets.levels.contains_key(&calm));
    }

    #[test]
    fn a_table_full_of_busy_keys_takes_no_more_and_loses_none() {
        let mut buckets = Buckets::new(1, 2);
        let start = Instant::now();
        (0..MAX_LEVELS).for_each(|key| assert!(buckets.take(key, start)));
        assert!(!buckets.take(MAX_LEVELS, start));
        assert_eq!(buckets.len(), MAX_LEVELS);
        assert!(buckets.take(0, start));
        assert!(
            buckets.take(MAX_LEVELS, start + Duration::from_secs(2)),
            "the calm ones make room"
        );
    }
}
