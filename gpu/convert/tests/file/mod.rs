//! ONNX files, written byte by byte as protobuf.

#![allow(dead_code, reason = "each test takes what it needs")]

use neura_convert::{ConvertError, Graph, OnnxOptions, Sample};

/// Reads a model for batches of up to some images.
pub(crate) fn read_onnx(bytes: &[u8], max_rows: usize) -> Result<Graph, ConvertError> {
    neura_convert::read_onnx(bytes, &OnnxOptions { max_rows, ..OnnxOptions::default() })
}

/// A field of bytes in protobuf.
pub(crate) fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [varint(u64::from(number) << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

/// A field of an integer in protobuf.
pub(crate) fn number(field: u8, value: i64) -> Vec<u8> {
    [varint(u64::from(field) << 3), varint(value as u64)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A constant of floats.
pub(crate) fn floats(name: &str, dims: &[i64], values: &[f32]) -> Vec<u8> {
    let raw: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let dims: Vec<u8> = dims.iter().flat_map(|dim| number(1, *dim)).collect();
    field(5, &[dims, number(2, 1), field(8, name.as_bytes()), field(9, &raw)].concat())
}

/// A constant of integers.
pub(crate) fn integers(name: &str, values: &[i64]) -> Vec<u8> {
    let raw: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let dims = number(1, values.len() as i64);
    field(5, &[dims, number(2, 7), field(8, name.as_bytes()), field(9, &raw)].concat())
}

/// An attribute of one integer.
pub(crate) fn int(name: &str, value: i64) -> Vec<u8> {
    field(5, &[field(1, name.as_bytes()), number(3, value), number(20, 2)].concat())
}

/// An attribute of several integers.
pub(crate) fn ints(name: &str, values: &[i64]) -> Vec<u8> {
    let values: Vec<u8> = values.iter().flat_map(|value| number(8, *value)).collect();
    field(5, &[field(1, name.as_bytes()), values, number(20, 7)].concat())
}

/// A node that makes `output` of `inputs`.
pub(crate) fn node(op: &str, inputs: &[&str], output: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|name| field(1, name.as_bytes())).collect();
    let output = field(2, output.as_bytes());
    field(1, &[inputs, output, field(4, op.as_bytes()), attributes.concat()].concat())
}

/// A value with a batch of open length and other axes.
pub(crate) fn value(number_of_field: u8, name: &str, dims: &[i64]) -> Vec<u8> {
    let open = field(1, &field(2, b"batch"));
    let rest: Vec<u8> = dims.iter().flat_map(|dim| field(1, &number(1, *dim))).collect();
    let tensor = [number(1, 1), field(2, &[open, rest].concat())].concat();
    field(number_of_field, &[field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat())
}

pub(crate) fn model(parts: &[Vec<u8>]) -> Vec<u8> {
    [number(1, 8), field(7, &parts.concat()), field(8, &number(2, 17))].concat()
}

pub(crate) fn random(seed: u64, count: usize, scale: f32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as f64 / 2_f64.powi(30) - 1.0) as f32 * scale
    };
    (0..count).map(|_| next()).collect()
}

pub(crate) fn samples(seed: u64, count: usize, width: usize) -> Vec<Sample> {
    (0..count as u64)
        .map(|at| Sample::Features { width, values: random(seed * 1_000 + at, width, 2.0) })
        .collect()
}

/// A list of tokens `[batch, tokens]`, both of open length.
pub(crate) fn tokens(name: &str) -> Vec<u8> {
    let open = |name: &[u8]| field(1, &field(2, name));
    let shape = [open(b"batch"), open(b"tokens")].concat();
    let tensor = [number(1, 7), field(2, &shape)].concat();
    field(11, &[field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat())
}

/// An attribute of one float.
pub(crate) fn float(name: &str, value: f32) -> Vec<u8> {
    let fixed = [&[2 << 3 | 5][..], &value.to_le_bytes()].concat();
    field(5, &[field(1, name.as_bytes()), fixed, number(20, 1)].concat())
}
