//! Jobs that take long enough to be interrupted.

use std::path::{Path, PathBuf};

use neura_int8::{Activation, Batch, Layer, Model, Requant};

const INPUTS: usize = 64;
const WIDTH: usize = 1_024;
const CLASSES: usize = 10;

/// Writes a job of `rows` rows through two layers of a thousand outputs, and the file that describes it; returns that
/// file. A thousand rows are a billion multiplications.
pub(crate) fn slow_job(folder: &Path, rows: usize) -> PathBuf {
    let model = Model::new(vec![hidden(INPUTS), hidden(WIDTH), logits()]).unwrap();
    let batch = Batch::new(rows, INPUTS, pattern(rows * INPUTS)).unwrap();
    std::fs::write(folder.join("slow.nint8"), model.encode()).unwrap();
    std::fs::write(folder.join("slow.bin"), batch.encode()).unwrap();
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

fn hidden(inputs: usize) -> Layer {
    let requant = vec![Requant::new(1 << 30, 12).unwrap(); WIDTH];
    let weights = pattern(inputs * WIDTH);
    Layer::hidden(inputs, weights, vec![0; WIDTH], requant, Activation::Linear).unwrap()
}

fn logits() -> Layer {
    Layer::logits(WIDTH, pattern(WIDTH * CLASSES), vec![0; CLASSES]).unwrap()
}

/// Small values without any meaning.
fn pattern(length: usize) -> Vec<i8> {
    (0..length).map(|i| i8::try_from((i * 7 + i / 13) % 31).unwrap() - 15).collect()
}
