//! Float models and data that a user hands to the converter.

use neura_convert::{Array, Config, Kind, OnnxOptions, read_checkpoint, read_onnx, read_samples};

use crate::Target;

pub(super) const TARGETS: &[Target] = &[
    Target::new("safetensors", safetensors, checkpoints),
    Target::new("onnx-model", onnx, onnx_models),
    Target::new("samples", samples, sample_files),
];

/// The smallest encoder there can be: no layer fits it, so that reading ends with what is missing.
const CONFIG: &str = r#"{"model_type":"bert","vocab_size":2,"hidden_size":2,"num_hidden_layers":1,
    "num_attention_heads":1,"intermediate_size":2,"max_position_embeddings":2}"#;

fn safetensors(bytes: &[u8]) {
    let _any = Config::read(bytes);
    let config = Config::read(CONFIG.as_bytes()).expect("a configuration");
    let _any = read_checkpoint(bytes, &config, 2);
}

fn checkpoints() -> Vec<Vec<u8>> {
    let header = r#"{"embeddings.word_embeddings.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}"#;
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 16]].concat();
    vec![file, CONFIG.as_bytes().to_vec()]
}

fn onnx(bytes: &[u8]) {
    let _any =
        read_onnx(bytes, &OnnxOptions { max_rows: 4, lengths: &[8], ..OnnxOptions::default() });
}

/// A graph of `x: [batch, 2]` and `y = Relu(x)`, as protobuf.
fn onnx_models() -> Vec<Vec<u8>> {
    let port = |name: &[u8; 1]| {
        let shape = b"\x12\x0c\x0a\x00\x0a\x02\x08\x02\x0a\x02\x08\x02";
        let tensor = [&b"\x08\x01"[..], shape].concat();
        let kind = [&[0x0a, tensor.len() as u8][..], &tensor].concat();
        [&b"\x0a\x01"[..], name, &[0x12, kind.len() as u8], &kind].concat()
    };
    let node = b"\x0a\x01x\x12\x01y\x22\x04Relu";
    let (x, y) = (port(b"x"), port(b"y"));
    let part = |field: u8, bytes: &[u8]| [&[field << 3 | 2, bytes.len() as u8][..], bytes].concat();
    let graph = [part(1, node), part(11, &x), part(12, &y)].concat();
    vec![part(7, &graph)]
}

/// What is read of an array and written is read as the same.
fn samples(bytes: &[u8]) {
    let _any = read_samples(bytes);
    if let Ok(array) = Array::read(bytes)
        && array.values.iter().all(|x| x.is_finite() && x.fract() == 0.0 && x.abs() < 1e15)
    {
        assert_eq!(Array::read(&array.write()).expect("an array"), array);
    }
}

fn sample_files() -> Vec<Vec<u8>> {
    let array = Array { kind: Kind::I16, shape: vec![2, 1], values: vec![1.0, -2.0] };
    vec![array.write(), b"[1, 2]\n[3]\n".to_vec()]
}
