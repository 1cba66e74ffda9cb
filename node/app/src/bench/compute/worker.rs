//! How long a worker takes from its start to its first answer.

use std::time::Duration;

use anyhow::{Context, Result};
use neura_int8::{Builder, DType, Data, Int8Job, Request, Tensor, encode_requests, ops::linear};
use neura_provider::{WorkerCommand, sandbox::Sandbox, worker};
use serde::Serialize;

use super::{Goal, ms, timed};

/// What was measured, the best and the middle of the rounds.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    measures: &'static str,
    unconfined_best_ms: f64,
    unconfined_median_ms: f64,
    best_ms: Option<f64>,
    median_ms: Option<f64>,
    /// Why there is no sandbox here, if there is none.
    no_sandbox: Option<String>,
    /// The middle of the rounds, in the sandbox.
    goal: Goal,
}

/// Starts workers of this program.
pub(super) fn measure(rounds: usize) -> Result<Report> {
    let program = std::env::current_exe()?;
    let command = WorkerCommand { program, args: vec!["provider".into(), "worker".into()] };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let place = tempfile::tempdir()?;
    let job = job()?;
    let all = |sandbox: Option<&Sandbox>| -> Result<Vec<Duration>> {
        let mut times = Vec::new();
        for _ in 0..rounds.max(1) {
            let start = worker::check_once(&command, place.path(), sandbox, &job);
            let (answer, time) = timed(|| runtime.block_on(start));
            answer.context("a worker was started and given a job to check")?;
            times.push(time);
        }
        times.sort();
        Ok(times)
    };
    let plain = all(None)?;
    let (sandbox, no_sandbox) = match Sandbox::find() {
        Ok(sandbox) => (Some(sandbox), None),
        Err(reason) => (None, Some(reason)),
    };
    let confined = sandbox.map(|sandbox| all(Some(&sandbox))).transpose()?;
    let middle = |times: &[Duration]| ms(times[times.len() / 2]);
    let median_ms = confined.as_deref().map(middle);
    Ok(Report {
        measures: "from starting the process to its answer that a small int8 job is in order",
        unconfined_best_ms: ms(plain[0]),
        unconfined_median_ms: middle(&plain),
        best_ms: confined.as_ref().map(|times| ms(times[0])),
        median_ms,
        no_sandbox,
        goal: Goal::below("milliseconds of a worker's start in its sandbox", 50.0, median_ms),
    })
}

/// The smallest job.
fn job() -> Result<Vec<u8>> {
    let mut builder = Builder::new(1);
    let x = builder.input("x", DType::I8, &[1], (-127, 127));
    let weights = builder.param("weights", Tensor::new(vec![1, 1], Data::I8(vec![1]))?);
    let y = builder.node(linear::Linear { weights, bias: None, finish: None }, &[x])?;
    builder.output("y", y);
    let model = builder.build()?.encode();
    let input = Tensor::new(vec![1, 1], Data::I8(vec![1]))?;
    let requests = encode_requests(&[Request::run(vec![input])])?;
    Ok(Int8Job { model, requests }.encode()?)
}
