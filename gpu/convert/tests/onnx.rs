//! ONNX files, written byte by byte: perceptrons and convolutional networks.

use neura_convert::{ConvertError, Graph, Options, Sample, calibrate, compare, quantise};

mod file;

use file::{floats, int, integers, ints, model, node, random, read_onnx, samples, value};

fn perceptron() -> Vec<u8> {
    model(&[
        floats("w1", &[24, 12], &random(1, 288, 0.5)),
        floats("b1", &[24], &random(2, 24, 0.5)),
        floats("w2", &[24, 16], &random(3, 384, 0.4)),
        floats("b2", &[16], &random(4, 16, 0.4)),
        floats("w3", &[16, 5], &random(5, 80, 0.6)),
        node("Gemm", &["x", "w1", "b1"], "h1", &[int("transB", 1)]),
        node("Relu", &["h1"], "r1", &[]),
        node("MatMul", &["r1", "w2"], "m2", &[]),
        node("Add", &["m2", "b2"], "h2", &[]),
        node("Tanh", &["h2"], "t2", &[]),
        node("MatMul", &["t2", "w3"], "logits", &[]),
        node("Softmax", &["logits"], "shares", &[int("axis", 1)]),
        node("ArgMax", &["logits"], "class", &[int("axis", 1), int("keepdims", 0)]),
        value(11, "x", &[12]),
        value(12, "shares", &[5]),
        value(12, "logits", &[5]),
        value(12, "class", &[]),
    ])
}

fn network() -> Vec<u8> {
    model(&[
        floats("k1", &[6, 2, 3, 3], &random(1, 108, 0.4)),
        floats("kb", &[6], &random(2, 6, 0.3)),
        floats("gamma", &[6], &[0.8, 1.2, 1.0, 0.5, 1.5, 0.9]),
        floats("beta", &[6], &random(3, 6, 0.2)),
        floats("mean", &[6], &random(4, 6, 0.2)),
        floats("var", &[6], &[0.5, 1.0, 2.0, 0.7, 1.1, 1.4]),
        floats("k2", &[6, 1, 3, 3], &random(5, 54, 0.5)),
        floats("k3", &[6, 6, 1, 1], &random(6, 36, 0.5)),
        floats("w", &[4, 96], &random(7, 384, 0.2)),
        floats("b", &[4], &random(8, 4, 0.2)),
        integers("shape", &[-1, 96]),
        node("Conv", &["x", "k1", "kb"], "c1", &[ints("pads", &[1, 1, 1, 1])]),
        node("BatchNormalization", &["c1", "gamma", "beta", "mean", "var"], "n1", &[]),
        node("Relu", &["n1"], "r1", &[]),
        node("MaxPool", &["r1"], "p1", &[ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])]),
        node("Conv", &["p1", "k2"], "c2", &[ints("pads", &[1, 1, 1, 1]), int("group", 6)]),
        node("Conv", &["c2", "k3"], "c3", &[]),
        node("Add", &["c3", "p1"], "sum", &[]),
        node("Sigmoid", &["sum"], "s", &[]),
        node(
            "AveragePool",
            &["s"],
            "a",
            &[ints("kernel_shape", &[2, 1]), ints("strides", &[1, 1])],
        ),
        node("GlobalAveragePool", &["a"], "g", &[]),
        node("Reshape", &["p1", "shape"], "f", &[]),
        node("Gemm", &["f", "w", "b"], "logits", &[int("transB", 1)]),
        node("Flatten", &["g"], "means", &[]),
        value(11, "x", &[2, 8, 8]),
        value(12, "logits", &[4]),
        value(12, "means", &[6]),
    ])
}

fn converted(bytes: &[u8], width: usize) -> neura_convert::Report {
    let graph = read_onnx(bytes, 64).unwrap();
    let calibration = calibrate(&graph, &samples(1, 400, width)).unwrap();
    let made = quantise(&graph, &calibration, Options::default()).unwrap();
    compare(&graph, &made.model, &made.card, &samples(2, 100, width), |inputs| {
        made.model.run(inputs)
    })
    .unwrap()
}

#[test]
fn a_perceptron_gives_the_classes_of_its_float_original() {
    let report = converted(&perceptron(), 12);
    let [shares, logits, class] = &report.outputs[..] else { panic!("three outputs") };
    assert!(logits.cosine_mean.unwrap() > 0.998, "{logits:?}");
    assert!(shares.max_error < 0.05, "{shares:?}");
    assert!(class.top1 >= 0.95 && class.top1 == logits.top1, "{class:?} {logits:?}");
}

#[test]
fn a_convolutional_network_gives_the_values_of_its_float_original() {
    let report = converted(&network(), 128);
    for output in &report.outputs {
        assert!(output.cosine_mean.unwrap() > 0.995, "{output:?}");
        assert!(output.relative_error < 0.06, "{output:?}");
    }
}

#[test]
fn the_float_graph_computes_what_the_operators_say() {
    let bytes = model(&[
        floats("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0]),
        floats("two", &[], &[2.0]),
        node("MatMul", &["x", "w"], "y", &[]),
        node("Mul", &["y", "two"], "z", &[]),
        value(11, "x", &[2]),
        value(12, "z", &[2]),
    ]);
    let graph = read_onnx(&bytes, 8).unwrap();
    let sample = Sample::Features { width: 2, values: vec![1.0, -1.0, 0.5, 0.25] };
    assert_eq!(graph.evaluate(&sample).unwrap(), [[-4.0, -4.0, 2.5, 4.0]]);
}

fn refused(parts: &[Vec<u8>]) -> String {
    let error: Result<Graph, ConvertError> = read_onnx(&model(parts), 8);
    error.unwrap_err().to_string()
}

#[test]
fn what_cannot_be_converted_names_node_and_operator_and_a_way_round() {
    let (x, y) = (value(11, "x", &[2]), value(12, "y", &[2]));
    let error = refused(&[node("Einsum", &["x"], "y", &[]), x.clone(), y.clone()]);
    assert!(error.contains("'y' (Einsum)") && error.contains("Gemm"), "{error}");
    let error = refused(&[node("Reshape", &["x", "s"], "y", &[]), x.clone(), y.clone()]);
    assert!(error.contains("flatten"), "{error}");
    let error = refused(&[node("Relu", &["z"], "y", &[]), x.clone(), y.clone()]);
    assert!(error.contains("'z'"), "{error}");
    let error = refused(&[node("Relu", &["x"], "z", &[]), x.clone(), y.clone()]);
    assert!(error.contains("'y' is made by no node"), "{error}");
    let short = floats("w", &[3, 2], &[0.0; 5]);
    let error = refused(&[short, node("MatMul", &["x", "w"], "y", &[]), x.clone(), y.clone()]);
    assert!(error.contains("'w'"), "{error}");
    let other = floats("w", &[3, 2], &[0.0; 6]);
    let error = refused(&[other, node("MatMul", &["x", "w"], "y", &[]), x, y]);
    assert!(error.contains("MatMul"), "{error}");
}

#[test]
fn damaged_files_are_refused_or_read_and_never_panic() {
    for good in [perceptron(), network()] {
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << (at % 8);
            let _ = read_onnx(&bytes, 8);
            if at % 11 == 0 {
                let _ = read_onnx(&good[..at], 8);
            }
        }
    }
}
