//! Random small models, made node by node from whatever fits, with extreme values among them.

use neura_int8::{
    Builder, DType, Data, Model, Op, ParamId, Requant, Rows, Scale, Scales, Tensor, ValueId,
    ValueType,
    ops::{
        attention::{Heads, Mix, Scores},
        conv::{Conv2d, Window},
        elementwise::{Add, Mul, Requantise},
        embed::{Embed, Position},
        layout::{Concat, Reshape, Slice, Transpose},
        linear::Linear,
        lookup::Lookup,
        matmul::MatMul,
        norm::{Gain, L2Norm, LayerNorm, RmsNorm},
        pool::{AvgPool, MaxPool},
        reduce::{Argmax, MeanRows, TakeRow},
        rope::Rope,
        sample::Sample,
        softmax::Softmax,
    },
};

pub(crate) const MAX_ROWS: usize = 5;

/// Numbers without pattern.
pub(crate) struct Noise(pub u64);

impl Noise {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    pub(crate) fn within(&mut self, low: i64, high: i64) -> i32 {
        (low + (self.next() % (high - low + 1) as u64) as i64) as i32
    }

    /// Any values, all the least, all the greatest, or small ones.
    pub(crate) fn list(&mut self, length: usize, low: i32, high: i32) -> Vec<i32> {
        let (low, high) = (i64::from(low), i64::from(high));
        match self.below(6) {
            0 => vec![low as i32; length],
            1 => vec![high as i32; length],
            2 => (0..length).map(|_| self.within(low.max(-3), high.min(3))).collect(),
            _ => (0..length).map(|_| self.within(low, high)).collect(),
        }
    }

    pub(crate) fn tensor(
        &mut self,
        dtype: DType,
        dims: &[usize],
        (low, high): (i32, i32),
    ) -> Tensor {
        let values = self.list(dims.iter().product(), low, high);
        Tensor::new(dims.to_vec(), Data::collect(dtype, values)).unwrap()
    }

    fn scale(&mut self, shifts: (i64, i64)) -> Scale {
        let multiplier = self.within(1 << 30, (1 << 31) - 1) as u32;
        Scale::new(multiplier, self.within(shifts.0, shifts.1) as u8).unwrap()
    }
}

pub(crate) struct Maker {
    pub(crate) noise: Noise,
    pub(crate) builder: Builder,
    values: Vec<ValueId>,
    count: usize,
    pub(crate) ops: Vec<&'static str>,
}

impl Maker {
    pub(crate) fn new(seed: u64) -> Self {
        let mut maker = Maker {
            noise: Noise(seed),
            builder: Builder::new(MAX_ROWS),
            values: vec![],
            count: 0,
            ops: vec![],
        };
        let full = (-127, 127);
        let width = 1 + maker.noise.below(9);
        maker.values.push(maker.builder.input("vector", DType::I8, &[width], full));
        let sides = [1 + maker.noise.below(3), 2 + maker.noise.below(4), 2 + maker.noise.below(4)];
        maker.values.push(maker.builder.input("image", DType::I8, &sides, full));
        maker.values.push(maker.builder.input("tokens", DType::I32, &[], (0, 6)));
        maker
    }

    pub(crate) fn param(&mut self, dtype: DType, dims: &[usize], limits: (i32, i32)) -> ParamId {
        let tensor = self.noise.tensor(dtype, dims, limits);
        self.count += 1;
        self.builder.param(&format!("p{}", self.count), tensor)
    }

    fn any(&mut self) -> (ValueId, ValueType) {
        // Newer values more often: graphs become deep.
        let back = self.noise.below(self.values.len()).min(self.noise.below(self.values.len()));
        let value = self.values[self.values.len() - 1 - back];
        (value, self.builder.value_type(value).unwrap().clone())
    }

    fn like(&mut self, wanted: impl Fn(&ValueType) -> bool) -> Option<(ValueId, ValueType)> {
        (0..12).map(|_| self.any()).find(|(_, kind)| wanted(kind))
    }

    fn requant(&mut self, channels: Option<usize>, dtype: DType) -> Requant {
        let shifts = (33, 42);
        let mut finish = Requant::new(self.noise.scale(shifts), dtype);
        if let (Some(channels), 0) = (channels, self.noise.below(2)) {
            let multipliers = self.param(DType::I32, &[channels], (1 << 30, i32::MAX));
            let shifts = self.param(DType::I8, &[channels], (31, 45));
            finish.scales = Scales::Channels { multipliers, shifts };
        }
        if self.noise.below(3) == 0 { finish.relu() } else { finish }
    }

    fn finish(&mut self, channels: usize) -> Option<Requant> {
        (self.noise.below(4) > 0).then(|| self.requant(Some(channels), DType::I8))
    }

    fn bias(&mut self, channels: usize) -> Option<ParamId> {
        (self.noise.below(2) > 0)
            .then(|| self.param(DType::I32, &[channels], (-1_000_000, 1_000_000)))
    }

    /// Adds a node if what was drawn fits together.
    pub(crate) fn step(&mut self) {
        let kind = self.noise.below(26);
        let Some((op, inputs)) = self.draw(kind) else { return };
        if let Ok(value) = self.builder.node(op.clone(), &inputs) {
            self.ops.push(op.name());
            self.values.push(value);
        }
    }

    fn draw(&mut self, kind: usize) -> Option<(Op, Vec<ValueId>)> {
        let i8s = |kind: &ValueType| kind.dtype == DType::I8;
        let drawn = match kind {
            0 | 1 => {
                let (x, kind) = self.like(i8s)?;
                let (outputs, inner) = (1 + self.noise.below(8), kind.last(1));
                let weights = self.param(DType::I8, &[outputs, inner], (-128, 127));
                let (bias, finish) = (self.bias(outputs), self.finish(outputs));
                (Linear { weights, bias, finish }.into(), vec![x])
            }
            2 => {
                let (a, left) = self.like(|k| i8s(k) && k.dims.len() >= 2)?;
                let same = left.clone();
                let (b, right) = self.like(|k| {
                    i8s(k) && k.dims.len() == same.dims.len() && k.dims.last() == same.dims.last()
                })?;
                let finish = self.finish(right.dims[right.dims.len() - 2]);
                (MatMul { finish }.into(), vec![a, b])
            }
            3..=5 => return self.attention(),
            _ => return self.draw_image(kind),
        };
        Some(drawn)
    }

    fn draw_image(&mut self, kind: usize) -> Option<(Op, Vec<ValueId>)> {
        let image = |kind: &ValueType| kind.dims.len() == 3 && !kind.context;
        let i8s = |kind: &ValueType| kind.dtype == DType::I8;
        let drawn = match kind {
            6 => {
                let (x, kind) = self.like(|k| i8s(k) && k.dims.len() == 3)?;
                let groups = [1, kind.dims[0]][self.noise.below(2)];
                let (outputs, window) = (groups * (1 + self.noise.below(3)), self.window());
                let dims = [outputs, kind.dims[0] / groups, window.size[0], window.size[1]];
                let weights = self.param(DType::I8, &dims, (-128, 127));
                let (bias, finish) = (self.bias(outputs), self.finish(outputs));
                (Conv2d { weights, bias, window, groups, finish }.into(), vec![x])
            }
            7 => (MaxPool { window: self.window() }.into(), vec![self.like(image)?.0]),
            8 => (AvgPool { window: self.window() }.into(), vec![self.like(image)?.0]),
            _ => return self.draw_cells(kind),
        };
        Some(drawn)
    }

    fn draw_cells(&mut self, kind: usize) -> Option<(Op, Vec<ValueId>)> {
        let drawn = match kind {
            9 => {
                let (x, kind) = self.any();
                let dtype = [DType::I8, DType::I16][self.noise.below(2)];
                let finish = self.requant((!kind.context).then_some(kind.last(1)), dtype);
                (Requantise { finish }.into(), vec![x])
            }
            10 => {
                let (a, b) = self.pair()?;
                let (left, right) = (self.noise.scale((28, 33)), self.noise.scale((28, 33)));
                let dtype = [DType::I8, DType::I16, DType::I32][self.noise.below(3)];
                (Add::new(left, right, dtype).into(), vec![a, b])
            }
            11 => {
                let (a, b) = self.pair()?;
                (Mul { finish: self.requant(None, DType::I8) }.into(), vec![a, b])
            }
            12 | 13 => {
                let (x, kind) = self.any();
                let gain = self.gain(kind.last(1));
                let (fraction, epsilon) = (self.noise.below(5) as u8, self.noise.below(50) as u64);
                match kind.context {
                    true => return None,
                    _ if self.noise.below(2) == 0 => {
                        (LayerNorm { fraction, epsilon, gain }.into(), vec![x])
                    }
                    _ => (RmsNorm { fraction, epsilon, gain }.into(), vec![x]),
                }
            }
            14 => (L2Norm.into(), vec![self.any().0]),
            _ => return self.draw_table(kind),
        };
        Some(drawn)
    }

    fn draw_table(&mut self, kind: usize) -> Option<(Op, Vec<ValueId>)> {
        let drawn = match kind {
            15 => {
                let (x, kind) = self.like(|k| matches!(k.dtype, DType::I8 | DType::I16))?;
                let entries = if kind.dtype == DType::I8 { 256 } else { 65_536 };
                let table = self.param(DType::I8, &[entries], (-127, 127));
                (Lookup { table }.into(), vec![x])
            }
            16 => {
                let (x, kind) =
                    self.like(|k| k.dims.len() == 1 && k.dims[0] % 2 == 0 && k.rows == Rows::Many)?;
                let half = 1 + self.noise.below(kind.dims[0] / 2);
                let cos = self.param(DType::I16, &[MAX_ROWS, half], (-32_767, 32_767));
                let sin = self.param(DType::I16, &[MAX_ROWS, half], (-32_767, 32_767));
                (Rope { heads: 1, cos, sin }.into(), vec![x])
            }
            17 => {
                let table = self.param(DType::I8, &[7, 1 + self.noise.0 as usize % 6], (-127, 127));
                (Embed { table }.into(), vec![self.values[2]])
            }
            18 => {
                let width = 1 + self.noise.below(6);
                let table = self.param(DType::I8, &[MAX_ROWS + 2, width], (-127, 127));
                (Position { table }.into(), vec![])
            }
            _ => return self.draw_layout(kind),
        };
        Some(drawn)
    }

    fn draw_layout(&mut self, kind: usize) -> Option<(Op, Vec<ValueId>)> {
        let drawn = match kind {
            19 => {
                let (x, kind) = self.like(|k| !k.dims.is_empty())?;
                let axis = self.noise.below(kind.dims.len());
                let start = self.noise.below(kind.dims[axis]);
                let length = 1 + self.noise.below(kind.dims[axis] - start);
                (Slice { axis, start, length }.into(), vec![x])
            }
            20 => {
                let (a, b) = self.pair()?;
                (Concat { axis: self.noise.below(3) }.into(), vec![a, b, a])
            }
            21 => {
                let (x, kind) = self.any();
                let volume = kind.dims.iter().product();
                let dims = [vec![volume], vec![volume, 1], vec![1, volume, 1]];
                (Reshape { dims: dims[self.noise.below(3)].clone() }.into(), vec![x])
            }
            22 => {
                let (x, kind) = self.like(|k| k.dims.len() >= 2)?;
                let orders = [vec![1, 0], vec![0, 2, 1], vec![2, 0, 1], vec![1, 2, 0]];
                let order = orders[self.noise.below(4)].clone();
                if order.len() != kind.dims.len() {
                    return None;
                }
                (Transpose { order }.into(), vec![x])
            }
            23 => (MeanRows { fraction: self.noise.below(6) as u8 }.into(), vec![self.any().0]),
            24 => (TakeRow { last: self.noise.below(2) == 0 }.into(), vec![self.any().0]),
            _ => {
                let (x, _) = self.like(|k| !k.dims.is_empty())?;
                match self.noise.below(2) {
                    0 => (Argmax.into(), vec![x]),
                    _ => (Sample { scale: self.noise.scale((18, 40)) }.into(), vec![x]),
                }
            }
        };
        Some(drawn)
    }

    /// Scores, softmax and mix of the same value.
    fn attention(&mut self) -> Option<(Op, Vec<ValueId>)> {
        let flat = |k: &ValueType| {
            k.dtype == DType::I8 && k.dims.len() == 1 && k.rows == Rows::Many && !k.context
        };
        let (x, kind) = self.like(flat)?;
        let width = kind.dims[0];
        let heads = (1..=width).filter(|heads| width % heads == 0).collect::<Vec<_>>();
        let heads = heads[self.noise.below(heads.len())];
        let causal = self.noise.below(2) == 0;
        let heads = Heads { heads, kv_heads: heads, causal };
        let scores = self.builder.node(Scores { heads }, &[x, x]).ok()?;
        self.values.push(scores);
        let scale = self.noise.scale((18, 34));
        let shares = self.builder.node(Softmax { scale, causal }, &[scores]).ok()?;
        self.values.push(shares);
        self.ops.extend(["attention scores", "softmax"]);
        let finish = match self.noise.below(3) {
            0 => None,
            _ => Some(Requant::new(Scale::new(1 << 30, 46).unwrap(), DType::I8)),
        };
        Some((Mix { heads, finish }.into(), vec![shares, x]))
    }

    fn pair(&mut self) -> Option<(ValueId, ValueId)> {
        let (a, first) = self.any();
        let (b, _) = self.like(|k| {
            (&k.dims, k.rows, k.context, k.dtype)
                == (&first.dims, first.rows, first.context, first.dtype)
        })?;
        Some((a, b))
    }

    fn window(&mut self) -> Window {
        let mut side =
            |least: usize, n: usize| [least + self.noise.below(n), least + self.noise.below(n)];
        let (size, stride) = (side(1, 3), side(1, 2));
        let pad = side(0, 2);
        let pad = [pad[0].min(size[0] - 1), pad[1].min(size[1] - 1)];
        Window { size, stride, before: pad, after: [0, pad[1]] }
    }

    fn gain(&mut self, length: usize) -> Gain {
        let limits = (-40_000, 40_000);
        let gain = self.param(DType::I32, &[length], limits);
        let bias = (self.noise.below(2) == 0).then(|| self.param(DType::I32, &[length], limits));
        let gain_bits = self.noise.below(16) as u8;
        let dtype = [DType::I8, DType::I16][self.noise.below(2)];
        let (low, high) = dtype.symmetric();
        Gain { gain, bias, gain_bits, dtype, low, high }
    }
}

/// A model of about `steps` nodes, if it can be proved; and the operators in it.
pub(crate) fn model(seed: u64, steps: usize) -> (Option<Model>, Vec<&'static str>) {
    let mut maker = Maker::new(seed);
    (0..steps).for_each(|_| maker.step());
    let last = *maker.values.last().unwrap();
    maker.builder.output("last", last);
    (maker.builder.build().ok(), maker.ops)
}

/// Inputs of `rows` rows for a model.
pub(crate) fn inputs(model: &Model, rows: usize, noise: &mut Noise) -> Vec<Tensor> {
    let inputs = model.manifest().inputs().iter();
    inputs
        .map(|input| {
            let dims = input.value_type().axes(rows);
            noise.tensor(input.dtype, &dims, (input.low, input.high))
        })
        .collect()
}
