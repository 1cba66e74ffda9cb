//! A sentence encoder of MiniLM's shape, its weights random.

use neura_int8::{
    Builder, DType, Data, Model, ModelError, Op, ParamId, Requant, Scale, Tensor, ValueId,
    ops::{
        attention::{Heads, Mix, Scores},
        elementwise::{Add, Requantise},
        embed::{Embed, Position},
        linear::Linear,
        lookup::Lookup,
        norm::{Gain, L2Norm, LayerNorm},
        reduce::MeanRows,
        softmax::Softmax,
    },
};

const LAYERS: usize = 6;
const WIDTH: usize = 384;
const HIDDEN: usize = 1_536;
const HEADS: Heads = Heads { heads: 12, kv_heads: 12, causal: false };
const ROWS: usize = 256;
/// Fewer than MiniLM's: looking words up takes no time.
const VOCABULARY: usize = 1_024;

/// Builds it.
pub(super) fn minilm() -> Result<Model, ModelError> {
    let mut net = Net { builder: Builder::new(ROWS), state: 7, params: 0 };
    let last = i32::try_from(VOCABULARY - 1).unwrap_or(i32::MAX);
    let tokens = net.builder.input("tokens", DType::I32, &[], (0, last));
    let table = net.random(DType::I16, &[VOCABULARY, WIDTH], 900)?;
    let words = net.node(Embed { table }, &[tokens])?;
    let table = net.random(DType::I16, &[ROWS, WIDTH], 200)?;
    let positions = net.node(Position { table }, &[])?;
    let sum = net.sum(words, positions)?;
    let mut x = net.norm(sum)?;
    for _ in 0..LAYERS {
        x = net.layer(x)?;
    }
    let mean = net.node(MeanRows { fraction: 8 }, &[x])?;
    let unit = net.node(L2Norm, &[mean])?;
    net.builder.output("embedding", unit);
    net.builder.build()
}

/// A builder, and numbers without pattern for its weights.
struct Net {
    builder: Builder,
    state: u64,
    params: usize,
}

impl Net {
    fn random(&mut self, dtype: DType, dims: &[usize], most: i32) -> Result<ParamId, ModelError> {
        let values: Vec<i32> = (0..dims.iter().product())
            .map(|_| {
                self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                ((self.state >> 33) % (2 * u64::from(most.unsigned_abs()) + 1)) as i32 - most
            })
            .collect();
        self.param(dims, Data::collect(dtype, values))
    }

    fn param(&mut self, dims: &[usize], data: Data) -> Result<ParamId, ModelError> {
        self.params += 1;
        Ok(self.builder.param(&format!("p{}", self.params), Tensor::new(dims.to_vec(), data)?))
    }

    fn node(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId, ModelError> {
        self.builder.node(op, inputs)
    }

    fn linear(
        &mut self,
        x: ValueId,
        (inputs, outputs): (usize, usize),
        finish: Requant,
    ) -> Result<ValueId, ModelError> {
        let weights = self.random(DType::I8, &[outputs, inputs], 127)?;
        let bias = Some(self.random(DType::I32, &[outputs], 2_000)?);
        self.node(Linear { weights, bias, finish: Some(finish) }, &[x])
    }

    fn sum(&mut self, a: ValueId, b: ValueId) -> Result<ValueId, ModelError> {
        self.node(Add::new(Scale::ONE, Scale::ONE, DType::I32), &[a, b])
    }

    fn norm(&mut self, x: ValueId) -> Result<ValueId, ModelError> {
        let gain = self.random(DType::I32, &[WIDTH], 400)?;
        let bias = Some(self.random(DType::I32, &[WIDTH], 60)?);
        let (low, high) = DType::I8.symmetric();
        let gain = Gain { gain, bias, gain_bits: 3, dtype: DType::I8, low, high };
        self.node(LayerNorm { fraction: 4, epsilon: 1, gain }, &[x])
    }

    /// Adds what a block made to what went in, and normalises.
    fn after(&mut self, x: ValueId, made: ValueId) -> Result<ValueId, ModelError> {
        let wide = self.node(Requantise { finish: by(DType::I32, 26)? }, &[x])?;
        let sum = self.sum(wide, made)?;
        self.norm(sum)
    }

    fn layer(&mut self, x: ValueId) -> Result<ValueId, ModelError> {
        let square = (WIDTH, WIDTH);
        let q = self.linear(x, square, by(DType::I8, 41)?)?;
        let k = self.linear(x, square, by(DType::I8, 41)?)?;
        let v = self.linear(x, square, by(DType::I8, 41)?)?;
        let scores = self.node(Scores { heads: HEADS }, &[q, k])?;
        let scale = Scale::new(0x5555_5555, 24)?;
        let shares = self.node(Softmax { scale, causal: false }, &[scores])?;
        let finish = Some(by(DType::I8, 46)?);
        let mixed = self.node(Mix { heads: HEADS, finish }, &[shares, v])?;
        let out = self.linear(mixed, square, by(DType::I32, 38)?)?;
        let x = self.after(x, out)?;
        let hidden = self.linear(x, (WIDTH, HIDDEN), by(DType::I16, 36)?)?;
        let table = (-32_768..32_768).map(|x: i32| (x / 64).clamp(0, 127));
        let table = self.param(&[65_536], Data::collect(DType::I8, table))?;
        let hidden = self.node(Lookup { table }, &[hidden])?;
        let out = self.linear(hidden, (HIDDEN, WIDTH), by(DType::I32, 40)?)?;
        self.after(x, out)
    }
}

/// By `2^(30 - shift)`.
fn by(dtype: DType, shift: u8) -> Result<Requant, ModelError> {
    Ok(Requant::new(Scale::new(1 << 30, shift)?, dtype))
}
