//! Generated networks: each seed gives a topology and what happens to it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    Checker, LinkKind, Network, Payments, Perturbation, Plan, QUICK, Say, StakeChange, Task,
    Violations, network::QUICK_EPOCH, workload,
};

/// Accounts that pay.
const PAYERS: usize = 3;
/// Time without any progress after which a node, or a transfer, counts as stuck.
const PATIENCE: Duration = Duration::from_secs(120);
/// Blocks by which all nodes must go on after each perturbation.
const GO_ON: u64 = 3;
/// Height from which on nodes have a snapshot for those that join by one.
const SNAPSHOTS_FROM: u64 = 2 * QUICK_EPOCH + 10;

/// Added to [`QUICK`] where a validator is to be jailed.
const JAILS: (&str, &str) = ("absence_epochs = 1000\n", "absence_epochs = 2\njail_epochs = 1\n");

/// A network and what happens to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// What it was drawn from.
    pub seed: u64,
    /// Validators.
    pub validators: usize,
    /// Nodes that follow.
    pub full_nodes: usize,
    /// Nodes that do not run from the beginning.
    pub late: Vec<usize>,
    /// Those of them that begin with a snapshot of the others.
    pub by_snapshot: Vec<usize>,
    /// What happens, in this order.
    pub perturbations: Vec<Perturbation>,
}

impl Scenario {
    /// Draws the scenario of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let validators = rng.random_range(4..=7);
        let full_nodes = rng.random_range(0..=2);
        let (total, tolerated) = (validators + full_nodes, (validators - 1) / 3);
        let mut perturbations: Vec<_> = (0..rng.random_range(3..=6))
            .map(|_| Perturbation::draw(&mut rng, total, tolerated))
            .collect();
        // The last node: one that follows if there is one, else a validator, without which the others are a quorum.
        let late = if rng.random_bool(0.6) { vec![total - 1] } else { Vec::new() };
        let mut by_snapshot = Vec::new();
        if !late.is_empty() {
            let join = Perturbation::Join { nodes: late.clone() };
            if rng.random_bool(0.5) {
                // After everything else, when there are snapshots.
                by_snapshot.clone_from(&late);
                perturbations.push(join);
            } else {
                perturbations.insert(rng.random_range(0..=perturbations.len()), join);
            }
        }
        // Who is late would be jailed before it ever ran, and one that follows cannot bond before it does.
        let all_run = late.first().is_none_or(|late| *late >= validators);
        let follower = (full_nodes > usize::from(!late.is_empty())).then_some(validators);
        let mut at = 0;
        for change in StakeChange::draw(&mut rng, validators, follower, all_run) {
            at = rng.random_range(at..=perturbations.len());
            perturbations.insert(at, Perturbation::Stake(change));
            at += 1;
        }
        Self { seed, validators, full_nodes, late, by_snapshot, perturbations }
    }

    /// Parameters of its chain.
    fn params(&self) -> String {
        let jails =
            |one: &Perturbation| matches!(one, Perturbation::Stake(StakeChange::Absence { .. }));
        match self.perturbations.iter().any(jails) {
            true => QUICK.replace(JAILS.0, JAILS.1),
            false => QUICK.to_owned(),
        }
    }

    /// In one line.
    pub fn summary(&self) -> String {
        let what: Vec<String> = self.perturbations.iter().map(ToString::to_string).collect();
        let how = if self.by_snapshot.is_empty() { "" } else { " by snapshot" };
        format!(
            "seed {}: {} validators, {} full nodes: {}{how}",
            self.seed,
            self.validators,
            self.full_nodes,
            what.join(", ")
        )
    }
}

/// What came of a seed.
#[derive(Debug)]
pub struct ScenarioOutcome {
    /// Transfers acknowledged as final.
    pub acknowledged: usize,
    /// Height at the end.
    pub height: u64,
    /// What was violated.
    pub violations: Violations,
    /// Where logs and data lie, if they were kept.
    pub kept: Option<PathBuf>,
}

/// Runs one scenario.
///
/// # Errors
/// If the network cannot be made.
pub async fn run(
    binary: &Path,
    scenario: &Scenario,
    links: LinkKind,
    keep: bool,
    say: Say<'_>,
) -> Result<ScenarioOutcome> {
    let payers = workload::payers(PAYERS)?;
    let plan = Plan {
        validators: scenario.validators,
        full_nodes: scenario.full_nodes,
        params: scenario.params(),
        accounts: payers.iter().map(|payer| payer.key.address()).collect(),
        by_snapshot: scenario.by_snapshot.clone(),
        links,
        task: Task::Serve,
    };
    let mut network = Network::create(binary, &plan).await?;
    let mut payments = Payments::start(&network, payers, scenario.seed);
    let mut checker = Checker::default();
    if let Err(error) = perform(scenario, &mut network, &mut payments, &mut checker, say).await {
        checker.violations.add(format!("seed {}: {error:#}", scenario.seed));
    }
    let keep = keep || checker.violations.count() > 0;
    Ok(ScenarioOutcome {
        acknowledged: payments.ledger(|ledger| ledger.acknowledged.len()),
        height: checker.height(),
        violations: checker.violations,
        kept: keep.then(|| network.keep().to_owned()),
    })
}

async fn perform(
    scenario: &Scenario,
    network: &mut Network,
    payments: &mut Payments,
    checker: &mut Checker,
    say: Say<'_>,
) -> Result<()> {
    for node in network.nodes.iter_mut().filter(|node| !scenario.late.contains(&node.index)) {
        node.start()?;
    }
    network.all_reach(1, PATIENCE).await?;
    for (step, perturbation) in scenario.perturbations.iter().enumerate() {
        say(&format!(
            "seed {}, step {} of {}: {perturbation}",
            scenario.seed,
            step + 1,
            scenario.perturbations.len()
        ));
        if matches!(perturbation, Perturbation::Join { .. }) && !scenario.by_snapshot.is_empty() {
            network.all_reach(SNAPSHOTS_FROM, PATIENCE).await?;
        }
        perturbation.apply(network).await?;
        network.all_advance(GO_ON, PATIENCE).await?;
    }
    network.stakes_settle().await?;
    payments.finish(PATIENCE).await?;
    checker.check(network, payments).await?;
    for node in &scenario.by_snapshot {
        if checker.oldest(*node) == Some(0) {
            checker.violations.add(format!(
                "seed {}: {} has all blocks, but was to begin with a snapshot",
                scenario.seed,
                network.nodes[*node].name()
            ));
        }
    }
    checker.check_all(network, payments).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_scenario_again_and_others_give_others() {
        assert_eq!(Scenario::draw(7), Scenario::draw(7));
        assert_ne!(Scenario::draw(7), Scenario::draw(8));
    }

    #[test]
    fn every_perturbation_is_drawn_and_every_late_node_joins() {
        let scenarios: Vec<_> = (0..200).map(Scenario::draw).collect();
        let drawn = |wanted: fn(&Perturbation) -> bool| {
            scenarios.iter().flat_map(|scenario| &scenario.perturbations).any(wanted)
        };
        assert!(drawn(|one| matches!(one, Perturbation::Kill { .. })));
        assert!(drawn(|one| matches!(one, Perturbation::Pause { .. })));
        assert!(drawn(|one| matches!(one, Perturbation::Disconnect { .. })));
        assert!(drawn(|one| matches!(one, Perturbation::Partition { .. })));
        assert!(drawn(|one| matches!(one, Perturbation::Restart { .. })));
        use StakeChange::{Absence, Bond, Delegate, Retire, Undelegate};
        assert!(drawn(|one| matches!(one, Perturbation::Stake(Bond { .. }))));
        assert!(drawn(|one| matches!(one, Perturbation::Stake(Delegate { .. }))));
        assert!(drawn(|one| matches!(one, Perturbation::Stake(Undelegate { .. }))));
        assert!(drawn(|one| matches!(one, Perturbation::Stake(Retire { .. }))));
        assert!(drawn(|one| matches!(one, Perturbation::Stake(Absence { .. }))));
        assert!(QUICK.contains(JAILS.0), "or nobody would be jailed");
        for scenario in &scenarios {
            let joins = scenario
                .perturbations
                .iter()
                .filter(|one| matches!(one, Perturbation::Join { .. }));
            assert_eq!(joins.count(), scenario.late.len(), "{}", scenario.summary());
            assert!((4..=7).contains(&scenario.validators));
        }
    }
}
