//! How long a peer that broke the protocol stays out.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::PeerId;

/// Most offenders remembered: identities are free to make, memory is not.
const MAX_OFFENDERS: usize = 4096;
/// A record with less than this many offences left is forgotten.
const FORGOTTEN: f64 = 0.05;

/// Offences per peer, forgotten by halves.
#[derive(Debug)]
pub(crate) struct Offences {
    records: HashMap<PeerId, Record>,
    base: Duration,
    max: Duration,
    half_life: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    weight: f64,
    at: Instant,
}

impl Offences {
    pub(crate) fn new(base: Duration, max: Duration, half_life: Duration) -> Self {
        Self {
            records: HashMap::new(),
            base,
            max,
            half_life: half_life.max(Duration::from_secs(1)),
        }
    }

    /// Notes an offence and returns the ban for it: `base` doubled for each earlier offence that
    /// is not yet forgotten, at most `max`.
    pub(crate) fn record(&mut self, peer: PeerId, now: Instant) -> Duration {
        let half_life = self.half_life;
        if self.records.len() >= MAX_OFFENDERS && !self.records.contains_key(&peer) {
            self.forget_least(now);
        }
        let record = self.records.entry(peer).or_insert(Record { weight: 0.0, at: now });
        let earlier = record.weight_at(now, half_life);
        *record = Record { weight: earlier + 1.0, at: now };
        let ban = self.base.as_secs_f64() * earlier.min(32.0).exp2();
        Duration::from_secs_f64(ban.min(self.max.as_secs_f64()))
    }

    /// Forgets offences long past.
    pub(crate) fn prune(&mut self, now: Instant) {
        let half_life = self.half_life;
        self.records.retain(|_, record| record.weight_at(now, half_life) >= FORGOTTEN);
    }

    fn forget_least(&mut self, now: Instant) {
        let half_life = self.half_life;
        let least = self
            .records
            .iter()
            .min_by(|a, b| a.1.weight_at(now, half_life).total_cmp(&b.1.weight_at(now, half_life)))
            .map(|(peer, _)| *peer);
        if let Some(peer) = least {
            self.records.remove(&peer);
        }
    }
}

impl Record {
    fn weight_at(&self, now: Instant, half_life: Duration) -> f64 {
        let halvings = now.duration_since(self.at).as_secs_f64() / half_life.as_secs_f64();
        self.weight * (-halvings).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn repeated_offences_double_the_ban_up_to_the_maximum() {
        let mut offences = Offences::new(MINUTE, 10 * MINUTE, MINUTE);
        let (peer, now) = (PeerId::random(), Instant::now());
        let bans: Vec<_> = (0..6).map(|_| offences.record(peer, now)).collect();
        assert_eq!(bans[..4], [MINUTE, 2 * MINUTE, 4 * MINUTE, 8 * MINUTE]);
        assert_eq!(bans[4..], [10 * MINUTE, 10 * MINUTE]);
    }

    #[test]
    fn offences_are_forgotten_with_time() {
        let mut offences = Offences::new(MINUTE, 10 * MINUTE, MINUTE);
        let (peer, now) = (PeerId::random(), Instant::now());
        offences.record(peer, now);
        offences.prune(now + 100 * MINUTE);
        assert!(offences.records.is_empty());
        assert_eq!(offences.record(peer, now + 100 * MINUTE), MINUTE);
    }

    #[test]
    fn the_memory_of_offenders_is_bounded() {
        let mut offences = Offences::new(MINUTE, MINUTE, MINUTE);
        let now = Instant::now();
        for _ in 0..MAX_OFFENDERS + 10 {
            offences.record(PeerId::random(), now);
        }
        assert_eq!(offences.records.len(), MAX_OFFENDERS);
    }
}
