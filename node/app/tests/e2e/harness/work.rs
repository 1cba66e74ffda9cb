//! Jobs that take long enough to be interrupted.

use std::path::{Path, PathBuf};

use neura_int8::{
    Builder, DType, Data, Model, ParamId, Requant, Request, Scale, Tensor, encode_requests,
    ops::{linear::Linear, reduce::Argmax},
};

const INPUTS: usize = 64;
const WIDTH: usize = 1_024;
const CLASSES: usize = 10;

/// Writes a job of `rows` rows through two layers of a thousand outputs, and the file that describes it; returns that
/// file. A thousand rows are a billion multiplications.
pub(crate) fn slow_job(folder: &Path, rows: usize) -> PathBuf {
    let input = Tensor::new(vec![rows, INPUTS], Data::I8(pattern(rows * INPUTS))).unwrap();
    let requests = encode_requests(&[Request::run(vec![input])]).unwrap();
    std::fs::write(folder.join("slow.nint8"), model(rows).encode()).unwrap();
    std::fs::write(folder.join("slow.bin"), requests).unwrap();
    let path = folder.join("slow.toml");
    let text = r#"
[job]
name = "slow"
executor = "int8"
model = "slow.nint8"
inputs = "slow.bin"

[terms]
duration_blocks = 600
max_price = "5 ANKR"
"#;
    std::fs::write(&path, text).unwrap();
    path
}

fn model(rows: usize) -> Model {
    let mut builder = Builder::new(rows);
    let mut x = builder.input("x", DType::I8, &[INPUTS], (-127, 127));
    let finish = Some(Requant::new(Scale::new(1 << 30, 43).unwrap(), DType::I8));
    for (name, inputs) in [("first", INPUTS), ("second", WIDTH)] {
        let weights = weights(&mut builder, name, WIDTH, inputs);
        x = builder.node(Linear { weights, bias: None, finish }, &[x]).unwrap();
    }
    let weights = weights(&mut builder, "last", CLASSES, WIDTH);
    let logits = builder.node(Linear { weights, bias: None, finish: None }, &[x]).unwrap();
    let class = builder.node(Argmax, &[logits]).unwrap();
    builder.output("class", class);
    builder.output("logits", logits);
    builder.build().unwrap()
}

fn weights(builder: &mut Builder, name: &str, outputs: usize, inputs: usize) -> ParamId {
    let values = Data::I8(pattern(outputs * inputs));
    builder.param(name, Tensor::new(vec![outputs, inputs], values).unwrap())
}

/// Small values without any meaning.
fn pattern(length: usize) -> Vec<i8> {
    (0..length).map(|i| i8::try_from((i * 7 + i / 13) % 31).unwrap() - 15).collect()
}
