//! Which scenarios there are, symmetric ones counted once.

use std::collections::BTreeSet;

use neura_types::ValidatorIndex;
use rand::{RngExt, SeedableRng, rand_core::Rng};
use rand_chacha::ChaCha8Rng;

/// The part of each node: nodes with the same number hear each other.
type Partition = Vec<u8>;

/// Leaders and partitions of the first views. Nodes 0 to `keys - 1` have a key each; those that follow are the second
/// instances of keys 0 to `twins - 1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scenario {
    /// Number of keys.
    pub keys: u8,
    /// Keys that run twice.
    pub twins: u8,
    /// Leader and partition of views 1, 2 and so on.
    pub rounds: Vec<(ValidatorIndex, Partition)>,
}

impl Scenario {
    /// Number of nodes.
    pub(crate) fn nodes(&self) -> usize {
        usize::from(self.keys + self.twins)
    }

    /// The key of a node.
    pub(crate) fn key_of(&self, node: usize) -> ValidatorIndex {
        let keys = usize::from(self.keys);
        ValidatorIndex::try_from(if node < keys { node } else { node - keys }).unwrap_or(0)
    }

    /// Whether a node's key runs once.
    pub(crate) fn is_honest(&self, node: usize) -> bool {
        self.key_of(node) >= u16::from(self.twins)
    }
}

/// All scenarios of four keys, one of them twice, over `rounds` views: every leader, and every partition into one or
/// two parts of which one holds a quorum of keys. Without one, nothing can leave the view, so that scenario is a
/// shorter one. Scenarios that differ only by names of honest keys, or of the two instances, count once.
pub fn exhaustive(rounds: usize) -> Vec<Scenario> {
    let (keys, twins) = (4u8, 1u8);
    let nodes = usize::from(keys + twins);
    let partitions = partitions_with_quorum(nodes, keys);
    let mut actions = Vec::new();
    for leader in 0..ValidatorIndex::from(keys) {
        actions.extend(partitions.iter().map(|partition| (leader, partition.clone())));
    }
    let symmetries = symmetries(&actions);
    let mut scenarios = Vec::new();
    let mut places = vec![0usize; rounds];
    loop {
        let canonical = symmetries.iter().all(|map| {
            let image = places.iter().map(|place| map[*place]);
            image.ge(places.iter().copied())
        });
        if canonical {
            let rounds = places.iter().map(|place| actions[*place].clone()).collect();
            scenarios.push(Scenario { keys, twins, rounds });
        }
        let Some(last) = places.iter().rposition(|place| *place + 1 < actions.len()) else {
            return scenarios;
        };
        places[last] += 1;
        places[last + 1..].fill(0);
    }
}

/// Partitions into at most two parts, of which one holds more than two thirds of the keys; the first node is in part 0.
fn partitions_with_quorum(nodes: usize, keys: u8) -> Vec<Partition> {
    let all = (0..1u32 << (nodes - 1)).map(|bits| -> Partition {
        (0..nodes).map(|node| if node == 0 { 0 } else { (bits >> (node - 1) & 1) as u8 }).collect()
    });
    all.filter(|partition| has_quorum(partition, usize::from(keys))).collect()
}

fn has_quorum(partition: &[u8], keys: usize) -> bool {
    let parts: BTreeSet<u8> = partition.iter().copied().collect();
    parts.into_iter().any(|part| {
        let here = partition.iter().enumerate().filter(|(_, of)| **of == part);
        let distinct: BTreeSet<usize> = here.map(|(node, _)| node % keys).collect();
        distinct.len() * 3 > keys * 2
    })
}

/// For every renaming of the nodes that changes nothing, the place of each action's image.
fn symmetries(actions: &[(ValidatorIndex, Partition)]) -> Vec<Vec<usize>> {
    let honest = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]];
    let instances = [[0usize, 4], [4, 0]];
    let mut maps = Vec::new();
    for [a, b, c] in honest {
        for [first, second] in instances {
            let node = [first, a, b, c, second];
            let image = |(leader, partition): &(ValidatorIndex, Partition)| {
                let mut parts = vec![0u8; partition.len()];
                for (from, part) in partition.iter().enumerate() {
                    parts[node[from]] = *part;
                }
                let zero = parts[0];
                parts.iter_mut().for_each(|part| *part ^= zero);
                let leader = usize::from(*leader);
                let renamed = if leader == 0 { 0 } else { node[leader] };
                (renamed as ValidatorIndex, parts)
            };
            let place = |action| actions.iter().position(|known| *known == image(action));
            maps.extend(actions.iter().map(place).collect::<Option<Vec<usize>>>());
        }
    }
    maps
}

/// Distinct scenarios drawn at random: any leaders, partitions into up to three parts.
pub fn sampled((keys, twins): (u8, u8), rounds: usize, count: usize, seed: u64) -> Vec<Scenario> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut drawn = BTreeSet::new();
    while drawn.len() < count {
        let rounds = (0..rounds).map(|_| draw_round(&mut rng, keys, twins)).collect();
        drawn.insert(Scenario { keys, twins, rounds });
    }
    drawn.into_iter().collect()
}

fn draw_round(rng: &mut impl Rng, keys: u8, twins: u8) -> (ValidatorIndex, Partition) {
    // Twins lead half of the time: they have something to hide.
    let twin = rng.random::<bool>() && twins > 0;
    let leader = if twin { rng.random_range(0..twins) } else { rng.random_range(0..keys) };
    loop {
        let parts = rng.random_range(1..=3);
        let partition: Partition = (0..keys + twins).map(|_| rng.random_range(0..parts)).collect();
        if has_quorum(&partition, usize::from(keys)) {
            return (leader.into(), partition);
        }
    }
}
