//! Measure what conversion lost: the integer model against the float one, over data.

use std::time::{Duration, Instant};

use neura_int8::{DType, Data, Model, ModelError, Tensor};
use rayon::prelude::*;
use serde::Serialize;

use crate::{Card, ConvertError, Graph, Op, Sample, evaluate::greatest};

/// How an output differs from the float model's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutputError {
    /// The output's name.
    pub name: String,
    /// Rows compared, all samples together.
    pub rows: usize,
    /// Mean cosine between rows; none for outputs of one cell.
    pub cosine_mean: Option<f64>,
    /// Least cosine.
    pub cosine_min: Option<f64>,
    /// Share of rows with the same greatest cell, or the same value if there is only one.
    pub top1: f64,
    /// Greatest difference of a cell.
    pub max_error: f64,
    /// Root of the mean square of differences, over that of the float values.
    pub relative_error: f64,
}

/// What conversion lost, and what it costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Samples compared.
    pub samples: usize,
    /// Each output.
    pub outputs: Vec<OutputError>,
    /// Bytes of the encoded integer model.
    pub model_bytes: usize,
    /// Seconds of one core that the float model took; its code is plain.
    pub float_seconds: f64,
    /// Seconds that the runs of the integer model took, one after another.
    pub int8_seconds: f64,
}

/// Rows of the outputs of one sample, in both models.
struct Pair {
    float: Vec<Vec<f32>>,
    int8: Vec<Vec<f32>>,
    times: (Duration, Duration),
}

/// Runs both models over samples, the integer one by `run`.
///
/// # Errors
/// [`ConvertError::Sample`] for one that does not fit, [`ConvertError::Model`] if a run fails.
pub fn compare(
    graph: &Graph,
    model: &Model,
    card: &Card,
    samples: &[Sample],
    run: impl Fn(&[Tensor]) -> Result<Vec<Tensor>, ModelError> + Sync,
) -> Result<Report, ConvertError> {
    let pair = |(index, sample): (usize, &Sample)| {
        let begun = Instant::now();
        let float = graph.evaluate(sample).map_err(|error| error.of_sample(index))?;
        let float_time = begun.elapsed();
        let input = tensor(graph, model, card, sample)?;
        let begun = Instant::now();
        let made = run(&[input])?;
        let times = (float_time, begun.elapsed());
        let units = card.outputs.iter().map(|port| port.unit);
        let int8 = made.iter().zip(units).map(|(tensor, unit)| {
            let cells = tensor.data().widened();
            cells.iter().map(|cell| (f64::from(*cell) * unit) as f32).collect()
        });
        Ok(Pair { float, int8: int8.collect(), times })
    };
    let pairs: Vec<Pair> =
        samples.par_iter().enumerate().map(pair).collect::<Result<_, ConvertError>>()?;
    let outputs = graph.outputs.iter().enumerate().map(|(at, (name, value))| {
        let node = graph.node(*value);
        let rows = pairs.iter().flat_map(|pair| {
            let width = node.width().max(1);
            pair.float[at].chunks(width).zip(pair.int8[at].chunks(width))
        });
        of_rows(name, rows)
    });
    Ok(Report {
        samples: samples.len(),
        outputs: outputs.collect(),
        model_bytes: model.encode().len(),
        float_seconds: pairs.iter().map(|pair| pair.times.0.as_secs_f64()).sum(),
        int8_seconds: pairs.iter().map(|pair| pair.times.1.as_secs_f64()).sum(),
    })
}

/// A sample as the integer model takes it.
fn tensor(
    graph: &Graph,
    model: &Model,
    card: &Card,
    sample: &Sample,
) -> Result<Tensor, ConvertError> {
    let node = &graph.nodes[0];
    match (sample, &node.op) {
        (Sample::Tokens(tokens), Op::Tokens(_)) if node.dims.is_empty() => {
            Ok(Tensor::list(tokens.clone())?)
        }
        (Sample::Tokens(tokens), Op::Tokens(_)) => {
            let dims = [vec![1], node.dims.clone()].concat();
            Ok(Tensor::new(dims, Data::I32(tokens.clone()))?)
        }
        (Sample::Features { values, .. }, _) => {
            let unit = card.inputs.first().map_or(1.0, |port| port.unit);
            let rows = values.len() / node.width().max(1);
            let dims = [vec![rows], node.dims.clone()].concat();
            let input = model.manifest().inputs().first();
            let dtype = input.map_or(DType::I8, |input| input.dtype);
            Ok(Tensor::new(dims, card_cells(values, unit, dtype))?)
        }
        _ => Err(ConvertError::Sample { index: 0, reason: "the model takes other data".into() }),
    }
}

/// Numbers in steps of an input, clamped to its range.
fn card_cells(values: &[f32], unit: f64, dtype: DType) -> Data {
    let (low, high) = dtype.symmetric();
    let steps = values.iter().map(|x| (f64::from(*x) / unit).round() as i32);
    Data::collect(dtype, steps.map(|step| step.clamp(low, high)))
}

fn of_rows<'a>(name: &str, rows: impl Iterator<Item = (&'a [f32], &'a [f32])>) -> OutputError {
    let (mut count, mut same, mut cosines) = (0_usize, 0_usize, Vec::new());
    let (mut most, mut differences, mut squares) = (0.0_f64, 0.0, 0.0);
    for (float, int8) in rows {
        count += 1;
        let (mut product, mut a, mut b) = (0.0_f64, 0.0, 0.0);
        for (x, y) in float.iter().zip(int8).map(|(x, y)| (f64::from(*x), f64::from(*y))) {
            most = most.max((x - y).abs());
            differences += (x - y) * (x - y);
            (product, a, b) = (product + x * y, a + x * x, b + y * y);
        }
        squares += a;
        if float.len() > 1 {
            cosines.push(product / (a * b).sqrt().max(1e-30));
            same += usize::from(greatest(float) == greatest(int8));
        } else {
            same += usize::from(float == int8);
        }
    }
    let mean = (!cosines.is_empty()).then(|| cosines.iter().sum::<f64>() / cosines.len() as f64);
    OutputError {
        name: name.to_owned(),
        rows: count,
        cosine_mean: mean,
        cosine_min: cosines.iter().copied().reduce(f64::min),
        top1: same as f64 / count.max(1) as f64,
        max_error: most,
        relative_error: (differences / squares.max(1e-30)).sqrt(),
    }
}
