//! Answer the first requests of a job on a device, and compare every bit with the definition: one JSON line for each
//! variant of the product, the usual one and that of matrix units where there are some.
//!
//! ```sh
//! cargo run -p neura-gpu --example job -- MODEL REQUESTS [COUNT]
//! ```
//!
//! `neura model convert` makes models, `neura model pack` requests.

mod report;

use neura_gpu::{Backend, GemmKernel, GpuError, JobRunner, Options, Selector, WgpuBackend};
use neura_int8::{Int8Job, OpenJob, Reference};
use serde_json::{Value, json};
use std::{error::Error, fs, process::ExitCode, time::Instant};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    report::finish(match arguments.as_slice() {
        [model, requests] => compare(model, requests, usize::MAX),
        [model, requests, count] => count
            .parse()
            .map_err(|_| format!("COUNT is a number of requests, not '{count}'").into())
            .and_then(|count| compare(model, requests, count)),
        _ => Err("usage: job MODEL REQUESTS [COUNT]".into()),
    })
}

/// Runs the job as a provider does, though all of it on the adapter, be that a software one.
fn compare(model: &str, requests: &str, count: usize) -> Result<Vec<Value>, Box<dyn Error>> {
    let encoded = Int8Job { model: fs::read(model)?, requests: fs::read(requests)? };
    let mut job = encoded.open()?;
    job.requests.truncate(count.max(1));
    let expected = job.run(&Reference)?.encode();
    let usual = open(None)?;
    let mut lines = vec![run(&usual, &job, &expected)?];
    if usual.info().has_matrix_units() {
        lines.push(run(&open(Some(GemmKernel::Matrix))?, &job, &expected)?);
    }
    Ok(lines)
}

fn open(kernel: Option<GemmKernel>) -> Result<WgpuBackend, GpuError> {
    WgpuBackend::with_options(&Selector::Best, Options { kernel, ..Options::default() })
}

fn run(backend: &WgpuBackend, job: &OpenJob, expected: &[u8]) -> Result<Value, Box<dyn Error>> {
    let started = Instant::now();
    let ran = JobRunner::everything(backend).run(job)?;
    let milliseconds = started.elapsed().as_millis();
    if let Some(reason) = ran.fell_back {
        return Err(format!("not all of it was computed on the device: {reason}").into());
    }
    if ran.result.encode() != expected {
        return Err("the device's answers are not the definition's".into());
    }
    let info = backend.info();
    Ok(json!({
        "device": info.name, "driver": info.driver, "kernel": backend.kernel(),
        "requests": job.requests.len(), "exact": true, "milliseconds": milliseconds,
    }))
}
