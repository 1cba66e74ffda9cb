//! The links between nodes: what is lost, how long it takes, who is cut off from whom.

use rand::{RngExt, rand_core::Rng};

use crate::plan::Plan;

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
    /// Group of each node; groups do not hear each other.
    groups: Vec<u8>,
}

impl Network {
    /// The network of a plan.
    pub(crate) fn new(plan: &Plan, nodes: usize) -> Self {
        Self {
            loss: plan.loss,
            duplication: plan.duplication,
            max_delay_us: plan.max_delay_us,
            groups: vec![0; nodes],
        }
    }

    /// Splits the nodes into the given groups.
    pub(crate) fn split(&mut self, groups: Vec<u8>) {
        self.groups = groups;
    }

    /// Splits the nodes at random.
    pub(crate) fn split_at_random(&mut self, rng: &mut impl Rng) {
        self.groups.iter_mut().for_each(|group| *group = rng.random_range(0..2));
    }

    /// Joins all nodes again.
    pub(crate) fn join(&mut self) {
        self.groups.fill(0);
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
            if !lost && self.groups[from] == self.groups[to] {
                delays.push(delay);
            }
        }
        delays
    }
}
