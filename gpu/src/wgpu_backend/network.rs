//! Take rows through a product, and a requantisation if one follows.

use super::{
    Kernels,
    context::Run,
    plan::{Bounds, Columns, Plan, StageShape},
};
use crate::{
    GpuError, Layer,
    kernels::{LANE, gemm_i8, pack, padded, requantise},
};
use std::ops::Range;

/// One product, and what makes activations of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stage<'a> {
    weights: &'a [i8],
    k: usize,
    /// One per output; none is zeros.
    bias: Option<&'a [i32]>,
    requant: Option<&'a Layer<'a>>,
}

impl<'a> Stage<'a> {
    /// A product alone: `weights` is rows of `k` values.
    pub(super) fn product(weights: &'a [i8], k: usize) -> Self {
        Stage { weights, k, bias: None, requant: None }
    }

    /// A plain layer of a model.
    pub(super) fn layer(layer: &'a Layer<'a>) -> Self {
        let Layer { weights, depth, bias, .. } = *layer;
        Stage { weights, k: depth, bias, requant: Some(layer) }
    }

    pub(super) fn shape(&self) -> StageShape {
        StageShape { k: self.k, n: self.weights.len() / self.k }
    }
}

/// What to compute: `rows` rows of `input` through a stage.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) stage: Stage<'a>,
    pub(super) rows: usize,
    pub(super) input: &'a [i8],
}

/// Carries the job out, and returns the accumulators, or the words of packed activations, row
/// after row.
pub(super) fn run(
    run: &Run<'_>,
    kernels: &Kernels,
    bounds: Bounds,
    job: &Job<'_>,
) -> Result<Vec<i32>, GpuError> {
    let shape = job.stage.shape();
    let plan = Plan::new(job.rows, &[shape], bounds)?;
    let stage = Resident::upload(run, &job.stage, plan.columns[0]);
    let activations = run.storage("activations", (plan.rows * padded(shape.k)) as u64);
    let next = run.storage("next activations", (plan.rows * padded(shape.n)) as u64);
    let accumulators = run.storage("accumulators", (plan.rows * shape.n * 4) as u64);
    let mut results = Vec::with_capacity(job.rows * shape.n);
    for block in job.input.chunks(plan.rows * shape.k) {
        let rows = block.len() / shape.k;
        run.write(&activations, &pack(block, shape.k));
        stage.multiply(run, kernels, (&activations, &accumulators), rows);
        if stage.requantise(run, kernels, (&accumulators, &next), rows) {
            results.extend(run.read(&next, (rows * padded(shape.n)) as u64)?);
        } else {
            results.extend(run.read(&accumulators, (rows * shape.n * 4) as u64)?);
        }
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
    low: i32,
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
        let requant = stage.requant.map(|layer| {
            let factors = (0..shape.n).map(|output| layer.scale(output));
            let multipliers: Vec<u32> = factors.clone().map(|factor| factor.multiplier()).collect();
            // The kernel's shifts count from 31: plain layers have no smaller one.
            let shifts: Vec<u32> = factors.map(|factor| u32::from(factor.shift()) - 31).collect();
            Factors {
                multipliers: run.upload("multipliers", bytemuck::cast_slice(&multipliers)),
                shifts: run.upload("shifts", bytemuck::cast_slice(&shifts)),
                low: layer.finish.low,
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
        let [tall, wide] = kernels.tile;
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
                let groups = (word(cols.div_ceil(wide)), word(rows.div_ceil(tall)));
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
            low: factors.low,
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
