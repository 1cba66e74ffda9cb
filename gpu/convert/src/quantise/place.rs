//! Make the integer nodes of each operator.

use neura_int8::{
    DType, Data, ParamId, ValueId,
    ops::{
        attention::{Heads, Mix, Scores},
        conv::Conv2d,
        elementwise::{Add, Mul},
        embed::{Embed, Position},
        layout::{Reshape, Slice, Transpose},
        linear::Linear,
        lookup::Lookup,
        norm::{Gain, L2Norm, LayerNorm, RmsNorm},
        pool::{AvgPool, MaxPool},
        reduce::{Argmax, MeanRows, TakeRow},
        rope::Rope,
        sample::Sample,
        softmax::Softmax,
    },
};

use super::{
    Placed, Quantiser,
    form::{self, Form},
    scales::{Target, factor, steps, unit_of},
};
use crate::{ConvertError, Function, Matrix, Node, Op, Value, error};

/// Extra bits of norms and means, as wide values leave room for.
const FRACTION: u8 = 4;
/// One step of `1`, of probabilities, of unit vectors, of rotations.
pub(super) const SHARE: f64 = 1.0 / 65_535.0;
const UNIT: f64 = 1.0 / 32_768.0;
/// Steps of 2^-16, in which exponents are taken.
const FINE: f64 = 65_536.0;
/// Greatest gain of a norm: products with normalised values stay far below 62 bits.
const GAIN_BITS: f64 = 24.0;

impl Quantiser<'_> {
    /// Makes a value in its base form.
    pub(super) fn make(&mut self, value: Value, base: Form) -> Result<Placed, ConvertError> {
        let graph = self.graph;
        let node = graph.node(value);
        let bounds = form::bounds(&node.op);
        let target = self.target(value, base).within(bounds);
        let maker = match node.inputs.first() {
            Some(input) if bounds.is_some() && form::fused(graph, *input) => graph.node(*input),
            _ => node,
        };
        self.make_as(maker, value, base, target)
    }

    fn make_as(
        &mut self,
        node: &Node,
        value: Value,
        base: Form,
        target: Target,
    ) -> Result<Placed, ConvertError> {
        match &node.op {
            Op::Tokens(_) | Op::Features => self.get(value, Form::Native),
            Op::Embed(table) => self.table(node, table),
            Op::Position(table) => self.table(node, table),
            Op::Linear(weights, bias) => self.linear(node, weights, bias, target),
            Op::Conv(weights, bias, ..) => self.conv(node, weights, bias, target),
            Op::MaxPool(window) => self.same(node, base, MaxPool { window: *window }),
            Op::AvgPool(window) => self.same(node, Form::Wide, AvgPool { window: *window }),
            Op::Reshape => self.same(node, base, Reshape { dims: node.dims.clone() }),
            Op::Transpose(order) => self.same(node, base, Transpose { order: order.clone() }),
            Op::Slice(axis, start, length) => {
                let (axis, start, length) = (*axis, *start, *length);
                self.same(node, base, Slice { axis, start, length })
            }
            Op::TakeRow(last) => self.same(node, Form::Wide, TakeRow { last: *last }),
            Op::Scale(by) => {
                let x = self.get(node.inputs[0], Form::Wide)?;
                Ok(Placed { id: x.id, units: vec![x.unit() * f64::from(*by)] })
            }
            Op::Concat(axis) => self.concat(node, *axis, target),
            Op::Product => self.product(node, target),
            Op::Constant(cells) => self.constant(node, cells),
            Op::Add => self.add(node, target),
            Op::Mul => {
                let a = self.get(node.inputs[0], Form::Short)?;
                let b = self.get(node.inputs[1], Form::Short)?;
                let finish = self.finish(&node.name, &[a.unit() * b.unit()], &target)?;
                let id = self.builder.node(Mul { finish }, &[a.id, b.id])?;
                Ok(Placed { id, units: target.units })
            }
            Op::Apply(_) if form::bounds(&node.op).is_some() => {
                let x = self.get(node.inputs[0], Form::Wide)?;
                self.place_as(&x, value, target)
            }
            Op::Apply(function) => self.apply(node, function, target),
            Op::LayerNorm(gain, bias, epsilon) => {
                let x = self.get(node.inputs[0], Form::Wide)?;
                let gain = self.gain(node, gain, Some(bias), &target)?;
                let epsilon = fine_epsilon(*epsilon, x.unit());
                let id =
                    self.builder.node(LayerNorm { fraction: FRACTION, epsilon, gain }, &[x.id])?;
                Ok(Placed { id, units: target.units })
            }
            Op::RmsNorm(gain, epsilon) => {
                let x = self.get(node.inputs[0], Form::Wide)?;
                let gain = self.gain(node, gain, None, &target)?;
                let epsilon = fine_epsilon(*epsilon, x.unit());
                let id =
                    self.builder.node(RmsNorm { fraction: FRACTION, epsilon, gain }, &[x.id])?;
                Ok(Placed { id, units: target.units })
            }
            Op::Rope(heads, cos, sin) => self.rope(node, *heads, cos, sin),
            Op::Attention(heads, scale) => self.attention(node, (*heads, *scale), target),
            _ => self.end(node),
        }
    }

    /// Operators that make an end of something, each in a form of its own.
    fn end(&mut self, node: &Node) -> Result<Placed, ConvertError> {
        let input = node.inputs[0];
        let wide = self.get(input, Form::Wide).or_else(|_| self.get(input, Form::Native))?;
        let (id, unit) = match &node.op {
            Op::MeanRows => {
                let unit = wide.unit() / f64::from(1_u32 << FRACTION);
                (self.builder.node(MeanRows { fraction: FRACTION }, &[wide.id])?, unit)
            }
            Op::UnitLength => (self.builder.node(L2Norm, &[wide.id])?, UNIT),
            Op::Softmax => {
                let scale = factor(std::f64::consts::LOG2_E * FINE * wide.unit())?;
                (self.builder.node(Softmax { scale, causal: false }, &[wide.id])?, SHARE)
            }
            Op::Argmax => (self.builder.node(Argmax, &[wide.id])?, 1.0),
            Op::Sample => {
                let scale = factor(FINE * wide.unit())?;
                (self.builder.node(Sample { scale }, &[wide.id])?, 1.0)
            }
            other => {
                let advice = "Leave it out of the model, or do it after the model has run";
                return Err(error::node(
                    &node.name,
                    other.name(),
                    "it has no integer form",
                    advice,
                ));
            }
        };
        Ok(Placed { id, units: vec![unit] })
    }

    /// An operator that only moves or averages values.
    fn same(
        &mut self,
        node: &Node,
        form: Form,
        op: impl Into<neura_int8::Op>,
    ) -> Result<Placed, ConvertError> {
        let x = self.get(node.inputs[0], form)?;
        let id = self.builder.node(op, &[x.id])?;
        Ok(Placed { id, ..x })
    }

    fn add(&mut self, node: &Node, target: Target) -> Result<Placed, ConvertError> {
        let a = self.get(node.inputs[0], Form::Wide)?;
        let b = self.get(node.inputs[1], Form::Wide)?;
        let (left, right) =
            (factor(a.unit() / target.unit(0))?, factor(b.unit() / target.unit(0))?);
        let Target { dtype, low, high, units } = target;
        let id = self.builder.node(Add { left, right, dtype, low, high }, &[a.id, b.id])?;
        Ok(Placed { id, units })
    }

    /// A table of rows by token or position, with a unit for each column.
    fn table(&mut self, node: &Node, table: &Matrix) -> Result<Placed, ConvertError> {
        let fine = self.options.fine_words || node.inputs.is_empty();
        let most = if fine { 32_767 } else { 127 };
        let mut units = vec![1e-9_f64; table.width];
        for row in table.rows() {
            units.iter_mut().zip(row).for_each(|(unit, x)| *unit = unit.max(f64::from(x.abs())));
        }
        units.iter_mut().for_each(|unit| *unit /= f64::from(most));
        let cells = table.rows().flat_map(|row| row.iter().zip(&units));
        let cells = cells.map(|(x, unit)| steps(f64::from(*x), *unit).clamp(-most, most));
        let data = Data::collect(if fine { DType::I16 } else { DType::I8 }, cells);
        let dims = vec![table.height(), table.width];
        let table = self.param(&node.name, "table", dims, data)?;
        let id = match node.inputs.first() {
            Some(tokens) => {
                let given = self.get(*tokens, Form::Native)?;
                match self.graph.node(*tokens).dims[..] {
                    [count] => self.looked_up((table, units.len()), (given.id, count))?,
                    _ => self.builder.node(Embed { table }, &[given.id])?,
                }
            }
            None => self.builder.node(Position { table }, &[])?,
        };
        Ok(Placed { id, units })
    }

    /// The operand of a product.
    fn factor_of(&self, node: &Node, form: Form) -> Result<Placed, ConvertError> {
        let input = node.inputs[0];
        self.get(input, form).or_else(|_| self.get(input, Form::Native))
    }

    /// Weights and bias in integers, and the unit of each output's sums.
    fn weights(
        &mut self,
        node: &Node,
        (weights, bias): (&Matrix, &[f32]),
        units: &[f64],
        dims: Vec<usize>,
    ) -> Result<(ParamId, ParamId, Vec<f64>), ConvertError> {
        let (mut cells, mut sums, mut biases) = (Vec::new(), Vec::new(), Vec::new());
        for (row, bias) in weights.rows().zip(bias) {
            let row = row.iter().enumerate();
            let row: Vec<f64> = row.map(|(k, w)| f64::from(*w) * unit_of(units, k)).collect();
            let most = row.iter().fold(0.0_f64, |most, w| most.max(w.abs())) / 127.0;
            // The bias must fit too, with some bits to spare for the products.
            let least = f64::from(bias.abs()) / f64::from(1 << 28);
            let unit = most.max(least).max(1e-30);
            cells.extend(row.iter().map(|w| steps(*w, unit).clamp(-127, 127) as i8));
            biases.push(steps(f64::from(*bias), unit));
            sums.push(unit);
        }
        let weights = self.param(&node.name, "weights", dims, Data::I8(cells))?;
        let bias = self.param(&node.name, "bias", vec![bias.len()], Data::I32(biases))?;
        Ok((weights, bias, sums))
    }

    fn linear(
        &mut self,
        node: &Node,
        weights: &Matrix,
        bias: &[f32],
        target: Target,
    ) -> Result<Placed, ConvertError> {
        let fine = self.get(node.inputs[0], Form::Pair).ok().filter(|_| self.options.fine);
        let x = match &fine {
            Some(fine) => fine.clone(),
            None => self.factor_of(node, Form::Channels)?,
        };
        let dims = vec![weights.height(), weights.width];
        let (weights, bias, sums) = self.weights(node, (weights, bias), &x.units, dims)?;
        if fine.is_some() {
            return self.apart(node, (x.id, &sums), target, |lower, finish| {
                Linear { weights, bias: lower.then_some(bias), finish: Some(finish) }.into()
            });
        }
        let finish = Some(self.finish(&node.name, &sums, &target)?);
        let id = self.builder.node(Linear { weights, bias: Some(bias), finish }, &[x.id])?;
        Ok(Placed { id, units: target.units })
    }

    fn conv(
        &mut self,
        node: &Node,
        weights: &Matrix,
        bias: &[f32],
        target: Target,
    ) -> Result<Placed, ConvertError> {
        let Op::Conv(_, _, window, groups) = &node.op else {
            return Err(error::node(&node.name, node.op.name(), "it is no convolution", ""));
        };
        let fine = self.get(node.inputs[0], Form::Pair).ok().filter(|_| self.options.fine);
        let x = match &fine {
            Some(fine) => fine.clone(),
            None => self.factor_of(node, Form::Byte)?,
        };
        let [height, width] = window.size;
        let dims = vec![weights.height(), weights.width / (height * width).max(1), height, width];
        let (weights, bias, sums) = self.weights(node, (weights, bias), &x.units[..1], dims)?;
        let (window, groups) = (*window, *groups);
        if fine.is_some() {
            return self.apart(node, (x.id, &sums), target, |lower, finish| {
                let bias = lower.then_some(bias);
                Conv2d { weights, bias, window, groups, finish: Some(finish) }.into()
            });
        }
        let finish = Some(self.finish(&node.name, &sums, &target)?);
        let bias = Some(bias);
        let id = self.builder.node(Conv2d { weights, bias, window, groups, finish }, &[x.id])?;
        Ok(Placed { id, units: target.units })
    }

    fn apply(
        &mut self,
        node: &Node,
        function: &Function,
        target: Target,
    ) -> Result<Placed, ConvertError> {
        let x = self.get(node.inputs[0], Form::Short)?;
        let entry = |step: i32| {
            let y = function.of((f64::from(step) * x.unit()) as f32);
            steps(f64::from(y), target.unit(0)).clamp(target.low, target.high)
        };
        let table = Data::collect(target.dtype, (-32_768..32_768).map(entry));
        let table = self.param(&node.name, "table", vec![65_536], table)?;
        let id = self.builder.node(Lookup { table }, &[x.id])?;
        Ok(Placed { id, units: target.units })
    }

    fn gain(
        &mut self,
        node: &Node,
        gain: &[f32],
        bias: Option<&Vec<f32>>,
        target: &Target,
    ) -> Result<Gain, ConvertError> {
        let reals = |values: &[f32]| -> Vec<f64> {
            let values = values.iter().enumerate();
            values.map(|(at, x)| f64::from(*x) / target.unit(at)).collect()
        };
        let (gain, bias) = (reals(gain), bias.map(|bias| reals(bias)));
        let most = gain.iter().chain(bias.iter().flatten()).fold(1e-9, |m: f64, x| m.max(x.abs()));
        let bits = (GAIN_BITS - most.log2().ceil()).clamp(0.0, 30.0) as u8;
        let step = 2_f64.powi(-i32::from(bits));
        let whole = |values: &[f64]| Data::I32(values.iter().map(|x| steps(*x, step)).collect());
        let bias = match bias {
            Some(bias) => Some(self.param(&node.name, "bias", vec![bias.len()], whole(&bias))?),
            None => None,
        };
        let gain = self.param(&node.name, "gain", vec![gain.len()], whole(&gain))?;
        let Target { dtype, low, high, .. } = *target;
        Ok(Gain { gain, bias, gain_bits: bits, dtype, low, high })
    }

    fn rope(
        &mut self,
        node: &Node,
        heads: usize,
        cos: &Matrix,
        sin: &Matrix,
    ) -> Result<Placed, ConvertError> {
        let x = self.get(node.inputs[0], Form::Short)?;
        let mut table = |what: &str, table: &Matrix| {
            let cells = table.values.iter().map(|x| steps(f64::from(*x), UNIT));
            let cells = Data::collect(DType::I16, cells.map(|x| x.clamp(-32_767, 32_767)));
            self.param(&node.name, what, vec![table.height(), table.width], cells)
        };
        let (cos, sin) = (table("cos", cos)?, table("sin", sin)?);
        let id = self.builder.node(Rope { heads, cos, sin }, &[x.id])?;
        Ok(Placed { id, ..x })
    }

    fn attention(
        &mut self,
        node: &Node,
        (heads, scale): (Heads, f32),
        target: Target,
    ) -> Result<Placed, ConvertError> {
        let q = self.get(node.inputs[0], Form::Byte)?;
        let k = self.get(node.inputs[1], Form::Byte)?;
        let v = self.get(node.inputs[2], Form::Channels)?;
        let head = node.width() / heads.heads.max(1);
        let scores = self.builder.node(Scores { heads }, &[q.id, k.id])?;
        let unit = q.unit() * k.unit() * f64::from(scale);
        let scale = factor(std::f64::consts::LOG2_E * FINE * unit)?;
        let shares: ValueId =
            self.builder.node(Softmax { scale, causal: heads.causal }, &[scores])?;
        let group = heads.heads / heads.kv_heads.max(1);
        let channel = |at: usize| at / head / group.max(1) * head + at % head;
        let units: Vec<f64> =
            (0..node.width()).map(|at| unit_of(&v.units, channel(at)) * SHARE).collect();
        let finish = Some(self.finish(&node.name, &units, &target)?);
        let id = self.builder.node(Mix { heads, finish }, &[shares, v.id])?;
        Ok(Placed { id, units: target.units })
    }
}

/// An epsilon in squares of the steps that a norm takes.
fn fine_epsilon(epsilon: f32, unit: f64) -> u64 {
    let step = unit / f64::from(1_u32 << FRACTION);
    // Beyond, it would outweigh any row.
    (f64::from(epsilon) / (step * step)).clamp(0.0, 2_f64.powi(60)) as u64
}
