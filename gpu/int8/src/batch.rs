//! Hold rows of int8 inputs, and their one encoding.

use crate::{
    MAX_BATCH_BYTES, MAX_ROWS, MAX_WIDTH, ModelError,
    codec::{self, MAGIC_BYTES, Reader, Writer},
    error::{bounded, shaped},
};

const WHAT: &str = "a batch of int8 inputs";
const MAGIC: &[u8; MAGIC_BYTES] = b"NEURAI8B";
const HEADER_BYTES: usize = 20;

/// Rows of activations from -127 to 127, all of one width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    rows: usize,
    width: usize,
    values: Vec<i8>,
}

impl Batch {
    /// Makes a batch of `rows` × `width` values, row after row.
    ///
    /// # Errors
    /// [`ModelError`] if there are no or too many rows or columns, `values` has another length,
    /// or one of them is -128.
    pub fn new(rows: usize, width: usize, values: Vec<i8>) -> Result<Self, ModelError> {
        check_shape(rows, width)?;
        shaped("the batch", values.len(), rows.saturating_mul(width))?;
        match values.iter().position(|value| *value == i8::MIN) {
            Some(index) => Err(ModelError::Activation { index }),
            None => Ok(Batch { rows, width, values }),
        }
    }

    /// Number of rows, at least 1.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Values per row, at least 1.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// All values, row after row.
    #[must_use]
    pub fn values(&self) -> &[i8] {
        &self.values
    }

    /// Decodes a batch; the inverse of [`Batch::encode`], accepting nothing else.
    ///
    /// # Errors
    /// [`ModelError`] for anything that is not the canonical encoding of a valid batch.
    pub fn decode(bytes: &[u8]) -> Result<Self, ModelError> {
        bounded("the size of an encoded batch", bytes.len(), 0, MAX_BATCH_BYTES)?;
        let mut reader = Reader::open(WHAT, MAGIC, bytes)?;
        reader.reserved(2)?;
        let rows = reader.count()?;
        let width = reader.count()?;
        check_shape(rows, width)?;
        let values = reader.items(rows, width)?;
        reader.finish()?;
        Batch::new(rows, width, codec::signed(values))
    }

    /// The one encoding of this batch, at most [`MAX_BATCH_BYTES`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::open(MAGIC, HEADER_BYTES.saturating_add(self.values.len()));
        out.u16(0);
        out.count(self.rows);
        out.count(self.width);
        out.signed(&self.values);
        out.finish()
    }
}

fn check_shape(rows: usize, width: usize) -> Result<(), ModelError> {
    bounded("the number of rows", rows, 1, MAX_ROWS)?;
    bounded("the width of a row", width, 1, MAX_WIDTH)?;
    let size = rows.saturating_mul(width).saturating_add(HEADER_BYTES);
    bounded("the size of an encoded batch", size, 0, MAX_BATCH_BYTES)?;
    Ok(())
}
