//! Measure a sentence encoder of MiniLM's sizes on a device: one JSON line for each way.
//!
//! ```sh
//! cargo run -p neura-gpu --example resident -- [ROWS] [DEVICE]
//! ```

#[path = "../tests/nets/mod.rs"]
#[allow(dead_code, reason = "the other networks are the tests'")]
mod nets;
mod report;

use nets::{Size, encoder};
use neura_gpu::{Backend, GpuError, OnDevice, Selector, WgpuBackend};
use neura_int8::{Model, ModelError, Sampling, Tensor};
use neura_native::Native;
use serde_json::json;
use std::{process::ExitCode, time::Instant};

/// The sizes of all-MiniLM-L6-v2, but for its vocabulary, of which a run reads a few rows only.
const MINILM: Size =
    Size { vocabulary: 4_096, width: 384, hidden: 1_536, heads: 12, layers: 6, rows: 512 };

/// Runs of which the fastest counts.
const RUNS: u32 = 3;

#[allow(clippy::print_stderr, reason = "a program for the command line")]
fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let rows = arguments.next().map_or(Ok(128), |rows| rows.parse());
    let Some(rows) = rows.ok().filter(|rows| (1..=MINILM.rows).contains(rows)) else {
        eprintln!("usage: resident [ROWS] [DEVICE]; ROWS is a number, at most {}", MINILM.rows);
        return ExitCode::FAILURE;
    };
    let Ok(selector) = arguments.next().unwrap_or_default().parse::<Selector>();
    report::finish(measure(&selector, rows))
}

/// Tokens of a sentence as long as asked for.
fn sentence(rows: usize) -> Result<[Tensor; 1], ModelError> {
    let tokens = (0..rows).map(|at| (at * 37 % MINILM.vocabulary) as i32);
    Ok([Tensor::list(tokens.collect())?])
}

fn measure(selector: &Selector, rows: usize) -> Result<Vec<serde_json::Value>, GpuError> {
    let backend = WgpuBackend::new(selector)?;
    let model: Model = encoder(MINILM);
    let inputs = sentence(rows)?;
    let sampling = Sampling::default();
    let loaded = backend.load_model(&model)?;
    let mut lines = Vec::new();
    let mut report = |way: &str, run: &dyn Fn() -> Result<Vec<Tensor>, GpuError>| {
        let first = run()?;
        let mut best = f64::MAX;
        for _ in 0..RUNS {
            let started = Instant::now();
            let found = run()?;
            best = best.min(started.elapsed().as_secs_f64());
            assert_eq!(found, first, "two runs differ");
        }
        let (info, milliseconds) = (backend.info(), (best * 1e4).round() / 10.0);
        lines.push(json!({
            "bench": "encoder", "way": way, "device": info.name, "driver": info.driver,
            "rows": rows, "milliseconds": milliseconds,
        }));
        Ok::<_, GpuError>(first)
    };
    let resident = report("values stay on the device", &|| loaded.run(&inputs, sampling))?;
    let by_operator = report("each product sent and fetched", &|| {
        let kernels = OnDevice::everything(&backend);
        let found = model.run_with(&kernels, &inputs, sampling);
        kernels.outcome(found)
    })?;
    let native = report("the processor's own kernels", &|| {
        Ok(model.run_with(&Native::best(), &inputs, sampling)?)
    })?;
    assert!(resident == by_operator && by_operator == native, "the ways differ");
    Ok(lines)
}
