//! Read safetensors and build the graph of their architecture.

use crate::{
    Config, ConvertError, Graph, Matrix, config::Architecture, safetensors::Tensors, transformer,
};

/// Tensors of a file, read when they are asked for.
#[derive(Debug)]
pub struct Checkpoint<'a> {
    tensors: Tensors<'a>,
    architecture: &'static str,
    /// What stands before all names, such as `bert.`.
    prefix: &'static str,
}

/// Reads a safetensors file as the architecture that its configuration names, for runs of up to
/// `max_rows` tokens.
///
/// # Errors
/// [`ConvertError`] with the tensor or field that is wrong.
pub fn read_checkpoint(
    bytes: &[u8],
    config: &Config,
    max_rows: usize,
) -> Result<Graph, ConvertError> {
    let tensors = Tensors::read(bytes)?;
    let (architecture, prefixes) = match config.architecture {
        Architecture::Bert => ("bert", ["", "bert."]),
        Architecture::Llama => ("llama", ["model.", ""]),
    };
    let marks = ["embeddings.word_embeddings.weight", "embed_tokens.weight"];
    let named =
        |prefix: &&str| marks.iter().any(|mark| tensors.get(&format!("{prefix}{mark}")).is_some());
    let prefix = prefixes.into_iter().find(named).unwrap_or(prefixes[0]);
    let checkpoint = Checkpoint { tensors, architecture, prefix };
    match config.architecture {
        Architecture::Bert => transformer::bert(&checkpoint, config, max_rows),
        Architecture::Llama => transformer::llama(&checkpoint, config, max_rows),
    }
}

impl Checkpoint<'_> {
    /// A tensor of a known shape.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ConvertError> {
        let full = format!("{}{name}", self.prefix);
        let found = self.tensors.get(&full).or_else(|| self.tensors.get(name));
        let view = found.ok_or_else(|| ConvertError::NoTensor {
            name: full.clone(),
            architecture: self.architecture,
            count: self.tensors.len(),
            example: self.tensors.first().to_owned(),
        })?;
        if view.shape != shape {
            let (found, expected) = (view.shape.clone(), shape.to_vec());
            return Err(ConvertError::Shape { name: full, found, expected });
        }
        let values: Vec<f32> = match &view.dtype[..] {
            "F32" => view.bytes.chunks_exact(4).map(four).collect(),
            "BF16" => view.bytes.chunks_exact(2).map(|b| four(&[0, 0, b[0], b[1]])).collect(),
            "F16" => {
                let halves = view.bytes.chunks_exact(2);
                halves.map(|b| half(u16::from_le_bytes([b[0], b[1]]))).collect()
            }
            other => {
                return Err(ConvertError::Unknown {
                    what: "type of weights",
                    found: format!("{other} of '{full}'"),
                    known: "F32, F16, BF16",
                    advice: "Save the float checkpoint that the quantised one was made of",
                });
            }
        };
        match values.iter().all(|x| x.is_finite()) {
            true => Ok(values),
            false => Err(ConvertError::NotFinite { name: full }),
        }
    }

    /// A matrix of a known shape.
    pub(crate) fn matrix(
        &self,
        name: &str,
        height: usize,
        width: usize,
    ) -> Result<Matrix, ConvertError> {
        Ok(Matrix::new(width, self.tensor(name, &[height, width])?))
    }

    /// Whether there is a tensor of a name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.get(&format!("{}{name}", self.prefix)).is_some()
            || self.tensors.get(name).is_some()
    }
}

fn four(bytes: &[u8]) -> f32 {
    f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// A float of 16 bits.
pub(crate) fn half(bits: u16) -> f32 {
    let (sign, exponent, mantissa) = (bits >> 15, (bits >> 10) & 31, f32::from(bits & 1_023));
    let size = match exponent {
        0 => mantissa * 2_f32.powi(-24),
        31 => f32::INFINITY,
        _ => (1.0 + mantissa / 1_024.0) * 2_f32.powi(i32::from(exponent) - 15),
    };
    if sign == 1 { -size } else { size }
}
