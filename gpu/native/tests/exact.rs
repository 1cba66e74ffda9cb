//! Every level that the processor has gives the reference's bits.

// Of the random models, this uses a part.
#[allow(dead_code)]
#[path = "../../int8/tests/random/mod.rs"]
mod random;

use neura_int8::{
    Builder, DType, Data, Kernels, Model, Product, Prompt, Reference, Requant, Sampling, Scale,
    Scales, Tensor, ValueId,
    ops::{
        attention::{Heads, Mix, Scores},
        linear::Linear,
        reduce::Argmax,
        softmax::Softmax,
    },
};
use neura_native::{Level, Native};
use proptest::prelude::*;
use random::{MAX_ROWS, Noise, inputs, model};

fn levels() -> Vec<Native> {
    let levels: Vec<_> = Level::ALL.into_iter().filter_map(Native::with).collect();
    assert_eq!(levels[0].level(), Level::Portable);
    assert_eq!(levels.last(), Some(&Native::best()));
    levels
}

fn check_product(a: &[i8], b: &[i8], depth: usize) {
    let product = Product { a, b, depth };
    let expected = Reference.product(product).unwrap();
    for native in levels() {
        let found = native.product(product).unwrap();
        let wrong = found.iter().zip(&expected).position(|(found, expected)| found != expected);
        let shape = (a.len() / depth, b.len() / depth, depth);
        assert_eq!((found.len(), wrong), (expected.len(), None), "{:?} {shape:?}", native.level());
    }
}

fn ramp(length: usize, factor: usize) -> Vec<i8> {
    (0..length).map(|at| (at * factor % 256) as u8 as i8).collect()
}

#[test]
fn products_around_every_edge_of_the_tiles_are_exact() {
    for rows in [1, 2, 4, 5, 7, 8, 9, 12, 13, 17, 24, 25, 97] {
        for (columns, depth) in
            [(1, 1), (2, 3), (7, 4), (15, 5), (16, 63), (17, 64), (33, 65), (48, 66), (49, 130)]
        {
            check_product(&ramp(rows * depth, 37), &ramp(columns * depth, 91), depth);
        }
    }
}

#[test]
fn products_of_extreme_values_are_exact_at_any_depth() {
    for rows in [1, 5, 13] {
        for depth in [1, 7, 1_041, 131_071] {
            for (x, y) in [(-128, -128), (-128, 127), (127, -128), (127, 127), (0, -128)] {
                check_product(&vec![x; rows * depth], &vec![y; 3 * depth], depth);
            }
        }
    }
}

#[test]
fn products_shared_out_to_threads_are_exact() {
    check_product(&ramp(300 * 257, 11), &ramp(130 * 257, 201), 257);
    check_product(&ramp(3 * 700, 11), &ramp(900 * 700, 201), 700);
}

#[test]
fn empty_products_are_empty() {
    for native in levels() {
        let empty = |a, b| native.product(Product { a, b, depth: 2 }).unwrap();
        assert_eq!((empty(&[], &[1; 4]), empty(&[1; 4], &[])), (vec![], vec![]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn random_products_are_exact(
        (a, b, depth) in (1_usize..60, 1_usize..60, 1_usize..200).prop_flat_map(|(m, n, k)| {
            let matrix = |length| prop::collection::vec(any::<i8>(), length);
            (matrix(m * k), matrix(n * k), Just(k))
        })
    ) {
        check_product(&a, &b, depth);
    }

    #[test]
    fn random_models_give_the_same_outputs(seed: u64, steps in 1_usize..24) {
        let mut noise = Noise(seed ^ 0x55);
        if let (Some(model), _) = model(seed, steps) {
            let inputs = inputs(&model, 1 + noise.below(MAX_ROWS), &mut noise);
            same_outputs(&model, &inputs);
        }
    }

    #[test]
    fn requantisation_is_exact_for_any_sum_and_factor(
        (bias, multipliers, shifts) in (1_usize..70).prop_flat_map(|n| {
            (
                prop::collection::vec(prop_oneof![any::<i32>(), -300..300], n),
                prop::collection::vec(1_i32 << 30..=i32::MAX, n),
                prop::collection::vec(0_i8..=62, n),
            )
        }),
        dtype in prop_oneof![Just(DType::I8), Just(DType::I16), Just(DType::U16), Just(DType::I32)],
    ) {
        let outputs = bias.len();
        // Weights of zero leave the bias, which may be anything, as the sum.
        let mut builder = Builder::new(40);
        let x = builder.input("x", DType::I8, &[3], (-127, 127));
        let mut param = |name: &str, dims: &[usize], data| {
            builder.param(name, Tensor::new(dims.to_vec(), data).unwrap())
        };
        let weights = param("weights", &[outputs, 3], Data::I8(vec![0; outputs * 3]));
        let bias = Some(param("bias", &[outputs], Data::I32(bias)));
        let multipliers = param("multipliers", &[outputs], Data::I32(multipliers));
        let shifts = param("shifts", &[outputs], Data::I8(shifts));
        let scales = Scales::Channels { multipliers, shifts };
        let finish = Some(Requant { scales, ..Requant::new(Scale::ONE, dtype) });
        let y = builder.node(Linear { weights, bias, finish }, &[x]).unwrap();
        builder.output("y", y);
        let model = builder.build().unwrap();
        for rows in [1, 40] {
            let x = Tensor::new(vec![rows, 3], Data::I8(vec![1; rows * 3])).unwrap();
            same_outputs(&model, &[x]);
        }
    }
}

fn same_outputs(model: &Model, inputs: &[Tensor]) {
    let sampling = Sampling { seed: [7; 32], temperature: 1 << 16 };
    let expected = model.run_with(&Reference, inputs, sampling).unwrap();
    for native in levels() {
        let found = model.run_with(&native, inputs, sampling).unwrap();
        assert_eq!(found, expected, "{:?}", native.level());
    }
}

/// A decoder of attention alone; what each layer mixes is an output too.
fn attention(heads: Heads, width: usize, layers: usize) -> Model {
    const VOCABULARY: usize = 29;
    let mut noise = Noise(width as u64);
    let mut builder = Builder::new(80);
    let tokens = builder.input("tokens", DType::I32, &[], (0, VOCABULARY as i32 - 1));
    let tensor = |noise: &mut Noise, dims: &[usize]| {
        let values =
            (0..dims.iter().product()).map(|_| noise.within(-128, 127)).collect::<Vec<_>>();
        Tensor::new(dims.to_vec(), Data::collect(DType::I8, values)).unwrap()
    };
    let table = builder.param("words", tensor(&mut noise, &[VOCABULARY, width]));
    let mut x: ValueId = builder.node(neura_int8::ops::embed::Embed { table }, &[tokens]).unwrap();
    let to = |dtype, shift| Requant::new(Scale::new(1_500_000_000, shift).unwrap(), dtype);
    let mut mixed = Vec::new();
    for layer in 0..layers {
        let kv = width / heads.heads * heads.kv_heads;
        let [q, k, v] = [("q", width), ("k", kv), ("v", kv)].map(|(name, outputs)| {
            let weights = tensor(&mut noise, &[outputs, width]);
            let weights = builder.param(&format!("{name}{layer}"), weights);
            let finish = Some(to(DType::I8, 41));
            builder.node(Linear { weights, bias: None, finish }, &[x]).unwrap()
        });
        let scores = builder.node(Scores { heads }, &[q, k]).unwrap();
        let scale = Scale::new(1_500_000_000, 26).unwrap();
        let shares = builder.node(Softmax { scale, causal: heads.causal }, &[scores]).unwrap();
        let finish = Some(to(DType::I8, 46));
        x = builder.node(Mix { heads, finish }, &[shares, v]).unwrap();
        mixed.push(x);
    }
    let weights = builder.param("logits", tensor(&mut noise, &[VOCABULARY, width]));
    let logits = builder.node(Linear { weights, bias: None, finish: None }, &[x]).unwrap();
    let next = builder.node(Argmax, &[logits]).unwrap();
    builder.output("next", next);
    for (layer, value) in mixed.into_iter().enumerate() {
        builder.output(&format!("x{layer}"), value);
    }
    builder.build().unwrap()
}

#[test]
fn attention_is_exact_with_and_without_a_causal_mask() {
    for causal in [false, true] {
        for (heads, kv_heads, width) in [(1, 1, 5), (4, 4, 32), (6, 2, 102)] {
            let model = attention(Heads { heads, kv_heads, causal }, width, 2);
            for rows in [1, 2, 17, 80] {
                let tokens = (0..rows).map(|at| at * 7 % 29).collect();
                same_outputs(&model, &[Tensor::list(tokens).unwrap()]);
            }
        }
    }
}

#[test]
fn a_generation_row_by_row_is_exact() {
    let model = attention(Heads { heads: 4, kv_heads: 2, causal: true }, 24, 1);
    let prompt = || Prompt {
        tokens: vec![1, 2, 3, 4, 5],
        max_tokens: 20,
        stop: vec![],
        sampling: Sampling::default(),
    };
    let expected = model.generate(&Reference, prompt()).unwrap();
    assert_eq!(expected.len(), 20);
    for native in levels() {
        assert_eq!(model.generate(&native, prompt()).unwrap(), expected);
    }
}
