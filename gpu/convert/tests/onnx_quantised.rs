//! ONNX files that hold integers already: read as the floats that these stand for.

use neura_convert::Sample;

mod file;

use file::{field, floats, model, node, number, read_onnx, value};

/// A constant of bytes, with a sign or without.
fn bytes(name: &str, dims: &[i64], values: &[i16], signed: bool) -> Vec<u8> {
    let raw: Vec<u8> = values.iter().map(|x| x.to_le_bytes()[0]).collect();
    let dims: Vec<u8> = dims.iter().flat_map(|dim| number(1, *dim)).collect();
    let kind = number(2, if signed { 3 } else { 2 });
    field(5, &[dims, kind, field(8, name.as_bytes()), field(9, &raw)].concat())
}

fn evaluated(parts: &[Vec<u8>], values: &[f32]) -> Vec<f32> {
    let graph = read_onnx(&model(parts), 8).unwrap();
    let sample = Sample::Features { width: values.len(), values: values.to_vec() };
    graph.evaluate(&sample).unwrap().concat()
}

#[test]
fn a_value_quantised_by_itself_is_multiplied_as_it_was() {
    let made = ["q", "scale", "zero"].map(|name| field(2, name.as_bytes())).concat();
    let dynamic = [field(1, b"x"), made, field(4, b"DynamicQuantizeLinear")].concat();
    let found = evaluated(
        &[
            bytes("w", &[2, 2], &[130, 126, 128, 138], false),
            bytes("w_zero", &[], &[128], false),
            floats("w_scale", &[], &[0.5]),
            field(1, &dynamic),
            node("MatMulInteger", &["q", "w", "zero", "w_zero"], "sums", &[]),
            node("Mul", &["scale", "w_scale"], "both", &[]),
            node("Mul", &["sums", "both"], "y", &[]),
            value(11, "x", &[2]),
            value(12, "y", &[2]),
        ],
        &[3.0, -2.0],
    );
    assert_eq!(found, [3.0, -13.0]);
}

#[test]
fn what_is_quantised_is_clamped_to_what_its_type_holds() {
    let parts = |signed: bool| {
        vec![
            floats("scale", &[], &[0.1]),
            bytes("zero", &[], &[0], signed),
            node("QuantizeLinear", &["x", "scale", "zero"], "q", &[]),
            node("DequantizeLinear", &["q", "scale", "zero"], "y", &[]),
            value(11, "x", &[3]),
            value(12, "y", &[3]),
        ]
    };
    let near = |found: Vec<f32>, expected: [f32; 3]| {
        let close = found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(close, "{found:?} is not {expected:?}");
    };
    // Without a sign and with a zero of zero it is what is left of a ReLU.
    near(evaluated(&parts(false), &[-1.0, 2.0, 99.0]), [0.0, 2.0, 25.5]);
    near(evaluated(&parts(true), &[-1.0, 2.0, -99.0]), [-1.0, 2.0, -12.8]);
}

#[test]
fn a_convolution_of_stored_integers_takes_their_scales() {
    let found = evaluated(
        &[
            floats("one", &[], &[0.5]),
            floats("by", &[2], &[0.25, 2.0]),
            bytes("none", &[], &[0], true),
            bytes("w", &[2, 1, 1, 1], &[4, -3], true),
            floats("bias", &[2], &[8.0, 1.0]),
            node(
                "QLinearConv",
                &["x", "one", "none", "w", "by", "none", "one", "none", "bias"],
                "y",
                &[],
            ),
            value(11, "x", &[1, 1, 2]),
            value(12, "y", &[1]),
        ],
        &[1.0, 2.0],
    );
    // Weights of 1 and -6, biases of 8 and 1 in steps of 0.125 and 1.
    assert_eq!(found, [2.0, 3.0, -5.0, -11.0]);
}
