//! What computes on this machine, each thing beside what it is to be compared with.
//!
//! Everything that is compared is measured in one run, in turns, and the best of the rounds counts: on a machine with
//! other work, slower rounds measure that work. Results are compared with the reference's, or a sample of them.

mod adapter;
mod beside;
mod encoder;
mod models;
mod payload;
mod processor;
mod worker;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde::Serialize;

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct ComputePlan {
    /// Side of the square matrices on the processor.
    #[arg(long, default_value_t = 1_024)]
    pub side: usize,
    /// Side of the square matrices on the adapter.
    #[arg(long, default_value_t = 512)]
    pub adapter_side: usize,
    /// Adapter: best, an index, or part of a name.
    #[arg(long, default_value = "best")]
    pub device: String,
    /// Encoded model to run, with inputs of no meaning; one of MiniLM's shape if left out.
    #[arg(long)]
    pub model: Option<PathBuf>,
    /// Words of the sentence that the model is run with.
    #[arg(long, default_value_t = 128)]
    pub rows: usize,
    /// Command measured in turns with the products: it is given the side, and answers each line with the
    /// nanoseconds of a product of floats.
    #[arg(long)]
    pub beside_product: Option<String>,
    /// Command measured in turns with the model: it is given the words and the threads, and answers each line
    /// with the nanoseconds of a run of the float original.
    #[arg(long)]
    pub beside_model: Option<String>,
    /// MiB of the payload that is sealed and opened.
    #[arg(long, default_value_t = 1_024)]
    pub payload_mib: u64,
    /// Rounds of each measurement; the best counts.
    #[arg(long, default_value_t = 9)]
    pub rounds: usize,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct ComputeReport {
    bench: &'static str,
    processor: processor::Report,
    adapter: adapter::Report,
    model: models::Report,
    worker: worker::Report,
    payload: payload::Report,
}

/// Measures for a minute or so, blocking.
///
/// # Errors
/// If a result is wrong, or a model, a worker, a command beside ours or the payload fails.
pub fn compute(plan: &ComputePlan) -> Result<ComputeReport> {
    // First, while this process is small: its greatest size is part of what is measured.
    let payload = payload::measure(plan.payload_mib << 20)?;
    Ok(ComputeReport {
        bench: "compute",
        payload,
        processor: processor::measure(plan)?,
        adapter: adapter::measure(&plan.device, plan.adapter_side),
        model: models::measure(plan)?,
        worker: worker::measure(plan.rounds)?,
    })
}

/// What was aimed at, and what came of it.
#[derive(Debug, Serialize)]
struct Goal {
    what: &'static str,
    goal: f64,
    /// None if it was not measured.
    measured: Option<f64>,
    met: Option<bool>,
    /// Why it was not measured, and how it can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<&'static str>,
}

impl Goal {
    /// At least so much.
    fn at_least(what: &'static str, goal: f64, measured: Option<f64>) -> Self {
        let met = measured.map(|measured| measured >= goal);
        Self { what, goal, measured: measured.map(rounded), met, missing: None }
    }

    /// Less than so much.
    fn below(what: &'static str, goal: f64, measured: Option<f64>) -> Self {
        let met = measured.map(|measured| measured < goal);
        Self { what, goal, measured: measured.map(rounded), met, missing: None }
    }

    /// Tells how to measure it, if it was not.
    fn or_else(self, missing: &'static str) -> Self {
        Self { missing: self.measured.is_none().then_some(missing), ..self }
    }
}

/// The time that some work takes.
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let made = work();
    (made, started.elapsed())
}

/// How many times as fast `ours` is.
fn ratio(theirs: Duration, ours: Duration) -> f64 {
    theirs.as_secs_f64() / ours.as_secs_f64()
}

/// Billions of operations per second, a multiply-accumulate being two.
fn gops(macs: f64, time: Duration) -> f64 {
    rounded(2.0 * macs / time.as_secs_f64() / 1e9)
}

/// Milliseconds, to the microsecond.
fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// Two digits behind the point.
fn rounded(x: f64) -> f64 {
    (x * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed() {
        let goal = Goal::at_least("a rate", 2.0, None).or_else("get it");
        let json = serde_json::to_value(&goal).unwrap();
        assert_eq!(json["measured"], serde_json::Value::Null);
        assert_eq!(json["met"], serde_json::Value::Null);
        assert_eq!(json["missing"], "get it");
        let json = serde_json::to_value(Goal::at_least("a rate", 2.0, Some(1.999))).unwrap();
        assert_eq!((&json["measured"], &json["met"]), (&2.0.into(), &false.into()));
        assert_eq!(Goal::below("a time", 50.0, Some(49.0)).met, Some(true));
    }
}
