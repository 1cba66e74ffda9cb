//! Single operators on the device, of shapes that are multiples of nothing, over extreme values.

#[path = "../int8/tests/random/mod.rs"]
#[allow(dead_code, reason = "random models are another test's")]
mod random;

use neura_gpu::{Options, Selector, WgpuBackend};
use neura_int8::{
    Builder, DType, Data, Op, ParamId, Requant, Sampling, Scale, Tensor, ValueId,
    ops::{
        attention::{Heads, Mix, Scores},
        conv::{Conv2d, Window},
        elementwise::{Add, Mul, Requantise},
        linear::Linear,
        lookup::Lookup,
        matmul::MatMul,
        norm::{Gain, L2Norm, LayerNorm, RmsNorm},
        pool::{AvgPool, MaxPool},
        reduce::{Argmax, MeanRows},
        softmax::Softmax,
    },
};
use random::Noise;
use std::sync::LazyLock;

static DEVICE: LazyLock<WgpuBackend> = LazyLock::new(|| {
    WgpuBackend::with_options(&Selector::Best, Options::default()).unwrap_or_else(|error| {
        panic!(
            "these tests need a GPU or Mesa's software Vulkan driver: \
             apt install libvulkan1 mesa-vulkan-drivers ({error})"
        )
    })
});

const I8: (i32, i32) = (-127, 127);
const I32: (i32, i32) = (-i32::MAX, i32::MAX);

/// A model being made, with noise for its parameters.
struct Maker {
    builder: Builder,
    noise: Noise,
    params: usize,
    rows: usize,
}

impl Maker {
    fn input(&mut self, dtype: DType, dims: &[usize], limits: (i32, i32)) -> ValueId {
        self.params += 1;
        self.builder.input(&format!("x{}", self.params), dtype, dims, limits)
    }

    fn param(&mut self, dtype: DType, dims: &[usize], limits: (i32, i32)) -> ParamId {
        let tensor = self.noise.tensor(dtype, dims, limits);
        self.given(tensor)
    }

    fn given(&mut self, tensor: Tensor) -> ParamId {
        self.params += 1;
        self.builder.param(&format!("p{}", self.params), tensor)
    }

    fn node(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        let value = self.builder.node(op, inputs).unwrap();
        self.builder.output(&format!("y{}", value.0), value);
        value
    }

    fn scale(&mut self, shifts: (i64, i64)) -> Scale {
        let multiplier = self.noise.within(1 << 30, i64::from(i32::MAX)).cast_unsigned();
        Scale::new(multiplier, self.noise.within(shifts.0, shifts.1) as u8).unwrap()
    }

    fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.noise.below(high - low + 1)
    }
}

/// Makes so many models, each run with three inputs: of extremes, of one value, or of any.
fn check(cases: u64, make: impl Fn(&mut Maker)) {
    for seed in 0..cases {
        let mut noise = Noise(seed * 77);
        let rows = 1 + noise.below(5);
        let mut maker = Maker { builder: Builder::new(8), noise, params: 0, rows };
        make(&mut maker);
        let model = maker.builder.build().unwrap();
        let loaded = DEVICE.load_model(&model).unwrap();
        for _ in 0..3 {
            let inputs = random::inputs(&model, maker.rows, &mut maker.noise);
            let found = loaded.run(&inputs, Sampling::default()).unwrap();
            assert_eq!(found, model.run(&inputs).unwrap(), "seed {seed}");
        }
    }
}

#[test]
fn factors_of_every_shift_take_every_value_where_they_should() {
    for shift in (0..=62).step_by(2) {
        check(1, |maker| {
            let x = maker.input(DType::I32, &[37], I32);
            for shift in [shift, shift + 1] {
                let shift = i64::from(shift).min(62);
                for dtype in [DType::I8, DType::U16, DType::I32] {
                    let finish = Requant::new(maker.scale((shift, shift)), dtype);
                    maker.node(Requantise { finish }, &[x]);
                }
            }
        });
    }
}

#[test]
fn sums_and_products_of_extremes_are_exact() {
    check(12, |maker| {
        let width = maker.between(1, 200);
        let [a, b] = [0; 2].map(|_| maker.input(DType::I32, &[width], I32));
        let c = maker.input(DType::I16, &[width], (-32_768, 32_767));
        let d = maker.input(DType::U16, &[width], (0, 32_767));
        let (left, right) = (maker.scale((0, 62)), maker.scale((0, 62)));
        maker.node(Add::new(left, right, DType::I32), &[a, b]);
        let finish = Requant::new(maker.scale((20, 50)), DType::I16);
        maker.node(Mul { finish }, &[c, d]);
    });
}

#[test]
fn linear_layers_of_long_rows_are_exact() {
    for depth in [1, 15, 1_041, 20_000] {
        check(2, |maker| {
            let x = maker.input(DType::I8, &[depth], I8);
            let outputs = maker.between(1, 70);
            for _ in 0..2 {
                let weights = maker.param(DType::I8, &[outputs, depth], (-128, 127));
                let bias = Some(maker.param(DType::I32, &[outputs], (-1_000_000, 1_000_000)));
                maker.node(Linear { weights, bias, finish: None }, &[x]);
            }
        });
    }
}

#[test]
fn norms_of_any_rows_are_exact() {
    check(14, |maker| {
        let width = maker.between(1, 300);
        let reach = [3, 127, 32_767, 1 << 22][maker.noise.below(4)];
        let x = maker.input(DType::I32, &[width], (-reach, reach));
        let gain = |maker: &mut Maker| Gain {
            gain: maker.param(DType::I32, &[width], (-40_000, 40_000)),
            bias: Some(maker.param(DType::I32, &[width], (-40_000, 40_000))),
            gain_bits: maker.noise.below(31) as u8,
            dtype: DType::I16,
            low: -32_767,
            high: 32_767,
        };
        let (fraction, epsilon) = (maker.noise.below(5) as u8, maker.noise.below(2) as u64 * 5);
        let of = gain(maker);
        maker.node(LayerNorm { fraction, epsilon, gain: of }, &[x]);
        let of = gain(maker);
        maker.node(RmsNorm { fraction, epsilon, gain: of }, &[x]);
        maker.node(L2Norm, &[x]);
    });
}

#[test]
fn softmax_of_any_scores_is_exact() {
    check(16, |maker| {
        let width = maker.between(1, 400);
        let reach = [5, 40_000, i32::MAX][maker.noise.below(3)];
        let x = maker.input(DType::I32, &[2, width], (-reach, reach));
        let scale = maker.scale((0, 62));
        maker.node(Softmax { scale, causal: false }, &[x]);
        let scale = maker.scale((14, 34));
        maker.node(Softmax { scale, causal: false }, &[x]);
    });
}

#[test]
fn attention_of_any_heads_is_exact() {
    check(12, |maker| {
        let (kv_heads, share, width) =
            (maker.between(1, 3), maker.between(1, 3), maker.between(1, 40));
        maker.rows = 8;
        let q = maker.input(DType::I8, &[kv_heads * share * width], (-128, 127));
        let [k, v] = [0; 2].map(|_| maker.input(DType::I8, &[kv_heads * width], (-128, 127)));
        for causal in [false, true] {
            let heads = Heads { heads: kv_heads * share, kv_heads, causal };
            let scores = maker.node(Scores { heads }, &[q, k]);
            let scale = maker.scale((20, 30));
            let shares = maker.node(Softmax { scale, causal }, &[scores]);
            maker.node(Mix { heads, finish: None }, &[shares, v]);
        }
    });
}

#[test]
fn convolutions_and_pools_of_any_window_are_exact() {
    check(16, |maker| {
        let groups = maker.between(1, 4);
        let (inputs, outputs) = (groups * maker.between(1, 3), groups * maker.between(1, 6));
        let (height, width) = (maker.between(5, 12), maker.between(5, 12));
        let size = [maker.between(1, 5), maker.between(1, 5)];
        let stride = [maker.between(1, 3), maker.between(1, 3)];
        let mut pads = || [0, 1].map(|axis: usize| maker.noise.below(size[axis]));
        let window = Window { size, stride, before: pads(), after: pads() };
        let x = maker.input(DType::I8, &[inputs, height, width], (-128, 127));
        let y = maker.input(DType::I32, &[inputs, height, width], I32);
        let weights =
            maker.param(DType::I8, &[outputs, inputs / groups, size[0], size[1]], (-128, 127));
        let bias = Some(maker.param(DType::I32, &[outputs], (-1_000_000, 1_000_000)));
        maker.node(Conv2d { weights, bias, window, groups, finish: None }, &[x]);
        maker.node(MaxPool { window }, &[y]);
        maker.node(AvgPool { window }, &[y]);
    });
}

#[test]
fn products_tables_means_and_greatest_values_are_exact() {
    check(10, |maker| {
        let (batch, m, n, k) =
            (maker.between(1, 3), maker.between(1, 20), maker.between(1, 20), maker.between(1, 70));
        let a = maker.input(DType::I8, &[batch, m, k], (-128, 127));
        let b = maker.input(DType::I8, &[batch, n, k], (-128, 127));
        let x = maker.input(DType::I16, &[333], (-32_768, 32_767));
        let few = maker.input(DType::I8, &[500], (-1, 1));
        let product = maker.node(MatMul { finish: None }, &[a, b]);
        maker.node(Argmax, &[product]);
        let table: Vec<i32> = (0..65_536).map(|at| (at * 7 % 65_536) - 32_768).collect();
        let table =
            maker.given(Tensor::new(vec![65_536], Data::collect(DType::I16, table)).unwrap());
        let looked = maker.node(Lookup { table }, &[x]);
        maker.node(MeanRows { fraction: 15 }, &[looked]);
        maker.node(Argmax, &[few]);
    });
}
