//! Start a worker, talk to it, end it.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use neura_gpu::{Launches, Tuning};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
};

use super::error::WorkerError;
use super::protocol::{
    KeepingTerms, MAX_LINE, MAX_LINES, OF_CONTAINERS, Probed, ROLE, Report, Request, Work,
};
use crate::{
    Device,
    config::WorkerCommand,
    containers::Containers,
    executor::{Bounds, Executor, Keeping, Said, clipped},
    keys::private_dir,
    sandbox::Sandbox,
};

#[cfg(test)]
mod tests;

/// How much of what a worker wrote to its standard error is kept, from the end.
const MAX_STDERR: usize = 4 << 10;
/// Time to open and test a device: a cold shader compiler on a slow machine.
const PROBE_TIMEOUT: Duration = Duration::from_secs(120);
/// Variables that graphics drivers and loaders read.
const PASSED: [&str; 11] = [
    "PATH",
    "LD_LIBRARY_PATH",
    "XDG_DATA_DIRS",
    "XDG_CONFIG_DIRS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES",
    "LIBGL_DRIVERS_PATH",
    "LP_NUM_THREADS",
];
/// Beginnings of the names of further such variables.
const PASSED_PREFIXES: [&str; 4] = ["VK_", "MESA_", "DRI_", "WGPU_"];

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What an answer may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Wall-clock time.
    pub(crate) timeout: Duration,
    /// Size of the result, in bytes.
    pub(crate) max_result: u64,
}

/// Starts a worker and has it check an int8 job, without running it: what every job's start costs.
///
/// # Errors
/// Why there was no answer.
pub async fn check_once(
    command: &WorkerCommand,
    place: &Path,
    sandbox: Option<&Sandbox>,
    payload: &[u8],
) -> Result<(), WorkerError> {
    let limits = Limits { timeout: PROBE_TIMEOUT, max_result: 0 };
    let (place, sandbox) = (place.to_owned(), sandbox.cloned());
    let worker = Worker::new(command.clone(), Device::Cpu, None, place, sandbox);
    worker.check(Executor::Int8, payload, limits).await.map(drop)
}

/// A job to run.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    /// How.
    pub(crate) executor: Executor,
    /// Its plain payload.
    pub(crate) payload: &'a [u8],
    /// What is asked beside the result.
    pub(crate) keeping: Keeping,
}

/// Memory of a job of foreign code where the operator sets no limit, in bytes.
const MEMORY_WITHOUT_LIMIT: u64 = 4 << 30;

/// Starts workers.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    command: WorkerCommand,
    device: Device,
    memory_bytes: Option<u64>,
    /// Working folder of the workers; their drivers cache compiled shaders in it.
    place: PathBuf,
    sandbox: Option<Sandbox>,
    containers: Option<Containers>,
    /// What probes found out about kernels, and the file that remembers it.
    tuning: Arc<Mutex<Tuning>>,
    tuning_file: Option<PathBuf>,
}

impl Worker {
    pub(crate) fn new(
        command: WorkerCommand,
        device: Device,
        memory_bytes: Option<u64>,
        place: PathBuf,
        sandbox: Option<Sandbox>,
    ) -> Self {
        let (containers, tuning, tuning_file) = (None, Arc::default(), None);
        Self { command, device, memory_bytes, place, sandbox, containers, tuning, tuning_file }
    }

    /// The same, which runs containers too.
    pub(crate) fn with_containers(self, containers: Option<Containers>) -> Self {
        Self { containers, ..self }
    }

    /// With the choices of kernels that a file remembers, and will remember.
    pub(crate) fn tuned(self, file: PathBuf) -> Self {
        let tuning = Arc::new(Mutex::new(Tuning::read(&file)));
        Self { tuning, tuning_file: Some(file), ..self }
    }

    fn tuning(&self) -> Tuning {
        self.tuning.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps what a probe found out. Without the file the next start measures again, which is not worth more than a
    /// word.
    fn keep(&self, tuning: &Tuning) {
        let known = &mut *self.tuning.lock().unwrap_or_else(PoisonError::into_inner);
        if known == tuning {
            return;
        }
        known.clone_from(tuning);
        let Some(file) = &self.tuning_file else { return };
        if let Err(error) = tuning.write(file) {
            tracing::warn!(file = %file.display(), %error, "the choice of kernels is not kept");
        }
    }

    /// Opens and tests the device, and chooses its kernels.
    pub(crate) async fn probe(&self) -> Result<Probed, WorkerError> {
        let limits = Limits { timeout: PROBE_TIMEOUT, max_result: 0 };
        match self.ask(Work::Probe, [&[], &[]], limits, |_| {}).await? {
            (Report::Probed(probed), _) => {
                self.keep(&probed.tuning);
                Ok(*probed)
            }
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// Reads a payload as a job, without running it; gives what it starts on the device, if the worker says so.
    pub(crate) async fn check(
        &self,
        executor: Executor,
        payload: &[u8],
        limits: Limits,
    ) -> Result<Option<Launches>, WorkerError> {
        let work = Work::Check { executor, payload_bytes: payload.len() as u64 };
        match self.ask(work, [payload, &[]], limits, |_| {}).await? {
            (Report::Checked { launches }, _) => Ok(launches),
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// Executes a job and returns the result; passes on what is said meanwhile.
    pub(crate) async fn run(
        &self,
        job: Job<'_>,
        limits: Limits,
        said: impl FnMut(Said),
    ) -> Result<Vec<u8>, WorkerError> {
        let Job { executor, payload, keeping } = job;
        let start = keeping.start.unwrap_or_default();
        let terms = KeepingTerms {
            checkpoint_bytes: start.len() as u64,
            every_ms: keeping.every.map(milliseconds),
            max_bytes: keeping.max_bytes,
        };
        let work = Work::Job { executor, payload_bytes: payload.len() as u64, keeping: terms };
        match self.ask(work, [payload, &start], limits, said).await? {
            (Report::Done { .. }, result) => Ok(result),
            (other, _) => Err(unexpected(&other)),
        }
    }

    async fn ask(
        &self,
        work: Work,
        parts: [&[u8]; 2],
        Limits { timeout, max_result }: Limits,
        said: impl FnMut(Said),
    ) -> Result<(Report, Vec<u8>), WorkerError> {
        let (device, memory_bytes) = (self.device.clone(), self.memory_bytes);
        let bounds = Bounds {
            memory_bytes: memory_bytes.unwrap_or(MEMORY_WITHOUT_LIMIT),
            max_result,
            timeout_ms: milliseconds(timeout),
        };
        let contained = matches!(work, Work::Job { executor: Executor::Oci, .. });
        let containers = self.containers.clone();
        let tuning = self.tuning();
        let request = Request { device, memory_bytes, bounds, containers, tuning, work };
        let mut running = self.start(contained)?;
        // However this ends, dropping `running` ends the worker and all that it started.
        tokio::time::timeout(timeout, running.converse(&request, parts, said))
            .await
            .unwrap_or(Err(WorkerError::TimedOut { limit: timeout }))
    }

    /// Starts a worker: confined, unless all it does is to start a container.
    fn start(&self, contained: bool) -> Result<Running, WorkerError> {
        let program = self.command.program.clone();
        let failed = |cause| WorkerError::Start { program, cause };
        let start = || -> io::Result<Running> {
            private_dir(&self.place)?;
            let command = match &self.sandbox {
                Some(sandbox) if !contained => &sandbox.around(&self.command, &self.place),
                _ => &self.command,
            };
            let child = Command::new(&command.program)
                .args(&command.args)
                .env_clear()
                .envs(environment(std::env::vars_os()))
                .envs(contained.then_some((ROLE, OF_CONTAINERS)))
                .env("HOME", &self.place)
                .env("XDG_CACHE_HOME", &self.place)
                // Drivers look for a display there, and complain where it is not set; of this machine's there is none.
                .env("XDG_RUNTIME_DIR", &self.place)
                .env("TMPDIR", &self.place)
                .current_dir(&self.place)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .process_group(0)
                .kill_on_drop(true)
                .spawn()?;
            Ok(Running { child })
        };
        start().map_err(failed)
    }
}

/// What of this process's environment a worker gets.
fn environment(
    all: impl Iterator<Item = (OsString, OsString)>,
) -> impl Iterator<Item = (OsString, OsString)> {
    all.filter(|(name, _)| {
        let Some(name) = name.to_str() else { return false };
        PASSED.contains(&name) || PASSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

fn unexpected(report: &Report) -> WorkerError {
    WorkerError::Protocol { problem: format!("{report:?} was not asked for") }
}

/// A worker that has not been waited for.
struct Running {
    child: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        // While the child has not been waited for, no other process can have its number.
        if let Some(id) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            // It fails if the group has ended, which is what is wanted.
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

impl Running {
    async fn converse(
        &mut self,
        request: &Request,
        parts: [&[u8]; 2],
        said: impl FnMut(Said),
    ) -> Result<(Report, Vec<u8>), WorkerError> {
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take())
        else {
            return Err(WorkerError::Protocol { problem: "it has no standard streams".into() });
        };
        // The input stays open until the answer is there: its end tells the worker that nobody waits.
        let fed = feed(stdin, request, parts);
        let answered = read_answer(BufReader::new(stdout), Sizes::of(request), said);
        let (fed, answered, stderr) = tokio::join!(fed, answered, read_tail(stderr));
        drop(fed);
        match answered {
            Ok(Some((Report::Failed(failure), _))) => Err(failure.into()),
            Ok(Some(answer)) => Ok(answer),
            Err(problem) => Err(WorkerError::Protocol { problem }),
            Ok(None) => {
                let failed = |cause| WorkerError::Start { program: PathBuf::new(), cause };
                let status = self.child.wait().await.map_err(failed)?;
                Err(WorkerError::ended(status, stderr))
            }
        }
    }
}

/// Writes the request. A worker that ends early does not read it: what it says, or how it ended, tells more.
async fn feed(mut stdin: ChildStdin, request: &Request, parts: [&[u8]; 2]) -> Option<ChildStdin> {
    let mut line = serde_json::to_vec(request).ok()?;
    line.push(b'\n');
    stdin.write_all(&line).await.ok()?;
    for part in parts {
        stdin.write_all(part).await.ok()?;
    }
    stdin.flush().await.ok()?;
    Some(stdin)
}

/// The sizes that parts of an answer may have, in bytes.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    result: u64,
    checkpoint: u64,
}

impl Sizes {
    fn of(request: &Request) -> Self {
        let checkpoint = match request.work {
            Work::Job { keeping, .. } if keeping.every_ms.is_some() => keeping.max_bytes,
            _ => 0,
        };
        Self { result: request.bounds.max_result, checkpoint }
    }
}

/// Reads lines up to the last one, and what follows it; none if the output ends before.
async fn read_answer(
    mut output: impl AsyncBufRead + Unpin,
    sizes: Sizes,
    mut said: impl FnMut(Said),
) -> Result<Option<(Report, Vec<u8>)>, String> {
    for _ in 0..MAX_LINES {
        let mut line = Vec::new();
        let read = (&mut output).take(MAX_LINE).read_until(b'\n', &mut line).await;
        if read.is_err() || line.last() != Some(&b'\n') {
            let long = line.len() as u64 >= MAX_LINE;
            return if long { Err("a line is too long".into()) } else { Ok(None) };
        }
        let said_now = match serde_json::from_slice(&line).map_err(|error| error.to_string())? {
            Report::Opened { device } => Said::Opened(device),
            Report::Progress { done, total, note } => {
                Said::Progress { done, total, note: clipped(note) }
            }
            Report::Log { text } => Said::Log(clipped(text)),
            Report::SetAside { reason } => Said::SetAside(clipped(reason)),
            Report::Checkpoint { step, bytes } => {
                match read_part(&mut output, "checkpoint", bytes, sizes.checkpoint).await? {
                    Some(bytes) => Said::Checkpoint { step, bytes },
                    None => return Ok(None),
                }
            }
            Report::Done { bytes } => {
                let result = read_part(&mut output, "result", bytes, sizes.result).await?;
                return Ok(result.map(|result| (Report::Done { bytes }, result)));
            }
            last => return Ok(Some((last, Vec::new()))),
        };
        said(said_now);
    }
    Err(format!("there are more than {MAX_LINES} lines"))
}

/// Reads so many bytes; none if the output ends before.
async fn read_part(
    output: &mut (impl AsyncBufRead + Unpin),
    what: &str,
    bytes: u64,
    max: u64,
) -> Result<Option<Vec<u8>>, String> {
    if bytes > max {
        return Err(format!("a {what} of {bytes} bytes is over the limit of {max}"));
    }
    let mut part = Vec::new();
    let read = output.take(bytes).read_to_end(&mut part).await;
    Ok((read.is_ok() && part.len() as u64 == bytes).then_some(part))
}

/// Reads to the end and keeps the last part.
async fn read_tail(mut stream: impl AsyncRead + Unpin) -> String {
    let mut tail = Vec::new();
    let mut part = [0; 1_024];
    while let Ok(read @ 1..) = stream.read(&mut part).await {
        tail.extend_from_slice(&part[..read]);
        let excess = tail.len().saturating_sub(MAX_STDERR);
        tail.drain(..excess);
    }
    String::from_utf8_lossy(&tail).trim().to_owned()
}
