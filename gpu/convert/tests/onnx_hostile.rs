//! ONNX files that lie: refused with what is wrong, without a panic, in bounded memory.

mod file;

use file::{field, floats, int, integers, ints, model, node, number, tokens, value};
use neura_convert::{Graph, OnnxOptions, Sample, calibrate, read_onnx};

fn read(bytes: &[u8]) -> Result<Graph, String> {
    let options = OnnxOptions { max_rows: 64, lengths: &[8], ..OnnxOptions::default() };
    read_onnx(bytes, &options).map_err(|error| error.to_string())
}

/// Checks that a model of `x: [batch, 2, 4]` and these parts is refused, and why.
fn refused(parts: &[Vec<u8>], why: &str) {
    let ports = [value(11, "x", &[2, 4]), value(12, "y", &[2, 4])];
    let error = read(&model(&[parts, &ports].concat())).unwrap_err();
    assert!(error.contains(why), "{error}");
}

#[test]
fn nodes_that_use_what_comes_later_or_themselves_are_refused() {
    refused(&[node("Relu", &["y"], "y", &[])], "'y' is made by no node before it");
    let cycle = [node("Add", &["x", "b"], "a", &[]), node("Relu", &["a"], "b", &[])];
    let cycle = [&cycle[..], &[node("Relu", &["b"], "y", &[])]].concat();
    refused(&cycle, "no node before it");
    refused(&cycle, "export it again");
}

#[test]
fn axes_that_do_not_exist_are_refused() {
    for axis in [3, -4, i64::MAX, i64::MIN] {
        refused(&[node("Softmax", &["x"], "y", &[int("axis", axis)])], "is none of its 3");
        refused(&[node("ReduceMean", &["x"], "y", &[ints("axes", &[axis])])], "is none of its 3");
    }
    refused(&[node("Transpose", &["x"], "y", &[ints("perm", &[0, 1, 1])])], "no order");
    refused(&[node("Squeeze", &["x"], "y", &[ints("axes", &[2])])], "which has length 4");
    let cut = [
        integers("from", &[i64::MIN]),
        integers("to", &[i64::MIN]),
        integers("axis", &[1]),
        node("Slice", &["x", "from", "to", "axis"], "y", &[]),
    ];
    refused(&cut, "takes nothing");
    let still = [
        integers("from", &[0]),
        integers("to", &[2]),
        integers("axis", &[1]),
        integers("step", &[0]),
        node("Slice", &["x", "from", "to", "axis", "step"], "y", &[]),
    ];
    refused(&still, "step");
}

#[test]
fn what_would_take_much_memory_is_refused_before_it_does() {
    let great = 1 << 40;
    for op in ["ConstantOfShape", "Expand", "Tile"] {
        let mut parts =
            vec![floats("one", &[1, 1, 1], &[1.5]), integers("shape", &[great, great, 3])];
        let inputs: &[&str] = if op == "ConstantOfShape" { &["shape"] } else { &["one", "shape"] };
        parts.push(node(op, inputs, "z", &[]));
        parts.push(node("Add", &["x", "z"], "y", &[]));
        refused(&parts, &format!("({op})"));
    }
    let grown = [integers("shape", &[1, 2, great]), node("Expand", &["x", "shape"], "y", &[])];
    refused(&grown, "do not fit");
    let padded = [integers("pads", &[0, 0, 0, 0, 0, great]), node("Pad", &["x", "pads"], "y", &[])];
    refused(&padded, "it pads by");
    // Each constant twice as long as the one before.
    let mut doubled = vec![floats("c0", &[1], &[1.0])];
    for at in 0..40 {
        let (from, to) = (format!("c{at}"), format!("c{}", at + 1));
        doubled.push(node("Concat", &[&from, &from], &to, &[int("axis", 0)]));
    }
    doubled.push(node("Add", &["x", "c40"], "y", &[]));
    refused(&doubled, "Concat");
    // Each value a function of the one before, twice.
    let mut functions = vec![node("Exp", &["x"], "f0", &[])];
    for at in 0..60 {
        let (from, to) = (format!("f{at}"), format!("f{}", at + 1));
        functions.push(node("Mul", &[&from, &from], &to, &[]));
    }
    functions.push(node("Relu", &["f60"], "y", &[]));
    let ports = [value(11, "x", &[2, 4]), value(12, "y", &[2, 4])];
    let graph = read(&model(&[&functions[..], &ports].concat())).unwrap();
    assert!(graph.nodes.len() < 70, "{} nodes", graph.nodes.len());
}

#[test]
fn a_million_nodes_are_refused() {
    let mut parts = vec![value(11, "x", &[2]), value(12, "y", &[2])];
    parts.extend((0..1_000_000).map(|_| node("Relu", &["x"], "y", &[])));
    assert!(read(&model(&parts)).unwrap_err().contains("1000000 nodes"));
}

#[test]
fn inputs_of_impossible_shapes_are_refused() {
    let output = value(12, "y", &[2]);
    let relu = node("Relu", &["x"], "y", &[]);
    for (dims, why) in
        [(&[1 << 40][..], "too long"), (&[1 << 20, 1 << 20], "cells"), (&[2; 8], "9 axes")]
    {
        let error = read(&model(&[value(11, "x", dims), relu.clone(), output.clone()]));
        let error = error.unwrap_err();
        assert!(error.contains("'x'") && error.contains(why), "{error}");
    }
    let open = model(&[value(11, "x", &[0, 3]), relu.clone(), output.clone()]);
    assert!(
        read_onnx(&open, &OnnxOptions { max_rows: 4, ..OnnxOptions::default() })
            .unwrap_err()
            .to_string()
            .contains("--length")
    );
    assert!(read(&open).is_ok());
    let two = model(&[value(11, "x", &[2]), value(11, "z", &[2]), relu, output]);
    assert!(read(&two).unwrap_err().contains("the inputs x, z"));
}

#[test]
fn constants_that_are_not_as_their_shape_says_are_refused() {
    refused(&[floats("w", &[4, 3], &[0.0; 11]), node("MatMul", &["x", "w"], "y", &[])], "'w'");
    refused(
        &[floats("w", &[-4, 3], &[0.0; 12]), node("MatMul", &["x", "w"], "y", &[])],
        "negative",
    );
    let infinite = floats("w", &[4, 1], &[f32::INFINITY, 0.0, 0.0, 0.0]);
    refused(&[infinite, node("MatMul", &["x", "w"], "y", &[])], "tensor 'w' holds");
    let nan = floats("shift", &[1], &[f32::NAN]);
    refused(&[nan, node("Add", &["x", "shift"], "y", &[])], "tensor 'shift' holds");
    // A constant in a file that the user did not give.
    let place = field(13, &[field(1, b"location"), field(2, b"../../etc/passwd")].concat());
    let outside = field(
        5,
        &[number(1, 4), number(1, 1), number(2, 1), field(8, b"w"), place, number(14, 1)].concat(),
    );
    refused(&[outside, node("MatMul", &["x", "w"], "y", &[])], "passwd");
}

#[test]
fn what_has_no_meaning_here_is_refused_by_name() {
    for op in ["ConvTranspose", "LSTM", "NonZero", "TopK", "GridSample"] {
        refused(&[node(op, &["x"], "y", &[])], &format!("'y' ({op})"));
    }
    let sizes = field(5, &[field(1, b"body"), field(6, &[])].concat());
    refused(&[node("Loop", &["x"], "y", &[sizes])], "a graph of its own, 'body'");
    refused(&[node("Resize", &["x"], "y", &[])], "scales by");
    for by in [0, -1, 1 << 33, i64::MAX] {
        let blocks = node("DepthToSpace", &["x"], "y", &[int("blocksize", by)]);
        let ports = [value(11, "x", &[4, 2, 2]), value(12, "y", &[1, 4, 4])];
        let error = read(&model(&[&[blocks], &ports[..]].concat())).unwrap_err();
        assert!(error.contains("blocksize"), "{error}");
    }
    refused(&[node("ReduceMax", &["x"], "y", &[ints("axes", &[0])])], "rows of the run");
    refused(&[node("MatMul", &["x", "x"], "y", &[])], "do not fit");
}

#[test]
fn damaged_files_of_every_kind_of_operator_are_refused_or_read_and_never_panic() {
    let good = model(&[
        tokens("ids"),
        floats("words", &[5, 4], &[0.5; 20]),
        floats("half", &[], &[0.5]),
        integers("2", &[2]),
        integers("split", &[0, 0, 2, 2]),
        integers("joined", &[0, 0, 4]),
        node("Shape", &["ids"], "s", &[]),
        node("Gather", &["s", "2"], "unused", &[]),
        node("Gather", &["words", "ids"], "x", &[]),
        node("Reshape", &["x", "split"], "h", &[]),
        node("Transpose", &["h"], "q", &[ints("perm", &[0, 2, 1, 3])]),
        node("Transpose", &["h"], "k", &[ints("perm", &[0, 2, 3, 1])]),
        node("MatMul", &["q", "k"], "a", &[]),
        node("Mul", &["a", "half"], "b", &[]),
        node("Softmax", &["b"], "c", &[int("axis", 3)]),
        node("MatMul", &["c", "q"], "d", &[]),
        node("Transpose", &["d"], "e", &[ints("perm", &[0, 2, 1, 3])]),
        node("Reshape", &["e", "joined"], "f", &[]),
        node("Split", &["f"], "g", &[int("axis", 2)]),
        node("Concat", &["f", "g"], "i", &[int("axis", 2)]),
        node("ReduceMean", &["i"], "j", &[ints("axes", &[1])]),
        node("Pad", &["j"], "y", &[ints("pads", &[0, 0, 1, 0, 0, 1])]),
        value(12, "y", &[6]),
    ]);
    assert!(read(&good).is_ok(), "{:?}", read(&good));
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            let _any = read(&bytes);
        }
        let _any = read(&good[..at]);
    }
}

/// A model whose numbers grew past all floats was converted: its report said that nothing was lost, and its card held no
/// units.
#[test]
fn a_model_that_computes_infinities_is_not_converted() {
    let ports = [value(11, "x", &[2]), value(12, "y", &[2])];
    let huge = [
        floats("w", &[2, 2], &[3e38, 3e38, 3e38, 3e38]),
        node("MatMul", &["x", "w"], "z", &[]),
        node("Relu", &["z"], "y", &[]),
    ];
    let graph = read(&model(&[&huge[..], &ports].concat())).unwrap();
    let sample = |values: [f32; 2]| Sample::Features { width: 2, values: values.into() };
    let error = calibrate(&graph, &[sample([0.0; 2]), sample([9.0; 2])]).unwrap_err().to_string();
    assert!(error.starts_with("sample 1: node 'z' (Linear) makes a value"), "{error}");
    assert!(calibrate(&graph, &[sample([1e-3; 2])]).is_ok());
}
