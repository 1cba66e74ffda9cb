//! Measure how fast a device starts kernels that do nothing: no kernel is done sooner.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Context, KernelRunner};
use crate::{GpuError, Launches, MAX_WORKGROUP_SIZE, MAX_WORKGROUPS};

/// Workgroups in the first dimension of what is measured; the other one grows.
const COLUMNS: u32 = 1_024;
/// Time from which on a measurement is taken: what starting a dispatch costs is little against it.
const LONG_ENOUGH: Duration = Duration::from_millis(20);
/// Times that it is measured; the best counts, since other work on the machine only slows it down.
const TIMES: u32 = 3;

/// How fast a device starts kernels that do nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchRate {
    /// Workgroups in a second, of one invocation each.
    pub workgroups_per_second: u64,
    /// Invocations in a second, in the largest workgroups.
    pub invocations_per_second: u64,
}

impl LaunchRate {
    /// Whole seconds that so many launches take at least, whatever their kernels do.
    #[must_use]
    pub fn least_seconds(&self, launches: Launches) -> u64 {
        let workgroups = launches.workgroups / self.workgroups_per_second.max(1);
        workgroups.max(launches.invocations / self.invocations_per_second.max(1))
    }
}

impl KernelRunner {
    /// Measures how fast the device starts kernels that do nothing.
    ///
    /// # Errors
    /// The device's own errors.
    pub fn launch_rate(&self) -> Result<LaunchRate, GpuError> {
        let (context, limit) = (&self.context, self.budget.timeout);
        Ok(LaunchRate {
            workgroups_per_second: rate(context, limit, 1)?,
            invocations_per_second: rate(context, limit, MAX_WORKGROUP_SIZE)?,
        })
    }
}

/// Invocations in a second, in workgroups of so many.
fn rate(context: &Context, limit: Duration, size: u32) -> Result<u64, GpuError> {
    context.start(limit)?.guarded(|run| {
        let source = format!("@compute @workgroup_size({size}) fn main() {{}}");
        let pipeline = run.pipeline("nothing", &source);
        let timed = |rows: u32| {
            let started = Instant::now();
            run.pass(&pipeline, [], [COLUMNS, rows, 1]);
            run.wait()?;
            Ok::<_, GpuError>(started.elapsed())
        };
        let mut rows = 1;
        while rows < MAX_WORKGROUPS && timed(rows)? < LONG_ENOUGH {
            rows = (rows * 2).min(MAX_WORKGROUPS);
        }
        let times = (0..TIMES).map(|_| timed(rows)).collect::<Result<Vec<_>, _>>()?;
        let best = times.into_iter().min().unwrap_or_default().as_nanos().max(1);
        let invocations = u128::from(size) * u128::from(COLUMNS) * u128::from(rows);
        Ok(u64::try_from(invocations * 1_000_000_000 / best).unwrap_or(u64::MAX))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_of_workgroups_and_invocations_decides() {
        let rate = LaunchRate { workgroups_per_second: 1_000, invocations_per_second: 100_000 };
        let of = |workgroups, invocations| rate.least_seconds(Launches { workgroups, invocations });
        assert_eq!(of(5_000, 5_000), 5);
        assert_eq!(of(5_000, 5_000 * 256), 12);
        assert_eq!(of(999, 99_999), 0);
        let nothing = LaunchRate { workgroups_per_second: 0, invocations_per_second: 0 };
        assert_eq!(nothing.least_seconds(Launches { workgroups: 7, invocations: 7 }), 7);
    }
}
