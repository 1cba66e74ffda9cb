//! Find the control groups by which containers are bounded.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

/// Where they are mounted on every system.
const MOUNTED: &str = "/sys/fs/cgroup";
/// Controllers without which nothing bounds a container.
const NEEDED: [&str; 2] = ["memory", "pids"];

/// How the control groups of this machine are laid out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Groups {
    /// One tree for all controllers (cgroup v2).
    Unified,
    /// A tree for each controller (cgroup v1); their folders.
    Separate(Vec<String>),
}

impl Groups {
    /// Looks for them.
    pub(super) fn find() -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/self/mounts")
            .map_err(|error| format!("/proc/self/mounts cannot be read: {error}"))?;
        Self::of(&mounts, |path| fs::read_to_string(Path::new(path)).unwrap_or_default())
    }

    /// Reads a table of mounts; `read` gives the text of a file.
    fn of(mounts: &str, read: impl Fn(&str) -> String) -> Result<Self, String> {
        let mut separate = Vec::new();
        let mut missing: Vec<&str> = NEEDED.to_vec();
        for line in mounts.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let [_, place, kind, options, ..] = fields[..] else { continue };
            if kind == "cgroup2" && place == MOUNTED {
                let controllers = read("/sys/fs/cgroup/cgroup.controllers");
                missing.retain(|need| !controllers.split_whitespace().any(|has| has == *need));
                return offered(Self::Unified, &missing);
            }
            if kind == "cgroup" && place.starts_with(MOUNTED) {
                missing.retain(|need| !options.split(',').any(|option| option == *need));
                separate.push(place.to_owned());
            }
        }
        offered(Self::Separate(separate), &missing)
    }

    /// What crun is shown: a mixture of both layouts, as some systems have, it refuses.
    pub(super) fn shown(&self) -> Vec<&str> {
        match self {
            Self::Unified => Vec::new(),
            Self::Separate(folders) => {
                let binds = folders.iter().flat_map(|folder| ["--bind", folder, folder]);
                ["--tmpfs", MOUNTED].into_iter().chain(binds).collect()
            }
        }
    }
}

fn offered(groups: Groups, missing: &[&str]) -> Result<Groups, String> {
    match missing {
        [] => Ok(groups),
        missing => Err(format!(
            "nothing bounds a container here: the control groups lack {}",
            missing.join(" and ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
        cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n\
        cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";

    #[test]
    fn both_layouts_are_known_and_a_mixture_shows_one() {
        let v2 = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
        let unified = Groups::of(v2, |_| "cpu memory pids\n".into()).unwrap();
        assert_eq!((&unified, unified.shown().len()), (&Groups::Unified, 0));
        let pids = "cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n";
        let mixed = Groups::of(&format!("{V1}{pids}"), |_| String::new()).unwrap();
        let shown = mixed.shown();
        assert!(
            shown.contains(&"/sys/fs/cgroup/pids")
                && !shown.iter().any(|arg| arg.contains("unified"))
        );
    }

    #[test]
    fn a_machine_that_cannot_bound_containers_is_told_why() {
        assert!(Groups::of(V1, |_| String::new()).unwrap_err().contains("pids"));
        let v2 = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
        assert!(Groups::of(v2, |_| "pids".into()).unwrap_err().contains("memory"));
        assert!(Groups::of("", |_| String::new()).unwrap_err().contains("memory and pids"));
    }
}
