//! Read data to calibrate or compare with: `.npy` files, or lists of tokens as JSON lines.

use crate::{Array, ConvertError, error};

/// What one run of a model takes.
#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    /// Tokens of a text.
    Tokens(Vec<i32>),
    /// Rows of numbers, one after another.
    Features {
        /// Numbers of a row.
        width: usize,
        /// The numbers.
        values: Vec<f32>,
    },
}

/// Most samples that are read: more do not make scales better.
const MAX_SAMPLES: usize = 1 << 16;

/// Reads samples: each row of a `.npy` file, or each line of tokens, `[101, 7592, 102]`.
///
/// # Errors
/// [`ConvertError::Format`] with the line that is wrong.
pub fn read_samples(bytes: &[u8]) -> Result<Vec<Sample>, ConvertError> {
    if Array::is_npy(bytes) {
        let array = Array::read(bytes)?;
        let (rows, rest) = array.shape.split_first().unwrap_or((&1, &[]));
        let (rows, width) = ((*rows).min(MAX_SAMPLES), rest.iter().product::<usize>().max(1));
        let values = array.floats();
        let rows = values.chunks_exact(width).take(rows);
        return Ok(rows.map(|row| Sample::Features { width, values: row.to_vec() }).collect());
    }
    let wrong = |reason: String| error::format("data", reason);
    let text = std::str::from_utf8(bytes).map_err(|_| {
        wrong("it is neither a .npy file nor text: save arrays with numpy.save".into())
    })?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let tokens = lines.take(MAX_SAMPLES).map(|(at, line)| {
        let tokens: Vec<i32> = serde_json::from_str(line).map_err(|cause| {
            wrong(format!("line {}: {cause}; write a list of tokens such as [1, 2, 3]", at + 1))
        })?;
        Ok(Sample::Tokens(tokens))
    });
    tokens.collect()
}
