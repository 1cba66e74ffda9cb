//! Break one rule at a time, in the core or in the driver, and count the seeds until the checks notice.

use std::panic::{AssertUnwindSafe, catch_unwind};

use neura_consensus::bugs::{Bug, activate};

use crate::{
    plan::{Behaviour, DriverBug, Plan},
    run::run_with,
    twins::{exhaustive, run_scenario, sampled},
};

/// Scenarios of Twins drawn for each broken rule.
const SAMPLE: usize = 300;

/// A rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// In every replica.
    Core(Bug),
    /// In every driver.
    Driver(DriverBug),
}

/// How a broken rule was noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noticed {
    /// Schedules that it took, the last one included.
    pub schedules: u64,
    /// What the checks said first.
    pub violation: String,
}

/// Runs seeds with a broken rule until a check notices, at most `seeds` of them.
pub fn by_simulator(broken: Broken, seeds: u64) -> Option<Noticed> {
    let _guard = Activation::of(broken);
    (0..seeds).find_map(|seed| {
        let mut plan = Plan::from_seed(seed);
        if let Broken::Driver(bug) = broken {
            plan.driver_bug = Some(bug);
            plan.weather.crashes += 6;
            if bug == DriverBug::OlderRecordAccepted {
                // Only a damaged record shows it; who has one lies in no other way.
                (plan.damaged, plan.byzantine) = ([0].into(), [].into());
            }
            if bug == DriverBug::RootNotCompared && plan.validators >= 4 {
                plan.damaged.clear();
                plan.byzantine = [(0, [Behaviour::UnlawfulProposer].into())].into();
            }
        }
        // A core that breaks its rules may also stop at one of its own assertions.
        let violation = match catch_unwind(AssertUnwindSafe(|| run_with(plan))) {
            Ok(outcome) => outcome.violations.into_iter().next(),
            Err(_) => Some("a replica panicked".to_owned()),
        };
        violation.map(|violation| Noticed { schedules: seed + 1, violation })
    })
}

/// Runs Twins with a broken rule until a fork or another violation: the small cases, then samples of larger ones.
pub fn by_twins(broken: Broken) -> Option<Noticed> {
    let Broken::Core(_) = broken else { return None };
    let _guard = Activation::of(broken);
    let cases = exhaustive(2).into_iter().chain(sampled((4, 1), 6, SAMPLE, 5));
    (1..).zip(cases).find_map(|(schedules, scenario)| {
        let violation = match catch_unwind(AssertUnwindSafe(|| run_scenario(&scenario))) {
            Ok(verdict) if verdict.forked => Some("FORK".to_owned()),
            Ok(verdict) => verdict.violation,
            Err(_) => Some("a replica panicked".to_owned()),
        };
        violation.map(|violation| Noticed { schedules, violation })
    })
}

/// Holds a switch of the core until it is dropped.
pub(crate) struct Activation;

impl Activation {
    pub(crate) fn of(broken: Broken) -> Self {
        if let Broken::Core(bug) = broken {
            activate(Some(bug));
        }
        Self
    }
}

impl Drop for Activation {
    fn drop(&mut self) {
        activate(None);
    }
}
