//! Check the operators of models: a small one that has all of them, every cell of it.

use super::Noise;
use crate::GpuError;
use neura_int8::{
    Builder, DType, Data, Model, ModelError, Op, ParamId, Reference, Requant, Sampling, Scale,
    Tensor, Trace, ValueId,
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

/// Rows of the run.
const ROWS: usize = 7;
/// Cells of a row of what attends: two heads.
const WIDTH: usize = 12;

/// Traces the model with `trace`, and compares every cell with the reference's.
///
/// # Errors
/// [`GpuError::Refused`] with the first operator that is wrong; what `trace` reports.
pub(crate) fn test_models(
    adapter: &str,
    trace: impl FnOnce(&Model, &[Tensor]) -> Result<Trace, GpuError>,
) -> Result<(), GpuError> {
    let (model, inputs) = every_operator()?;
    let expected = model.trace(&Reference, &inputs, Sampling::default())?;
    let found = trace(&model, &inputs)?;
    let manifest = model.manifest();
    for (index, node) in manifest.nodes().iter().enumerate() {
        let value = manifest.made_by(index);
        if found.value(value) != expected.value(value) {
            let (adapter, reason) = (adapter.to_owned(), format!("{} is wrong", node.op.name()));
            return Err(GpuError::Refused { adapter, check: "a model of every operator", reason });
        }
    }
    Ok(())
}

/// A model being made.
struct Maker {
    builder: Builder,
    noise: Noise,
    params: usize,
}

impl Maker {
    fn param(
        &mut self,
        dtype: DType,
        dims: &[usize],
        (low, high): (i32, i32),
    ) -> Result<ParamId, ModelError> {
        let range = i64::from(high) - i64::from(low) + 1;
        let values = (0..dims.iter().product::<usize>()).map(|_| {
            let above = i64::from(self.noise.next()) % range;
            i32::try_from(i64::from(low) + above).unwrap_or(low)
        });
        let data = Data::collect(dtype, values.collect::<Vec<_>>());
        self.params += 1;
        Ok(self.builder.param(&format!("p{}", self.params), Tensor::new(dims.to_vec(), data)?))
    }

    fn node(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId, ModelError> {
        self.builder.node(op, inputs)
    }

    fn linear(&mut self, x: ValueId, inputs: usize, outputs: usize) -> Result<ValueId, ModelError> {
        let weights = self.param(DType::I8, &[outputs, inputs], (-128, 127))?;
        let bias = Some(self.param(DType::I32, &[outputs], (-9_000, 9_000))?);
        let finish = Some(self.per_channel(outputs)?);
        self.node(Linear { weights, bias, finish }, &[x])
    }

    fn per_channel(&mut self, channels: usize) -> Result<Requant, ModelError> {
        let multipliers = self.param(DType::I32, &[channels], (1 << 30, i32::MAX))?;
        let shifts = self.param(DType::I8, &[channels], (36, 40))?;
        Ok(Requant::per_channel(multipliers, shifts, DType::I8))
    }

    fn gain(&mut self) -> Result<Gain, ModelError> {
        let gain = self.param(DType::I32, &[WIDTH], (-400, 400))?;
        let bias = Some(self.param(DType::I32, &[WIDTH], (-60, 60))?);
        Ok(Gain { gain, bias, gain_bits: 3, dtype: DType::I8, low: -127, high: 127 })
    }

    /// Embeds tokens, attends, and draws a token for each row.
    fn text(&mut self) -> Result<(), ModelError> {
        let tokens = self.builder.input("tokens", DType::I32, &[], (0, 16));
        let image = self.builder.input("image", DType::I8, &[2, 6, 5], (-127, 127));
        let words = Embed { table: self.param(DType::I16, &[17, WIDTH], (-900, 900))? };
        let words = self.node(words, &[tokens])?;
        let places = Position { table: self.param(DType::I8, &[ROWS, WIDTH], (-99, 99))? };
        let places = self.node(places, &[])?;
        let sum = Add::new(Scale::ONE, Scale::new(0x5555_5555, 30)?, DType::I32);
        let x = self.node(sum, &[words, places])?;
        let gain = self.gain()?;
        let x = self.node(LayerNorm { fraction: 4, epsilon: 1, gain }, &[x])?;
        let (q, k, v) = (x, self.linear(x, WIDTH, WIDTH / 2)?, self.linear(x, WIDTH, WIDTH / 2)?);
        let cos = self.param(DType::I16, &[ROWS, 2], (-32_767, 32_767))?;
        let sin = self.param(DType::I16, &[ROWS, 2], (-32_767, 32_767))?;
        let q = self.node(Rope { heads: 2, cos, sin }, &[q])?;
        let heads = Heads { heads: 2, kv_heads: 1, causal: true };
        let scores = self.node(Scores { heads }, &[q, k])?;
        let softmax = Softmax { scale: Scale::new(0x5555_5555, 24)?, causal: true };
        let shares = self.node(softmax, &[scores])?;
        let finish = Some(Requant::new(Scale::new(1 << 30, 45)?, DType::I8));
        let mixed = self.node(Mix { heads, finish }, &[shares, v])?;
        let finish = Requant::new(Scale::new(0x6000_0000, 36)?, DType::I8);
        let gated = self.node(Mul { finish }, &[mixed, x])?;
        let table = self.param(DType::I16, &[256], (-32_768, 32_767))?;
        let looked = self.node(Lookup { table }, &[gated])?;
        let gain = self.gain()?;
        let x = self.node(RmsNorm { fraction: 2, epsilon: 9, gain }, &[looked])?;
        let mean = self.node(MeanRows { fraction: 8 }, &[looked])?;
        let unit = self.node(L2Norm, &[mean])?;
        self.builder.output("unit", unit);
        let token = self.node(Sample { scale: Scale::new(1 << 30, 29)? }, &[x])?;
        self.builder.output("token", token);
        self.image(image)
    }

    /// Convolves, pools and moves.
    fn image(&mut self, image: ValueId) -> Result<(), ModelError> {
        let weights = self.param(DType::I8, &[6, 1, 3, 2], (-128, 127))?;
        let bias = Some(self.param(DType::I32, &[6], (-9_000, 9_000))?);
        let finish = Some(self.per_channel(6)?.relu());
        let window = Window { size: [3, 2], stride: [1, 2], before: [1, 1], after: [1, 0] };
        let made = self.node(Conv2d { weights, bias, window, groups: 2, finish }, &[image])?;
        let made = self.node(MaxPool { window: Window::square(2, 1, 1) }, &[made])?;
        let made = self.node(AvgPool { window: Window::square(3, 2, 1) }, &[made])?;
        let turned = self.node(Transpose { order: vec![2, 0, 1] }, &[made])?;
        let part = self.node(Slice { axis: 1, start: 1, length: 3 }, &[turned])?;
        let whole = self.node(Concat { axis: 1 }, &[part, turned])?;
        let product = self.node(MatMul { finish: None }, &[whole, turned])?;
        let finish = Requant::new(Scale::new(0x4123_4567, 33)?, DType::I16);
        let small = self.node(Requantise { finish }, &[product])?;
        let last = self.node(TakeRow { last: true }, &[small])?;
        let cells = self.builder.value_type(last).map_or(1, |kind| kind.dims.iter().product());
        let flat = self.node(Reshape { dims: vec![cells] }, &[last])?;
        let class = self.node(Argmax, &[flat])?;
        self.builder.output("class", class);
        Ok(())
    }
}

fn every_operator() -> Result<(Model, [Tensor; 2]), ModelError> {
    let mut maker = Maker { builder: Builder::new(ROWS), noise: Noise(3), params: 0 };
    maker.text()?;
    let tokens = (0..ROWS).map(|row| i32::from(row as u8) * 5 % 17);
    let tokens = Tensor::list(tokens.collect())?;
    let image = (0..ROWS * 60).map(|_| maker.noise.i8().max(-127)).collect();
    let image = Tensor::new(vec![ROWS, 2, 6, 5], Data::I8(image))?;
    Ok((maker.builder.build()?, [tokens, image]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_operator_is_in_the_model_and_the_reference_passes() {
        let (model, _) = every_operator().unwrap();
        let ops: BTreeSet<_> = model.manifest().nodes().iter().map(|node| node.op.name()).collect();
        assert_eq!(ops.len(), 26, "{ops:?}");
        let reference = |model: &Model, inputs: &[Tensor]| {
            Ok(model.trace(&Reference, inputs, Sampling::default())?)
        };
        assert_eq!(test_models("a processor", reference), Ok(()));
    }

    #[test]
    fn a_device_with_one_wrong_cell_is_refused_with_the_operator() {
        // Another image: its convolution is the first that differs.
        let faulty = |model: &Model, inputs: &[Tensor]| {
            let mut image = inputs[1].data().i8s().to_vec();
            image[0] ^= 1;
            let image = Tensor::new(inputs[1].dims().to_vec(), Data::I8(image))?;
            Ok(model.trace(&Reference, &[inputs[0].clone(), image], Sampling::default())?)
        };
        let refused = test_models("a device", faulty).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "'a device' is refused, it failed the self-test 'a model of every operator': conv2d is wrong"
        );
    }
}
