//! Hold what a provider returns, and the commitment that the chain keeps of it.

use crate::{
    MAX_LOGITS, MAX_ROWS, MAX_WIDTH, ModelError,
    codec::{self, MAGIC_BYTES, Reader, Writer},
    error::{bounded, shaped},
    infer::{check_predictions, predictions},
};

const WHAT: &str = "an int8 result";
const MAGIC: &[u8; MAGIC_BYTES] = b"NEURAI8R";
const HEADER_BYTES: usize = 20;

/// The domain of [`Int8Result::commitment`], a BLAKE3 key-derivation context.
pub const RESULT_DOMAIN: &str = "neura:int8:result:v1";

/// The classes and logits of every row of a batch.
///
/// The predictions follow from the logits; a value in which they do not cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Int8Result {
    classes: usize,
    predictions: Vec<u16>,
    logits: Vec<i32>,
}

impl Int8Result {
    /// The result that these logits, rows × `classes`, amount to.
    ///
    /// # Errors
    /// [`ModelError`] if there are no or too many, or they do not fill whole rows.
    pub fn new(classes: usize, logits: Vec<i32>) -> Result<Self, ModelError> {
        let rows = logits.len().checked_div(classes).unwrap_or(0);
        check_shape(rows, classes)?;
        shaped("the list of logits", logits.len(), rows.saturating_mul(classes))?;
        let predictions = predictions(&logits, classes);
        Ok(Int8Result { classes, predictions, logits })
    }

    /// Logits per row.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The class of each row: the lowest index of its greatest logit.
    #[must_use]
    pub fn predictions(&self) -> &[u16] {
        &self.predictions
    }

    /// The logits, rows × classes, row after row.
    #[must_use]
    pub fn logits(&self) -> &[i32] {
        &self.logits
    }

    /// Decodes a result; the inverse of [`Int8Result::encode`], accepting nothing else.
    ///
    /// # Errors
    /// [`ModelError`] for anything that is not the canonical encoding of a valid result.
    pub fn decode(bytes: &[u8]) -> Result<Self, ModelError> {
        let mut reader = Reader::open(WHAT, MAGIC, bytes)?;
        reader.reserved(2)?;
        let rows = reader.count()?;
        let classes = reader.count()?;
        check_shape(rows, classes)?;
        let found = reader.items(rows, 2)?.as_chunks().0;
        let logits = reader.items(rows.saturating_mul(classes), 4)?;
        reader.finish()?;
        let predictions: Vec<u16> = found.iter().map(|class| u16::from_le_bytes(*class)).collect();
        let logits = codec::words(logits);
        check_predictions(&predictions, &logits, classes)?;
        Ok(Int8Result { classes, predictions, logits })
    }

    /// The one encoding of this result.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let rows = self.predictions.len();
        let lists = rows.saturating_mul(2).saturating_add(self.logits.len().saturating_mul(4));
        let mut out = Writer::open(MAGIC, HEADER_BYTES.saturating_add(lists));
        out.u16(0);
        out.count(rows);
        out.count(self.classes);
        for class in &self.predictions {
            out.u16(*class);
        }
        out.words(&self.logits);
        out.finish()
    }

    /// BLAKE3 of the encoding, in key-derivation mode with [`RESULT_DOMAIN`] as its context.
    #[must_use]
    pub fn commitment(&self) -> [u8; 32] {
        blake3::derive_key(RESULT_DOMAIN, &self.encode())
    }
}

fn check_shape(rows: usize, classes: usize) -> Result<(), ModelError> {
    bounded("the number of rows", rows, 1, MAX_ROWS)?;
    bounded("the number of classes", classes, 1, MAX_WIDTH)?;
    bounded("the number of logits", rows.saturating_mul(classes), 1, MAX_LOGITS)?;
    Ok(())
}
