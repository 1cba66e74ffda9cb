//! Networks as a converter builds them, of any size, with weights without pattern.

use neura_int8::{
    Builder, DType, Data, Model, Op, ParamId, Requant, Scale, Tensor, ValueId,
    ops::{
        attention::{Heads, Mix, Scores},
        conv::{Conv2d, Window},
        elementwise::{Add, Mul, Requantise},
        embed::{Embed, Position},
        layout::Reshape,
        linear::Linear,
        lookup::Lookup,
        norm::{Gain, L2Norm, LayerNorm, RmsNorm},
        pool::{AvgPool, MaxPool},
        reduce::{Argmax, MeanRows},
        rope::Rope,
        sample::Sample,
        softmax::Softmax,
    },
};

/// The sizes of a transformer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) vocabulary: usize,
    pub(crate) width: usize,
    pub(crate) hidden: usize,
    pub(crate) heads: usize,
    pub(crate) layers: usize,
    pub(crate) rows: usize,
}

struct Net {
    builder: Builder,
    state: u64,
    params: usize,
}

/// By `2^(30 - shift)`.
fn to(dtype: DType, shift: u8) -> Requant {
    Requant::new(Scale::new(1 << 30, shift).unwrap(), dtype)
}

impl Net {
    fn new(rows: usize) -> Self {
        Net { builder: Builder::new(rows), state: 7, params: 0 }
    }

    fn random(&mut self, dtype: DType, dims: &[usize], (least, greatest): (i32, i32)) -> ParamId {
        let range = i64::from(greatest - least) + 1;
        let values = (0..dims.iter().product::<usize>()).map(|_| {
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            least + ((self.state >> 33) as i64 % range) as i32
        });
        let data = Data::collect(dtype, values.collect::<Vec<_>>());
        self.param(dims, data)
    }

    fn param(&mut self, dims: &[usize], data: Data) -> ParamId {
        self.params += 1;
        let tensor = Tensor::new(dims.to_vec(), data).unwrap();
        self.builder.param(&format!("p{}", self.params), tensor)
    }

    fn node(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        self.builder.node(op, inputs).unwrap()
    }

    fn last(&self, x: ValueId) -> usize {
        *self.builder.value_type(x).unwrap().dims.last().unwrap()
    }

    fn linear(&mut self, x: ValueId, outputs: usize, finish: Option<Requant>) -> ValueId {
        let inputs = self.last(x);
        let weights = self.random(DType::I8, &[outputs, inputs], (-127, 127));
        let bias = Some(self.random(DType::I32, &[outputs], (-2_000, 2_000)));
        self.node(Linear { weights, bias, finish }, &[x])
    }

    fn gain(&mut self, width: usize) -> Gain {
        let gain = self.random(DType::I32, &[width], (200, 400));
        let bias = Some(self.random(DType::I32, &[width], (-60, 60)));
        Gain { gain, bias, gain_bits: 3, dtype: DType::I8, low: -127, high: 127 }
    }

    fn layer_norm(&mut self, x: ValueId) -> ValueId {
        let gain = self.gain(self.last(x));
        self.node(LayerNorm { fraction: 4, epsilon: 1, gain }, &[x])
    }

    fn rms_norm(&mut self, x: ValueId) -> ValueId {
        let gain = self.gain(self.last(x));
        self.node(RmsNorm { fraction: 2, epsilon: 1, gain }, &[x])
    }

    fn attention(&mut self, (q, k, v): (ValueId, ValueId, ValueId), heads: Heads) -> ValueId {
        let scores = self.node(Scores { heads }, &[q, k]);
        let scale = Scale::new(0x5555_5555, 24).unwrap();
        let shares = self.node(Softmax { scale, causal: heads.causal }, &[scores]);
        self.node(Mix { heads, finish: Some(to(DType::I8, 46)) }, &[shares, v])
    }

    fn plus(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.node(Add::new(Scale::ONE, Scale::ONE, DType::I32), &[a, b])
    }
}

/// As MiniLM: post-norm, GELU, mean pooling, unit length.
pub(crate) fn encoder(size: Size) -> Model {
    let Size { vocabulary, width, hidden, heads, layers, rows } = size;
    let mut net = Net::new(rows);
    let tokens = net.builder.input("tokens", DType::I32, &[], (0, vocabulary as i32 - 1));
    let table = net.random(DType::I16, &[vocabulary, width], (-900, 900));
    let words = net.node(Embed { table }, &[tokens]);
    let table = net.random(DType::I16, &[rows, width], (-200, 200));
    let positions = net.node(Position { table }, &[]);
    let x = net.plus(words, positions);
    let mut x = net.layer_norm(x);
    let gelu = (-32_768..32_768).map(|x| f64::from(x) / 256.0);
    let gelu = gelu.map(|x| (x / (1.0 + (-1.702 * x).exp()) * 12.0).round().clamp(-127.0, 127.0));
    let gelu = Data::collect(DType::I8, gelu.map(|y| y as i32).collect::<Vec<_>>());
    let gelu = net.param(&[65_536], gelu);
    for _ in 0..layers {
        let [q, k, v] = [0; 3].map(|_| net.linear(x, width, Some(to(DType::I8, 40))));
        let mixed = net.attention((q, k, v), Heads { heads, kv_heads: heads, causal: false });
        let out = net.linear(mixed, width, Some(to(DType::I32, 34)));
        let wide = net.node(Requantise { finish: to(DType::I32, 26) }, &[x]);
        let residual = net.plus(wide, out);
        x = net.layer_norm(residual);
        let up = net.linear(x, hidden, Some(to(DType::I16, 36)));
        let up = net.node(Lookup { table: gelu }, &[up]);
        let out = net.linear(up, width, Some(to(DType::I32, 34)));
        let wide = net.node(Requantise { finish: to(DType::I32, 26) }, &[x]);
        let residual = net.plus(wide, out);
        x = net.layer_norm(residual);
    }
    let mean = net.node(MeanRows { fraction: 8 }, &[x]);
    let unit = net.node(L2Norm, &[mean]);
    net.builder.output("embedding", unit);
    net.builder.build().unwrap()
}

/// As Llama: pre-norm, rotary positions, grouped heads, gated SiLU; tokens drawn with noise.
pub(crate) fn decoder(size: Size) -> Model {
    let Size { vocabulary, width, hidden, heads, layers, rows } = size;
    let mut net = Net::new(rows);
    let tokens = net.builder.input("tokens", DType::I32, &[], (0, vocabulary as i32 - 1));
    let table = net.random(DType::I16, &[vocabulary, width], (-900, 900));
    let mut x = net.node(Embed { table }, &[tokens]);
    let half = width / heads / 2;
    let angle = |at: usize| (at / half) as f64 / 10_f64.powi((at % half) as i32);
    let q15 = |x: f64| (x * 32_767.0).round() as i32;
    let angles = (0..rows * half).map(angle);
    let cos: Vec<i32> = angles.clone().map(|angle| q15(angle.cos())).collect();
    let sin: Vec<i32> = angles.map(|angle| q15(angle.sin())).collect();
    let cos = net.param(&[rows, half], Data::collect(DType::I16, cos));
    let sin = net.param(&[rows, half], Data::collect(DType::I16, sin));
    let silu = (-128..128).map(|x| f64::from(x) / 16.0).map(|x| x / (1.0 + (-x).exp()) * 16.0);
    let silu = Data::collect(DType::I8, silu.map(|y| y.round() as i32).collect::<Vec<_>>());
    let silu = net.param(&[256], silu);
    let grouped = Heads { heads, kv_heads: heads / 2, causal: true };
    for _ in 0..layers {
        let normed = net.rms_norm(x);
        let q = net.linear(normed, width, Some(to(DType::I8, 38)));
        let [k, v] = [0; 2].map(|_| net.linear(normed, width / 2, Some(to(DType::I8, 38))));
        let q = net.node(Rope { heads, cos, sin }, &[q]);
        let k = net.node(Rope { heads: heads / 2, cos, sin }, &[k]);
        let mixed = net.attention((q, k, v), grouped);
        let out = net.linear(mixed, width, Some(to(DType::I32, 34)));
        x = net.plus(x, out);
        let normed = net.rms_norm(x);
        let gate = net.linear(normed, hidden, Some(to(DType::I8, 38)));
        let gate = net.node(Lookup { table: silu }, &[gate]);
        let up = net.linear(normed, hidden, Some(to(DType::I8, 38)));
        let gated = net.node(Mul { finish: to(DType::I8, 35) }, &[gate, up]);
        let out = net.linear(gated, width, Some(to(DType::I32, 34)));
        x = net.plus(x, out);
    }
    let normed = net.rms_norm(x);
    let logits = net.linear(normed, vocabulary, None);
    let next = net.node(Sample { scale: Scale::new(1 << 30, 29).unwrap() }, &[logits]);
    net.builder.output("next", next);
    net.builder.build().unwrap()
}

/// Convolutions, whole, of groups and by depth, with pools between them: of images of `side`.
pub(crate) fn convolutional(side: usize, channels: usize) -> Model {
    let mut net = Net::new(4);
    let mut x = net.builder.input("image", DType::I8, &[3, side, side], (-127, 127));
    let mut inputs = 3;
    for (groups, window) in [
        (1, Window::square(3, 1, 1)),
        (channels / 2, Window { size: [3, 2], stride: [1, 2], before: [2, 0], after: [0, 1] }),
        (channels, Window::square(3, 1, 1)),
        (1, Window::square(1, 1, 0)),
    ] {
        let [height, width] = window.size;
        let dims = [channels, inputs / groups, height, width];
        let weights = net.random(DType::I8, &dims, (-128, 127));
        let bias = Some(net.random(DType::I32, &[channels], (-9_000, 9_000)));
        let multipliers = net.random(DType::I32, &[channels], (1 << 30, i32::MAX - 1));
        let shifts = net.random(DType::I8, &[channels], (38, 41));
        let finish = Some(Requant::per_channel(multipliers, shifts, DType::I8).relu());
        x = net.node(Conv2d { weights, bias, window, groups, finish }, &[x]);
        inputs = channels;
    }
    x = net.node(MaxPool { window: Window::square(2, 2, 0) }, &[x]);
    x = net.node(AvgPool { window: Window::square(3, 1, 1) }, &[x]);
    let dims = net.builder.value_type(x).unwrap().dims.clone();
    x = net.node(Reshape { dims: vec![dims.iter().product()] }, &[x]);
    let logits = net.linear(x, 10, None);
    let class = net.node(Argmax, &[logits]);
    net.builder.output("logits", logits);
    net.builder.output("class", class);
    net.builder.build().unwrap()
}
