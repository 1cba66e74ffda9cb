//! One process of a devnet: start it, watch it, read the end of its log.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::{Child as Running, Command};

/// Bytes of a log's end that are shown when its process ends by itself.
const LOG_TAIL: u64 = 4_096;
/// Lines of it.
const LOG_LINES: usize = 8;
/// A log above this size is put aside at the next start; the one before it is lost.
const MAX_LOG: u64 = 64 << 20;

/// Holds the supervisor's process id for a supervised process, so that it ends with its supervisor, however that ends.
const SUPERVISED: &str = "NEURA_SUPERVISED";

/// Makes this process end when the supervisor that started it is gone; does nothing for any other.
pub fn end_with_supervisor() {
    let Ok(supervisor) = std::env::var(SUPERVISED) else { return };
    if let Err(error) = nix::sys::prctl::set_pdeathsig(Signal::SIGTERM) {
        tracing::warn!(%error, "this process may outlive its supervisor");
    }
    // It may have died before the request above.
    if supervisor != nix::unistd::getppid().to_string() {
        std::process::exit(1);
    }
}

/// How a process is started, and the process.
#[derive(Debug)]
pub struct Child {
    /// Its name, for the screen.
    pub name: String,
    /// Its log.
    pub log: PathBuf,
    args: Vec<String>,
    /// Where in its log the present run begins.
    begun: u64,
    /// Where this program lay at the first start: the system's answer is of no use once another has taken its place.
    program: Option<PathBuf>,
    running: Option<Running>,
}

impl Child {
    /// A process of this binary that is to run with `args` and to log to `log`.
    pub fn new(name: impl Into<String>, log: PathBuf, args: Vec<String>) -> Self {
        Self { name: name.into(), log, args, begun: 0, program: None, running: None }
    }

    /// Starts it, from what lies now where this program lay at the first start. It ends with this process.
    ///
    /// # Errors
    /// If its log cannot be written or it cannot be started.
    pub fn start(&mut self) -> Result<()> {
        rotate(&self.log)?;
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("opening the log {}", self.log.display()))?;
        self.begun = log.metadata().map_or(0, |meta| meta.len());
        let program = match &self.program {
            Some(program) => program,
            None => {
                let found = std::env::current_exe().context("finding this program")?;
                self.program.insert(found)
            }
        };
        let child = Command::new(program)
            .args(&self.args)
            .env(SUPERVISED, std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {} from {}", self.name, program.display()))?;
        self.running = Some(child);
        Ok(())
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().and_then(Running::id)
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// If the system cannot tell.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        match &mut self.running {
            Some(running) => Ok(running.wait().await?),
            None => std::future::pending().await,
        }
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        if let Some(pid) = self.pid().and_then(|pid| i32::try_from(pid).ok()) {
            // It may have ended already.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }

    /// Waits until it has stopped, or kills it after `grace`.
    pub async fn stopped(&mut self, grace: std::time::Duration) {
        if let Some(mut running) = self.running.take()
            && tokio::time::timeout(grace, running.wait()).await.is_err()
        {
            // It may have ended just now.
            let _ = running.kill().await;
        }
    }

    /// The last lines that this run wrote to its log.
    pub fn last_words(&self) -> String {
        tail(&self.log, self.begun)
            .unwrap_or_else(|error| format!("(its log cannot be read: {error})"))
    }
}

fn rotate(log: &Path) -> Result<()> {
    if fs::metadata(log).is_ok_and(|meta| meta.len() > MAX_LOG) {
        fs::rename(log, log.with_extension("log.1"))
            .with_context(|| format!("putting the log {} aside", log.display()))?;
    }
    Ok(())
}

/// The last lines of a log from this place on.
fn tail(log: &Path, begun: u64) -> std::io::Result<String> {
    let mut file = File::open(log)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(LOG_TAIL).max(begun)))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    Ok(lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A validator could not be started again once the program was built anew: the system then names it "(deleted)".
    #[tokio::test]
    async fn a_program_that_was_replaced_is_started_from_where_it_lay() {
        let dir = tempfile::tempdir().unwrap();
        let (program, log) = (dir.path().join("program"), dir.path().join("log"));
        let write = |text: &str| {
            let _ = fs::remove_file(&program);
            fs::write(&program, format!("#!/bin/sh\necho {text}\n")).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        };
        let mut child = Child::new("validator 0", log, Vec::new());
        child.program = Some(program.clone());
        for text in ["old", "new"] {
            write(text);
            child.start().unwrap();
            assert!(child.ended().await.unwrap().success());
        }
        assert_eq!(child.last_words(), "new", "and nothing of former runs");
        fs::remove_file(&program).unwrap();
        let error = format!("{:#}", child.start().unwrap_err());
        assert!(
            error.contains("starting validator 0 from") && error.contains("program"),
            "{error}"
        );
    }
}
