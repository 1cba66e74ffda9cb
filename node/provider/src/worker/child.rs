//! Be the worker: one request in, one answer out.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use neura_gpu::{Backend, GemmShape, Tuning, discover};
use neura_types::hash::content_hash;
use nix::sys::resource::{Resource, setrlimit};

use super::protocol::{
    FailureKind, JobFailure, KeepingTerms, MAX_LINE, OF_CONTAINERS, Probed, ROLE, Report, Request,
    Work,
};
use crate::{
    executor::{self, Executor, Given, Keeping, Relay, Said},
    sandbox,
};

/// The product that measures a device: 128 Mi multiply-accumulates, done in a fraction of a second by any.
const PROBE_SHAPE: GemmShape = GemmShape { m: 256, n: 256, k: 2_048 };

/// The worker's whole life: reads a request from standard input, does it, answers on standard output. Does what the
/// request says and nothing else; meant to be started by an agent.
pub fn main() -> ExitCode {
    let mut input = BufReader::new(io::stdin());
    let output = io::stdout();
    let contained = std::env::var_os(ROLE).is_some_and(|role| role == OF_CONTAINERS);
    // Before a byte of a stranger is read. What starts containers cannot be confined, and starts nothing else.
    let confined = if contained { Ok(()) } else { confine() };
    let received =
        confined.and_then(|()| receive(&mut input)).and_then(|received| suits(received, contained));
    // Nothing more is said to a worker. When its input ends, whoever waits for the answer is gone.
    thread::spawn(move || {
        let _ = io::copy(&mut input, &mut io::sink());
        std::process::exit(0);
    });
    let answered = match received.and_then(|(request, parts)| {
        limit(&request)?;
        // Whether anybody reads this shows when the answer is sent.
        work(&request, parts, &mut |report, bytes| drop(send(&mut output.lock(), report, bytes)))
    }) {
        Ok((report, bytes)) => send(&mut output.lock(), &report, &bytes),
        Err(failure) => send(&mut output.lock(), &Report::Failed(failure), &[]),
    };
    match answered {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The last line of an answer, and what follows it.
type Answer = (Report, Vec<u8>);

/// What follows the line of a request.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parts {
    payload: Vec<u8>,
    checkpoint: Vec<u8>,
}

/// Refuses what is not for a worker of this role.
fn suits(received: (Request, Parts), contained: bool) -> Result<(Request, Parts), JobFailure> {
    let container = matches!(received.0.work, Work::Job { executor: Executor::Oci, .. });
    if container == contained {
        return Ok(received);
    }
    let detail = "containers are started by workers of their own, which do nothing else".into();
    Err(JobFailure { kind: FailureKind::Request, detail })
}

/// Reads a request and its parts.
fn receive(input: &mut impl BufRead) -> Result<(Request, Parts), JobFailure> {
    let wrong = |problem: String| JobFailure { kind: FailureKind::Request, detail: problem };
    let mut line = Vec::new();
    input
        .take(MAX_LINE)
        .read_until(b'\n', &mut line)
        .map_err(|error| wrong(format!("the request cannot be read: {error}")))?;
    let request: Request = serde_json::from_slice(&line)
        .map_err(|error| wrong(format!("the request is not understood: {error}")))?;
    let (executor, payload_bytes, keeping) = match request.work {
        Work::Probe => return Ok((request, Parts::default())),
        Work::Check { executor, payload_bytes } => {
            (executor, payload_bytes, KeepingTerms::default())
        }
        Work::Job { executor, payload_bytes, keeping } => (executor, payload_bytes, keeping),
    };
    let payload = read_part(input, "payload", payload_bytes, executor.max_payload())?;
    let (length, max) = (keeping.checkpoint_bytes, keeping.max_bytes);
    let checkpoint = read_part(input, "checkpoint", length, max)?;
    Ok((request, Parts { payload, checkpoint }))
}

fn read_part(
    input: &mut impl BufRead,
    what: &str,
    length: u64,
    max: u64,
) -> Result<Vec<u8>, JobFailure> {
    let wrong = |detail| JobFailure { kind: FailureKind::Request, detail };
    if length > max {
        return Err(wrong(format!("a {what} of {length} bytes is too large")));
    }
    let mut part = Vec::new();
    let read = input.take(length).read_to_end(&mut part);
    read.map_err(|error| wrong(format!("the {what} cannot be read: {error}")))?;
    if part.len() as u64 != length {
        return Err(wrong(format!("{} of {length} bytes of {what} came", part.len())));
    }
    Ok(part)
}

/// Gives up the system calls that no executor needs.
fn confine() -> Result<(), JobFailure> {
    sandbox::forbid_system_calls()
        .map_err(|detail| JobFailure { kind: FailureKind::Request, detail })
}

/// Bounds what this process may use. Payloads are not left on disk by a crash.
fn limit(request: &Request) -> Result<(), JobFailure> {
    let refused = |error: nix::Error| JobFailure {
        kind: FailureKind::Request,
        detail: format!("the worker's limits cannot be set: {error}"),
    };
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(refused)?;
    // A container has a control group of its own; what starts it needs its processes' memory.
    if let Some(bytes) = request.memory_bytes {
        setrlimit(Resource::RLIMIT_DATA, bytes, bytes).map_err(refused)?;
    }
    Ok(())
}

fn work(
    request: &Request,
    Parts { payload, checkpoint }: Parts,
    report: &mut dyn FnMut(&Report, &[u8]),
) -> Result<Answer, JobFailure> {
    let Request { device, bounds, containers, .. } = request;
    let given = Given { device, bounds, containers: containers.as_ref() };
    let mut tuning = request.tuning.clone();
    match request.work {
        Work::Probe => {
            let backend = executor::open(device, bounds, &mut tuning)?;
            report(&Report::Opened { device: Box::new(backend.info().clone()) }, &[]);
            let mut probed = probe(backend.as_ref(), tuning)?;
            probed.launch_rate = executor::launch_rate(device, bounds);
            Ok((Report::Probed(Box::new(probed)), Vec::new()))
        }
        Work::Check { executor, .. } => {
            let launches = executor::check(executor, &payload, &given)?;
            Ok((Report::Checked { launches }, Vec::new()))
        }
        Work::Job { executor, keeping, .. } => {
            let keeping = Keeping {
                start: (keeping.checkpoint_bytes > 0).then_some(checkpoint),
                every: keeping.every_ms.map(Duration::from_millis),
                max_bytes: keeping.max_bytes,
            };
            let mut say = |said| tell(said, report);
            let mut relay = Relay::new(executor, content_hash(&payload), keeping, &mut say);
            let result = executor::run(executor, &payload, &given, &mut tuning, &mut relay)?;
            Ok((Report::Done { bytes: result.len() as u64 }, result))
        }
    }
}

/// Passes on what an executor says.
fn tell(said: Said, report: &mut dyn FnMut(&Report, &[u8])) {
    match said {
        Said::Opened(device) => report(&Report::Opened { device }, &[]),
        Said::Progress { done, total, note } => {
            report(&Report::Progress { done, total, note }, &[])
        }
        Said::Log(text) => report(&Report::Log { text }, &[]),
        Said::SetAside(reason) => report(&Report::SetAside { reason }, &[]),
        Said::Checkpoint { step, bytes } => {
            report(&Report::Checkpoint { step, bytes: bytes.len() as u64 }, &bytes);
        }
    }
}

/// Measures the device once it is warm.
fn probe(backend: &dyn Backend, tuning: Tuning) -> Result<Probed, JobFailure> {
    let (a, b) = (vec![3; PROBE_SHAPE.m * PROBE_SHAPE.k], vec![-5; PROBE_SHAPE.n * PROBE_SHAPE.k]);
    let run = || backend.gemm_i8(&a, &b, PROBE_SHAPE).map_err(|e| executor::of_device(&e));
    run()?;
    let started = Instant::now();
    run()?;
    let nanoseconds = started.elapsed().as_nanos().max(1);
    let per_second = u128::from(PROBE_SHAPE.macs()) * 1_000_000_000 / nanoseconds;
    Ok(Probed {
        device: backend.info().clone(),
        adapters: discover(),
        macs_per_second: u64::try_from(per_second).unwrap_or(u64::MAX),
        launch_rate: None,
        tuning,
    })
}

/// Writes a line, and what follows it.
fn send(output: &mut impl Write, report: &Report, bytes: &[u8]) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    output.write_all(&line)?;
    output.write_all(bytes)?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Device,
        executor::{Bounds, Executor},
    };

    fn request(work: Work) -> Vec<u8> {
        let bounds = Bounds { memory_bytes: 1 << 30, max_result: 1 << 20, timeout_ms: 60_000 };
        let (device, tuning) = (Device::Cpu, Tuning::default());
        let request =
            Request { device, memory_bytes: None, bounds, containers: None, tuning, work };
        let mut line = serde_json::to_vec(&request).unwrap();
        line.push(b'\n');
        line
    }

    fn job(payload_bytes: u64, keeping: KeepingTerms) -> Vec<u8> {
        request(Work::Job { executor: Executor::Int8, payload_bytes, keeping })
    }

    #[test]
    fn a_request_comes_with_exactly_its_parts() {
        let keeping = KeepingTerms { checkpoint_bytes: 2, every_ms: None, max_bytes: 2 };
        let line = job(3, keeping);
        let (_, parts) = receive(&mut &[&line[..], b"abcdef"].concat()[..]).unwrap();
        assert_eq!(parts, Parts { payload: b"abc".to_vec(), checkpoint: b"de".to_vec() });
        for short in [&b"ab"[..], b"abcd"] {
            let failure = receive(&mut &[&line[..], short].concat()[..]).unwrap_err();
            assert_eq!(failure.kind, FailureKind::Request);
        }
    }

    #[test]
    fn only_a_worker_of_containers_starts_one_and_it_starts_nothing_else() {
        let received = |executor| {
            let keeping = KeepingTerms { checkpoint_bytes: 0, every_ms: None, max_bytes: 0 };
            let line = request(Work::Job { executor, payload_bytes: 0, keeping });
            receive(&mut &line[..]).unwrap()
        };
        assert!(suits(received(Executor::Oci), true).is_ok());
        assert!(suits(received(Executor::Wasm), false).is_ok());
        assert!(suits(received(Executor::Oci), false).is_err());
        assert!(suits(received(Executor::Wasm), true).is_err());
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for bytes in [&b""[..], b"\n", b"{}\n", b"\xff\xfe", &vec![b'x'; 1 << 20]] {
            assert_eq!(receive(&mut &bytes[..]).unwrap_err().kind, FailureKind::Request);
        }
        let much = KeepingTerms { checkpoint_bytes: u64::MAX, every_ms: None, max_bytes: 1 };
        for huge in [job(u64::MAX, KeepingTerms::default()), job(0, much)] {
            assert!(receive(&mut &huge[..]).unwrap_err().detail.contains("too large"));
        }
    }
}
