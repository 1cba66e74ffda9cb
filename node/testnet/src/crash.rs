//! Kill nodes of a running network again and again, and check that nothing that was promised is lost.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use tokio::time::{Instant, sleep};

use crate::{Checker, LinkKind, Network, Payments, Plan, QUICK, Say, Task, Violations, workload};

/// Accounts that pay while nodes are killed.
const PAYERS: usize = 4;
/// Time for all nodes to go on after a kill: many timeouts of the slowest pacemaker on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// Blocks by which all nodes must go on before the next kill.
const GO_ON: u64 = 2;

/// What to do.
#[derive(Debug, Clone)]
pub struct CrashPlan {
    /// The node's binary.
    pub binary: PathBuf,
    /// Kills, each with what follows it.
    pub cycles: u64,
    /// What victims and moments are drawn from.
    pub seed: u64,
    /// Validators.
    pub validators: usize,
    /// Cycles between two comparisons of all nodes.
    pub check_every: u64,
    /// Keep the network's folder even if all is well.
    pub keep: bool,
}

/// What came of a run.
#[derive(Debug)]
pub struct CrashOutcome {
    /// Cycles done.
    pub cycles: u64,
    /// Processes killed.
    pub kills: u64,
    /// Transfers acknowledged as final, each found again on every node.
    pub acknowledged: usize,
    /// Height at the end.
    pub height: u64,
    /// What was violated.
    pub violations: Violations,
    /// Where logs and data lie, if they were kept.
    pub kept: Option<PathBuf>,
}

/// Runs the cycles; stops at the first violation.
///
/// # Errors
/// If the network cannot be made or started.
pub async fn run(plan: &CrashPlan, say: Say<'_>) -> Result<CrashOutcome> {
    let payers = workload::payers(PAYERS)?;
    let mut network = Network::start(
        &plan.binary,
        &Plan {
            validators: plan.validators,
            full_nodes: 0,
            params: QUICK.to_owned(),
            accounts: payers.iter().map(|payer| payer.key.address()).collect(),
            by_snapshot: Vec::new(),
            links: LinkKind::Direct,
            task: Task::Serve,
        },
    )
    .await?;
    let mut payments = Payments::start(&network, payers, plan.seed);
    let mut run = Run {
        rng: ChaCha8Rng::seed_from_u64(plan.seed),
        checker: Checker::default(),
        kills: 0,
        cycles: 0,
    };
    if let Err(error) = run.cycles(plan, &mut network, &mut payments, say).await {
        run.checker.violations.add(format!("cycle {}: {error:#}", run.cycles + 1));
    }
    let violations = run.checker.violations.clone();
    let keep = plan.keep || violations.count() > 0;
    Ok(CrashOutcome {
        cycles: run.cycles,
        kills: run.kills,
        acknowledged: payments.ledger(|ledger| ledger.acknowledged.len()),
        height: run.checker.height(),
        violations,
        kept: keep.then(|| network.keep().to_owned()),
    })
}

struct Run {
    rng: ChaCha8Rng,
    checker: Checker,
    kills: u64,
    cycles: u64,
}

impl Run {
    async fn cycles(
        &mut self,
        plan: &CrashPlan,
        network: &mut Network,
        payments: &mut Payments,
        say: Say<'_>,
    ) -> Result<()> {
        let begun = Instant::now();
        for cycle in 1..=plan.cycles {
            self.cycle(network).await?;
            self.cycles = cycle;
            if cycle % plan.check_every == 0 {
                self.checker.check(network, payments).await?;
                if self.checker.violations.count() > 0 {
                    return Ok(());
                }
            }
            say(&format!(
                "cycle {cycle} of {}: {} kills, {} transfers final, height {}, {} s",
                plan.cycles,
                self.kills,
                payments.ledger(|ledger| ledger.acknowledged.len()),
                self.checker.height(),
                begun.elapsed().as_secs()
            ));
        }
        payments.finish(PATIENCE).await?;
        self.checker.check(network, payments).await?;
        self.checker.check_all(network, payments).await
    }

    /// One, two or all nodes are killed at a moment that is drawn, stay down for a time that is drawn, come back, and
    /// some are killed again while they start.
    async fn cycle(&mut self, network: &mut Network) -> Result<()> {
        self.pause(300).await;
        let mut victims: Vec<usize> = (0..network.nodes.len()).collect();
        victims.shuffle(&mut self.rng);
        victims.truncate(match self.rng.random_range(0..10) {
            0..7 => 1,
            7..9 => 2,
            _ => victims.len(),
        });
        let together = self.rng.random_bool(0.5);
        for victim in &victims {
            network.nodes[*victim].kill()?;
            self.kills += 1;
            if !together {
                self.pause(60).await;
            }
        }
        if self.rng.random_bool(0.5) {
            self.pause(600).await;
        }
        for victim in &victims {
            network.nodes[*victim].start()?;
        }
        if self.rng.random_bool(0.15) {
            self.pause(120).await;
            for victim in &victims {
                network.nodes[*victim].kill()?;
                network.nodes[*victim].start()?;
                self.kills += 1;
            }
        }
        network.all_advance(GO_ON, PATIENCE).await?;
        Ok(())
    }

    async fn pause(&mut self, up_to_ms: u64) {
        sleep(Duration::from_millis(self.rng.random_range(0..up_to_ms))).await;
    }
}
