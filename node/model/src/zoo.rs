//! Break one rule at a time and see who notices.

use neura_consensus_bugs::bugs::Bug;

use crate::{conform, hunt, machine::Bound};

/// Random schedules for one bug.
pub const SCHEDULES: u64 = 1_500;
/// Traces beside the machine for one bug.
pub const TRACES: u64 = 200;

/// Who noticed a bug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Number of the random schedule, from 1, with what was seen.
    pub schedule: Option<(u64, String)>,
    /// Number of the trace beside the machine, from 1, with the difference.
    pub trace: Option<(u64, String)>,
}

impl Found {
    /// Whether anyone did.
    pub fn any(&self) -> bool {
        self.schedule.is_some() || self.trace.is_some()
    }
}

/// Looks for a bug by random schedules and by traces beside the machine.
pub fn look(bug: Bug, schedules: u64) -> Found {
    let trace = conform::hunt(bug, Bound::new(3), TRACES)
        .map(|(number, difference)| (number, difference.to_string()));
    Found { schedule: hunt::hunt(bug, 0, schedules), trace }
}

/// Looks for a bug until anyone finds it.
pub fn find(bug: Bug, schedules: u64) -> Found {
    let schedule = if by_trace(bug) { None } else { hunt::hunt(bug, 0, schedules) };
    let trace = if schedule.is_some() { None } else { look(bug, 0).trace };
    Found { schedule, trace }
}

/// A bug that random schedules do not show: other messages make up for it.
fn by_trace(bug: Bug) -> bool {
    matches!(bug, Bug::HighQcRegresses)
}
