//! Every level gives the reference's bits, operator by operator: random shapes, extreme values.

use neura_int8::{
    Builder, DType, Data, Model, Op, Reference, Requant, Sampling, Scale, Tensor, ValueId,
    ops::{
        attention::{Heads, Mix, Scores},
        elementwise::{Add, Requantise},
        embed::{Embed, Position},
        lookup::Lookup,
        norm::{Gain, LayerNorm, RmsNorm},
        reduce::MeanRows,
        softmax::Softmax,
    },
};
use neura_native::{Level, Native};
use proptest::prelude::*;

/// Most rows of the tests.
const ROWS: usize = 200;

fn same_outputs(model: &Model, inputs: &[Tensor]) {
    let expected = model.run_with(&Reference, inputs, Sampling::default()).unwrap();
    for native in Level::ALL.into_iter().filter_map(Native::with) {
        let found = model.run_with(&native, inputs, Sampling::default()).unwrap();
        assert_eq!(found, expected, "{:?}", native.level());
    }
}

/// A model of one operator; what it makes is the output.
struct One {
    builder: Builder,
    inputs: Vec<(ValueId, Tensor)>,
}

impl One {
    fn new() -> Self {
        One { builder: Builder::new(ROWS), inputs: Vec::new() }
    }

    /// An operand of `rows` rows of `width`, of values within limits.
    fn input(&mut self, (dtype, low, high): Range, width: usize, values: Vec<i32>) -> ValueId {
        let name = format!("x{}", self.inputs.len());
        let x = self.builder.input(&name, dtype, &[width], (low, high));
        let dims = vec![values.len() / width, width];
        self.inputs.push((x, Tensor::new(dims, Data::collect(dtype, values)).unwrap()));
        x
    }

    /// Operands of one shape.
    fn all(&mut self, width: usize, operands: Vec<(Range, Vec<i32>)>) {
        for (range, values) in operands {
            self.input(range, width, values);
        }
    }

    fn param(&mut self, dims: &[usize], data: Data) -> neura_int8::ParamId {
        let tensor = Tensor::new(dims.to_vec(), data).unwrap();
        self.builder.param(&format!("p{}", dims.iter().product::<usize>()), tensor)
    }

    fn check(mut self, op: impl Into<Op>) {
        let operands: Vec<ValueId> = self.inputs.iter().map(|(x, _)| *x).collect();
        let y = self.builder.node(op, &operands).unwrap();
        self.builder.output("y", y);
        let inputs: Vec<Tensor> = self.inputs.into_iter().map(|(_, tensor)| tensor).collect();
        same_outputs(&self.builder.build().unwrap(), &inputs);
    }
}

/// A type, and the limits of an operand's values.
type Range = (DType, i32, i32);

fn dtypes() -> impl Strategy<Value = DType> {
    prop_oneof![Just(DType::I8), Just(DType::I16), Just(DType::U16), Just(DType::I32)]
}

fn scales() -> impl Strategy<Value = Scale> {
    let any = (1_u32 << 30..1 << 31, 0_u8..=62).prop_map(|(m, s)| Scale::new(m, s).unwrap());
    prop_oneof![1 => Just(Scale::ONE), 3 => any]
}

/// Values within limits, each of which is as likely as all between them.
fn values((_, low, high): Range, count: usize) -> impl Strategy<Value = Vec<i32>> {
    prop::collection::vec(prop_oneof![low..=high, Just(low), Just(high)], count)
}

fn of_type(dtype: DType) -> Range {
    let (low, high) = dtype.limits();
    (dtype, low, high)
}

/// Rows and their width: some are worth sharing out to threads.
fn shapes() -> impl Strategy<Value = (usize, usize)> {
    prop_oneof![3 => (1_usize..9, 1_usize..70), 1 => (ROWS - 9..=ROWS, 90_usize..100)]
}

/// As many operands of one shape as there are ranges.
fn operands(
    ranges: impl Strategy<Value = Vec<Range>>,
) -> impl Strategy<Value = (usize, Vec<(Range, Vec<i32>)>)> {
    (ranges, shapes()).prop_flat_map(|(ranges, (rows, width))| {
        let each = ranges.into_iter().map(|range| (Just(range), values(range, rows * width)));
        (Just(width), each.collect::<Vec<_>>())
    })
}

/// Limits for a norm: differences from the mean must fit 31 bits with `fraction` more.
fn normed() -> impl Strategy<Value = (Range, u8)> {
    (dtypes(), 0_u8..=10).prop_map(|(dtype, fraction)| {
        let (least, greatest) = dtype.limits();
        let most = (1 << 26) >> fraction;
        ((dtype, least.max(-most), greatest.min(most)), fraction)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]

    #[test]
    fn requantisation_between_any_types_is_exact(
        (width, x) in operands(dtypes().prop_map(|dtype| vec![of_type(dtype)])),
        (scale, to) in (scales(), dtypes()),
    ) {
        let mut one = One::new();
        one.all(width, x);
        one.check(Requantise { finish: Requant::new(scale, to) });
    }

    #[test]
    fn sums_of_any_types_and_factors_are_exact(
        (width, both) in operands((dtypes(), dtypes()).prop_map(|(a, b)| vec![of_type(a), of_type(b)])),
        (left, right, to) in (scales(), scales(), dtypes()),
    ) {
        let mut one = One::new();
        one.all(width, both);
        one.check(Add::new(left, right, to));
    }

    #[test]
    fn norms_are_exact_from_zeros_to_extremes(
        ((range, fraction), rows, width) in (normed(), 1_usize..40, 1_usize..200),
        (gains, biases) in (values(of_type(DType::I32), 200), values(of_type(DType::I32), 200)),
        (seed, epsilon, gain_bits) in (any::<u64>(), 0_u64..1 << 40, 0_u8..=30),
        dtype in dtypes(),
        (centred, biased, flat) in any::<(bool, bool, bool)>(),
    ) {
        let (_, low, high) = range;
        let span = i64::from(high) - i64::from(low) + 1;
        let mut state = seed;
        let x = (0..rows * width).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if flat { high.min(0) } else { (i64::from(low) + (state >> 33) as i64 % span) as i32 }
        });
        let mut one = One::new();
        one.input(range, width, x.collect());
        let gain = one.param(&[width], Data::I32(gains[..width].to_vec()));
        let bias = biased.then(|| {
            let bias = Tensor::new(vec![width], Data::I32(biases[..width].to_vec())).unwrap();
            one.builder.param("bias", bias)
        });
        let (low, high) = dtype.limits();
        let gain = Gain { gain, bias, gain_bits, dtype, low, high };
        match centred {
            true => one.check(LayerNorm { fraction, epsilon, gain }),
            false => one.check(RmsNorm { fraction, epsilon, gain }),
        }
    }

    #[test]
    fn means_of_rows_are_exact(
        (width, x) in operands(dtypes().prop_map(|dtype| match dtype {
            DType::I32 => vec![(dtype, -(1 << 20), 1 << 20)],
            dtype => vec![of_type(dtype)],
        })),
        fraction in 0_u8..=10,
    ) {
        let mut one = One::new();
        one.all(width, x);
        one.check(MeanRows { fraction });
    }

    #[test]
    fn tables_are_read_at_every_value(
        (width, x) in operands(prop_oneof![Just(DType::I8), Just(DType::I16)].prop_map(|dtype| vec![of_type(dtype)])),
        (to, factor) in (dtypes(), 1_i32..1 << 14),
    ) {
        let mut one = One::new();
        let entries = if x[0].0.0 == DType::I8 { 256 } else { 65_536 };
        one.all(width, x);
        let entry = |at: i32| at.wrapping_mul(factor) % 30_000;
        let table = one.param(&[entries], Data::collect(to, (0..entries as i32).map(entry)));
        one.check(Lookup { table });
    }

    #[test]
    fn rows_of_tables_are_exact(
        (rows, width) in shapes(), dtype in dtypes(), seed in any::<i32>(), positions: bool,
    ) {
        let mut builder = Builder::new(ROWS);
        let x = builder.input("x", DType::I32, &[], (0, ROWS as i32 - 1));
        let cells = (0..(ROWS * width) as i32).map(|at| at.wrapping_mul(seed));
        let table = Tensor::new(vec![ROWS, width], Data::collect(dtype, cells)).unwrap();
        let table = builder.param("table", table);
        let y = match positions {
            true => builder.node(Position { table }, &[]),
            false => builder.node(Embed { table }, &[x]),
        };
        builder.output("y", y.unwrap());
        let entry = |at: usize| (at.wrapping_mul(seed.unsigned_abs() as usize) % ROWS) as i32;
        let x = Tensor::list((0..rows).map(entry).collect()).unwrap();
        same_outputs(&builder.build().unwrap(), &[x]);
    }

    #[test]
    fn attention_is_exact_at_any_scale(
        (rows, heads, group, width) in (1_usize..150, 1_usize..4, 1_usize..3, 1_usize..40),
        (extremes, causal) in any::<(bool, bool)>(),
        (seed, scale) in (any::<u64>(), (1_u32 << 30..1 << 31, 0_u8..40)),
    ) {
        let heads = Heads { heads: heads * group, kv_heads: heads, causal };
        let mut state = seed;
        let mut draw = |count: usize| (0..count).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let x = (state >> 40) as u8 as i8;
            i32::from(if extremes { if x < 0 { -128 } else { 127 } } else { x })
        }).collect::<Vec<_>>();
        let mut one = One::new();
        let queries = heads.heads * width;
        let keys = heads.kv_heads * width;
        let [q, k, v] = [queries, keys, keys].map(|width| {
            one.input(of_type(DType::I8), width, draw(rows * width))
        });
        let One { mut builder, inputs } = one;
        let scores = builder.node(Scores { heads }, &[q, k]).unwrap();
        let scale = Scale::new(scale.0, scale.1).unwrap();
        let shares = builder.node(Softmax { scale, causal }, &[scores]).unwrap();
        let finish = Some(Requant::new(Scale::new(1 << 30, 46).unwrap(), DType::I8));
        for (name, finish) in [("sums", None), ("mixed", finish)] {
            let mixed = builder.node(Mix { heads, finish }, &[shares, v]).unwrap();
            builder.output(name, mixed);
        }
        builder.output("scores", scores);
        builder.output("shares", shares);
        let inputs: Vec<Tensor> = inputs.into_iter().map(|(_, tensor)| tensor).collect();
        same_outputs(&builder.build().unwrap(), &inputs);
    }
}
