//! One run of a container, from its bundle to its outputs.

use std::{
    fs, io,
    io::{Read, Write},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use neura_types::job::{FaultCode, JobFault, JobResult, OciJob};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{Containers, bundle::Container, not_in_image, of_job, of_machine, output};
use crate::{executor::Bounds, worker::JobFailure};

/// Share of the job's time after which a container is ended by its worker, which can then still say so, in percent.
const TIME_PERCENT: u64 = 95;
/// How much of what crun says is read.
const MAX_SAID: u64 = 4 << 10;
/// What a shell adds to a signal's number when it ended a program by it.
const BY_SIGNAL: i32 = 128;

/// What happens to a running container.
enum Event {
    /// A stream was read to its end.
    Read { stream: usize, bytes: Vec<u8> },
    /// A stream gave more than fits into a result.
    TooMuch { stream: usize, bytes: Vec<u8> },
    /// The container's process ended.
    Ended(io::Result<ExitStatus>),
}

/// The folder of a container's bundle: removed with it.
struct Bundle(PathBuf);

impl Drop for Bundle {
    fn drop(&mut self) {
        // What is left is removed with the worker's folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(super) fn run(
    containers: &Containers,
    job: &OciJob,
    bounds: &Bounds,
    place: &Path,
) -> Result<JobResult, JobFailure> {
    let id = format!("neura-{}", std::process::id());
    let bundle = Bundle(place.join(&id));
    let log = bundle.0.join("log");
    let container = Container {
        root: containers.image(&job.image)?,
        command: &job.command,
        memory_bytes: bounds.memory_bytes,
        group: &format!("/neura/{id}"),
    };
    let written = fs::create_dir_all(bundle.0.join("state"))
        .and_then(|()| fs::write(bundle.0.join("config.json"), container.config().to_string()));
    written.map_err(|error| {
        of_machine(format!("{} cannot be written: {error}", bundle.0.display()))
    })?;
    let (program, args) = containers.command(&bundle.0, &id, &log);
    let child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| of_machine(format!("bubblewrap cannot be started: {error}")))?;
    let limit = Duration::from_millis(bounds.timeout_ms / 100 * TIME_PERCENT);
    let ran = Ran::watch(child, &job.input, bounds.max_result / 2, limit)?;
    ran.result(job, &said(&log))
}

/// How a run went.
struct Ran {
    status: Option<ExitStatus>,
    outputs: [Vec<u8>; 2],
    /// Why the worker ended it, if it did.
    ended: Option<JobFault>,
}

impl Ran {
    fn watch(
        mut child: Child,
        input: &[u8],
        most: u64,
        limit: Duration,
    ) -> Result<Self, JobFailure> {
        let (Some(mut stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(of_machine("a container has no streams"));
        };
        let id = i32::try_from(child.id()).map_err(of_machine)?;
        let (send, events) = channel();
        let input = input.to_vec();
        // A program that does not read its input is none the worse.
        thread::spawn(move || drop(stdin.write_all(&input)));
        read(stdout, 0, most, send.clone());
        read(stderr, 1, most, send.clone());
        thread::spawn(move || drop(send.send(Event::Ended(child.wait()))));
        let mut ran = Self { status: None, outputs: [Vec::new(), Vec::new()], ended: None };
        ran.listen(&events, Pid::from_raw(id), limit)?;
        Ok(ran)
    }

    /// Takes what happens, until the process has ended and its streams with it.
    fn listen(
        &mut self,
        events: &Receiver<Event>,
        id: Pid,
        limit: Duration,
    ) -> Result<(), JobFailure> {
        let deadline = Instant::now() + limit;
        loop {
            let left = match self.ended {
                None => deadline.saturating_duration_since(Instant::now()),
                Some(_) => Duration::MAX,
            };
            match events.recv_timeout(left) {
                Ok(Event::Read { stream, bytes }) => self.outputs[stream] = bytes,
                Ok(Event::TooMuch { stream, bytes }) => {
                    let detail = format!("it wrote more than the {} bytes that fit", bytes.len());
                    self.outputs[stream] = bytes;
                    self.end(id, FaultCode::OutputTooLarge, detail);
                }
                Ok(Event::Ended(status)) => self.status = Some(status.map_err(of_machine)?),
                Err(RecvTimeoutError::Timeout) => {
                    let detail = format!("it was not done within {} s", limit.as_secs_f32());
                    self.end(id, FaultCode::TimedOut, detail);
                }
                // All that could happen has.
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    fn end(&mut self, id: Pid, code: FaultCode, detail: String) {
        if self.status.is_none() {
            // It fails if the process has just ended.
            let _ = kill(id, Signal::SIGKILL);
        }
        self.ended.get_or_insert(JobFault { code, detail });
    }

    fn result(self, job: &OciJob, said: &str) -> Result<JobResult, JobFailure> {
        let fault = match (self.ended, self.status) {
            (Some(fault), _) => Some(fault),
            (None, Some(status)) if !said.is_empty() && !status.success() => {
                let program = job.command.first().map_or("", String::as_str);
                match said.contains("executable file") || said.contains("exec ") {
                    true => Some(not_in_image(program)),
                    false => {
                        return Err(of_machine(format!("crun cannot run a container: {said}")));
                    }
                }
            }
            (None, Some(status)) => fault(status),
            (None, None) => return Err(of_job("the container did not end")),
        };
        let [stdout, stderr] = self.outputs;
        Ok(JobResult { fault, outputs: vec![output("stdout", stdout), output("stderr", stderr)] })
    }
}

/// Reads a stream in a thread of its own, `most` bytes of it.
fn read(stream: impl Read + Send + 'static, number: usize, most: u64, send: Sender<Event>) {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let mut stream = stream.take(most.saturating_add(1));
        let done = stream.read_to_end(&mut bytes);
        let whole = done.is_ok() && bytes.len() as u64 <= most;
        bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        let event = match whole {
            true => Event::Read { stream: number, bytes },
            false => Event::TooMuch { stream: number, bytes },
        };
        // Nobody listens any more if the worker is at its end.
        drop(send.send(event));
        // The pipe stays open until the program has ended, so that it is not stopped by a broken one before.
        drop(stream);
    });
}

/// What crun itself has to say of a failed start.
fn said(log: &Path) -> String {
    let mut text = String::new();
    // Without a log crun had nothing to say.
    let _ = fs::File::open(log).and_then(|file| file.take(MAX_SAID).read_to_string(&mut text));
    text.trim().to_owned()
}

/// What an end means; none for a good one.
fn fault(status: ExitStatus) -> Option<JobFault> {
    let fault = |code, detail: String| Some(JobFault { code, detail });
    let signal = |number: i32| match Signal::try_from(number) {
        Ok(Signal::SIGKILL) => fault(
            FaultCode::OutOfMemory,
            "it was killed, as programs are when the job's memory is used up".into(),
        ),
        Ok(signal) => fault(FaultCode::Trapped, format!("it was ended by {signal}")),
        Err(_) => fault(
            FaultCode::ExitCode,
            format!("the program ended with code {}", BY_SIGNAL + number),
        ),
    };
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(code), _) if code > BY_SIGNAL => signal(code - BY_SIGNAL),
        (Some(code), _) => {
            fault(FaultCode::ExitCode, format!("the program ended with code {code}"))
        }
        (None, number) => signal(number.unwrap_or_default()),
    }
}
