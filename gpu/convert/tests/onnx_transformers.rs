//! Transformers as exporters write them: norms, activations and attention taken apart.

mod file;

use file::{floats, int, integers, ints, model, node, random, samples, tokens, value};
use neura_convert::{Graph, OnnxOptions, Options, Sample, calibrate, compare, quantise, read_onnx};

const WORDS: usize = 30;
const WIDTH: usize = 16;
const HEADS: usize = 4;
const HEAD: usize = WIDTH / HEADS;

/// Weights of one layer, all of inputs by outputs.
struct Weights {
    words: Vec<f32>,
    places: Vec<f32>,
    square: [Vec<f32>; 4],
    gain: Vec<f32>,
    bias: Vec<f32>,
}

impl Weights {
    fn new() -> Self {
        let square = [3, 4, 5, 6].map(|seed| random(seed, WIDTH * WIDTH, 0.45));
        let gain = random(7, WIDTH, 0.3).iter().map(|x| 1.0 + x).collect();
        Weights {
            words: random(1, WORDS * WIDTH, 1.0),
            places: random(2, 64 * WIDTH, 0.4),
            square,
            gain,
            bias: random(8, WIDTH, 0.2),
        }
    }

    /// The layer in plain floats: attention, the sum, the norm, the activation.
    fn run(&self, tokens: &[i32], causal: bool) -> Vec<f32> {
        let rows = tokens.len();
        let mut x = vec![0.0; rows * WIDTH];
        for (row, token) in tokens.iter().enumerate() {
            for at in 0..WIDTH {
                x[row * WIDTH + at] =
                    self.words[*token as usize * WIDTH + at] + self.places[row * WIDTH + at];
            }
        }
        let [q, k, v] = [0, 1, 2].map(|part| times(&x, &self.square[part]));
        let mut mixed = vec![0.0; x.len()];
        for head in 0..HEADS {
            for row in 0..rows {
                let seen = if causal { row + 1 } else { rows };
                let cell =
                    |list: &[f32], row: usize, at: usize| list[row * WIDTH + head * HEAD + at];
                let score = |other: usize| -> f32 {
                    let sum: f32 =
                        (0..HEAD).map(|at| cell(&q, row, at) * cell(&k, other, at)).sum();
                    (sum / (HEAD as f32).sqrt()).exp()
                };
                let shares: Vec<f32> = (0..seen).map(score).collect();
                let whole: f32 = shares.iter().sum();
                for at in 0..HEAD {
                    mixed[row * WIDTH + head * HEAD + at] =
                        (0..seen).map(|other| shares[other] / whole * cell(&v, other, at)).sum();
                }
            }
        }
        let out = times(&mixed, &self.square[3]);
        let mut made = Vec::new();
        for row in 0..rows {
            let sum: Vec<f32> =
                (0..WIDTH).map(|at| x[row * WIDTH + at] + out[row * WIDTH + at]).collect();
            let mean = sum.iter().sum::<f32>() / WIDTH as f32;
            let spread = sum.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / WIDTH as f32;
            made.extend(sum.iter().enumerate().map(|(at, x)| {
                let y = (x - mean) / (spread + 1e-5).sqrt() * self.gain[at] + self.bias[at];
                y / (1.0 + (-y).exp())
            }));
        }
        made
    }
}

fn times(x: &[f32], weights: &[f32]) -> Vec<f32> {
    let rows = x.chunks_exact(WIDTH);
    rows.flat_map(|row| {
        (0..WIDTH).map(|out| (0..WIDTH).map(|at| row[at] * weights[at * WIDTH + out]).sum())
    })
    .collect()
}

/// What tokens of a text are hidden from each other.
enum Mask {
    /// Computed from the input that says which tokens are no padding.
    Padding,
    /// A stored triangle, cut to the length of the text.
    Triangle,
}

/// The layer as a file: shapes computed from the input's, everything taken apart.
fn encoder(mask: &Mask) -> Vec<u8> {
    let weights = Weights::new();
    let side = WIDTH as i64;
    let triangle: Vec<f32> =
        (0..64 * 64).map(|at| if at % 64 > at / 64 { f32::MIN } else { 0.0 }).collect();
    let mut parts = vec![
        tokens("ids"),
        floats("words", &[WORDS as i64, side], &weights.words),
        floats("places", &[1, 64, side], &weights.places),
        floats("triangle", &[1, 1, 64, 64], &triangle),
        floats("gain", &[side], &weights.gain),
        floats("bias", &[side], &weights.bias),
        floats("two", &[], &[2.0]),
        floats("one", &[], &[1.0]),
        floats("least", &[], &[f32::MIN]),
        floats("root", &[], &[(HEAD as f32).sqrt()]),
        floats("epsilon", &[], &[1e-5]),
        integers("0", &[0]),
        integers("1", &[1]),
        integers("2", &[2]),
        integers("3", &[3]),
        integers("heads", &[HEADS as i64, HEAD as i64]),
        integers("width", &[side]),
        node("Shape", &["ids"], "shape", &[]),
        node("Gather", &["shape", "1"], "length", &[]),
        node("Gather", &["words", "ids"], "found", &[]),
        node("Slice", &["places", "0", "length", "1"], "placed", &[]),
        node("Add", &["found", "placed"], "x", &[]),
        node("Concat", &["shape", "heads"], "split", &[int("axis", 0)]),
        node("Concat", &["shape", "width"], "joined", &[int("axis", 0)]),
    ];
    for (at, part) in ["q", "k", "v", "o"].into_iter().enumerate() {
        parts.push(floats(&format!("w{part}"), &[side, side], &weights.square[at]));
    }
    for (part, order) in [("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])] {
        let [weights, made, split] = ["w", "m", "s"].map(|kind| format!("{kind}{part}"));
        parts.push(node("MatMul", &["x", &weights], &made, &[]));
        parts.push(node("Reshape", &[&made, "split"], &split, &[]));
        parts.push(node("Transpose", &[&split], part, &[ints("perm", &order)]));
    }
    parts.extend(match mask {
        Mask::Padding => vec![
            tokens("attention_mask"),
            node("Unsqueeze", &["attention_mask", "1"], "m1", &[]),
            node("Unsqueeze", &["m1", "2"], "m2", &[]),
            node("Cast", &["m2"], "m3", &[int("to", 1)]),
            node("Sub", &["one", "m3"], "m4", &[]),
            node("Mul", &["m4", "least"], "mask", &[]),
        ],
        Mask::Triangle => vec![
            node("Slice", &["triangle", "0", "length", "2"], "t1", &[]),
            node("Slice", &["t1", "0", "length", "3"], "mask", &[]),
        ],
    });
    parts.extend(rest());
    model(&parts)
}

/// What follows queries, keys, values and the mask: attention, norm, activation.
fn rest() -> Vec<Vec<u8>> {
    vec![
        node("MatMul", &["q", "k"], "agree", &[]),
        node("Div", &["agree", "root"], "scaled", &[]),
        node("Add", &["scaled", "mask"], "masked", &[]),
        node("Softmax", &["masked"], "shares", &[int("axis", -1)]),
        node("MatMul", &["shares", "v"], "mixed", &[]),
        node("Transpose", &["mixed"], "back", &[ints("perm", &[0, 2, 1, 3])]),
        node("Reshape", &["back", "joined"], "whole", &[]),
        node("MatMul", &["whole", "wo"], "out", &[]),
        node("Add", &["x", "out"], "sum", &[]),
        node("ReduceMean", &["sum"], "mean", &[ints("axes", &[-1])]),
        node("Sub", &["sum", "mean"], "centred", &[]),
        node("Pow", &["centred", "two"], "square", &[]),
        node("ReduceMean", &["square"], "spread", &[ints("axes", &[-1])]),
        node("Add", &["spread", "epsilon"], "above", &[]),
        node("Sqrt", &["above"], "deviation", &[]),
        node("Div", &["centred", "deviation"], "unit", &[]),
        node("Mul", &["unit", "gain"], "gained", &[]),
        node("Add", &["gained", "bias"], "normed", &[]),
        node("Sigmoid", &["normed"], "gate", &[]),
        node("Mul", &["normed", "gate"], "y", &[]),
        value(12, "y", &[0, WIDTH as i64]),
    ]
}

fn texts(seed: u64, count: u64) -> Vec<Sample> {
    let text = |at: u64| {
        let cells = random(seed * 1_000 + at, 3 + at as usize % 20, WORDS as f32 / 2.0);
        Sample::Tokens(cells.iter().map(|x| (x + WORDS as f32 / 2.0) as i32).collect())
    };
    (0..count).map(text).collect()
}

fn read(bytes: &[u8], max_rows: usize) -> Graph {
    read_onnx(bytes, &OnnxOptions { max_rows, ..OnnxOptions::default() }).unwrap()
}

/// Checks a graph against the layer in plain floats, and the integer model against the graph.
fn check(graph: &Graph, causal: bool) {
    let weights = Weights::new();
    for sample in texts(1, 20) {
        let Sample::Tokens(tokens) = &sample else { panic!("a text") };
        let (expected, found) = (weights.run(tokens, causal), graph.evaluate(&sample).unwrap());
        let worst =
            expected.iter().zip(&found[0]).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
        assert!(found[0].len() == expected.len() && worst < 1e-4, "{worst}");
    }
    let calibration = calibrate(graph, &texts(2, 80)).unwrap();
    let made = quantise(graph, &calibration, Options::default()).unwrap();
    let run = |inputs: &[neura_int8::Tensor]| made.model.run(inputs);
    let report = compare(graph, &made.model, &made.card, &texts(3, 40), run).unwrap();
    let output = &report.outputs[0];
    assert!(output.cosine_mean.unwrap() > 0.999 && output.cosine_min.unwrap() > 0.99, "{output:?}");
}

#[test]
fn an_encoder_taken_apart_is_put_together_and_takes_texts_of_any_length() {
    let graph = read(&encoder(&Mask::Padding), 100);
    let names: Vec<&str> = graph.nodes.iter().map(|node| node.op.name()).collect();
    for (name, count) in [("Attention", 1), ("LayerNorm", 1), ("Apply", 1), ("Transpose", 0)] {
        assert_eq!(
            names.iter().filter(|other| **other == name).count(),
            count,
            "{name}: {names:?}"
        );
    }
    assert!(graph.max_rows > 50 && graph.max_rows <= 64, "{} positions", graph.max_rows);
    assert!(
        graph.assumed.iter().any(|text| text.contains("attention_mask")),
        "{:?}",
        graph.assumed
    );
    check(&graph, false);
}

#[test]
fn a_mask_that_hides_later_tokens_makes_attention_causal() {
    check(&read(&encoder(&Mask::Triangle), 64), true);
}

#[test]
fn attention_within_rows_of_a_batch_is_products_and_softmax() {
    let (rows, side) = (6, WIDTH as i64);
    let weights = Weights::new();
    let mut parts = vec![
        integers("split", &[0, rows, HEADS as i64, HEAD as i64]),
        integers("joined", &[0, rows, side]),
        floats("scale", &[], &[1.0 / (HEAD as f32).sqrt()]),
        floats("class", &[1, 1, side], &random(9, WIDTH, 1.0)),
        integers("first", &[0]),
    ];
    for (part, order) in [("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])] {
        let at = ["q", "k", "v"].iter().position(|other| *other == part).unwrap();
        let [stored, made, split] = ["w", "m", "s"].map(|kind| format!("{kind}{part}"));
        parts.push(floats(&stored, &[side, side], &weights.square[at]));
        parts.push(node("MatMul", &["x", &stored], &made, &[]));
        parts.push(node("Reshape", &[&made, "split"], &split, &[]));
        parts.push(node("Transpose", &[&split], part, &[ints("perm", &order)]));
    }
    parts.extend([
        node("MatMul", &["q", "k"], "agree", &[]),
        node("Mul", &["agree", "scale"], "scaled", &[]),
        node("Softmax", &["scaled"], "shares", &[int("axis", -1)]),
        node("MatMul", &["shares", "v"], "mixed", &[]),
        node("Transpose", &["mixed"], "back", &[ints("perm", &[0, 2, 1, 3])]),
        node("Reshape", &["back", "joined"], "whole", &[]),
        node("Add", &["whole", "class"], "shifted", &[]),
        node("Gather", &["shifted", "first"], "y", &[int("axis", 1)]),
        value(11, "x", &[rows, side]),
        value(12, "y", &[1, side]),
    ]);
    let graph = read(&model(&parts), 8);
    let width = rows as usize * WIDTH;
    let made = {
        let calibration = calibrate(&graph, &samples(1, 100, width)).unwrap();
        quantise(&graph, &calibration, Options::default()).unwrap()
    };
    let run = |inputs: &[neura_int8::Tensor]| made.model.run(inputs);
    let report = compare(&graph, &made.model, &made.card, &samples(2, 50, width), run).unwrap();
    assert!(report.outputs[0].cosine_min.unwrap() > 0.995, "{:?}", report.outputs);
    // The first token of a row, by hand.
    let Sample::Features { values, .. } = &samples(3, 1, width)[0] else { panic!("features") };
    let [q, k, v] = [0, 1, 2].map(|part| times(values, &weights.square[part]));
    let found = &graph.evaluate(&Sample::Features { width, values: values.clone() }).unwrap()[0];
    for at in 0..WIDTH {
        let head = at / HEAD * HEAD;
        let score = |row: usize| -> f32 {
            let sum: f32 = (head..head + HEAD).map(|at| q[at] * k[row * WIDTH + at]).sum();
            (sum / (HEAD as f32).sqrt()).exp()
        };
        let whole: f32 = (0..rows as usize).map(score).sum();
        let mixed: f32 =
            (0..rows as usize).map(|row| score(row) / whole * v[row * WIDTH + at]).sum();
        let expected = mixed + random(9, WIDTH, 1.0)[at];
        assert!((found[at] - expected).abs() < 1e-4, "{at}: {} is not {expected}", found[at]);
    }
}

#[test]
fn attention_of_another_form_is_refused_with_the_usual_one() {
    let side = WIDTH as i64;
    let weights = Weights::new();
    let bytes = model(&[
        tokens("ids"),
        floats("words", &[WORDS as i64, side], &weights.words),
        node("Gather", &["words", "ids"], "x", &[]),
        node("Transpose", &["x"], "turned", &[ints("perm", &[0, 2, 1])]),
        node("MatMul", &["x", "turned"], "agree", &[]),
        node("Relu", &["agree"], "y", &[]),
        value(12, "y", &[0, 0]),
    ]);
    let error = read_onnx(&bytes, &OnnxOptions { max_rows: 64, ..OnnxOptions::default() });
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("'y' (Relu)") && error.contains("softmax(scale * Q K + mask) V"),
        "{error}"
    );
}

#[test]
fn the_mean_of_tokens_brought_to_unit_length_has_it() {
    let side = WIDTH as i64;
    let graph = read(
        &model(&[
            tokens("ids"),
            floats("words", &[WORDS as i64, side], &Weights::new().words),
            node("Gather", &["words", "ids"], "x", &[]),
            node("ReduceMean", &["x"], "mean", &[ints("axes", &[1]), int("keepdims", 0)]),
            node("ReduceL2", &["mean"], "length", &[ints("axes", &[1])]),
            node("Shape", &["mean"], "shape", &[]),
            node("Expand", &["length", "shape"], "lengths", &[]),
            node("Div", &["mean", "lengths"], "y", &[]),
            value(12, "y", &[side]),
        ]),
        64,
    );
    assert_eq!(graph.node(graph.outputs[0].1).op.name(), "UnitLength");
    let made = graph.evaluate(&Sample::Tokens(vec![1, 2, 3])).unwrap();
    let length: f32 = made[0].iter().map(|x| x * x).sum();
    assert!(made[0].len() == WIDTH && (length - 1.0).abs() < 1e-5, "{length}");
}
