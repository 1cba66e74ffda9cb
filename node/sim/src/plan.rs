//! What a seed decides about a run.

use std::collections::{BTreeMap, BTreeSet};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A key of the run, by its number: those of genesis first, then those who join later, then observers.
pub type Identity = u16;

/// Parameters of one run, drawn from its seed so that each run has a character of its own.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed, which also drives everything that happens later.
    pub seed: u64,
    /// Members of the first validator set.
    pub validators: u16,
    /// Keys that take turns with the validators from epoch 2 on.
    pub candidates: u16,
    /// Nodes that follow and never join.
    pub observers: u16,
    /// Whether powers differ.
    pub weighted: bool,
    /// Blocks of an epoch.
    pub epoch_blocks: u64,
    /// Execution lag, in blocks.
    pub execution_lag: u64,
    /// Length of the phase with faults, in milliseconds of virtual time.
    pub chaos_ms: u64,
    /// Time granted for progress afterwards, in milliseconds.
    pub healing_ms: u64,
    /// What the network and the machines do meanwhile.
    pub weather: Weather,
    /// Nodes that do not follow the rules.
    pub byzantine: BTreeMap<Identity, BTreeSet<Behaviour>>,
    /// Nodes whose record is damaged when they crash.
    pub damaged: BTreeSet<Identity>,
    /// Nodes whose clocks go wrong by up to an hour until the healing.
    pub skewed: BTreeSet<Identity>,
    /// A rule that every driver breaks. Nothing of the kind exists outside the simulator.
    pub driver_bug: Option<DriverBug>,
    /// The node crashes right before carrying out its output of this number.
    pub crash_at: Option<(usize, u64)>,
    /// The network is split for the whole run so that both halves hold a quorum with the twins.
    pub split_twins: bool,
}

/// Faults of the network and of machines.
#[derive(Debug, Clone)]
pub struct Weather {
    /// Messages lost, in thousandths.
    pub loss: u32,
    /// Messages delivered twice, in thousandths.
    pub duplication: u32,
    /// Longest delay of a message, in microseconds. Messages overtake each other.
    pub max_delay_us: u64,
    /// Longest time to check a body or to execute a block, in microseconds.
    pub max_work_us: u64,
    /// Longest time to build a body, in microseconds: the distance of blocks.
    pub max_build_us: u64,
    /// Crashes to come.
    pub crashes: u32,
    /// Partitions to come.
    pub partitions: u32,
    /// Whether a partition cuts directions of links instead of groups.
    pub asymmetric: bool,
    /// Stalls of a node's processor to come.
    pub stalls: u32,
    /// Reads, writes and syncs to fail.
    pub io_errors: u32,
    /// Whether the transport reports connections that come back.
    pub reconnects: bool,
    /// Whether transactions travel in batches too.
    pub batches: bool,
}

/// What a node does against the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Behaviour {
    /// Its key runs twice, each instance on its own.
    Twin,
    /// Proposes two blocks in a view, each to one half.
    EquivocatingProposer,
    /// Votes for a block and for another thing, each to one half.
    EquivocatingVoter,
    /// Keeps its votes to itself.
    VoteWithholder,
    /// Reports old certificates in its timeouts.
    StaleCertificates,
    /// Sends messages with flipped bits, and statements in others' names.
    Garbage,
    /// Sends to some only.
    Selective,
    /// Signs votes and timeouts of views far ahead.
    FutureFlood,
    /// Answers fetches with other blocks, cut chains, foreign proofs or nothing.
    SyncLiar,
    /// Gives its batches to one other node only.
    BatchWithholder,
    /// Proposes blocks that break one rule.
    UnlawfulProposer,
    /// Proposes blocks whose link of the beacon is not the one due.
    BeaconForger,
    /// Sends certificates and proofs that nobody earned.
    Forger,
}

impl Behaviour {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Twin,
        Self::EquivocatingProposer,
        Self::EquivocatingVoter,
        Self::VoteWithholder,
        Self::StaleCertificates,
        Self::Garbage,
        Self::Selective,
        Self::FutureFlood,
        Self::SyncLiar,
        Self::BatchWithholder,
        Self::UnlawfulProposer,
        Self::BeaconForger,
        Self::Forger,
    ];
}

/// Rules of the driver that can be broken on purpose, to see that the checks notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverBug {
    /// Sends before the record is durable.
    SendBeforePersist,
    /// Goes on when a sync has failed.
    SyncFailureIgnored,
    /// Takes the older record when the newer one is damaged.
    OlderRecordAccepted,
    /// Starts without the record.
    RecordForgotten,
    /// Executes blocks whose commit is not durable.
    DeliveredBeforeDurable,
    /// Finds blocks good whose batches it does not hold.
    BatchNotHeld,
    /// Executes two blocks in reverse order.
    ExecutionReversed,
    /// Does not compare executed roots before a vote.
    RootNotCompared,
}

impl DriverBug {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::SendBeforePersist,
        Self::SyncFailureIgnored,
        Self::OlderRecordAccepted,
        Self::RecordForgotten,
        Self::DeliveredBeforeDurable,
        Self::BatchNotHeld,
        Self::ExecutionReversed,
        Self::RootNotCompared,
    ];
}

impl Plan {
    /// The plan of a seed.
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x706c_616e);
        let validators = match rng.random_range(0..16) {
            0 => 1,
            1 => 7,
            2 | 3 => 5,
            _ => 4,
        };
        let execution_lag = rng.random_range(2..=4);
        let mut plan = Self {
            validators,
            candidates: if validators == 1 { 0 } else { rng.random_range(0..3) },
            observers: u16::from(rng.random_ratio(1, 4)),
            weighted: rng.random(),
            epoch_blocks: rng.random_range((4 * execution_lag).max(12)..=32),
            execution_lag,
            chaos_ms: rng.random_range(2_000..12_000),
            weather: Weather::draw(&mut rng),
            ..Self::calm(seed, validators, 0)
        };
        plan.draw_faulty(&mut rng);
        plan
    }

    /// At most a third of the validators may lie or lose what they stored, and as many may have wrong clocks.
    fn draw_faulty(&mut self, rng: &mut ChaCha8Rng) {
        for _ in 0..self.tolerated() {
            let one = rng.random_range(0..self.validators);
            match rng.random_range(0..8) {
                0 => {}
                1 => _ = self.damaged.insert(one),
                _ if self.damaged.contains(&one) => {}
                _ => {
                    let count = rng.random_range(1..=3);
                    let drawn = (0..count)
                        .map(|_| Behaviour::ALL[rng.random_range(0..Behaviour::ALL.len())]);
                    self.byzantine.entry(one).or_default().extend(drawn);
                }
            }
            if rng.random_ratio(1, 4) {
                self.skewed.insert(rng.random_range(0..self.validators));
            }
        }
    }

    /// A run without faults, for schedules of one's own.
    pub fn calm(seed: u64, validators: u16, chaos_ms: u64) -> Self {
        Self {
            seed,
            validators,
            candidates: 0,
            observers: 0,
            weighted: false,
            epoch_blocks: 24,
            execution_lag: 3,
            chaos_ms,
            healing_ms: 90_000,
            weather: Weather::calm(),
            byzantine: BTreeMap::new(),
            damaged: BTreeSet::new(),
            skewed: BTreeSet::new(),
            driver_bug: None,
            crash_at: None,
            split_twins: false,
        }
    }

    /// Most validators that may be faulty.
    pub fn tolerated(&self) -> usize {
        usize::from(self.validators.saturating_sub(1) / 3)
    }

    /// Number of keys.
    pub(crate) fn identities(&self) -> Identity {
        self.validators + self.candidates + self.observers
    }

    /// Whether a node with this key does something.
    pub(crate) fn does(&self, identity: Identity, behaviour: Behaviour) -> bool {
        self.byzantine.get(&identity).is_some_and(|all| all.contains(&behaviour))
    }

    /// The key that stands twice.
    pub(crate) fn twins(&self) -> Vec<Identity> {
        let twins = self.byzantine.iter().filter(|(_, all)| all.contains(&Behaviour::Twin));
        twins.map(|(identity, _)| *identity).collect()
    }
}

impl Weather {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        Self {
            loss: if rng.random_ratio(1, 3) { 0 } else { rng.random_range(0..300) },
            duplication: if rng.random_ratio(1, 3) { 0 } else { rng.random_range(0..500) },
            max_delay_us: rng.random_range(1_000..200_000),
            max_work_us: rng.random_range(100..60_000),
            max_build_us: rng.random_range(20_000..200_000),
            crashes: rng.random_range(0..8),
            partitions: rng.random_range(0..4),
            asymmetric: rng.random(),
            stalls: rng.random_range(0..4),
            io_errors: rng.random_range(0..3),
            reconnects: rng.random(),
            batches: rng.random(),
        }
    }

    /// No faults, short delays.
    pub fn calm() -> Self {
        Self {
            loss: 0,
            duplication: 0,
            max_delay_us: 2_000,
            max_work_us: 5_000,
            max_build_us: 40_000,
            crashes: 0,
            partitions: 0,
            asymmetric: false,
            stalls: 0,
            io_errors: 0,
            reconnects: true,
            batches: false,
        }
    }
}
