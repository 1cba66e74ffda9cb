//! ONNX files with recurrent layers, and with whole texts as rows.

use neura_convert::{OnnxOptions, Options, Sample, calibrate, compare, quantise};

mod file;

use file::{
    field, floats, int, integers, model, node, number, random, read_onnx, samples, tokens, value,
};

const STEPS: usize = 5;
const INNER: usize = 3;
const HIDDEN: usize = 4;

fn text(name: &str, value: &str) -> Vec<u8> {
    field(5, &[field(1, name.as_bytes()), field(4, value.as_bytes()), number(20, 3)].concat())
}

/// A layer over `[batch, steps, inner]` whose last hidden value comes out, of one or two directions.
fn layer(op: &str, parts: usize, more: &[Vec<u8>], ways: usize) -> Vec<u8> {
    let sides = [parts * HIDDEN, INNER].map(|n| n as i64);
    let hidden = HIDDEN as i64;
    let all = ways as i64;
    let attributes = [&[int("hidden_size", hidden)], more].concat();
    let inputs = random(1, ways * parts * HIDDEN * INNER, 0.8);
    let recurrent = random(2, ways * parts * HIDDEN * HIDDEN, 0.8);
    let bias = random(3, ways * 2 * parts * HIDDEN, 0.5);
    let made = ["all", "last"].map(|name| field(2, name.as_bytes())).concat();
    let inner = [
        ["t", "w", "r", "b"].map(|name| field(1, name.as_bytes())).concat(),
        made,
        field(4, op.as_bytes()),
        attributes.concat(),
    ];
    model(&[
        floats("w", &[all, sides[0], sides[1]], &inputs),
        floats("r", &[all, sides[0], hidden], &recurrent),
        floats("b", &[all, 2 * sides[0]], &bias),
        node("Transpose", &["x"], "t", &[file::ints("perm", &[1, 0, 2])]),
        field(1, &inner.concat()),
        node("Transpose", &["last"], "y", &[file::ints("perm", &[1, 0, 2])]),
        value(11, "x", &[STEPS as i64, INNER as i64]),
        value(12, "y", &[1]),
    ])
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Rows of weights times a vector, with a bias.
fn times(weights: &[f32], x: &[f32], bias: &[f32]) -> Vec<f32> {
    let rows = weights.chunks_exact(x.len()).zip(bias);
    rows.map(|(row, b)| row.iter().zip(x).map(|(w, x)| w * x).sum::<f32>() + b).collect()
}

/// What ONNX says of a direction: the last hidden value.
fn recurrent(op: &str, parts: usize, x: &[f32], (way, ways): (usize, usize)) -> Vec<f32> {
    let height = parts * HIDDEN;
    let part = |seed: u64, size: usize, scale: f32| {
        random(seed, ways * size, scale)[way * size..][..size].to_vec()
    };
    let (w, r) = (part(1, height * INNER, 0.8), part(2, height * HIDDEN, 0.8));
    let b = part(3, 2 * height, 0.5);
    let (mut h, mut c) = (vec![0.0; HIDDEN], vec![0.0; HIDDEN]);
    for step in 0..STEPS {
        let at = if way == 1 { STEPS - 1 - step } else { step };
        let given = times(&w, &x[at * INNER..][..INNER], &b[..height]);
        let kept = times(&r, &h, &b[height..]);
        for cell in 0..HIDDEN {
            let sum = |part: usize| given[part * HIDDEN + cell] + kept[part * HIDDEN + cell];
            h[cell] = match op {
                "LSTM" => {
                    c[cell] = sigmoid(sum(2)) * c[cell] + sigmoid(sum(0)) * sum(3).tanh();
                    sigmoid(sum(1)) * c[cell].tanh()
                }
                "GRU" => {
                    let (update, reset) = (sigmoid(sum(0)), sigmoid(sum(1)));
                    let new = given[2 * HIDDEN + cell] + reset * kept[2 * HIDDEN + cell];
                    (1.0 - update) * new.tanh() + update * h[cell]
                }
                _ => sum(0).tanh(),
            };
        }
    }
    h
}

#[test]
fn recurrent_layers_are_written_out_step_by_step() {
    let reset = [int("linear_before_reset", 1)];
    for (op, parts, more) in [("RNN", 1, &[][..]), ("LSTM", 4, &[]), ("GRU", 3, &reset)] {
        for ways in [1, 2] {
            let way = text("direction", if ways == 2 { "bidirectional" } else { "forward" });
            let graph = read_onnx(&layer(op, parts, &[more, &[way]].concat(), ways), 8).unwrap();
            let x = random(9, STEPS * INNER, 1.0);
            let sample = Sample::Features { width: x.len(), values: x.clone() };
            let found = graph.evaluate(&sample).unwrap().concat();
            let expected: Vec<f32> =
                (0..ways).flat_map(|way| recurrent(op, parts, &x, (way, ways))).collect();
            assert_eq!(found.len(), expected.len(), "{op}");
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-5, "{op}: {found} is not {expected}");
            }
        }
    }
}

#[test]
fn steps_of_a_layer_share_weights_and_tables_and_lose_little() {
    let graph = read_onnx(&layer("LSTM", 4, &[], 1), 8).unwrap();
    let width = STEPS * INNER;
    let calibration = calibrate(&graph, &samples(1, 100, width)).unwrap();
    let made = quantise(&graph, &calibration, Options::default()).unwrap();
    let report = compare(&graph, &made.model, &made.card, &samples(2, 40, width), |inputs| {
        made.model.run(inputs)
    });
    let output = &report.unwrap().outputs[0];
    assert!(output.cosine_mean.unwrap() > 0.995, "{output:?}");
    // Each step has three tables; of those after the first, all are the same.
    let tables = made.model.manifest().params().iter().filter(|param| param.dims == [65_536]);
    assert!(tables.count() <= 7);
}

#[test]
fn what_goes_from_token_to_token_is_read_with_whole_texts_as_rows() {
    let bytes = model(&[
        floats("words", &[20, INNER as i64], &random(4, 20 * INNER, 1.0)),
        floats("w", &[1, HIDDEN as i64, INNER as i64], &random(1, HIDDEN * INNER, 0.8)),
        floats("r", &[1, HIDDEN as i64, HIDDEN as i64], &random(2, HIDDEN * HIDDEN, 0.8)),
        integers("axis", &[0]),
        node("Gather", &["words", "ids"], "found", &[]),
        node("Transpose", &["found"], "t", &[file::ints("perm", &[1, 0, 2])]),
        field(
            1,
            &[
                ["t", "w", "r"].map(|name| field(1, name.as_bytes())).concat(),
                ["all", "last"].map(|name| field(2, name.as_bytes())).concat(),
                field(4, b"RNN"),
                int("hidden_size", HIDDEN as i64),
            ]
            .concat(),
        ),
        node("Squeeze", &["last", "axis"], "y", &[]),
        tokens("ids"),
        value(12, "y", &[1]),
    ]);
    let without = read_onnx(&bytes, 64).unwrap_err().to_string();
    assert!(without.contains("--length"), "{without}");
    let options = OnnxOptions { max_rows: 64, lengths: &[6], ..OnnxOptions::default() };
    let graph = neura_convert::read_onnx(&bytes, &options).unwrap();
    let text = |seed: i32| Sample::Tokens((0..6).map(|at| (at * 7 + seed * 3) % 20).collect());
    let data: Vec<Sample> = (0..20).map(text).collect();
    let calibration = calibrate(&graph, &data).unwrap();
    let made = quantise(&graph, &calibration, Options::default()).unwrap();
    let report = compare(&graph, &made.model, &made.card, &data, |inputs| made.model.run(inputs));
    let report = report.unwrap();
    assert!(report.outputs[0].cosine_mean.unwrap() > 0.99, "{report:?}");
    assert!(graph.evaluate(&Sample::Tokens(vec![1; 5])).is_err(), "a shorter text is refused");
}
