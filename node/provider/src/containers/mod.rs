//! Run what owners start in containers, in images that the operator has put on this machine.
//!
//! # Design
//! - The images are folders that the operator names: nothing is fetched, and without one nothing is offered.
//! - `bundle`: what the container may do, as crun reads it. `process`: one run of it.
//! - bubblewrap stands around crun for one thing: its process namespace ends with the worker, so that no end of a
//!   worker, and none of an agent, leaves a container behind.
//!
//! # Invariants
//! - A container has no network, no capability, no file of this machine, and cannot write to its image.
//! - Memory and processes are bounded by control groups; where there are none, nothing is offered.

mod bundle;
mod groups;
mod process;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use neura_types::job::{FaultCode, JobFault, JobResult, MAX_NAME, NamedBytes, OciJob};
use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use crate::{
    executor::Bounds,
    worker::{FailureKind, JobFailure},
};
use groups::Groups;

/// Folder of an image's file system inside of a bundle, as `umoci` and `podman` lay it out.
const ROOTFS: &str = "rootfs";
/// Time of the trial by which crun is found to work, in milliseconds.
const TRIAL_MS: u64 = 20_000;
/// Memory of the trial, in bytes.
const TRIAL_MEMORY: u64 = 64 << 20;
/// A program that no image has.
const NO_PROGRAM: &str = "/neura-asks-whether-containers-start-here";

/// Images by the names under which they are offered: folders, each with a root file system.
pub type Images = BTreeMap<String, PathBuf>;

/// A crun that works on this machine, and the images that it may run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Containers {
    crun: PathBuf,
    bubblewrap: PathBuf,
    groups: Groups,
    images: Images,
}

impl Containers {
    /// Looks for crun and bubblewrap, and tries them with one of the images; `place` is a folder for what this needs.
    ///
    /// # Errors
    /// Why no container can be run, and what to do.
    pub(crate) fn find(images: &Images, place: &Path) -> Result<Self, String> {
        if images.is_empty() {
            return Err("no image is offered; name one with --oci-image NAME=FOLDER".into());
        }
        let images = images
            .iter()
            .map(|(name, folder)| Ok((name.clone(), root_of(name, folder)?)))
            .collect::<Result<Images, String>>()?;
        let groups = Groups::find()?;
        let containers =
            Self { crun: program("crun")?, bubblewrap: program("bwrap")?, groups, images };
        containers.attempt(place)?;
        Ok(containers)
    }

    /// Runs what no image has, to see that a container can be started.
    fn attempt(&self, place: &Path) -> Result<(), String> {
        let image = self.images.keys().next().cloned().unwrap_or_default();
        let trial = OciJob { image, command: vec![NO_PROGRAM.into()], input: vec![] };
        let bounds =
            Bounds { memory_bytes: TRIAL_MEMORY, max_result: 1 << 16, timeout_ms: TRIAL_MS };
        match process::run(self, &trial, &bounds, place) {
            Ok(result) if result.fault == Some(not_in_image(NO_PROGRAM)) => Ok(()),
            Ok(result) => Err(format!("a trial of crun ended strangely: {:?}", result.fault)),
            Err(failure) => Err(failure.detail),
        }
    }

    /// Names of the images.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.images.keys().map(String::as_str)
    }

    /// Whether a job can be run here.
    pub(crate) fn check(&self, job: &OciJob) -> Result<(), JobFailure> {
        self.image(&job.image).map(drop)?;
        match job.command.first() {
            Some(program) if !program.is_empty() => {}
            _ => return Err(of_job("the job names no program to start")),
        }
        if job.command.iter().any(|arg| arg.contains('\0')) {
            return Err(of_job(
                "the job's command holds a NUL character, which no program is given",
            ));
        }
        Ok(())
    }

    /// Runs a job to its end, in `place`. What cannot be started where another can is the job's own fault: a folder in
    /// place of a program, too many arguments.
    pub(crate) fn run(
        &self,
        job: &OciJob,
        bounds: &Bounds,
        place: &Path,
    ) -> Result<JobResult, JobFailure> {
        self.check(job)?;
        let ran = process::run(self, job, bounds, place);
        let Err(JobFailure { kind: FailureKind::Device, detail }) = ran else { return ran };
        if self.attempt(place).is_err() {
            return Err(of_machine(detail));
        }
        let fault = JobFault { code: FaultCode::ExitCode, detail };
        Ok(JobResult { fault: Some(fault), outputs: Vec::new() })
    }

    fn image(&self, name: &str) -> Result<&Path, JobFailure> {
        self.images.get(name).map(PathBuf::as_path).ok_or_else(|| {
            let there: Vec<_> = self.names().collect();
            of_job(format!("there is no image '{name}' here; there are: {}", there.join(", ")))
        })
    }

    /// The command that runs the bundle of a container.
    fn command(&self, bundle: &Path, id: &str, log: &Path) -> (PathBuf, Vec<OsString>) {
        let mut args: Vec<OsString> = Vec::new();
        let mut add = |more: &[&OsStr]| args.extend(more.iter().map(|&arg| arg.to_owned()));
        for flag in ["--die-with-parent", "--unshare-pid", "--unshare-net", "--unshare-ipc"] {
            add(&[flag.as_ref()]);
        }
        if !Uid::effective().is_root() {
            add(&["--unshare-user", "--uid", "0", "--gid", "0"].map(OsStr::new));
        }
        add(&["--bind", "/", "/", "--dev-bind", "/dev", "/dev", "--proc", "/proc"].map(OsStr::new));
        for arg in self.groups.shown() {
            add(&[arg.as_ref()]);
        }
        add(&["--cap-add", "ALL", "--"].map(OsStr::new));
        add(&[self.crun.as_ref(), "--root".as_ref(), bundle.join("state").as_ref()]);
        add(&["--log".as_ref(), log.as_ref(), "--cgroup-manager=cgroupfs".as_ref()]);
        add(&["run".as_ref(), "--bundle".as_ref(), bundle.as_ref(), id.as_ref()]);
        (self.bubblewrap.clone(), args)
    }
}

/// The root file system of an image.
fn root_of(name: &str, folder: &Path) -> Result<PathBuf, String> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(format!("the name of image '{name}' must have 1 to {MAX_NAME} bytes"));
    }
    let inner = folder.join(ROOTFS);
    let root = if inner.is_dir() { &inner } else { folder };
    let root = root.canonicalize().map_err(|error| {
        format!("the folder {} of image '{name}' cannot be read: {error}", folder.display())
    })?;
    match root.is_dir() {
        true => Ok(root),
        false => Err(format!(
            "{} of image '{name}' is no folder; unpack it (umoci unpack, or podman export | tar -x)",
            folder.display()
        )),
    }
}

fn program(name: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .ok_or_else(|| {
            let package = if name == "bwrap" { "bubblewrap" } else { name };
            format!("{name} is not installed (Debian: apt install {package})")
        })
}

fn output(name: &str, bytes: Vec<u8>) -> NamedBytes {
    NamedBytes { name: name.into(), bytes }
}

fn not_in_image(program: &str) -> JobFault {
    let detail = format!("the image has no program {program} that can be started");
    JobFault { code: FaultCode::ExitCode, detail }
}

fn of_job(detail: impl ToString) -> JobFailure {
    JobFailure { kind: FailureKind::Job, detail: detail.to_string() }
}

fn of_machine(detail: impl ToString) -> JobFailure {
    JobFailure { kind: FailureKind::Device, detail: detail.to_string() }
}
