//! Say of each operator which kernels compute it.

use super::{
    lower::{Lowering, Operand, Site, iterations, vectors, word},
    params::BLOCK,
    program::{Code, Draw, Form, Place, Step},
};
use crate::{
    GpuError, MAX_WORKGROUPS,
    kernels::{
        cells::{self, Kernel},
        gemm_i8, padded,
    },
    wgpu_backend::plan::{self, StageShape},
};
use neura_int8::{
    DType, Op, ParamId, Requant, Scale, Scales,
    ops::{
        attention::{Mix, Scores},
        conv::{Conv2d, Window},
        elementwise::Add,
        linear::Linear,
        norm::Gain,
        sample::Sample,
        softmax::Softmax,
    },
};

/// Greatest magnitude of a logit from which a token is drawn.
const MAX_LOGIT: i32 = 1 << 30;

/// Lowers one node.
pub(super) fn lower(to: &mut Lowering<'_>, op: &Op, site: &Site<'_>) -> Result<(), GpuError> {
    match (op, &site.inputs[..]) {
        (Op::Linear(op), [x]) => to.linear(op, site, *x),
        (Op::MatMul(op), [a, b]) => to.matmul(op.finish.as_ref(), site, (*a, *b)),
        (Op::Scores(op), [q, k]) => to.scores(op, site, (*q, *k)),
        (Op::Mix(op), [p, v]) => to.mix(op, site, (*p, *v)),
        (Op::Softmax(op), [x]) => to.softmax(op, site, *x),
        (Op::Conv2d(op), [x]) => to.convolve(op, site, *x),
        (Op::MaxPool(op), [x]) => to.pool(&op.window, site, (*x, false)),
        (Op::AvgPool(op), [x]) => to.pool(&op.window, site, (*x, true)),
        (Op::Requantise(op), [x]) => {
            let channels = x.kind.last(to.scope.frame.end);
            to.finish(&op.finish, (x.slot, site.slot, site.cells), (channels, 1));
            Ok(())
        }
        (Op::Add(op), [a, b]) => to.add(op, site, (*a, *b)),
        (Op::Mul(op), [a, b]) => to.multiply(&op.finish, site, (*a, *b)),
        (Op::LayerNorm(op), [x]) => {
            to.norm(site, *x, (true, true), (op.fraction, op.epsilon, Some(&op.gain)))
        }
        (Op::RmsNorm(op), [x]) => {
            to.norm(site, *x, (false, true), (op.fraction, op.epsilon, Some(&op.gain)))
        }
        (Op::L2Norm(_), [x]) => to.norm(site, *x, (false, false), (0, 0, None)),
        (Op::Lookup(op), [x]) => to.lookup(op.table, site, *x),
        (Op::Rope(op), [x]) => to.rope(op, site, *x),
        (Op::Embed(op), [x]) => to.embed(op.table, site, Some(*x)),
        (Op::Position(op), []) => to.embed(op.table, site, None),
        (Op::Slice(op), [x]) => to.slice(op, site, *x),
        (Op::Concat(op), parts) => to.concat(op.axis, site, parts),
        (Op::Transpose(op), [x]) => to.transpose(&op.order, site, *x),
        (Op::MeanRows(op), [x]) => to.mean_rows(op.fraction, site, *x),
        (Op::TakeRow(op), [x]) => to.take_row(op.last, site, *x),
        (Op::Argmax(_), [x]) => to.argmax(site, (x.slot, x.kind.last(to.scope.frame.end))),
        (Op::Sample(op), [x]) => to.sample(op, site, *x),
        (op, _) => Err(GpuError::NoKernel { op: op.name() }),
    }
}

/// The code of a type of a parameter's values, as `values.wgsl` has it.
fn kind_of(dtype: DType) -> u32 {
    match dtype {
        DType::I8 => 0,
        DType::I16 => 1,
        DType::U16 => 2,
        DType::I32 => 3,
    }
}

impl Lowering<'_> {
    pub(super) fn frame_rows(&self) -> usize {
        self.scope.frame.len()
    }

    /// The place of the first row.
    pub(super) fn place(&self) -> u32 {
        word(self.scope.frame.first)
    }

    pub(super) fn param_dims(&self, id: ParamId) -> &[usize] {
        let specs = self.scope.model.manifest().params();
        specs.get(id.0 as usize).map_or(&[], |spec| &spec.dims)
    }

    pub(super) fn param_kind(&self, id: ParamId) -> u32 {
        self.scope.model.params().get(id).map_or(0, |data| kind_of(data.dtype()))
    }

    fn bias(&mut self, bias: Option<ParamId>, channels: usize) -> Place {
        bias.map_or_else(|| self.zeros(channels), |bias| Place::Param(bias, Form::Plain))
    }

    /// Memory for sums: the output itself if nothing is left to do with them.
    fn sums(&mut self, finish: Option<&Requant>, site: &Site<'_>) -> Result<usize, GpuError> {
        if finish.is_some() { self.take(site.cells) } else { Ok(site.slot) }
    }

    /// Finishes sums of `channels` channels that follow each other every `plane` cells.
    fn finish_sums(
        &mut self,
        finish: Option<&Requant>,
        site: &Site<'_>,
        sums: usize,
        channels: (usize, usize),
    ) {
        if let Some(finish) = finish {
            self.finish(finish, (sums, site.slot, site.cells), channels);
            self.give(sums);
        }
    }

    fn finish(
        &mut self,
        finish: &Requant,
        (from, to, count): (usize, usize, usize),
        (channels, plane): (usize, usize),
    ) {
        let (one, channels, factors) = match finish.scales {
            Scales::One(scale) => (scale, 0, [self.zeros(1), self.zeros(1)]),
            Scales::Channels { multipliers, shifts } => {
                let plain = |id| Place::Param(id, Form::Plain);
                (Scale::ONE, channels, [plain(multipliers), plain(shifts)])
            }
        };
        let params = cells::Finish {
            count: word(count),
            channels: word(channels),
            plane: word(plane),
            multiplier: one.multiplier(),
            shift: one.shift().into(),
            low: finish.low,
            high: finish.high,
        };
        let places = [Place::Slot(from), factors[0], factors[1], Place::Slot(to)];
        self.cells(Kernel::Finish, &params, &places, count);
    }

    fn linear(&mut self, op: &Linear, site: &Site<'_>, x: Operand<'_>) -> Result<(), GpuError> {
        let depth = x.kind.last(self.scope.frame.end);
        let (rows, outputs) = (x.cells / depth, self.param_dims(op.weights)[0]);
        iterations("the depth of a linear layer, in steps,", 4 * vectors(depth))?;
        let (value, max) = (rows.div_ceil(self.scope.tile[0]) as u64, MAX_WORKGROUPS.into());
        if value > max {
            return Err(GpuError::TooLarge { what: "the rows of a layer, in tiles,", value, max });
        }
        let a = self.pack(x, depth)?;
        let bias = self.bias(op.bias, outputs);
        let sums = self.sums(op.finish.as_ref(), site)?;
        let shape = StageShape { k: depth, n: outputs };
        let columns = plan::split(shape, rows as u64, self.scope.bounds);
        for (part, start) in (0..outputs).step_by(columns.per_buffer).enumerate() {
            let form = Form::Rows { depth, part, per_part: columns.per_buffer };
            let end = outputs.min(start + columns.per_buffer);
            for first in (start..end).step_by(columns.per_dispatch) {
                let cols = columns.per_dispatch.min(end - first);
                let params = gemm_i8::Params {
                    rows: word(rows),
                    cols: word(cols),
                    depth: word(vectors(depth)),
                    stride: word(outputs),
                    first_col: word(first),
                    first_b: word(first - start),
                    padding: [0; 2],
                };
                let places = [a, Place::Param(op.weights, form), bias, Place::Slot(sums)];
                let [tall, wide] = self.scope.tile;
                let groups = (word(cols.div_ceil(wide)), word(rows.div_ceil(tall)));
                let work = rows as u64 * cols as u64 * padded(depth) as u64;
                self.push(Code::Product, &params, &places, (groups, work));
            }
        }
        self.finish_sums(op.finish.as_ref(), site, sums, (outputs, 1));
        Ok(())
    }

    fn matmul(
        &mut self,
        finish: Option<&Requant>,
        site: &Site<'_>,
        (a, b): (Operand<'_>, Operand<'_>),
    ) -> Result<(), GpuError> {
        let side = |x: Operand<'_>, back: usize| x.kind.dims[x.kind.dims.len() - back];
        let (m, n, depth) = (side(a, 2), side(b, 2), side(a, 1));
        let shape = cells::Products {
            period: word(a.cells / depth),
            share: word(m),
            step: 1,
            jump: word(n),
            lines: 1,
            ..cells::Products::default()
        };
        let sums = self.sums(finish, site)?;
        self.products(shape, (a, b, sums), (site.cells, n, depth))?;
        self.finish_sums(finish, site, sums, (n, 1));
        Ok(())
    }

    fn scores(
        &mut self,
        op: &Scores,
        site: &Site<'_>,
        (q, k): (Operand<'_>, Operand<'_>),
    ) -> Result<(), GpuError> {
        let heads = op.heads;
        let shape = cells::Products {
            period: word(heads.heads),
            share: word(heads.heads / heads.kv_heads),
            step: word(heads.kv_heads),
            jump: 1,
            causal: heads.causal.into(),
            place: self.place(),
            lines: word(heads.heads),
            ..cells::Products::default()
        };
        let depth = q.kind.last(self.scope.frame.end) / heads.heads;
        self.products(shape, (q, k, site.slot), (site.cells, self.scope.frame.end, depth))
    }

    fn products(
        &mut self,
        shape: cells::Products,
        (a, b, to): (Operand<'_>, Operand<'_>, usize),
        (count, columns, depth): (usize, usize, usize),
    ) -> Result<(), GpuError> {
        iterations("the depth of a product, in steps,", vectors(depth))?;
        let places = [self.pack(a, depth)?, self.pack(b, depth)?, Place::Slot(to)];
        let shape =
            cells::Products { depth: word(vectors(depth)), columns: word(columns), ..shape };
        self.ranges(Kernel::Products, &places, (count, padded(depth)), |first, end| {
            cells::Products { first, end, ..shape }
        });
        Ok(())
    }

    fn mix(
        &mut self,
        op: &Mix,
        site: &Site<'_>,
        (p, v): (Operand<'_>, Operand<'_>),
    ) -> Result<(), GpuError> {
        let (heads, context) = (op.heads, self.scope.frame.end);
        iterations("the rows attended to", context)?;
        let stride = v.kind.last(context);
        let width = stride / heads.kv_heads;
        let rows = self.frame_rows();
        let shape = cells::Mix {
            rows: word(rows),
            context: word(context),
            heads: word(heads.heads),
            share: word(heads.heads / heads.kv_heads),
            width: word(width),
            stride: word(stride),
            causal: heads.causal.into(),
            place: self.place(),
            ..cells::Mix::default()
        };
        let sums = self.sums(op.finish.as_ref(), site)?;
        let places = [Place::Slot(p.slot), Place::Slot(v.slot), Place::Slot(sums)];
        let tiles = rows.div_ceil(BLOCK) * heads.heads * width.div_ceil(BLOCK);
        let each = BLOCK * BLOCK * context;
        self.ranges(Kernel::Mix, &places, (tiles, each), |first, end| cells::Mix {
            first,
            end,
            ..shape
        });
        self.finish_sums(op.finish.as_ref(), site, sums, (width * heads.heads, 1));
        Ok(())
    }

    fn softmax(&mut self, op: &Softmax, site: &Site<'_>, x: Operand<'_>) -> Result<(), GpuError> {
        let rows = self.scope.frame.end;
        let length = x.kind.last(rows);
        let lines = site.cells / length;
        let params = cells::Softmax {
            lines: word(lines),
            length: word(length),
            multiplier: op.scale.multiplier(),
            shift: op.scale.shift().into(),
            causal: op.causal.into(),
            place: self.place(),
            per_row: word(x.kind.width(rows) / length),
        };
        let places = [Place::Slot(x.slot), Place::Powers, Place::Slot(site.slot)];
        self.lines(Kernel::Softmax, &params, &places, (lines, length));
        Ok(())
    }

    fn convolve(&mut self, op: &Conv2d, site: &Site<'_>, x: Operand<'_>) -> Result<(), GpuError> {
        let (&[channels, height, width], &[outputs, made_height, made_width]) =
            (&x.kind.dims[..], &site.output.dims[..])
        else {
            return Err(GpuError::NoKernel { op: "conv2d" });
        };
        let (group_inputs, group_outputs) = (channels / op.groups, outputs / op.groups);
        let [window_height, window_width] = op.window.size;
        iterations(
            "the steps of a convolution",
            group_inputs * (1 + window_height * (1 + window_width)),
        )?;
        let blocks = group_outputs.div_ceil(BLOCK);
        let shape = cells::Convolve {
            groups: word(op.groups),
            blocks: word(blocks),
            group_inputs: word(group_inputs),
            group_outputs: word(group_outputs),
            height: word(height),
            width: word(width),
            made_height: word(made_height),
            made_width: word(made_width),
            window_height: word(window_height),
            window_width: word(window_width),
            down: word(op.window.stride[0]),
            right: word(op.window.stride[1]),
            above: word(op.window.before[0]),
            left: word(op.window.before[1]),
            ..cells::Convolve::default()
        };
        let sums = self.sums(op.finish.as_ref(), site)?;
        let plane = made_height * made_width;
        let count = site.cells / (outputs * plane) * op.groups * blocks * plane;
        let weights = Place::Param(op.weights, Form::Blocks { groups: op.groups });
        let bias = self.bias(op.bias, outputs);
        let places = [Place::Slot(x.slot), weights, bias, Place::Slot(sums)];
        let each = BLOCK * group_inputs * window_height * window_width;
        self.ranges(Kernel::Convolve, &places, (count, each), |first, end| cells::Convolve {
            first,
            end,
            ..shape
        });
        self.finish_sums(op.finish.as_ref(), site, sums, (outputs, plane));
        Ok(())
    }

    fn pool(
        &mut self,
        window: &Window,
        site: &Site<'_>,
        (x, mean): (Operand<'_>, bool),
    ) -> Result<(), GpuError> {
        let (&[_, height, width], &[_, made_height, made_width]) =
            (&x.kind.dims[..], &site.output.dims[..])
        else {
            return Err(GpuError::NoKernel { op: "pool" });
        };
        let [window_height, window_width] = window.size;
        iterations("the steps of a pooling", window_height * (1 + window_width))?;
        let params = cells::Pool {
            count: word(site.cells),
            mean: mean.into(),
            height: word(height),
            width: word(width),
            made_height: word(made_height),
            made_width: word(made_width),
            window_height: word(window_height),
            window_width: word(window_width),
            down: word(window.stride[0]),
            right: word(window.stride[1]),
            above: word(window.before[0]),
            left: word(window.before[1]),
        };
        self.cells(Kernel::Pool, &params, &between(x, site), site.cells);
        Ok(())
    }

    fn add(
        &mut self,
        op: &Add,
        site: &Site<'_>,
        (a, b): (Operand<'_>, Operand<'_>),
    ) -> Result<(), GpuError> {
        let params = cells::Add {
            count: word(site.cells),
            left_multiplier: op.left.multiplier(),
            left_shift: op.left.shift().into(),
            right_multiplier: op.right.multiplier(),
            right_shift: op.right.shift().into(),
            low: op.low,
            high: op.high,
        };
        let places = [Place::Slot(a.slot), Place::Slot(b.slot), Place::Slot(site.slot)];
        self.cells(Kernel::Add, &params, &places, site.cells);
        Ok(())
    }

    fn multiply(
        &mut self,
        finish: &Requant,
        site: &Site<'_>,
        (a, b): (Operand<'_>, Operand<'_>),
    ) -> Result<(), GpuError> {
        let products = self.take(site.cells)?;
        let params = cells::Multiply { count: word(site.cells) };
        let places = [Place::Slot(a.slot), Place::Slot(b.slot), Place::Slot(products)];
        self.cells(Kernel::Multiply, &params, &places, site.cells);
        let channels = a.kind.last(self.scope.frame.end);
        self.finish_sums(Some(finish), site, products, (channels, 1));
        Ok(())
    }

    fn norm(
        &mut self,
        site: &Site<'_>,
        x: Operand<'_>,
        (centred, averaged): (bool, bool),
        (fraction, epsilon, gain): (u8, u64, Option<&Gain>),
    ) -> Result<(), GpuError> {
        let length = x.kind.last(self.scope.frame.end);
        let lines = site.cells / length;
        let (low, high) = gain.map_or((-32_767, 32_767), |gain| (gain.low, gain.high));
        let params = cells::Norm {
            lines: word(lines),
            length: word(length),
            centred: centred.into(),
            averaged: averaged.into(),
            fraction: fraction.into(),
            epsilon_low: epsilon as u32,
            epsilon_high: (epsilon >> 32) as u32,
            gained: gain.is_some().into(),
            gain_bits: gain.map_or(0, |gain| gain.gain_bits.into()),
            low,
            high,
        };
        let bias = self.bias(gain.and_then(|gain| gain.bias), length);
        let gain = self.bias(gain.map(|gain| gain.gain), length);
        let places = [Place::Slot(x.slot), gain, bias, Place::Slot(site.slot)];
        self.lines(Kernel::Norm, &params, &places, (lines, length));
        Ok(())
    }

    fn mean_rows(&mut self, fraction: u8, site: &Site<'_>, x: Operand<'_>) -> Result<(), GpuError> {
        let rows = self.frame_rows();
        iterations("the rows of a mean", rows)?;
        let (width, rows) = (word(site.cells), word(rows));
        let params = cells::MeanRows { width, rows, fraction: fraction.into() };
        self.cells(Kernel::MeanRows, &params, &between(x, site), site.cells);
        Ok(())
    }

    /// Tokens: the greatest logits, or, with noise, as the processor draws them.
    fn sample(&mut self, op: &Sample, site: &Site<'_>, x: Operand<'_>) -> Result<(), GpuError> {
        let length = x.kind.last(self.scope.frame.end);
        if self.scope.sampling.temperature > 0 {
            let (logits, tokens, lines) = (x.slot, site.slot, site.cells);
            let first = self.scope.frame.first * (lines / self.frame_rows().max(1));
            let op = op.clone();
            self.step(Step::Draw(Draw { op, logits, tokens, lines, length, first }));
            return Ok(());
        }
        let scaled = self.take(x.cells)?;
        let finish = Requant::new(op.scale, DType::I32).limits(-MAX_LOGIT, MAX_LOGIT);
        self.finish(&finish, (x.slot, scaled, x.cells), (0, 1));
        self.argmax(site, (scaled, length))?;
        self.give(scaled);
        Ok(())
    }

    fn argmax(&mut self, site: &Site<'_>, (from, length): (usize, usize)) -> Result<(), GpuError> {
        let lines = site.cells;
        let params = cells::Argmax { lines: word(lines), length: word(length) };
        let places = [Place::Slot(from), Place::Slot(site.slot)];
        self.lines(Kernel::Argmax, &params, &places, (lines, length));
        Ok(())
    }
}

/// From the only operand to the output.
pub(super) fn between(x: Operand<'_>, site: &Site<'_>) -> [Place; 2] {
    [Place::Slot(x.slot), Place::Slot(site.slot)]
}
