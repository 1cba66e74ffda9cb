//! Token buckets per peer.

use std::{collections::HashMap, time::Instant};

use libp2p::PeerId;

/// One token bucket per peer, all of the same rate and depth. A peer without an entry has a full
/// bucket, so entries of peers at rest can be forgotten.
#[derive(Debug)]
pub(crate) struct Buckets {
    levels: HashMap<PeerId, Level>,
    per_second: f64,
    burst: f64,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    tokens: f64,
    at: Instant,
}

impl Buckets {
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        Self { levels: HashMap::new(), per_second: per_second.into(), burst: burst.into() }
    }

    /// Takes one token, or says that there is none.
    pub(crate) fn take(&mut self, peer: PeerId, now: Instant) -> bool {
        let level = self.refilled(peer, now);
        let granted = level.tokens >= 1.0;
        if granted {
            level.tokens -= 1.0;
        }
        granted
    }

    /// Takes tokens for work already done, into debt if need be.
    pub(crate) fn charge(&mut self, peer: PeerId, tokens: u32, now: Instant) {
        self.refilled(peer, now).tokens -= f64::from(tokens);
    }

    /// Forgets peers whose bucket is full again.
    pub(crate) fn prune(&mut self, now: Instant) {
        let (per_second, burst) = (self.per_second, self.burst);
        self.levels.retain(|_, level| {
            level.tokens + per_second * now.duration_since(level.at).as_secs_f64() < burst
        });
    }

    fn refilled(&mut self, peer: PeerId, now: Instant) -> &mut Level {
        let full = Level { tokens: self.burst, at: now };
        let level = self.levels.entry(peer).or_insert(full);
        let gained = self.per_second * now.duration_since(level.at).as_secs_f64();
        *level = Level { tokens: (level.tokens + gained).min(self.burst), at: now };
        level
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_peer_gets_its_burst_and_then_its_rate() {
        let mut buckets = Buckets::new(2, 3);
        let (peer, start) = (PeerId::random(), Instant::now());
        let taken = |buckets: &mut Buckets, at| (0..10).filter(|_| buckets.take(peer, at)).count();
        assert_eq!(taken(&mut buckets, start), 3);
        assert_eq!(taken(&mut buckets, start + Duration::from_secs(1)), 2);
        assert_eq!(taken(&mut buckets, start + Duration::from_secs(100)), 3);
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
}
