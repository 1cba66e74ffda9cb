//! What a seed decides about a run.

use neura_types::ValidatorIndex;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Parameters of one run, drawn from its seed so that each run has a character of its own.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed, which also drives everything that happens later.
    pub seed: u64,
    /// Members of the validator set.
    pub validators: u16,
    /// Nodes that follow without a key.
    pub observers: u16,
    /// Length of the phase with faults, in milliseconds of virtual time.
    pub chaos_ms: u64,
    /// Time granted for progress afterwards, in milliseconds.
    pub healing_ms: u64,
    /// Messages lost, in thousandths.
    pub loss: u32,
    /// Messages delivered twice, in thousandths.
    pub duplication: u32,
    /// Longest delay of a message, in microseconds.
    pub max_delay_us: u64,
    /// Longest time to build or check a body, in microseconds.
    pub max_work_us: u64,
    /// Crashes to come.
    pub crashes: u32,
    /// Partitions to come.
    pub partitions: u32,
    /// Whether the transport reports connections that come back.
    pub reconnects: bool,
    /// Faults of nodes.
    pub faults: Faults,
}

/// Nodes that do not follow the rules, and wrong drivers. Nothing here exists outside the simulator.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Keys that run twice, each instance on its own.
    pub twins: Vec<ValidatorIndex>,
    /// The network is split for the whole run so that both halves hold a quorum with the twins.
    pub split_twins: bool,
    /// The driver does not keep the safety record: a restarted node knows nothing of what it signed.
    pub forget_record: bool,
    /// The node loses its record at its first crash and is told to observe.
    pub wiped: Option<ValidatorIndex>,
    /// The node crashes right before carrying out its output of this number.
    pub crash_at: Option<(usize, u64)>,
}

impl Plan {
    /// The plan of a seed.
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x706c_616e);
        let validators = match rng.random_range(0..10) {
            0 => 1,
            1 => 7,
            2 => 5,
            _ => 4,
        };
        let mut faults = Faults::default();
        if validators >= 4 {
            let one = rng.random_range(0..validators);
            match rng.random_range(0..6) {
                0 => faults.twins.push(one),
                1 => faults.wiped = Some(one),
                _ => {}
            }
        }
        Self {
            seed,
            validators,
            observers: u16::from(rng.random_ratio(1, 3)),
            chaos_ms: rng.random_range(4_000..16_000),
            healing_ms: 60_000,
            loss: if rng.random_ratio(1, 3) { 0 } else { rng.random_range(0..300) },
            duplication: rng.random_range(0..300),
            max_delay_us: rng.random_range(1_000..200_000),
            max_work_us: rng.random_range(100..60_000),
            crashes: rng.random_range(0..10),
            partitions: rng.random_range(0..4),
            reconnects: rng.random(),
            faults,
        }
    }

    /// A run without faults of the network, for schedules of one's own.
    pub fn calm(seed: u64, validators: u16, chaos_ms: u64) -> Self {
        Self {
            seed,
            validators,
            observers: 0,
            chaos_ms,
            healing_ms: 60_000,
            loss: 0,
            duplication: 0,
            max_delay_us: 2_000,
            max_work_us: 20_000,
            crashes: 0,
            partitions: 0,
            reconnects: true,
            faults: Faults::default(),
        }
    }

    /// Most twins or wiped nodes that the protocol tolerates.
    pub fn tolerated(&self) -> usize {
        usize::from(self.validators.saturating_sub(1) / 3)
    }
}
