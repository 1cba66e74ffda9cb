//! Compute inference: the normative implementation, which every device must equal bit for bit.

use crate::{
    Batch, Layer, LayerKind, MAX_LOGITS, Model, ModelError,
    error::{bounded, shaped},
};

impl Model {
    /// The logits of every row, rows × [`Model::classes`], row after row.
    ///
    /// # Errors
    /// As [`Model::check_batch`].
    pub fn infer(&self, batch: &Batch) -> Result<Vec<i32>, ModelError> {
        self.check_batch(batch)?;
        let mut logits = Vec::with_capacity(batch.rows().saturating_mul(self.classes()));
        let mut activations = Vec::new();
        let mut next = Vec::new();
        for row in batch.values().chunks_exact(batch.width()) {
            activations.clear();
            activations.extend_from_slice(row);
            for layer in self.layers() {
                match layer.kind() {
                    LayerKind::Logits => logits.extend(accumulators(layer, &activations)),
                    LayerKind::Hidden { requant, activation } => {
                        next.clear();
                        let scaled = accumulators(layer, &activations).zip(requant);
                        next.extend(scaled.map(|(z, factor)| factor.apply(z, *activation)));
                        std::mem::swap(&mut activations, &mut next);
                    }
                }
            }
        }
        Ok(logits)
    }

    /// Checks that the batch's rows fit this model and that the logits stay within bounds.
    ///
    /// # Errors
    /// [`ModelError::Width`] if the rows have another width than the model takes,
    /// [`ModelError::Bound`] if there would be more than [`MAX_LOGITS`].
    pub fn check_batch(&self, batch: &Batch) -> Result<(), ModelError> {
        if batch.width() != self.inputs() {
            return Err(ModelError::Width { batch: batch.width(), model: self.inputs() });
        }
        let logits = batch.rows().saturating_mul(self.classes());
        bounded("the number of logits", logits, 1, MAX_LOGITS)?;
        Ok(())
    }
}

/// `z[j] = bias[j] + sum over i of weight[j][i] * x[i]`, for each output `j` in order.
fn accumulators(layer: &Layer, x: &[i8]) -> impl Iterator<Item = i32> {
    let rows = layer.weights().chunks_exact(layer.inputs());
    rows.zip(layer.bias()).map(|(row, bias)| bias.wrapping_add(dot(row, x)))
}

/// The dot product. Its sum, in any order, fits 32 bits: [`Layer`] proved it for this row.
fn dot(row: &[i8], x: &[i8]) -> i32 {
    let products = row.iter().zip(x).map(|(w, x)| i32::from(*w).wrapping_mul(i32::from(*x)));
    products.fold(0, i32::wrapping_add)
}

/// The class of each row: the lowest index of its greatest logit.
///
/// Rows that `classes` logits do not fill are left out; without classes there are no rows.
#[must_use]
pub fn predictions(logits: &[i32], classes: usize) -> Vec<u16> {
    let rows = logits.chunks_exact(classes.max(1)).filter(|_| classes > 0);
    rows.map(argmax).collect()
}

/// The lowest index of the greatest value; 0 for an empty row.
fn argmax(row: &[i32]) -> u16 {
    // `max_by_key` keeps the last of equals, so the row is read backwards. Indices fit: a row has
    // at most MAX_WIDTH = 65,536 values.
    let greatest = row.iter().enumerate().rev().max_by_key(|(_, value)| **value);
    greatest.and_then(|(index, _)| u16::try_from(index).ok()).unwrap_or(0)
}

/// Checks that `predictions` follow from the logits.
pub(crate) fn check_predictions(
    found: &[u16],
    logits: &[i32],
    classes: usize,
) -> Result<(), ModelError> {
    let expected = predictions(logits, classes);
    shaped("the list of predictions", found.len(), expected.len())?;
    match found.iter().zip(&expected).position(|(found, expected)| found != expected) {
        Some(row) => Err(ModelError::Prediction { row }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
