//! The links between nodes: what is lost, how long it takes, who is cut off from whom.

use rand::{RngExt, rand_core::Rng};

use crate::plan::Weather;

/// Least delay of a message, in microseconds.
const MIN_DELAY_US: u64 = 200;
/// Longest delay once healed, in microseconds.
const HEALED_DELAY_US: u64 = 5_000;

/// The state of all links.
#[derive(Debug)]
pub(crate) struct Network {
    loss: u32,
    duplication: u32,
    max_delay_us: u64,
    /// Links that are cut, by sender and receiver.
    cut: Vec<Vec<bool>>,
}

impl Network {
    /// The network of a plan.
    pub(crate) fn new(weather: &Weather, nodes: usize) -> Self {
        Self {
            loss: weather.loss,
            duplication: weather.duplication,
            max_delay_us: weather.max_delay_us,
            cut: vec![vec![false; nodes]; nodes],
        }
    }

    /// Splits the nodes into the given groups, which do not hear each other.
    pub(crate) fn split(&mut self, groups: &[u8]) {
        for (links, from) in self.cut.iter_mut().zip(groups) {
            for (cut, to) in links.iter_mut().zip(groups) {
                *cut = from != to;
            }
        }
    }

    /// Splits the nodes at random.
    pub(crate) fn split_at_random(&mut self, rng: &mut impl Rng) {
        let groups: Vec<u8> = self.cut.iter().map(|_| rng.random_range(0..2)).collect();
        self.split(&groups);
    }

    /// Cuts directions of links at random.
    pub(crate) fn cut_at_random(&mut self, rng: &mut impl Rng) {
        for cut in self.cut.iter_mut().flatten() {
            *cut = rng.random_ratio(3, 10);
        }
    }

    /// Joins all nodes again.
    pub(crate) fn join(&mut self) {
        self.cut.iter_mut().flatten().for_each(|cut| *cut = false);
    }

    /// No losses any more, short delays.
    pub(crate) fn heal(&mut self) {
        self.join();
        (self.loss, self.duplication, self.max_delay_us) = (0, 0, HEALED_DELAY_US);
    }

    /// Delays of the copies of one message that arrive: none, one or two.
    pub(crate) fn delays(&self, from: usize, to: usize, rng: &mut impl Rng) -> Vec<u64> {
        let copies = 1 + usize::from(rng.random_ratio(self.duplication, 1_000));
        let mut delays = Vec::new();
        for _ in 0..copies {
            let lost = rng.random_ratio(self.loss, 1_000);
            let delay = rng.random_range(MIN_DELAY_US..=self.max_delay_us.max(MIN_DELAY_US));
            if !lost && !self.cut[from][to] {
                delays.push(delay);
            }
        }
        delays
    }
}
