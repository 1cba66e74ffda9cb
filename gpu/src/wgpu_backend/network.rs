//! Take rows through a chain of products and requantisations.

use super::{
    Kernels,
    context::Run,
    plan::{Bounds, Columns, Plan, StageShape},
};
use crate::{
    GpuError,
    kernels::{LANE, gemm_i8, pack, padded, requantise},
};
use neura_int8::{Activation, Layer, LayerKind, Requant};
use std::ops::Range;

/// One product, and what makes activations of it if another stage follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stage<'a> {
    weights: &'a [i8],
    k: usize,
    /// One per output; none is zeros.
    bias: Option<&'a [i32]>,
    requant: Option<(&'a [Requant], Activation)>,
}

impl<'a> Stage<'a> {
    /// A product alone: `weights` is rows of `k` values.
    pub(super) fn product(weights: &'a [i8], k: usize) -> Self {
        Stage { weights, k, bias: None, requant: None }
    }

    /// A layer of a model.
    pub(super) fn layer(layer: &'a Layer) -> Self {
        let requant = match layer.kind() {
            LayerKind::Hidden { requant, activation } => Some((&requant[..], *activation)),
            LayerKind::Logits => None,
        };
        Stage { weights: layer.weights(), k: layer.inputs(), bias: Some(layer.bias()), requant }
    }

    pub(super) fn shape(&self) -> StageShape {
        StageShape { k: self.k, n: self.weights.len() / self.k }
    }
}

/// What to compute: `rows` rows of `input` through `stages`, of which only the last has no
/// requantisation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) stages: &'a [Stage<'a>],
    pub(super) rows: usize,
    pub(super) input: &'a [i8],
}

/// Carries the job out, and returns the last stage's accumulators, row after row.
pub(super) fn run(
    run: &Run<'_>,
    kernels: &Kernels,
    bounds: Bounds,
    job: &Job<'_>,
) -> Result<Vec<i32>, GpuError> {
    let shapes: Vec<_> = job.stages.iter().map(Stage::shape).collect();
    let plan = Plan::new(job.rows, &shapes, bounds)?;
    let stages = job.stages.iter().zip(&plan.columns);
    let stages: Vec<_> =
        stages.map(|(stage, columns)| Resident::upload(run, stage, *columns)).collect();
    let widest = shapes.iter().map(|shape| padded(shape.k)).max().unwrap_or(LANE);
    let outputs = shapes.iter().map(|shape| shape.n).max().unwrap_or(1);
    let mut activations = run.storage("activations", (plan.rows * widest) as u64);
    let mut next = run.storage("next activations", (plan.rows * widest) as u64);
    let accumulators = run.storage("accumulators", (plan.rows * outputs * 4) as u64);

    let k = shapes.first().map_or(1, |shape| shape.k);
    let classes = shapes.last().map_or(1, |shape| shape.n);
    let mut results = Vec::with_capacity(job.rows * classes);
    for block in job.input.chunks(plan.rows * k) {
        let rows = block.len() / k;
        run.write(&activations, &pack(block, k));
        for stage in &stages {
            stage.multiply(run, kernels, (&activations, &accumulators), rows);
            if stage.requantise(run, kernels, (&accumulators, &next), rows) {
                std::mem::swap(&mut activations, &mut next);
            }
        }
        results.extend(run.read(&accumulators, (rows * classes * 4) as u64)?);
    }
    Ok(results)
}

/// A stage's values in the device's memory.
#[derive(Debug)]
pub(super) struct Resident {
    shape: StageShape,
    /// Weights, by the columns that they are of.
    weights: Vec<(Range<usize>, wgpu::Buffer)>,
    bias: wgpu::Buffer,
    requant: Option<Factors>,
    per_dispatch: usize,
}

/// The requantisation of a stage in the device's memory.
#[derive(Debug)]
struct Factors {
    multipliers: wgpu::Buffer,
    shifts: wgpu::Buffer,
    activation: Activation,
}

impl Resident {
    pub(super) fn upload(run: &Run<'_>, stage: &Stage<'_>, columns: Columns) -> Self {
        let shape = stage.shape();
        let mut weights = Vec::new();
        for (index, part) in stage.weights.chunks(columns.per_buffer * stage.k).enumerate() {
            let first = index * columns.per_buffer;
            let packed = pack(part, stage.k);
            weights.push((first..first + part.len() / stage.k, run.upload("weights", &packed)));
        }
        let bias = match stage.bias {
            Some(bias) => run.upload("bias", bytemuck::cast_slice(bias)),
            None => run.storage("bias", shape.n as u64 * 4),
        };
        let requant = stage.requant.map(|(factors, activation)| {
            let multipliers: Vec<u32> = factors.iter().map(|factor| factor.multiplier()).collect();
            let shifts: Vec<u32> = factors.iter().map(|factor| factor.shift().into()).collect();
            Factors {
                multipliers: run.upload("multipliers", bytemuck::cast_slice(&multipliers)),
                shifts: run.upload("shifts", bytemuck::cast_slice(&shifts)),
                activation,
            }
        });
        Resident { shape, weights, bias, requant, per_dispatch: columns.per_dispatch }
    }

    /// Queues `accumulators = activations · weightsᵀ + bias` for `rows` rows.
    pub(super) fn multiply(
        &self,
        run: &Run<'_>,
        kernels: &Kernels,
        (activations, accumulators): (&wgpu::Buffer, &wgpu::Buffer),
        rows: usize,
    ) {
        let tile = kernels.tile;
        for (columns, weights) in &self.weights {
            for first in columns.clone().step_by(self.per_dispatch) {
                let cols = self.per_dispatch.min(columns.end - first);
                let params = gemm_i8::Params {
                    rows: word(rows),
                    cols: word(cols),
                    depth: word(padded(self.shape.k) / LANE),
                    stride: word(self.shape.n),
                    first_col: word(first),
                    first_b: word(first - columns.start),
                    padding: [0; 2],
                };
                let buffers = [activations, weights, &self.bias, accumulators];
                let groups = (word(cols.div_ceil(tile)), word(rows.div_ceil(tile)));
                run.dispatch(&kernels.gemm, bytemuck::bytes_of(&params), &buffers, groups);
            }
        }
    }

    /// Queues the accumulators' requantisation into `activations`, if this stage has one.
    fn requantise(
        &self,
        run: &Run<'_>,
        kernels: &Kernels,
        (accumulators, activations): (&wgpu::Buffer, &wgpu::Buffer),
        rows: usize,
    ) -> bool {
        let Some(factors) = &self.requant else { return false };
        let words = padded(self.shape.n) / 4;
        let params = requantise::Params {
            cols: word(self.shape.n),
            words: word(words),
            low: requantise::low(factors.activation),
            padding: 0,
        };
        let buffers = [accumulators, &factors.multipliers, &factors.shifts, activations];
        let groups = (word(words.div_ceil(requantise::WORDS_PER_GROUP)), word(rows));
        run.dispatch(&kernels.requantise, bytemuck::bytes_of(&params), &buffers, groups);
        true
    }
}

/// A count as a kernel takes it: plans keep every one of them below 2^27.
fn word(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
